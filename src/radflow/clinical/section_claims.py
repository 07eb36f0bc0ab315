"""One section of a report -> its claims: mentions with the part of the sentence that each stands in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from radflow.clinical.findings import Finding
from radflow.clinical.labeler import RuleLabeler
from radflow.records import ConflictKind, Side

MAX_CLAIMS = 300
"""Ten times what real sections hold: claims are compared with each other, and time must stay linear."""
_PARTS = re.compile(r"[,;:]|\b(?:and|with|but|although|though|while|however|without)\b")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, eq=False)
class Claim:
    """A mention of a section; ``sentence`` begins at ``offset`` in the section's text."""

    finding: Finding
    sentence: str
    offset: int

    @property
    def span(self) -> tuple[int, int]:
        return self.offset + self.finding.start, self.offset + self.finding.end

    @cached_property
    def words(self) -> frozenset[str]:
        """Words of the part of the sentence that the mention stands in, in lower case."""
        start, end = 0, len(self.sentence)
        for match in _PARTS.finditer(self.sentence):
            if match.end() <= self.finding.start:
                start = match.end()
            elif match.start() >= self.finding.end:
                end = match.start()
                break
        return frozenset(_WORD.findall(self.sentence[start:end].lower()))

    @cached_property
    def bag(self) -> frozenset[str]:
        """Words of the whole sentence, in lower case."""
        return frozenset(_WORD.findall(self.sentence.lower()))

    @property
    def side(self) -> Side | None:
        return self.finding.side


@dataclass(frozen=True)
class Claims:
    """What a section says: ``there`` holds present and uncertain claims, ``denied`` absent ones, in order."""

    there: tuple[Claim, ...]
    denied: tuple[Claim, ...]
    sentences: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, list[Claim]]:
        """Claims of ``there`` by observation."""
        found: dict[str, list[Claim]] = {}
        for claim in self.there:
            found.setdefault(claim.finding.observation, []).append(claim)
        return found

    @cached_property
    def denied_by_name(self) -> dict[str, list[Claim]]:
        found: dict[str, list[Claim]] = {}
        for claim in self.denied:
            found.setdefault(claim.finding.observation, []).append(claim)
        return found

    @cached_property
    def bags(self) -> tuple[tuple[str, tuple[frozenset[str], ...]], ...]:
        """Each sentence with its words in lower case, and with those of its parts where it has several."""
        return tuple((sentence, _bags(sentence.lower())) for sentence in self.sentences)


def _bags(sentence: str) -> tuple[frozenset[str], ...]:
    whole = frozenset(_WORD.findall(sentence))
    parts = _PARTS.split(sentence)
    return (whole, *(frozenset(_WORD.findall(part)) for part in parts)) if len(parts) > 1 else (whole,)


class Problem(NamedTuple):
    """A disagreement with the claims that show it, and whether the rules are sure of it."""

    kind: ConflictKind
    label: str
    findings: Claim | None
    impression: Claim | None
    is_sure: bool = True


def read_claims(text: str, labeler: RuleLabeler) -> Claims:
    """The claims of a section's text, the first `MAX_CLAIMS` of them."""
    there: list[Claim] = []
    denied: list[Claim] = []
    read = labeler.read_section(text)
    for sentence, located in read:
        for item in located:
            if len(there) + len(denied) >= MAX_CLAIMS:
                break
            claim = Claim(item.finding, sentence, item.offset)
            (denied if item.finding.assertion == "absent" else there).append(claim)
    return Claims(tuple(there), tuple(denied), tuple(sentence for sentence, _ in read))
