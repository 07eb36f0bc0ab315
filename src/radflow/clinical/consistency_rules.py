"""The rules that compare what two sections claim: contradictions, claims without support, omissions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from radflow.clinical.claim_details import detail_conflict, sides_meet
from radflow.clinical.ontology import Ontology
from radflow.clinical.section_claims import Claim, Claims
from radflow.records import ConflictKind

_FADING = frozenset(("unchanged", "improved", "resolved"))


class Problem(NamedTuple):
    """A disagreement with the claims that show it, and whether the rules are sure of it."""

    kind: ConflictKind
    label: str
    findings: Claim | None
    impression: Claim | None
    is_sure: bool = True


class Comparison:
    """Compares the claims of Findings and Impression by one ontology's ``agreement``."""

    def __init__(self, ontology: Ontology) -> None:
        rules = ontology.agreement
        self.ontology = ontology
        self.rules = rules
        self._same = {name: {name} for name in ontology.observations}
        for group in rules.same:
            for name in group:
                self._same[name] |= set(group)
        self._support = {
            name: self._same[name] | set(rules.follows.get(name, ())) for name in ontology.observations
        }
        self._old, self._recent = frozenset(rules.old), frozenset(rules.recent)
        self._limits, self._history = frozenset(rules.limits), frozenset(rules.history)
        self._unasked = frozenset((*rules.unasked, *rules.denied_by))
        items = ontology.observations.items()
        self._always = {name for name, item in items if item.critical == "critical"} | set(rules.must_report)
        self._when_new = {name for name, item in items if item.critical == "urgent"} - self._always

    def problems(self, findings: Claims, impression: Claims) -> tuple[list[Problem], bool]:
        """Disagreements in the order of the report, one per kind and label; and whether all is sure."""
        found: dict[tuple[str, str], Problem] = {}
        is_sure = True
        for claim in impression.there:
            problem, rests_on_inference = self._of_assertion(claim, findings)
            is_sure &= not rests_on_inference
            if problem is not None:
                found.setdefault((problem.kind, problem.label), problem)
        for problem in (*self._of_denials(findings, impression), *self._omitted(findings, impression)):
            is_known = any(label == problem.label for _, label in found)
            if not is_known:
                found[problem.kind, problem.label] = problem
        ordered = sorted(found.values(), key=_position)
        return ordered, is_sure and all(problem.is_sure for problem in ordered)

    def _of_assertion(self, claim: Claim, findings: Claims) -> tuple[Problem | None, bool]:
        """What is wrong with a claim of the Impression, and whether only an inference supports it."""
        name = claim.finding.observation
        if name in self._unasked:
            return None, False
        exact = _named(findings.by_name, self._same[name])
        support = exact or _named(findings.by_name, self._support[name])
        is_present = claim.finding.assertion == "present"
        if not support:
            denial = self._denial_in(findings, claim)
            if denial is not None and (is_present or denial.finding.observation == name):
                return Problem("contradicted", name, denial, claim, is_sure=is_present), False
            if is_present and not (claim.words & self._history):
                return Problem("unsupported", name, None, claim), False
            return None, False
        other = detail_conflict(claim, exact, support, self.rules)
        if other is not None:
            is_sure = bool(exact) and is_present
            return Problem("side_or_severity_conflict", name, other, claim, is_sure), False
        return None, not exact

    def _denial_in(self, findings: Claims, claim: Claim) -> Claim | None:
        """The claim of the Findings that denies this one of the Impression."""
        name = claim.finding.observation
        for denial in findings.denied_by_name.get(name, ()):
            if sides_meet(denial.side, claim.side) and self._reaches(denial, claim):
                return denial
        for other, targets in self.rules.denies.items():
            if name in targets:
                for denial in findings.denied_by_name.get(other, ()):
                    if sides_meet(denial.side, claim.side) and self._reaches(denial, claim):
                        return denial
        return None

    def _reaches(self, denial: Claim, claim: Claim) -> bool:
        """Whether a denial reaches a claim: "no large effusion" leaves a small one open."""
        if denial.finding.severity is None and not denial.words & self._limits:
            return True
        rank = self.rules.ranks.get(claim.finding.severity or "", 0)
        return rank >= 2 or (claim.finding.change == "new" or bool(claim.words & self._recent))

    def _of_denials(self, findings: Claims, impression: Claims) -> Iterator[Problem]:
        """What the Impression denies and the Findings assert."""
        for denial in impression.denied:
            name = denial.finding.observation
            if self._has_own_denial(findings, denial):
                continue
            for target in {name: None, **dict.fromkeys(self.rules.denies.get(name, ()))}:
                for claim in findings.by_name.get(target, ()):
                    if (
                        claim.finding.assertion == "present"
                        and sides_meet(denial.side, claim.side)
                        and self._reaches(denial, claim)
                        and not self._acknowledged(claim, impression)
                    ):
                        yield Problem("contradicted", target, claim, denial, is_sure=target == name)
            yield from self._of_summary(denial, findings, impression)
        for claim in impression.there:
            targets = self.rules.denied_by.get(claim.finding.observation, ())
            for other in _named(findings.by_name, targets):
                if self._is_fresh(other) and not self._acknowledged(other, impression):
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

    def _acknowledged(self, claim: Claim, impression: Claims) -> bool:
        """Whether the Impression speaks of what a claim of the Findings says, under any of its names."""
        name = claim.finding.observation
        return any(
            name in self._support[other] or other in self._support[name] for other in impression.by_name
        )

    def _omitted(self, findings: Claims, impression: Claims) -> Iterator[Problem]:
        for claim in findings.there:
            name = claim.finding.observation
            if claim.finding.assertion != "present":
                continue
            due = (name in self._always and self._is_fresh(claim)) or (
                name in self._when_new and self._is_new(claim)
            )
            if due and not self._acknowledged(claim, impression):
                yield Problem("critical_omitted", name, claim, None)

    def _is_fresh(self, claim: Claim) -> bool:
        """Whether nothing says that it is old, unchanged or getting better."""
        return claim.finding.change not in _FADING and not claim.words & self._old

    def _is_new(self, claim: Claim) -> bool:
        if not self._is_fresh(claim):
            return False
        return claim.finding.change in {"new", "worse"} or bool(claim.words & self._recent)


def _named(claims: dict[str, list[Claim]], names: Iterable[str]) -> list[Claim]:
    return [claim for name in claims.keys() & set(names) for claim in claims[name]]


def _position(problem: Problem) -> tuple[int, int]:
    """Findings come first in a report; what only the Impression shows comes behind."""
    first = problem.findings.span if problem.findings else None
    second = problem.impression.span if problem.impression else None
    return (first[0], 0) if first else (1 << 30, second[0] if second else 0)
