"""Side, level, severity, grade and course of two claims about one thing: where they exclude each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from radflow.clinical.ontology import Agreement
from radflow.clinical.section_claims import Claim
from radflow.records import Side

_GROWING = frozenset(("worse", "new"))
_FADING = frozenset(("improved", "resolved"))
_LEFT = re.compile(
    r"\b(?:left\w*|lll|lul|lt|lingula\w*|bilateral\w*|both|bibas\w*|biapical)\b", re.IGNORECASE
)
_RIGHT = re.compile(r"\b(?:right\w*|rll|rul|rml|rt|bilateral\w*|both|bibas\w*|biapical)\b", re.IGNORECASE)


def sides_meet(one: Side | None, other: Side | None) -> bool:
    """Whether two sides have one in common; an unsaid side may be any."""
    return one is None or other is None or one == other or "bilateral" in (one, other)


def detail_conflict(
    claim: Claim, exact: Sequence[Claim], support: Sequence[Claim], rules: Agreement
) -> Claim | None:
    """The claim of the Findings that an Impression's claim differs from in side, level, severity or course.

    Args:
        exact: claims of the Findings about the same thing.
        support: those from which it may be concluded; ``exact`` where there is any.
    """
    if _other_side(claim, support) or _other_level(claim, support, rules):
        return support[0]
    same_side = [other for other in exact if sides_meet(claim.side, other.side)]
    if same_side and (
        _other_grade(claim, same_side, rules)
        or _other_severity(claim, same_side, rules)
        or _other_course(claim, same_side)
    ):
        return same_side[0]
    return None


def _sides_said(claim: Claim) -> set[str]:
    """Sides that the claim's whole sentence names."""
    said = {"left"} if _LEFT.search(claim.sentence) else set()
    return said | ({"right"} if _RIGHT.search(claim.sentence) else set())


def _other_side(claim: Claim, support: Sequence[Claim]) -> bool:
    sides = {other.side for other in support}
    if claim.side is None or None in sides or "bilateral" in sides:
        return False
    is_other = len(sides) == 1 if claim.side == "bilateral" else claim.side not in sides
    if not is_other:
        return False
    said: set[str] = set().union(*map(_sides_said, support))
    if claim.side == "bilateral":
        return len(said) < 2
    return claim.side not in said and not sides & (_sides_said(claim) - {claim.side})


def _level(claim: Claim, rules: Agreement) -> str | None:
    location = claim.finding.location
    return next((level for level, places in rules.levels.items() if location in places), None)


def _other_level(claim: Claim, support: Sequence[Claim], rules: Agreement) -> bool:
    level = _level(claim, rules)
    if level is None:
        return False
    others = {_level(other, rules) for other in support}
    return None not in others and level not in others


def _other_severity(claim: Claim, same: Sequence[Claim], rules: Agreement) -> bool:
    rank = rules.ranks.get(claim.finding.severity or "")
    others = {rules.ranks[other.finding.severity] for other in same if other.finding.severity in rules.ranks}
    if rank is None or not others or rank in others:
        return False
    sentences = (claim.sentence, *(other.sentence for other in same))
    return not any(len(_ranks_said(sentence, rules)) > 1 for sentence in sentences)


def _ranks_said(sentence: str, rules: Agreement) -> set[int]:
    """Ranks of the severity words of a sentence: "small to moderate" names two."""
    words = re.findall(r"[a-z]+", sentence.lower())
    return {rank for name, rank in rules.ranks.items() if name in words or f"{name}ly" in words}


def _other_grade(claim: Claim, same: Sequence[Claim], rules: Agreement) -> bool:
    name = claim.finding.observation
    group = next((group for group in rules.grades if name in group), ())
    others = {other.finding.observation for other in same} & set(group)
    return bool(others) and name not in others


def _other_course(claim: Claim, same: Sequence[Claim]) -> bool:
    if len(same) != 1:
        return False
    one, other = claim.finding.change, same[0].finding.change
    return (one in _GROWING and other in _FADING) or (one in _FADING and other in _GROWING)
