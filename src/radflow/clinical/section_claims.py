"""One section of a report -> its claims: mentions with the part of the sentence that each stands in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from radflow.clinical.findings import Finding
from radflow.clinical.labeler import RuleLabeler
from radflow.records import Side

_PARTS = re.compile(r"[,;:]|\b(?:and|with|but|although|though|while|however|without)\b")
_WORD = re.compile(r"[a-z]+")


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

    @property
    def side(self) -> Side | None:
        return self.finding.side


@dataclass(frozen=True)
class Claims:
    """What a section says: ``there`` holds present and uncertain claims, ``denied`` absent ones, in order."""

    there: tuple[Claim, ...]
    denied: tuple[Claim, ...]

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


def read_claims(text: str, labeler: RuleLabeler) -> Claims:
    """The claims of a section's text."""
    there: list[Claim] = []
    denied: list[Claim] = []
    for sentence, located in labeler.read_section(text):
        for item in located:
            claim = Claim(item.finding, sentence, item.offset)
            (denied if item.finding.assertion == "absent" else there).append(claim)
    return Claims(tuple(there), tuple(denied))
