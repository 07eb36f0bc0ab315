"""Which of a report's grades of one thing count: words and percentages over velocities, those over ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from radflow.clinical.ontology import Ontology
from radflow.records import Side

if TYPE_CHECKING:
    from radflow.clinical.findings import Finding
    from radflow.clinical.labeler import Located

Key = tuple[str, Side | None]
"""What is graded, by the first name of its family, and the side."""


class GradeRanks:
    """Leaves out measured grades that something better contradicts or makes superfluous.

    Args:
        ontology: its ``measures``, and its ``agreement.grades`` for grades that are said in words.
    """

    def __init__(self, ontology: Ontology) -> None:
        self._in_words = {name: group[0] for group in ontology.agreement.grades for name in group}
        self._family = dict(self._in_words)
        for measure in ontology.measures:
            names = [grade.observation for grade in measure.grades]
            family = next((self._family[name] for name in names if name in self._family), names[0])
            for name in names:
                self._family.setdefault(name, family)

    def counted(self, located: Sequence[Located]) -> Iterator[Located]:
        """The findings without the measured grades that don't count, in their order.

        Of one side and one family of grades only those of the lowest rank count; a grade in words has rank 0.
        A grade that says ``unless_denied`` gives way to that denial on its side.
        """
        best: dict[Key, int] = {}
        for finding, _, _ in located:
            rank = finding.rank
            if rank is None and finding.assertion == "present" and finding.observation in self._in_words:
                rank = 0
            if rank is not None:
                for key in self._keys(finding):
                    best[key] = min(best.get(key, rank), rank)
        denied: dict[str, set[Side | None]] = {}
        for finding, _, _ in located:
            if finding.assertion == "absent":
                denied.setdefault(finding.observation, set()).add(finding.side)
        for entry in located:
            finding = entry.finding
            if finding.rank is None or not (
                any(finding.rank > best[key] for key in self._keys(finding)) or _is_denied(finding, denied)
            ):
                yield entry

    def _keys(self, finding: Finding) -> list[Key]:
        family = self._family[finding.observation]
        sides: tuple[Side | None, ...] = (finding.side,)
        if finding.side == "bilateral":
            sides = ("left", "right", "bilateral")
        return [(family, side) for side in sides]


def _is_denied(finding: Finding, denied: Mapping[str, set[Side | None]]) -> bool:
    """Whether one of the denials reaches the finding's side; one without a side reaches both.

    Args:
        denied: by observation, the sides on which the report denies it.
    """
    reaching: set[Side | None] = {None, "bilateral", finding.side}
    return any(not reaching.isdisjoint(denied.get(name, ())) for name in finding.unless_denied)
