"""Whether the Findings and the Impression of written reports agree, by rules, and the kinds of problem"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import get_args

from radflow.clinical.consistency import LabelConsistency, has_both_sections
from radflow.metrics.declaration import Metric, Pair, Statistics, declared, read_by
from radflow.metrics.sums import Mean
from radflow.records import ConflictKind

KINDS: tuple[ConflictKind, ...] = get_args(ConflictKind)
NOT_SCORED = float("nan")
SAYS = {
    "contradicted": "something that its Findings deny, or deny what they assert",
    "unsupported": "something that its Findings don't mention",
    "critical_omitted": "less than its Findings: a critical finding is left out",
    "side_or_severity_conflict": "another side or severity than its Findings",
}


class ConsistencyScores:
    """Statistics of consistency: whether a report agrees with itself, and which kinds of problem it has."""

    def __init__(self, *, ontology: str = "chest-xray") -> None:
        self.rules = LabelConsistency(ontology)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [{"consistency": self._check(pair)} for pair in pairs]

    def _check(self, pair: Pair) -> tuple[float, ...]:
        """(5,) consistent, then one for each kind of problem that the report has; NaN where not scored."""
        if pair.part != "report" or not has_both_sections(pair.expected):
            return (NOT_SCORED,) * (1 + len(KINDS))
        if not has_both_sections(pair.written):
            return (0.0, *(NOT_SCORED,) * len(KINDS))  # leaving a section out must not pay
        found = {problem.kind for problem in self.rules.check(pair.written).problems}
        return (float(not found), *(float(kind in found) for kind in KINDS))


_make = partial(
    Metric,
    family="consistency",
    inputs="both sections of the written report; the reference only decides whether it should have both",
    scorers=("radflow.metrics.consistency_scores:ConsistencyScores",),
    reads=("consistency",),
    sections=("report",),
    backend="rules (chest-xray)",
    of=read_by,
    citation="radflow; after RadFlow, arXiv 2511.10065",
    cost="2 ms",
    identical="its own consistency; human reports aren't all consistent",
    example=(
        (
            "FINDINGS: Small left pleural effusion. IMPRESSION: Left pleural effusion.",
            "FINDINGS: No pleural effusion. IMPRESSION: Left pleural effusion.",
        ),
        (
            "FINDINGS: The lungs are clear. IMPRESSION: No acute disease.",
            "FINDINGS: The lungs are clear. IMPRESSION: No acute disease.",
        ),
    ),
)
METRICS = declared(
    [
        _make(
            name="consistency-rate",
            title="consistent",
            meaning="Share of written reports whose Impression follows from their Findings, of those whose "
            "reference has both sections.",
            sums=Mean(0),
            empty="the worst value, and so does a report that lacks either section",
        ),
        *(
            _make(
                name=f"{kind.replace('_', '-')}-rate",
                title=kind.replace("_", " "),
                meaning=f"Share of written reports whose Impression says {SAYS[kind]}.",
                sums=Mean(place),
                direction="lower",
                empty="not scored, as a report that lacks either section; read it beside consistency-rate",
            )
            for place, kind in enumerate(KINDS, 1)
        ),
    ]
)
