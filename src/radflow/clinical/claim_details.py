"""Side, level, severity, grade and course of two claims about one thing: where they exclude each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from radflow.clinical.ontology import Ontology
from radflow.clinical.section_claims import Claim
from radflow.records import Side

_GROWING = frozenset(("worse", "new"))
_FADING = frozenset(("improved", "resolved"))
SIZE_RATIO = 1.5
_NUMBER = re.compile(r"\d{1,4}(?:\.\d{1,3})?")
_SIZE = re.compile(
    r"((?:\d{1,4}(?:\.\d{1,3})?\s?[x×]\s?){0,2}\d{1,4}(?:\.\d{1,3})?)[\s-]?(mm|cm)\b(?!\s?/)", re.IGNORECASE
)
_LEFT = re.compile(
    r"\b(?:left\w*|lll|lul|lt|lingula\w*|bilateral\w*|both|bibas\w*|biapical)\b", re.IGNORECASE
)
_RIGHT = re.compile(r"\b(?:right\w*|rll|rul|rml|rt|bilateral\w*|both|bibas\w*|biapical)\b", re.IGNORECASE)


def sides_meet(one: Side | None, other: Side | None) -> bool:
    """Whether two sides have one in common; an unsaid side may be any."""
    return one is None or other is None or one == other or "bilateral" in (one, other)


class Details:
    """Compares how two claims describe one thing, by one ontology's severities, levels and grades."""

    def __init__(self, ontology: Ontology) -> None:
        rules = ontology.agreement
        self._coarse = frozenset(rules.coarse)
        self._ranks = rules.ranks
        self._grades = rules.grades
        self._level_of = {place: level for level, places in rules.levels.items() for place in places}
        self._rank_of_word = {
            word: rules.ranks[name]
            for name, phrases in ontology.severities.items()
            if name in rules.ranks
            for phrase in phrases
            if " " not in phrase
            for word in phrase.split("|")
        }
        self._state_words = _state_words(ontology)

    def conflict(self, claim: Claim, exact: Sequence[Claim], support: Sequence[Claim]) -> Claim | None:
        """The claim of the Findings from which the Impression's differs in side, level, severity or course.

        Args:
            exact: claims of the Findings about the same thing.
            support: those and the ones from which it may be concluded.
        """
        if claim.finding.observation in self._coarse:
            return None
        nearest = exact or support
        if _other_side(claim, support) or self._other_level(claim, support):
            return nearest[0]
        same_side = [other for other in exact if sides_meet(claim.side, other.side)]
        if same_side and (
            self._other_grade(claim, same_side)
            or self._other_severity(claim, same_side)
            or _other_course(claim, same_side)
            or _other_size(claim, same_side)
        ):
            return same_side[0]
        return None

    def _other_level(self, claim: Claim, support: Sequence[Claim]) -> bool:
        level = self._level_of.get(claim.finding.location or "")
        if level is None:
            return False
        others = {self._level_of.get(other.finding.location or "") for other in support}
        return None not in others and level not in others

    def _rank(self, claim: Claim) -> int | None:
        """The rank of its severity, unless that word is what names it ("the heart is large")."""
        finding = claim.finding
        if finding.severity not in self._ranks:
            return None
        named = claim.sentence[finding.start : finding.end].lower().split()
        if not self._state_words.get(finding.observation, frozenset()).isdisjoint(named):
            return None
        return self._ranks[finding.severity]

    def _other_severity(self, claim: Claim, same: Sequence[Claim]) -> bool:
        rank = self._rank(claim)
        others = {other_rank for other in same if (other_rank := self._rank(other)) is not None}
        if rank is None or not others or rank in others:
            return False
        said: set[int] = set().union(*map(self._ranks_said, same))
        return said.isdisjoint(self._ranks_said(claim))

    def _ranks_said(self, claim: Claim) -> set[int]:
        """Ranks of the severity words of a sentence: "small to moderate" names two."""
        return {self._rank_of_word[word] for word in claim.bag if word in self._rank_of_word}

    def _other_grade(self, claim: Claim, same: Sequence[Claim]) -> bool:
        name = claim.finding.observation
        group = next((group for group in self._grades if name in group), ())
        others = {other.finding.observation for other in same} & set(group)
        return bool(others) and name not in others


def _state_words(ontology: Ontology) -> dict[str, frozenset[str]]:
    """By observation: severity words that assert it of a structure by themselves."""
    severe = {word for phrases in ontology.severities.values() for word in phrases}
    found: dict[str, set[str]] = {}
    for structure in ontology.structures.values():
        for state in structure.states:
            found.setdefault(state.observation, set()).update(severe.intersection(state.present))
    return {name: frozenset(words) for name, words in found.items()}


@lru_cache(maxsize=64)
def sides_said(sentence: str) -> frozenset[str]:
    """Sides that a sentence names anywhere; each claim of a long sentence asks again."""
    said = {"left"} if _LEFT.search(sentence) else set()
    return frozenset(said | ({"right"} if _RIGHT.search(sentence) else set()))


def _only_side(sentence: str) -> str | None:
    """The side that a sentence names, if it names one: "left opacities, atelectasis or scarring"."""
    said = sides_said(sentence)
    return next(iter(said)) if len(said) == 1 else None


def _other_side(claim: Claim, support: Sequence[Claim]) -> bool:
    is_sided = claim.side != "bilateral"
    sides = {other.side or (_only_side(other.sentence) if is_sided else None) for other in support}
    if claim.side is None or None in sides or "bilateral" in sides:
        return False
    is_other = len(sides) == 1 if claim.side == "bilateral" else claim.side not in sides
    if not is_other:
        return False
    said: set[str] = set().union(*(sides_said(other.sentence) for other in support))
    if claim.side == "bilateral":
        return len(said) < 2
    return claim.side not in said and not sides & (sides_said(claim.sentence) - {claim.side})


def _other_course(claim: Claim, same: Sequence[Claim]) -> bool:
    if len(same) != 1 or "uncertain" in (claim.finding.assertion, same[0].finding.assertion):
        return False
    one, other = claim.finding.change, same[0].finding.change
    return (one in _GROWING and other in _FADING) or (one in _FADING and other in _GROWING)


def _other_size(claim: Claim, same: Sequence[Claim]) -> bool:
    """Whether both sentences hold one measurement and one is half as large again as the other, or more."""
    if len(same) != 1:
        return False
    sizes, others = _sizes_mm(claim.sentence), _sizes_mm(same[0].sentence)
    if len(sizes) != 1 or len(others) != 1 or not min(*sizes, *others):
        return False
    return max(*sizes, *others) / min(*sizes, *others) >= SIZE_RATIO


def _sizes_mm(sentence: str) -> list[float]:
    """The largest dimension of each measurement: "2.2 x 1.6 cm" is one of 22 mm."""
    return [
        max(map(float, _NUMBER.findall(match[1]))) * (10.0 if match[2].lower() == "cm" else 1.0)
        for match in _SIZE.finditer(sentence)
    ]
