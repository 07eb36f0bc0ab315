"""Findings of written reports against the truth of phantoms, which no reference report has to repeat

A finding that the text calls possible counts as asserted. With sides, a finding on the wrong side is both a
false positive and a false negative, and a bilateral one is two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from radflow.clinical.ontology_file import load_ontology
from radflow.metrics.declaration import CHEST, Metric, Pair, Statistics, Vocabulary, declared
from radflow.metrics.resampling import Aggregate
from radflow.metrics.rule_findings import vocabulary_of
from radflow.metrics.sums import CountRatio, Sums, f1, precision, recall
from radflow.metrics.truth_findings import TRUTHS, Truth, truth_of
from radflow.records import Finding

Counts = dict[str, tuple[int, int, int]]
WITHOUT, WITH_SIDE = "truth", "truth-side"
NOT_SCORED = float("nan")


class TruthScores:
    """Statistics: true positives, false positives and false negatives of each observation, without sides and
    with them; NaN where nobody knows the truth."""

    def __init__(self, *, ontology: str = CHEST.ontology) -> None:
        self.truth = truth_of(vocabulary_of(load_ontology(ontology)).columns)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [
            {WITHOUT: self._count(pair, with_side=False), WITH_SIDE: self._count(pair, with_side=True)}
            for pair in pairs
        ]

    def _count(self, pair: Pair, *, with_side: bool) -> tuple[float, ...]:
        observations = self.truth.observations
        if pair.truth is None or pair.part != "report":
            return (NOT_SCORED,) * (3 * len(observations))
        if not {finding.observation for finding in pair.truth} <= set(observations):
            raise ValueError("the phantom has findings that are none of its modality's")
        counts = finding_counts(pair.truth, pair.prediction, with_side=with_side, of=self.truth)
        return tuple(float(cell) for name in observations for cell in counts.get(name, (0, 0, 0)))


def finding_counts(
    truth: Sequence[Finding], text: str, *, with_side: bool, of: Truth = TRUTHS["chest"]
) -> Counts:
    """(true positives, false positives, false negatives) by observation, of those that either side has."""
    expected = {key for finding in truth for key in _keys(finding.observation, finding.side, with_side)}
    asserted = {key for observation, side in of.said(text) for key in _keys(observation, side, with_side)}
    counts: dict[str, list[int]] = {}
    for index, keys in enumerate((expected & asserted, asserted - expected, expected - asserted)):
        for observation, _ in keys:
            counts.setdefault(observation, [0, 0, 0])[index] += 1
    return {name: (row[0], row[1], row[2]) for name, row in sorted(counts.items())}


def _keys(observation: str, side: str | None, with_side: bool) -> list[tuple[str, str | None]]:
    if not with_side:
        return [(observation, None)]
    return [(observation, each) for each in (("left", "right") if side == "bilateral" else (side,))]


_MEANINGS: dict[str, tuple[Aggregate, str, str]] = {
    "precision": (precision, "Share of the findings in written reports that are true", "not scored"),
    "recall": (recall, "Share of the true findings that written reports have", "the worst value"),
    "f1": (f1, "Harmonic mean of precision and recall of the true findings", "the worst value"),
}
_make = partial(
    Metric,
    family="truth",
    scorers=("radflow.metrics.truth_scores:TruthScores",),
    inputs="the truth of a phantom, and the findings that the phantoms' own reader finds in the written text",
    sections=("report",),
    backend="phantom reader",
    citation="radflow",
    cost="0.2 ms",
    identical="what the reference report says of the truth: it may leave findings out",
)


def _metric(measure: str, *, with_side: bool) -> Metric:
    of, meaning, empty = _MEANINGS[measure]
    reads = WITH_SIDE if with_side else WITHOUT
    return _make(
        name=f"{reads}-{measure}",
        title=f"{'true findings + side' if with_side else 'true findings'} {measure.replace('f1', 'F1')}",
        meaning=f"{meaning}{', right side included' if with_side else ''}; phantoms only.",
        reads=(reads,),
        sums=CountRatio(of),
        empty=empty if empty == "not scored" else f"{empty} where the phantom has a finding, else not scored",
        per_label=_each_finding(of, TRUTHS["chest"]),
        of=_ratio_of,
    )


def _each_finding(of: Aggregate, truth: Truth) -> dict[str, Sums]:
    return (
        {name: CountRatio(of, (place,)) for place, name in enumerate(truth.observations)} if of is f1 else {}
    )


def _ratio_of(metric: Metric, vocabulary: Vocabulary) -> Metric:
    assert isinstance(metric.sums, CountRatio)
    return replace(metric, per_label=_each_finding(metric.sums.of, truth_of(vocabulary.columns)))


METRICS = declared(
    _metric(measure, with_side=with_side) for with_side in (False, True) for measure in _MEANINGS
)
