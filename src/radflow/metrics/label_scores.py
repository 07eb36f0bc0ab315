"""Metrics on the labels that reports assert: F1 in every published convention, hallucination and omission

Labels come from the rule labeler or from CheXbert; the name says which: the published numbers are CheXbert's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, FIVE_CLASSES, LabelValue
from radflow.metrics.declaration import (
    Metric,
    Statistics,
    Vocabulary,
    declared,
    only_chest,
    read_by,
)
from radflow.metrics.labels import CELLS, LabelMetric, value_counts
from radflow.metrics.registry import LABEL_METRICS
from radflow.metrics.resampling import Aggregate, Matrix
from radflow.metrics.sums import CountRatio, Mask, Ratio, Sums, complete, f1, precision, recall
from radflow.registry import resolve

CLASSES = len(CHEXPERT_CLASSES)
NOT_MENTIONED = -2.0
"""How a label that a report doesn't mention is stored, beside 1, 0 and -1."""
FINDINGS = CHEXPERT_CLASSES[1:]
"""The classes without No Finding: what can be made up or left out."""


def label_codes(labels: Iterable[LabelValue]) -> tuple[float, ...]:
    return tuple(NOT_MENTIONED if value is None else float(value) for value in labels)


def label_statistics(
    name: str,
    expected: Mapping[str, LabelValue],
    written: Mapping[str, LabelValue],
    columns: Sequence[str] = CHEXPERT_CLASSES,
) -> Statistics:
    """{name: (2 * columns,)}: the reference's labels in the order of the columns, then the prediction's."""
    sides = [[labels[column] for column in columns] for labels in (expected, written)]
    return {name: (*label_codes(sides[0]), *label_codes(sides[1]))}


@dataclass(frozen=True)
class LabelSums:
    """One published convention, from stored labels."""

    metric: LabelMetric

    @property
    def is_mean(self) -> bool:
        return self._is_example

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, 28) labels -> (studies, 56) counts, or (studies, 2) for averages over studies."""
        counts = self._counts(stored)
        return self.metric.rows(counts) if self._is_example else counts.reshape(len(stored), CLASSES * CELLS)

    def scored(self, stored: Matrix) -> Mask:
        return self.rows(stored)[:, 1] > 0 if self._is_example else complete(stored)

    def aggregate(self, sums: Matrix) -> Matrix:
        if self._is_example:
            return self.metric.aggregate(sums)
        counts = sums.reshape(-1, CLASSES, CELLS)
        return self.metric.aggregate(self.metric.rows(counts)).reshape(sums.shape[:-1])

    def key(self) -> Hashable:
        return self if self._is_example else self.metric.uncertain

    def _counts(self, stored: Matrix) -> Matrix:
        labels = np.where(stored == NOT_MENTIONED, np.nan, stored)
        return value_counts(labels[:, :CLASSES], labels[:, CLASSES:], uncertain=self.metric.uncertain)

    @property
    def _is_example(self) -> bool:
        return self.metric.average == "example"


@dataclass(frozen=True)
class UnmatchedRate:
    """The share of one side's present labels that the other side neither asserts nor leaves open.

    Attributes:
        of_prediction: of the labels that the prediction asserts (hallucination), else of the reference's
            (omission).
        labels: those that count.
        columns: all that are stored.
    """

    of_prediction: bool
    labels: tuple[str, ...] = FINDINGS
    columns: tuple[str, ...] = CHEXPERT_CLASSES
    is_mean: ClassVar[bool] = False

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, 2 * columns) labels -> (studies, 2 * columns) unmatched, then present, of each column."""
        sides = np.split(stored, 2, axis=1)
        mine, other = sides[::-1] if self.of_prediction else sides
        present = mine == 1
        return np.concatenate([present & ~np.isin(other, (1, -1)), present], axis=1).astype(np.float64)

    def scored(self, stored: Matrix) -> Mask:
        return complete(stored)

    def aggregate(self, sums: Matrix) -> Matrix:
        places = [self.columns.index(label) for label in self.labels]
        unmatched = sums[..., places].sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(
                unmatched / sums[..., [len(self.columns) + place for place in places]].sum(axis=-1)
            )

    def key(self) -> Hashable:
        return (UnmatchedRate, self.of_prediction)


