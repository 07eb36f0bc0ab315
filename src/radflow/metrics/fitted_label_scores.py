"""Metrics by the labels of a fitted labeler, in its own columns: `fitted-label-f1:FOLDER` and its kin"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_labeler import FittedLabeler, read_card
from radflow.metrics.declaration import Metric, Pair, Statistics
from radflow.metrics.label_scores import LabelRatio, UnmatchedRate, label_statistics
from radflow.metrics.remembered import Remembered
from radflow.metrics.resampling import Aggregate
from radflow.metrics.sums import Sums, f1, precision, recall

STATISTIC = "fitted-labels"
REMEMBERED_TEXTS = 4096
NO_FINDING = "No Finding"


class FittedLabels:
    """Statistics of label metrics: what a fitted labeler says of both texts."""

    def __init__(self, *, folder: str) -> None:
        labeler = FittedLabeler.load(folder)
        self._columns = labeler.columns
        self._label: Remembered[str, dict[str, LabelValue]] = Remembered(labeler.label, size=REMEMBERED_TEXTS)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        expected = self._label([pair.reference for pair in pairs])
        written = self._label([pair.prediction for pair in pairs])
        return [
            label_statistics(STATISTIC, one, other, self._columns)
            for one, other in zip(expected, written, strict=True)
        ]


def _make(
    name: str,
    folder: str,
    meaning: str,
    sums: Callable[[tuple[str, ...]], Sums],
    direction: Literal["higher", "lower"] = "higher",
) -> Metric:
    card = read_card(Path(folder))
    columns = tuple(head["name"] for head in card["labeler"]["heads"])
    fitted = card.get("fitted") or {}
    return Metric(
        name=f"fitted-label-{name}:{folder}",
        title=f"label {name} ({Path(folder).name})",
        family="labels",
        meaning=f"{meaning}, over all studies and all columns of the fitted labeler.",
        inputs="the labels that the fitted labeler gives to either text",
        scorers=(f"radflow.metrics.fitted_label_scores:FittedLabels@{folder}",),
        reads=(STATISTIC,),
        sums=sums(columns),
        cost="1 ms",
        citation="radflow; docs/experiments/new-labeler.md",
        backend=f"fitted on {fitted.get('reports', '?')} reports of {fitted.get('sha256', 'unknown')}",
        direction=direction,
        empty="asserts nothing: every label of the reference is missed",
        identical="the best value where the text asserts a label, else not scored",
        symmetric=name == "f1",
    )


def _ratio(name: str, of: Aggregate, meaning: str, folder: str) -> Metric:
    return _make(name, folder, meaning, lambda columns: LabelRatio(of, _findings(columns)))


def _findings(columns: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(place for place, name in enumerate(columns) if name != NO_FINDING)


label_precision = partial(
    _ratio,
    "precision",
    precision,
    "Share of the labels asserted by the prediction that the reference asserts",
)
label_recall = partial(
    _ratio, "recall", recall, "Share of the labels asserted by the reference that the prediction asserts"
)
label_f1 = partial(_ratio, "f1", f1, "Harmonic mean of precision and recall of asserted labels")


def _rate(name: str, of_prediction: bool, meaning: str, folder: str) -> Metric:
    def sums(columns: tuple[str, ...]) -> Sums:
        labels = tuple(name for name in columns if name != NO_FINDING)
        return UnmatchedRate(of_prediction, labels, columns)

    return _make(name, folder, meaning, sums, direction="lower")


label_hallucination = partial(
    _rate,
    "hallucination",
    True,
    "Share of the labels asserted by the prediction that the reference neither asserts nor leaves open",
)
label_omission = partial(
    _rate,
    "omission",
    False,
    "Share of the labels asserted by the reference that the prediction neither asserts nor leaves open",
)
