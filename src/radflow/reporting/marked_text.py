"""A report's text as HTML with its mentions marked: present, absent or uncertain, and why on hovering.

A mark is told by its sign (+, −, ?) and underline as well as by colour. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from radflow.records import Assertion, Mention

SIGNS: dict[Assertion, str] = {"present": "+", "absent": "−", "uncertain": "?"}
_STRONGEST: tuple[Assertion, ...] = ("present", "uncertain", "absent")


def marked(text: str, mentions: Sequence[Mention]) -> Markup:
    """The whole text, not a character changed, with a mark around each mention; overlapping ones share it."""
    places = sorted({0, len(text), *(end for mention in mentions for end in (mention.start, mention.end))})
    pieces = []
    for start, end in pairwise(places):
        covering = [mention for mention in mentions if mention.start <= start and end <= mention.end]
        if not covering:
            pieces.append(escape(text[start:end]))
            continue
        kind = next(kind for kind in _STRONGEST if any(each.assertion == kind for each in covering))
        opens = [mention for mention in covering if mention.start == start]
        signs = "".join(dict.fromkeys(SIGNS[mention.assertion] for mention in opens))
        sign = Markup("<sup>{}</sup>").format(signs) if signs else Markup("")
        title = "; ".join(explained(mention) for mention in covering)
        pieces.append(
            Markup('<mark class="{}" title="{}">{}{}</mark>').format(kind, title, sign, text[start:end])
        )
    return Markup("").join(pieces)


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