class LabelRatio(CountRatio):
    """Precision, recall or F1 of a vocabulary's labels, uncertain counted as present; 0 / 0 is undefined."""

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, 2 * columns) labels -> (studies, 3 * columns) true and false positives, misses."""
        sides = np.split(np.where(stored == NOT_MENTIONED, np.nan, stored), 2, axis=1)
        return value_counts(*sides, uncertain="present")[..., :3].reshape(len(stored), -1)


_RULES = partial(
    Metric,
    family="labels",
    inputs="the labels that the rule labeler reads in either text",
    scorers=("radflow.metrics.rule_findings:RuleFindings",),
    reads=("rules-labels",),
    backend="rules (chest-xray)",
    cost="1 ms",
    of=only_chest,
)
_CHEXBERT = partial(
    Metric,
    family="labels",
    inputs="the labels that CheXbert reads in either text",
    scorers=("radflow.metrics.chexbert_scores:ChexbertScores",),
    reads=("chexbert-labels",),
    backend="CheXbert",
    package="transformers",
    cost="2 ms on a GPU, 200 ms on a core",
)
_UNCERTAIN = {
    "absent": "as absent",
    "present": "as present",
    "dropped": "not at all where the reference is uncertain, else as present",
}
_AVERAGES = {
    "micro": "over all studies and classes together",
    "macro": "averaged over classes",
    "weighted": "averaged over classes by how often the reference has them",
    "example": "averaged over studies",
}


def _convention(labeler: str, make: partial[Metric], name: str) -> Metric:
    convention: LabelMetric = resolve("label metric", LABEL_METRICS, name)
    count = "five" if convention.classes == FIVE_CLASSES else "14"
    measure = {"f1": "F1", "accuracy": "Share of right labels", "exact_match": "Share of studies all right"}
    per_label = partial(LabelMetric, convention.uncertain, "micro")
    return make(
        name=f"{labeler}-{name}",
        title=name,
        meaning=f"{measure[convention.measure]} of {count} classes {_AVERAGES[convention.average]}, "
        f"uncertain counted {_UNCERTAIN[convention.uncertain]}.",
        sums=LabelSums(convention),
        citation=convention.source or "a setting of ours",
        empty="asserts nothing: every label of the reference is missed",
        identical="the best value where every class is asserted somewhere; an F1 without any is 0, as "
        "published",
        symmetric=convention.average in ("micro", "macro", "example") and convention.uncertain != "dropped",
        per_label={name: LabelSums(per_label((name,))) for name in convention.classes}
        if convention.average == "micro"
        else {},
    )


_SHARES = {
    "hallucination-rate": (
        True,
        "Share of the labels asserted by the prediction that the reference neither asserts nor leaves open.",
        "asserts nothing: not scored, and adds nothing to the set's rate",
    ),
    "omission-rate": (
        False,
        "Share of the labels asserted by the reference that the prediction neither asserts nor leaves open.",
        "the worst value where the reference asserts a label, else not scored",
    ),
}


def _share(labeler: str, make: partial[Metric], name: str) -> Metric:
    of_prediction, meaning, empty = _SHARES[name]
    return make(
        name=name if labeler == "rules" else f"{labeler}-{name}",
        family="errors",
        title=name.removesuffix("-rate"),
        meaning=meaning,
        direction="lower",
        empty=empty,
        identical="the best value where the text asserts a label, else not scored",
        sums=UnmatchedRate(of_prediction),
        citation="radflow",
        per_label={label: UnmatchedRate(of_prediction, (label,)) for label in FINDINGS},
        of=_share_of if labeler == "rules" else None,
    )


def _share_of(metric: Metric, vocabulary: Vocabulary) -> Metric:
    of_prediction, columns = _SHARES[metric.name][0], vocabulary.columns
    return replace(
        read_by(metric, vocabulary),
        sums=UnmatchedRate(of_prediction, vocabulary.findings, columns),
        per_label={name: UnmatchedRate(of_prediction, (name,), columns) for name in vocabulary.findings},
    )


def _ratio(measure: str, of: Aggregate, meaning: str, empty: str) -> Metric:
    return _RULES(
        name=f"rules-label-{measure}",
        title=f"label {measure.replace('f1', 'F1')}",
        meaning=f"{meaning}, over all studies and all labels of the ontology; uncertain counts as present.",
        sums=LabelRatio(of),
        citation="radflow; on chest X-rays the F1 is that of rules-radeval-micro-14",
        empty=empty,
        identical="the best value where the text asserts a label, else not scored",
        symmetric=measure == "f1",
        per_label=_each_label(of, CHEXPERT_CLASSES),
        of=_ratio_of,
    )


def _each_label(of: Aggregate, columns: Sequence[str]) -> dict[str, Sums]:
    return {name: LabelRatio(of, (place,)) for place, name in enumerate(columns)} if of is f1 else {}


def _ratio_of(metric: Metric, vocabulary: Vocabulary) -> Metric:
    assert isinstance(metric.sums, LabelRatio)
    labels = _each_label(metric.sums.of, vocabulary.columns)
    return replace(read_by(metric, vocabulary), per_label=labels)


_detail = partial(
    _RULES,
    family="errors",
    direction="lower",
    citation="radflow",
    reads=("finding-details",),
    inputs="the findings that the rule labeler reads in either text",
    of=read_by,
    empty="says nothing that can be compared: not scored; read it beside omission-rate",
    identical="the best value where the text has anything to compare, else not scored",
    symmetric=True,
)
METRICS = declared(
    [
        *(_convention("rules", _RULES, name) for name in LABEL_METRICS),
        *(_convention("chexbert", _CHEXBERT, name) for name in LABEL_METRICS),
        *(_share("rules", _RULES, name) for name in _SHARES),
        *(_share("chexbert", _CHEXBERT, name) for name in _SHARES),
        _ratio(
            "precision",
            precision,
            "Share of the labels asserted by the prediction that the reference asserts",
            "asserts nothing: not scored, and adds nothing to the set's precision",
        ),
        _ratio(
            "recall",
            recall,
            "Share of the labels asserted by the reference that the prediction asserts",
            "the worst value where the reference asserts a label, else not scored",
        ),
        _ratio(
            "f1",
            f1,
            "Harmonic mean of rules-label-precision and rules-label-recall",
            "the worst value where the reference asserts a label, else not scored",
        ),
        _detail(
            name="laterality-error-rate",
            title="side errors",
            meaning="Of the findings to which both texts give a side, the share with another side.",
            sums=Ratio(0, 1),
        ),
        _detail(
            name="severity-error-rate",
            title="severity errors",
            meaning="Of the findings to which both texts give a severity, the share with another one.",
            sums=Ratio(2, 3),
        ),
    ]
)
