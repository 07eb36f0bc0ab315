"""Must somebody be told at once of what a report says? By rules that are data of the ontology, or by a judge.

The rules read the mentions of the rule labeler: what is denied, gone, unchanged, chronic or improved doesn't
count, history and questions are no mentions at all. docs/criticality.md has the levels and the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure, criticality_question
from radflow.clinical.labeler import Located, RuleLabeler, bodies
from radflow.clinical.ontology import ChangeSaid, CriticalRule, Level, Ontology
from radflow.clinical.phrases import expand
from radflow.clinical.tokens import tokens
from radflow.data.sources.checks import HAS_WORD
from radflow.errors import ConfigError
from radflow.records import Assertion, Change, Criticality, Report, Side

CONFIDENCE: dict[Level, float] = {"critical": 0.9, "urgent": 0.8, "none": 0.0}
"""Probability that a reader agrees with the level of an asserted finding, where its rule names none."""
UNCERTAIN, UNLIKELY = 0.6, 0.25
"""What that probability is multiplied with when the report leaves the finding open, or speaks against it."""
QUIET = 0.05
"""Probability of a critical case when nothing in the report is urgent: what reports leave unsaid."""
NEAR = 0.2
"""The same when something is urgent, but of a level that isn't asked for."""
UNKNOWN = 0.5
"""The same when no section that describes the image says anything."""


def levels_from(lowest: str) -> tuple[Level, ...]:
    """The levels that count when ``lowest`` does: critical, or urgent and critical.

    Raises:
        ConfigError: another word.
    """
    if lowest == "critical":
        return ("critical",)
    if lowest == "urgent":
        return ("critical", "urgent")
    raise ConfigError(f"unknown level {lowest!r}", next_step="Known: critical, urgent.")


def probability(verdict: Criticality) -> float:
    """Probability in [0, 1] that the case is critical, the p of a graded clip; the verdict's confidence
    concerns the verdict, so that a sure "not critical" is near 0."""
    return verdict.confidence if verdict.is_critical else 1 - verdict.confidence


class Seen(NamedTuple):
    """A finding that isn't denied, graded.

    Attributes:
        level, rule: how urgent, and by which rule of the ontology (``None``: by its observation alone).
        probability: that a reader would call it so, in [0, 1].
        change: what the report says of its course, here or at another mention of it.
    """

    located: Located
    level: Level
    rule: str | None
    probability: float
    change: Change | None


class RuleCriticality:
    """Decides by the ontology's critical levels and rules, from a report's text alone; picklable.

    Args:
        ontology: a shipped one by name, the path of your own .yaml, or one that is loaded.
        levels: which levels count as critical: ("critical",), or ("critical", "urgent").
    """

    def __init__(
        self, ontology: str | Ontology = "chest-xray", levels: Sequence[Level] = ("critical",)
    ) -> None:
        self.labeler = RuleLabeler(ontology)
        self.levels = tuple(levels)
        known = self.labeler.ontology
        self._own = {
            name: CriticalRule(name=name, level=item.critical, observations=(name,))
            for name, item in known.observations.items()
            if item.critical != "none"
        }
        self._rules: dict[str, list[CriticalRule]] = {}
        for rule in known.critical_rules:
            for name in rule.observations:
                self._rules.setdefault(name, []).append(rule)
        self._unlikely = frozenset(words for phrase in known.cues.unlikely for words in expand(phrase))

    def decide(self, study_id: str, report: Report | str) -> Criticality:
        """The verdict on one report; never raises on any text.

        The strongest finding of the wanted levels decides: critical when a reader is likelier than not to
        agree. The reason names the finding in the ontology's words; it holds none of the report's.
        """
        text = report.text if isinstance(report, Report) else report
        located = list(self.labeler.locate(text))
        seen = list(self._grade(located))
        counted = [item for item in seen if item.level in self.levels]
        top = max(counted, key=lambda item: item.probability, default=None)
        if top is not None:
            p = max(top.probability, QUIET)
        elif not (located or _says_anything(text, self.labeler.ontology.headers)):
            p = UNKNOWN
        else:
            p = NEAR if seen else QUIET
        is_critical = top is not None and p >= 0.5
        return Criticality(
            study_id=study_id,
            is_critical=is_critical,
            confidence=round(p if is_critical else 1 - p, 3),
            reason=_reason(top, seen, located, is_critical=is_critical),
            source="rules",
        )

    def decide_all(
        self, reports: Iterable[tuple[str, Report | str]], *, total: int | None = None
    ) -> Iterator[Criticality | JudgeFailure]:
        """A verdict for each (study id, report), in order; a rule judge never fails."""
        return (self.decide(study_id, report) for study_id, report in reports)

    def _grade(self, located: Sequence[Located]) -> Iterator[Seen]:
        """Findings of any urgency, in order of position."""
        asserted, denied = _Said(located, "present"), _Said(located, "absent")
        courses = _courses(located)
        for entry in located:
            finding = entry.finding
            if finding.assertion == "absent" or not self._concerns(finding.observation):
                continue
            change = _course(entry, courses)
            if change == "resolved":
                continue
            rules = [*self._rules.get(finding.observation, ()), self._own.get(finding.observation)]
            for rule in rules:
                if rule is not None and _fits(rule, entry, change or "unsaid", asserted, denied):
                    if rule.level != "none":
                        own = rule is self._own.get(finding.observation)
                        sure = rule.confidence or CONFIDENCE[rule.level]
                        share = self._share(finding.assertion, finding.cue)
                        yield Seen(entry, rule.level, None if own else rule.name, sure * share, change)
                    break

    def _concerns(self, observation: str) -> bool:
        return observation in self._own or observation in self._rules

    def _share(self, assertion: Assertion, cue: str | None) -> float:
        if assertion == "present":
            return 1.0
        return UNLIKELY if cue and tuple(tokens(cue).words) in self._unlikely else UNCERTAIN


