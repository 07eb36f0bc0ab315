"""How far a cue reaches in its sentence, and which cue decides about a mention.

A cue before its object ("no", "may represent") reaches to the end of its clause: through lists, but not into
a segment that begins a clause of its own. A cue behind ("has resolved", "cannot be excluded") reaches back
over the subject of its clause. Of several cues before, the nearest decides, unless one behind says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

from radflow.clinical.ontology import Grammar
from radflow.clinical.phrases import Span
from radflow.clinical.spans import SentenceSpans
from radflow.records import Assertion

_OR = frozenset(("or", "nor", "/", "versus", "vs", "v"))
_AND = frozenset(("and", "&"))
_SEPARATORS = _OR | _AND | {",", "+", "plus"}
_PRE = frozenset(
    ("negation_before", "uncertain_before", "hypothetical_before", "resolved_before", "open_list")
)
_POST = {"negation_after", "uncertain_after", "hypothetical_after", "resolved_after"}
_ENDS = frozenset(
    (".", "!", "?", ":", ")", "in", "at", "on", "by", "within", "as", "given", "clinically", "here")
)
"""A cue that works both ways ("possible") looks back when one of these follows."""


_ARTICLES = frozenset(("a", "an", "some"))


class Joints(NamedTuple):
    """Words that join the items of a list, and articles: the English ones and those of a grammar."""

    ors: frozenset[str] = _OR
    ands: frozenset[str] = _AND
    separators: frozenset[str] = _SEPARATORS
    articles: frozenset[str] = _ARTICLES


ENGLISH_JOINTS = Joints()


def joints_of(grammar: Grammar) -> Joints:
    ors, ands = frozenset(grammar.or_words), frozenset(grammar.and_words)
    return Joints(_OR | ors, _AND | ands, _SEPARATORS | ors | ands, _ARTICLES | frozenset(grammar.articles))


class Verdict(NamedTuple):
    """What the cues of a sentence say about one of its mentions.

    ``assertion`` is ``None`` when nothing is said of this image (history, a question asked); ``resolved``
    when it was there and is gone; ``cue`` is the deciding span.
    """

    assertion: Assertion | None
    resolved: bool = False
    cue: Span | None = None


PRESENT = Verdict("present")


class _Cue(NamedTuple):
    span: Span
    kinds: frozenset[str]


class ScopeReader:
    """Decides about mentions of one sentence; ``anchors`` are the tokens at which its mentions begin."""

    def __init__(self, spans: SentenceSpans, anchors: list[int], joints: Joints = ENGLISH_JOINTS) -> None:
        self._ors, self._ands, self._separators, self._articles = joints
        self._words = spans.tokens.words
        self._count = len(self._words)
        self._anchors = frozenset(anchors)
        self._cues = _grouped(spans.cues)
        self._breaks = {cue.span.first for cue in self._cues if "breaks" in cue.kinds} | spans.openings
        self._cue_starts = {cue.span.first for cue in self._cues if not cue.kinds <= {"breaks", "neutral"}}
        self._clause_starts = {span.first for span in spans.clause_starts}
        self._verbs = [span.first for span in spans.verbs]
        self._verb_starts = frozenset(self._verbs)
        self._seen = {span.first for span in spans.seen}
        self._modifiers = {span.first for span in (*spans.severities, *spans.changes, *spans.sides)}
        self._modals = {cue.span.first for cue in self._cues if cue.span.kind and _is_modal(cue, self._words)}
        self._before: list[tuple[int, int, _Cue, str]] = []  # reach: from, to
        self._behind: list[tuple[int, int, _Cue, str]] = []
        self._collect()

    def verdict(self, anchor: int) -> Verdict:
        """What is said about the mention that begins at token ``anchor``."""
        before: tuple[_Cue, str] | None = None
        for start, end, cue, kind in self._before:  # in order, so the last that reaches is the nearest
            if start <= anchor < end:
                before = cue, kind
        behind: tuple[_Cue, str] | None = None
        for start, end, cue, kind in self._behind:
            if start <= anchor < end:
                behind = cue, kind
                break
        if before is None and behind is None:
            return PRESENT
        if behind is not None and (before is None or self._overrides(behind, before, anchor)):
            return _verdict(*behind)
        assert before is not None
        return _verdict(*before)

    def _overrides(self, behind: tuple[_Cue, str], before: tuple[_Cue, str], anchor: int) -> bool:
        """Whether the cue behind a mention counts for more than the one before it."""
        kind_behind, kind_before = behind[1], before[1]
        if kind_before == "hypothetical_before":
            return False
        if kind_behind in {"negation_after", "resolved_after"}:
            return kind_before in {"uncertain_before", "open_list"}
        if kind_behind == "uncertain_after" and kind_before == "negation_before":
            words = self._words[before[0].span.last : anchor]
            cannot = not {"exclude", "excluded", "ruled"}.isdisjoint(
                self._words[behind[0].span.first : behind[0].span.last]
            )
            return cannot or "," in words
        return kind_behind == "hypothetical_after"

    def _collect(self) -> None:
        swallowed: set[int] = set()
        for cue in self._cues:
            kinds, span = cue.kinds, cue.span
            if span.first in swallowed or kinds <= {"breaks", "neutral", "inverted"}:
                continue
            kind = next((kind for kind in _PRIORITY if kind in kinds), None)
            if kind is None:
                continue
            if kind in _PRE and not (kinds & _POST and not self._object_follows(span.last)):
                end = self._reach(span.last, kind)
                self._before.append((span.last, end, cue, kind))
                if kind == "negation_before":
                    swallowed |= self._swallowed(span.last, end)
            elif behind := next((kind for kind in _PRIORITY if kind in kinds and kind in _POST), None):
                self._behind.append((self._reach_back(span.first), span.first, cue, behind))

    def _object_follows(self, position: int) -> bool:
        """Whether a cue that works both ways ("possible") has its object behind it."""
        if position >= self._count or position in self._breaks or position in self._verb_starts:
            return False
        word = self._words[position]
        if word in self._separators or word in _ENDS:
            return False
        return any(anchor >= position for anchor in self._anchors)

    def _swallowed(self, start: int, end: int) -> set[int]:
        """Evidential cues inside a negation, in its own segment: "no opacity to suggest pneumonia"."""
        found = set()
        for cue in self._cues:
            if start <= cue.span.first < end and "evidential" in cue.kinds:
                between = self._words[start : cue.span.first]
                if "," not in between:
                    found.add(cue.span.first)
        return found

    def _reach(self, start: int, kind: str) -> int:
        """The token before which a forward scope ends."""
        index = start
        inside = 0
        while index < self._count:
            word = self._words[index]
            if index in self._breaks or word == ":":
                return index
            if word == "(":
                inside += 1
            elif word == ")":
                if not inside:
                    return index
                inside -= 1
            elif word in self._separators:
                after = self._skip_separators(index)
                if not self._continues(set(self._words[index:after]), after, kind):
                    return index
                index = after
                continue
            index += 1
        return self._count

    def _skip_separators(self, index: int) -> int:
        while index < self._count and self._words[index] in self._separators:
            index += 1
        return index

    def _segment_end(self, start: int) -> int:
        index = start
        while (
            index < self._count and self._words[index] not in self._separators and index not in self._breaks
        ):
            index += 1
        return index

    def _continues(self, separators: set[str], start: int, kind: str) -> bool:
        """Whether a forward scope goes on into the segment at ``start``."""
        end = self._segment_end(start)
        if start >= self._count or start in self._clause_starts:
            return False
        if kind == "open_list":
            return not self._is_clause(start, end)
        if separators & self._ors:
            return True
        if self._is_clause(start, end):
            return False
        if self._closes_with(end, self._ors):
            return True
        if start in self._modifiers or (
            self._words[start] in self._articles and start + 1 in self._modifiers
        ):
            return False
        if separators & self._ands or kind == "negation_before":
            return True
        return self._closes_with(end, self._separators - {","})

    def _is_clause(self, start: int, end: int) -> bool:
        """Whether a segment says something of its own: it has a verb, and not only "is seen" at its end."""
        for verb in self._verbs:
            if start <= verb < end and not any(index in self._seen for index in range(verb + 1, verb + 4)):
                return True
        return any(start <= index < end for index in self._modals)

    def _closes_with(self, position: int, words: frozenset[str]) -> bool:
        """Whether the list that goes on at ``position`` has one of these words before it ends."""
        index = position
        while index < self._count and self._words[index] in self._separators:
            after = self._skip_separators(index)
            if not words.isdisjoint(self._words[index:after]):
                return not (after in self._clause_starts or after in self._cue_starts)
            end = self._segment_end(after)
            if after in self._clause_starts or after in self._cue_starts or self._is_clause(after, end):
                return False
            index = end
        return False

    def _reach_back(self, cue: int) -> int:
        """The token from which a backward scope runs up to its cue."""
        index = cue - 1
        if index >= 0 and self._words[index] == ":":
            index -= 1
        joined = False
        while index >= 0:
            word = self._words[index]
            if word == ")" and "(" in self._words[:index]:
                index -= self._words[index::-1].index("(") + 1
                continue
            if index in self._breaks or word in {":", ")", "("}:
                return index + 1
            if index in self._verbs and cue - index > 3:
                return index + 1
            if word in self._separators:
                first = index
                while first > 0 and self._words[first - 1] in self._separators:
                    first -= 1
                run = set(self._words[first : index + 1])
                joined = joined or run != {","}
                if not joined or not self._is_plain_before(first):
                    return index + 1
                index = first
            index -= 1
        return 0

    def _is_plain_before(self, end: int) -> bool:
        """Whether the segment that ends at ``end`` is a bare noun phrase: no verb, no cue."""
        start = end
        while start > 0 and self._words[start - 1] not in self._separators and start - 1 not in self._breaks:
            start -= 1
        if any(index in self._cue_starts for index in range(start, end)):
            return False
        return start not in self._clause_starts and not any(start <= verb < end for verb in self._verbs)


_PRIORITY = (
    "hypothetical_before",
    "open_list",
    "resolved_before",
    "uncertain_before",
    "negation_before",
    "hypothetical_after",
    "uncertain_after",
    "resolved_after",
    "negation_after",
)


def _grouped(cues: list[Span]) -> list[_Cue]:
    """Cue spans with all their kinds; in order of position."""
    kinds: dict[int, set[str]] = {}
    spans: dict[int, Span] = {}
    for span in cues:
        spans.setdefault(span.first, span)
        kinds.setdefault(span.first, set()).add(span.name)
    return [_Cue(spans[first], frozenset(kinds[first])) for first in sorted(spans)]


def _is_modal(cue: _Cue, words: list[str]) -> bool:
    return words[cue.span.first] in {"may", "might", "could"}


def _verdict(cue: _Cue, kind: str) -> Verdict:
    if kind.startswith("hypothetical"):
        return Verdict(None, cue=cue.span)
    if kind.startswith("resolved"):
        return Verdict("absent", resolved=True, cue=cue.span)
    if kind.startswith("negation"):
        return Verdict("absent", cue=cue.span)
    return Verdict("uncertain", cue=cue.span)
