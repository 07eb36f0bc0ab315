"""The rules that compare what two sections claim: contradictions, claims without support, omissions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from radflow.clinical.claim_details import Details, sides_meet, sides_said
from radflow.clinical.device_positions import DevicePositions
from radflow.clinical.kinships import kinships
from radflow.clinical.ontology import Ontology
from radflow.clinical.section_claims import Claim, Claims, Problem
from radflow.clinical.traces import Traces

_FADING = frozenset(("unchanged", "improved", "resolved"))


class Comparison:
    """Compares the claims of Findings and Impression by one ontology's ``agreement``."""

    def __init__(self, ontology: Ontology) -> None:
        rules = ontology.agreement
        self.ontology = ontology
        self.rules = rules
        self._same, self._support = kinships(ontology)
        self._traces = {
            name: Traces(phrases, denials=ontology.grammar.denials) for name, phrases in rules.traces.items()
        }
        self._details = Details(ontology)
        self._devices = DevicePositions(ontology)
        self._old, self._recent = frozenset(rules.old), frozenset(rules.recent)
        self._links = Traces(rules.links)
        self._limits, self._history = Traces(rules.limits), frozenset(rules.history)
        self._unasked = frozenset((*rules.unasked, *rules.denied_by))
        self._graded = {name for group in rules.grades for name in group}
        self._denied_with = _turned(rules.denies)
        items = ontology.observations.items()
        self._critical = {name for name, item in items if item.critical == "critical"}
        self._always = self._critical | set(rules.must_report)
        self._when_new = {name for name, item in items if item.critical == "urgent"} - self._always

    def problems(self, findings: Claims, impression: Claims) -> tuple[list[Problem], bool]:
        """Disagreements in the order of the report, one per kind and label; and whether all is sure."""
        found: dict[tuple[str, str], Problem] = {}
        is_sure = True
        for claim in impression.there:
            problem, rests_on_inference = self._of_assertion(claim, findings, impression)
            is_sure &= not rests_on_inference
            if problem is not None:
                found.setdefault((problem.kind, problem.label), problem)
        for problem in (
            *self._devices.problems(findings, impression),
            *self._of_denials(findings, impression),
            *self._omitted(findings, impression),
        ):
            is_known = any(label == problem.label for _, label in found)
            if not is_known:
                found[problem.kind, problem.label] = problem
        ordered = sorted(found.values(), key=_position)
        return ordered, is_sure and all(problem.is_sure for problem in ordered)

    def _of_assertion(
        self, claim: Claim, findings: Claims, impression: Claims
    ) -> tuple[Problem | None, bool]:
        """What is wrong with a claim of the Impression, and whether only an inference supports it."""
        name = claim.finding.observation
        if name in self._unasked:
            return None, False
        exact = _named(findings.by_name, self._same[name])
        support = _named(findings.by_name, self._support[name])
        if not support:
            return self._without_support(claim, findings, impression)
        if not exact and claim.finding.assertion == "present":
            denial = self._denial_in(findings, claim)
            if denial is not None and denial.finding.observation == name:
                return Problem("contradicted", name, denial, claim, is_sure=False), False
        other = self._details.conflict(claim, exact, support)
        if other is not None and not self._has_trace_elsewhere(claim, exact, support, findings):
            is_sure = bool(exact) and claim.finding.assertion == "present"
            return Problem("side_or_severity_conflict", name, other, claim, is_sure), False
        return None, not exact

    def _without_support(
        self, claim: Claim, findings: Claims, impression: Claims
    ) -> tuple[Problem | None, bool]:
        name = claim.finding.observation
        is_present = claim.finding.assertion == "present"
        own = findings.denied_by_name.get(name, ())
        denial = self._denial_in(findings, claim)
        is_own = denial in own
        if any(sides_meet(other.side, claim.side) for other in impression.denied_by_name.get(name, ())):
            return None, True  # the Impression denies it too: what it means is not for rules to say
        is_doubtful = not is_own if denial is not None else is_present
        if is_doubtful and (claim.words & self._history or self._traces_of(name, findings)):
            return None, True
        if self._links.stand_in(claim.bag) and self._has_supported_neighbour(claim, findings, impression):
            return None, True
        if denial is not None:
            if is_present or is_own:
                return Problem("contradicted", name, denial, claim, is_sure=is_present), False
        elif is_present and not any(sides_meet(other.side, claim.side) for other in own):
            return Problem("unsupported", name, None, claim), False
        return None, True

    def _has_supported_neighbour(self, claim: Claim, findings: Claims, impression: Claims) -> bool:
        """Whether another claim of its sentence has support: then it is a reading of that ("a versus b")."""
        return any(
            other is not claim
            and other.offset == claim.offset
            and (
                _named(findings.by_name, self._support[other.finding.observation])
                or self._traces_of(other.finding.observation, findings)
            )
            for other in impression.there
        )

    def _has_trace_elsewhere(
        self, claim: Claim, exact: list[Claim], support: list[Claim], findings: Claims
    ) -> bool:
        """Whether another sentence of the Findings may mean the same thing on the claim's side."""
        told = {other.sentence for other in support}
        return any(
            sentence not in told and (claim.side in (sides := sides_said(sentence)) or not (sides or exact))
            for sentence in self._traces_of(claim.finding.observation, findings)
        )

    def _traces_of(self, name: str, findings: Claims) -> list[str]:
        return self._traces[name].found_in(findings) if name in self._traces else []

    def _denial_in(self, findings: Claims, claim: Claim) -> Claim | None:
        """The claim of the Findings that denies this one of the Impression."""
        name = claim.finding.observation
        for other in (name, *self._denied_with.get(name, ())):
            for denial in findings.denied_by_name.get(other, ()):
                if sides_meet(denial.side, claim.side) and self._reaches(denial, claim):
                    return denial
        return None

    def _reaches(self, denial: Claim, claim: Claim) -> bool:
        """Whether a denial reaches a claim: "no large effusion" leaves a small one open."""
        if denial.finding.severity is None and not self._limits.stand_in(denial.words):
            return True
        rank = self.rules.ranks.get(claim.finding.severity or "", 0)
        return rank >= 2 or (claim.finding.change == "new" or bool(claim.words & self._recent))

    def _of_denials(self, findings: Claims, impression: Claims) -> Iterator[Problem]:
        """What the Impression denies and the Findings assert."""
        for denial in impression.denied:
            name = denial.finding.observation
            if self._has_own_denial(findings, denial) or denial.words & self._history:
                continue
            for target in {name: None, **dict.fromkeys(self.rules.denies.get(name, ()))}:
                for claim in findings.by_name.get(target, ()):
                    if (
                        (claim.finding.assertion == "present" or target in self._critical)
                        and sides_meet(denial.side, claim.side)
                        and self._reaches(denial, claim)
                        and (target == name or self._is_fresh(claim))
                        and not self._acknowledged(claim, impression)
                    ):
                        is_sure = target == name and claim.finding.assertion == "present"
                        yield Problem("contradicted", target, claim, denial, is_sure)
            yield from self._of_summary(denial, findings, impression)
        for claim in impression.there:
            targets = self.rules.denied_by.get(claim.finding.observation, ())
            if not targets or self._limits.stand_in(claim.words):
                continue
            for other in _named(findings.by_name, targets):
                if (
                    other.finding.assertion == "present"
                    and self._is_fresh(other)
                    and not self._acknowledged(other, impression)
                ):
                    yield Problem("contradicted", other.finding.observation, other, claim, is_sure=False)

    def _of_summary(self, denial: Claim, findings: Claims, impression: Claims) -> Iterator[Problem]:
        """ "No acute disease" denies what isn't old, or of the less telling what is said to be new."""
        name = denial.finding.observation
        acute = self.rules.denies_if_acute.get(name, ())
        new = self.rules.denies_if_new.get(name, ())
        for claim in findings.there:
            target = claim.finding.observation
            counts = (target in acute and self._is_fresh(claim)) or (target in new and self._is_new(claim))
            if (
                counts
                and claim.finding.assertion == "present"
                and sides_meet(denial.side, claim.side)
                and not self._acknowledged(claim, impression)
            ):
                yield Problem("contradicted", target, claim, denial, is_sure=False)

    def _has_own_denial(self, findings: Claims, denial: Claim) -> bool:
        """Whether the Findings deny the same: then both sections say the same, whatever else they say."""
        return any(
            other.side is None or other.side == denial.side
            for other in findings.denied_by_name.get(denial.finding.observation, ())
        )

    def _acknowledged(self, claim: Claim, impression: Claims, *, is_loose: bool = True) -> bool:
        """Whether the Impression speaks of what a claim of the Findings says, under any of its names.

        ``is_loose``: also under the name of something that it may be concluded from.
        """
        name = claim.finding.observation
        for other, claims in impression.by_name.items():
            is_kin = name in self._same[other] or (
                name not in self._graded
                and (name in self._support[other] or (is_loose and other in self._support[name]))
            )
            if is_kin and any(sides_meet(claim.side, item.side) for item in claims):
                return True
        return False

    def _omitted(self, findings: Claims, impression: Claims) -> Iterator[Problem]:
        for claim in findings.there:
            name = claim.finding.observation
            if claim.finding.assertion != "present":
                continue
            due = (name in self._always and self._is_fresh(claim)) or (
                name in self._when_new and self._is_new(claim)
            )
            if due and not self._acknowledged(claim, impression, is_loose=False):
                yield Problem("critical_omitted", name, claim, None)

    def _is_fresh(self, claim: Claim) -> bool:
        """Whether nothing says that it is old, unchanged or getting better."""
        return claim.finding.change not in _FADING and not claim.words & self._old

    def _is_new(self, claim: Claim) -> bool:
        if not self._is_fresh(claim):
            return False
        return claim.finding.change == "new" or bool(claim.words & self._recent)


def _named(claims: dict[str, list[Claim]], names: Iterable[str]) -> list[Claim]:
    return [claim for name in claims.keys() & set(names) for claim in claims[name]]


def _turned(table: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Target -> the names under which it stands."""
    turned: dict[str, list[str]] = {}
    for name, targets in table.items():
        for target in targets:
            turned.setdefault(target, []).append(name)
    return turned


def _position(problem: Problem) -> tuple[int, int]:
    """Findings come first in a report; what only the Impression shows comes behind."""
    first = problem.findings.span if problem.findings else None
    second = problem.impression.span if problem.impression else None
    return (first[0], 0) if first else (1 << 30, second[0] if second else 0)
