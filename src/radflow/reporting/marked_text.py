"""A report's text as HTML with its mentions marked: present, absent or uncertain, and why on hovering.

A mark is told by its sign (+, −, ?) and underline as well as by colour. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from markupsafe import Markup, escape

from radflow.records import Assertion, Mention
from radflow.reporting.conflict_marks import Drawn, Outline

SIGNS: dict[Assertion, str] = {"present": "+", "absent": "−", "uncertain": "?"}
NOTHING = Drawn()
_STRONGEST: tuple[Assertion, ...] = ("present", "uncertain", "absent")


def marked(text: str, mentions: Sequence[Mention], drawn: Drawn = NOTHING) -> Markup:
    """The whole text, not a character changed, with a mark around each mention; overlapping ones share it.

    Args:
        drawn: problems between its sections: their words are outlined, and the bridge is put between.
    """
    spans: list[Mention | Outline] = [*mentions, *drawn.outlines]
    places = {0, len(text), *(end for span in spans for end in (span.start, span.end))}
    if drawn.bridge is not None:
        places.add(drawn.place)
    pieces = []
    mentioned, outlined = _Sweep(mentions), _Sweep(drawn.outlines)
    for start, end in pairwise(sorted(places)):
        if drawn.bridge is not None and start == drawn.place:
            pieces.append(drawn.bridge)
        covering = mentioned.at(start)
        shown = _mark(text[start:end], start, covering) if covering else escape(text[start:end])
        around = outlined.at(start)
        pieces.append(_outlined(shown, end, around) if around else shown)
    if drawn.bridge is not None and drawn.place == len(text):
        pieces.append(drawn.bridge)
    return Markup("").join(pieces)


S = TypeVar("S", Mention, Outline)


class _Sweep(Generic[S]):
    """The spans over each of the places where one begins or ends, asked for in order: time stays linear."""

    def __init__(self, spans: Sequence[S]) -> None:
        self._opening: dict[int, list[tuple[int, S]]] = {}
        for number, span in enumerate(spans):
            self._opening.setdefault(span.start, []).append((number, span))
        self._open: list[tuple[int, S]] = []

    def at(self, place: int) -> list[S]:
        """Those that cover what stands behind a place, in the order in which they were given."""
        waiting = [*self._open, *self._opening.get(place, ())]
        self._open = sorted(
            ((number, span) for number, span in waiting if span.end > place), key=lambda pair: pair[0]
        )
        return [span for _, span in self._open]


def _mark(text: str, start: int, covering: Sequence[Mention]) -> Markup:
    kind = next(kind for kind in _STRONGEST if any(each.assertion == kind for each in covering))
    opens = [mention for mention in covering if mention.start == start]
    signs = "".join(dict.fromkeys(SIGNS[mention.assertion] for mention in opens))
    sign = Markup("<sup>{}</sup>").format(signs) if signs else Markup("")
    title = "; ".join(explained(mention) for mention in covering)
    return Markup('<mark class="{}" title="{}">{}{}</mark>').format(kind, title, sign, text)


def _outlined(shown: Markup, end: int, around: Sequence[Outline]) -> Markup:
    """With the numbers of the problems whose words end here."""
    numbers = Markup("").join(
        Markup('<sup class="problem-number">{}</sup>').format(outline.number)
        for outline in around
        if outline.end == end
    )
    title = "; ".join(outline.title for outline in around)
    return Markup('<span class="odd" title="{}">{}{}</span>').format(title, shown, numbers)


def explained(mention: Mention) -> str:
    """What was read and why: ``Edema (left, mild): absent, because of "no"``."""
    details = [mention.side, mention.severity, mention.location, mention.change]
    said = ", ".join(detail for detail in details if detail)
    why = f'because of "{" ".join(mention.cue.split())}"' if mention.cue else "as no cue speaks against it"
    name = f"{mention.observation} ({said})" if said else mention.observation
    return f"{name}: {mention.assertion}, {why}"


def asserted(mentions: Sequence[Mention]) -> list[str]:
    """Observations that a text calls present or possible, in order of first mention."""
    return list(dict.fromkeys(mention.observation for mention in mentions if mention.assertion != "absent"))
