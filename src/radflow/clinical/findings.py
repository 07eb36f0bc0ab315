"""One sentence -> its findings: what is mentioned, whether it is there, and where, how much, since when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from radflow.clinical.assertion import PRESENT, ScopeReader, Verdict, joints_of
from radflow.clinical.measures import graded
from radflow.clinical.ontology import Ontology
from radflow.clinical.phrases import Span
from radflow.clinical.spans import SentenceSpans, SpanReader
from radflow.clinical.states import StateReader, Term
from radflow.records import Assertion, Change, Side


class Finding(NamedTuple):
    """A mention within a sentence; ``start`` and ``end`` count from the sentence's first character.

    ``rank`` is that of the measure that graded it, ``None`` for what is said in words; ``unless_denied``
    names what denies such a grade.
    """

    observation: str
    assertion: Assertion
    side: Side | None
    location: str | None
    severity: str | None
    change: Change | None
    start: int
    end: int
    cue: str | None
    rank: int | None = None
    unless_denied: tuple[str, ...] = ()


class Context(NamedTuple):
    """What the heading above a line says for it: "RIGHT CAROTID:" """

    side: Side | None = None
    anatomy: frozenset[str] = frozenset()


NO_CONTEXT = Context()


class SentenceFindings:
    """Reads findings of single sentences with one ontology; knows nothing of other sentences."""

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self.reader = SpanReader(ontology)
        self._states = StateReader(ontology)
        self._joints = joints_of(ontology.grammar)
        self._between = _BETWEEN | {*ontology.grammar.and_words, *ontology.grammar.or_words}

    def read(self, sentence: str, context: Context = NO_CONTEXT) -> Iterator[Finding]:
        """The sentence's findings in order of position; ``context`` fills in what it leaves out."""
        for spans in self.reader.read(sentence):
            terms = self._terms(spans, context)
            if terms:
                yield from self._findings(sentence, spans, terms, context)

    def context(self, heading: str) -> Context:
        """What a heading says for the lines below it."""
        sides: set[Side] = set()
        anatomy: set[str] = set()
        for spans in self.reader.read(heading):
            sides |= {cast("Side", span.name) for span in spans.sides}
            anatomy |= {span.name for span in spans.anatomy}
        side: Side | None = "bilateral" if len(sides) > 1 else next(iter(sides), None)
        return Context(side, frozenset(anatomy))

    def _findings(
        self, sentence: str, spans: SentenceSpans, terms: list[Term], context: Context
    ) -> Iterator[Finding]:
        scopes = self._scopes(spans, terms)
        whole = context
        if self.ontology.side_from_headings and spans.sides:
            sides = {cast("Side", span.name) for span in spans.sides}
            whole = Context(sides.pop() if len(sides) == 1 else None, context.anatomy)
        for number, term in enumerate(terms):
            verdict = scopes.verdict(term.anchor) if scopes else PRESENT
            if term.said == "absent" and term.state is None:
                verdict = Verdict("absent")
            elif term.said == "absent":
                verdict = _of_normal_state(verdict, term)
            if verdict.assertion is None:
                continue
            before, behind = _neighbourhood(spans, terms, number, self._between)
            change = cast("Change | None", _nearest(spans.changes, term, before, behind))
            if verdict.resolved:
                change = "resolved"
            elif change == "resolved":
                change = None
            yield Finding(
                observation=term.observation,
                assertion=verdict.assertion,
                side=_side(spans.sides, term, before, behind) or whole.side,
                location=None if term.state else _nearest(spans.anatomy, term, before, behind),
                severity=_nearest(spans.severities, term, before, behind),
                change=change,
                start=spans.tokens.starts[term.first],
                end=spans.tokens.ends[term.last - 1],
                cue=sentence[verdict.cue.start : verdict.cue.end] if verdict.cue else None,
                rank=term.rank,
                unless_denied=term.unless_denied,
            )

    def _scopes(self, spans: SentenceSpans, terms: list[Term]) -> ScopeReader | None:
        anchors = [term.anchor for term in terms]
        return ScopeReader(spans, anchors, self._joints) if spans.cues else None

    def _terms(self, spans: SentenceSpans, context: Context) -> list[Term]:
        terms = []
        for span in spans.observations:
            if not _has(spans, context, self.ontology.observations[span.name].needs_anatomy):
                continue
            terms.append(Term(span.name, span.first, span.last, span.first, "present"))
        if spans.structures and spans.states:
            taken = {index for span in spans.observations for index in range(span.first, span.last)}
            terms += self._states.read(spans, taken)
            terms.sort(key=lambda term: (term.first, term.last))
        if spans.measures:
            terms = self._with_grades(spans, context, terms)
        return terms

    def _with_grades(self, spans: SentenceSpans, context: Context, terms: list[Term]) -> list[Term]:
        """Terms and those of measured numbers; "stenosis" in "60 % stenosis" is no mention of its own."""
        found = []
        for grade, measure, span, first, last in graded(
            spans.tokens.words, spans.measures, self.ontology.measures
        ):
            if _has(spans, context, measure.needs_anatomy):
                implied = {
                    name
                    for item in measure.grades
                    for name in (item.observation, *self.ontology.observations[item.observation].parents)
                }
                terms = [
                    term
                    for term in terms
                    if not (span.first <= term.first < span.last and term.observation in implied)
                ]
                found.append(
                    Term(
                        grade.observation,
                        first,
                        last,
                        span.first,
                        grade.assertion,
                        rank=measure.rank,
                        unless_denied=grade.unless_denied,
                    )
                )
        return sorted(terms + found, key=lambda term: (term.first, term.last))