def _says_anything(text: str, headers: Mapping[str, str]) -> bool:
    """Whether a section that describes the image holds a word."""
    return any(HAS_WORD.search(text, start, end) for start, end, _ in bodies(text, headers))


class _Said:
    """Which observations a report asserts, or denies: anywhere, and sentence by sentence."""

    def __init__(self, located: Sequence[Located], assertion: Assertion) -> None:
        self.anywhere: set[str] = set()
        self.of_sentence: dict[int, set[str]] = {}
        for entry in located:
            if entry.finding.assertion == assertion:
                self.anywhere.add(entry.finding.observation)
                self.of_sentence.setdefault(entry.offset, set()).add(entry.finding.observation)

    def any_of(self, names: tuple[str, ...], place: int | None) -> bool:
        """Whether one of the observations is said, in the sentence at ``place`` or anywhere."""
        said = self.anywhere if place is None else self.of_sentence.get(place, set())
        return not said.isdisjoint(names)


_Courses = Mapping[str, Mapping[Side | None, set[Change]]]
"""What a report says of the course of each observation, by side."""


def _courses(located: Sequence[Located]) -> _Courses:
    found: dict[str, dict[Side | None, set[Change]]] = {}
    for entry in located:
        finding = entry.finding
        if finding.change is not None:
            found.setdefault(finding.observation, {}).setdefault(finding.side, set()).add(finding.change)
    return found


def _course(entry: Located, courses: _Courses) -> Change | None:
    """What the report says of a finding's course: at this mention, else at another one of its side."""
    finding = entry.finding
    if finding.change is not None:
        return finding.change
    by_side = courses.get(finding.observation, {})
    elsewhere = {
        change for side, said in by_side.items() if _same_side(side, finding.side) for change in said
    }
    order: tuple[Change, ...] = ("new", "worse", "resolved", "unchanged", "improved")
    return next((change for change in order if change in elsewhere), None)


def _same_side(one: Side | None, other: Side | None) -> bool:
    return one is None or other is None or one == other or "bilateral" in (one, other)


def _fits(
    rule: CriticalRule,
    entry: Located,
    change: Change | ChangeSaid,
    asserted: _Said,
    denied: _Said,
) -> bool:
    finding = entry.finding
    place = entry.offset if rule.within == "sentence" else None
    return (
        change in rule.changes
        and (not rule.severities or finding.severity in rule.severities)
        and (not rule.locations or finding.location in rule.locations)
        and (not rule.together or asserted.any_of(rule.together, place))
        and (not rule.denied or denied.any_of(rule.denied, place))
    )


def _reason(top: Seen | None, seen: Sequence[Seen], located: Sequence[Located], *, is_critical: bool) -> str:
    """One line in the ontology's words."""
    if top is not None:
        return _named(top) if is_critical else f"too uncertain: {_named(top)}"
    if seen:
        return f"below the level asked for: {_named(max(seen, key=lambda item: item.probability))}"
    return "no urgent finding" if located else "the report names no known finding"


def _named(item: Seen) -> str:
    finding = item.located.finding
    parts = [finding.side, finding.severity, finding.location, item.change]
    parts += [finding.assertion] if finding.assertion != "present" else []
    rule = f" ({item.rule})" if item.rule else ""
    return f"{item.level}: {', '.join([finding.observation, *filter(None, parts)])}{rule}"


class JudgeCriticality:
    """Decides by a language model; a question that it doesn't answer is a typed failure, never a verdict."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def decide_all(
        self, reports: Iterable[tuple[str, Report | str]], *, total: int | None = None
    ) -> Iterator[Criticality | JudgeFailure]:
        """A verdict or a failure for each (study id, report), in order and in bounded memory.

        Raises:
            JudgeError: the server refuses everything, or too many of the last questions failed.
        """
        questions = (
            criticality_question(study_id, report=report.text if isinstance(report, Report) else report)
            for study_id, report in reports
        )
        for result in self.judge.ask_all(questions, label="criticality", total=total):
            if isinstance(result, JudgeFailure):
                yield result
                continue
            yield Criticality(
                study_id=result.study_id,
                is_critical=result.verdict.is_critical,
                confidence=result.verdict.confidence,
                reason=result.verdict.reason,
                source=f"{result.judge} {result.prompt}",
            )
