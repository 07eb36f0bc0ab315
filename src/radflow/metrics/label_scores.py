"""Metrics on the labels that reports assert: F1 in every published convention, hallucination and omission

Labels come from the rule labeler or from CheXbert; the name says which: the published numbers are CheXbert's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, FIVE_CLASSES, LabelValue
from radflow.metrics.declaration import Metric, Ratio, Statistics, declared
from radflow.metrics.labels import CELLS, LabelMetric, value_counts
from radflow.metrics.registry import LABEL_METRICS
from radflow.metrics.resampling import Matrix
from radflow.registry import resolve

CLASSES = len(CHEXPERT_CLASSES)
NOT_MENTIONED = -2.0
"""How a label that a report doesn't mention is stored, beside 1, 0 and -1."""
FINDINGS = CHEXPERT_CLASSES[1:]
"""The classes without No Finding: what can be made up or left out."""


def label_codes(labels: Iterable[LabelValue]) -> tuple[float, ...]:
    return tuple(NOT_MENTIONED if value is None else float(value) for value in labels)


def label_statistics(
    name: str, expected: dict[str, LabelValue], written: dict[str, LabelValue]
) -> Statistics:
    """{name: (28,)}: the reference's 14 labels in the order of CHEXPERT_CLASSES, then the prediction's."""
    sides = [[labels[column] for column in CHEXPERT_CLASSES] for labels in (expected, written)]
    return {name: (*label_codes(sides[0]), *label_codes(sides[1]))}


@dataclass(frozen=True)
class LabelSums:
    """One published convention, from stored labels."""

    metric: LabelMetric

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, 28) labels -> (studies, 56) counts, or (studies, 2) for averages over studies."""
        counts = self._counts(stored)
        return self.metric.rows(counts) if self._is_example else counts.reshape(len(stored), CLASSES * CELLS)

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
    """

    of_prediction: bool
    labels: tuple[str, ...] = field(default=FINDINGS)

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, 28) labels -> (studies, 28) unmatched, then present, of each class."""
        sides = (stored[:, :CLASSES], stored[:, CLASSES:])
        mine, other = sides[::-1] if self.of_prediction else sides
        present = mine == 1
        return np.concatenate([present & ~np.isin(other, (1, -1)), present], axis=1).astype(np.float64)

    def aggregate(self, sums: Matrix) -> Matrix:
        places = [CHEXPERT_CLASSES.index(label) for label in self.labels]
        unmatched = sums[..., places].sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(unmatched / sums[..., [CLASSES + place for place in places]].sum(axis=-1))

    def key(self) -> Hashable:
        return self.of_prediction


_RULES = partial(
    Metric,
    family="labels",
    inputs="the labels that the rule labeler reads in either text",
    scorers=("radflow.metrics.rule_findings:RuleFindings",),
    reads=("rules-labels",),
    backend="rules (chest-xray)",
    cost="1 ms",
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
    )


_detail = partial(
    _RULES,
    family="errors",
    direction="lower",
    citation="radflow",
    reads=("finding-details",),
    inputs="the findings that the rule labeler reads in either text",
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