def _has(spans: SentenceSpans, context: Context, needed: tuple[str, ...]) -> bool:
    """Whether one of the needed places stands in the sentence or its heading; true when none is needed."""
    if not needed:
        return True
    return not context.anatomy.isdisjoint(needed) or any(place.name in needed for place in spans.anatomy)


def _of_normal_state(verdict: Verdict, term: Term) -> Verdict:
    """ "Normal" denies by itself; a negated or doubted one leaves the observation open."""
    state = term.state
    cue = verdict.cue
    if verdict.assertion is None:
        return verdict
    if cue is not None and verdict.assertion != "present" and cue.first >= term.first:
        near = term.anchor - cue.last
        if 0 <= near <= 1:
            return Verdict("uncertain", cue=cue)
    return Verdict("absent", cue=state)


def _neighbourhood(
    spans: SentenceSpans, terms: list[Term], number: int, joints: frozenset[str]
) -> tuple[int, int]:
    """Tokens from which and up to which modifiers of a term stand: between its neighbours and breaks."""
    term = terms[number]
    words = spans.tokens.words
    start, end = 0, len(words)
    is_first = number == 0
    if len(terms) > 1:
        start = max((other.last for other in terms if other.last <= term.first), default=0)
        end = min((other.first for other in terms if other.first >= term.last), default=end)
        is_first = start == 0
    for cue in spans.cues:
        if cue.name == "negation_before" and cue.last <= term.first:
            start = max(start, cue.last)
        elif cue.name == "breaks":
            if cue.last <= term.first:
                start = max(start, cue.last)
            elif cue.first >= term.last:
                end = min(end, cue.first)
    for index in range(term.first - 1, start - 1, -1):
        if words[index] in joints and (not is_first or words[index] == ";"):
            start = index + 1
            break
    if number + 1 < len(terms):
        for index in range(term.last, end):
            if words[index] in joints:
                end = index
                break
    return start, end


_BETWEEN = frozenset((",", "and", "or", ";", "/"))


def _nearest(found: list[Span], term: Term, start: int, end: int) -> str | None:
    """The modifier's name: the last one before the term or inside it, else the first one behind it."""
    before = behind = None
    for span in found:
        if start <= span.first < term.last:
            before = span.name
        elif behind is None and term.last <= span.first < end:
            behind = span.name
    return before or behind


def _side(found: list[Span], term: Term, start: int, end: int) -> Side | None:
    if not found:
        return None
    for names in (
        {span.name for span in found if start <= span.first < term.last},
        {span.name for span in found if term.last <= span.first < end},
    ):
        if names:
            return "bilateral" if len(names) > 1 else cast("Side", names.pop())
    return None
