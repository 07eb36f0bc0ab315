"""F1 of observation labels in every convention: counts per study once, then any average over them.

The literature disagrees on what an uncertain label counts as, on the classes, and on the average; a number
without its convention can't be compared. The named ones are in `label_conventions`. All are in [0, 1], higher
is better. A label that is not mentioned counts as absent everywhere.

Denominators of 0: scikit-learn's ``zero_division=0`` is part of every published convention, so a class that
nobody asserts counts 0 in a macro average. That is kept, and can be set. Where no pair of study and class is
left to score at all, the result is ``None``, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, LabelValue
from radflow.errors import DataError

Matrix = NDArray[np.float64]
Labels = Mapping[str, LabelValue] | Sequence[LabelValue] | NDArray[np.float64]
"""The 14 classes by name, or in the order of CHEXPERT_CLASSES. NaN reads like ``None``, as in CSV files."""

Uncertain = Literal["absent", "present", "dropped"]
"""What -1 counts as. "dropped" leaves out a class of a study whose *reference* is uncertain: there is no
truth to compare with. A prediction's uncertainty never drops anything, else a model could hedge whatever it
would get wrong: it counts as present there, as the report does bring the observation up."""

Average = Literal["micro", "macro", "weighted", "example"]
Measure = Literal["f1", "precision", "recall", "accuracy", "exact_match"]

TP, FP, FN, TN = range(4)
CELLS = 4


def label_values(labels: Labels) -> Matrix:
    """The (14,) labels of a study in the order of CHEXPERT_CLASSES: 1, 0, -1, NaN where not mentioned.

    Raises:
        DataError: not exactly the 14 classes, or a value that is no label.
    """
    if isinstance(labels, Mapping):
        if set(labels) != set(CHEXPERT_CLASSES):
            odd = sorted(set(labels) ^ set(CHEXPERT_CLASSES))
            raise DataError(
                f"labels must name exactly the 14 CheXpert classes; missing or unknown: {', '.join(odd)}"
            )
        labels = [labels[name] for name in CHEXPERT_CLASSES]
    values = np.array([np.nan if value is None else value for value in labels], dtype=np.float64)
    if values.shape != (len(CHEXPERT_CLASSES),):
        raise DataError(f"a study has 14 labels, these are of shape {values.shape}")
    if not (np.isnan(values) | np.isin(values, (-1, 0, 1))).all():
        raise DataError(
            "a label is neither 1 (present), 0 (absent), -1 (uncertain) nor None (not mentioned)",
            next_step="CheXbert's own numbers (0 blank, 1 positive, 2 negative, 3 uncertain) are others.",
        )
    return values


def label_counts(*, reference: Labels, prediction: Labels, uncertain: Uncertain) -> Matrix:
    """What every average sums up: (14, 4) true and false positives, false and true negatives of one study.

    Rows follow CHEXPERT_CLASSES and hold a single 1 each, or zeros where the class is dropped.
    """
    return value_counts(label_values(reference), label_values(prediction), uncertain=uncertain)


def value_counts(expected: Matrix, written: Matrix, *, uncertain: Uncertain) -> Matrix:
    """`label_counts` of any number of studies: (..., 14) labels each, NaN unmentioned -> (..., 14, 4)."""
    asserted = (1,) if uncertain == "absent" else (1, -1)
    true, claimed = np.isin(expected, asserted), np.isin(written, asserted)
    scored = ~((expected == -1) & (uncertain == "dropped"))
    cells = [true & claimed, ~true & claimed, true & ~claimed, ~true & ~claimed]
    return np.stack([cell & scored for cell in cells], axis=-1).astype(np.float64)


def count_studies(
    *, references: Sequence[Labels], predictions: Sequence[Labels], uncertain: Uncertain
) -> Matrix:
    """`label_counts` of every study, (studies, 14, 4): one pass serves all averages of that convention.

    Raises:
        DataError: not as many predictions as references.
    """
    if len(references) != len(predictions):
        raise DataError(f"{len(references)} references but {len(predictions)} predictions")
    pairs = zip(references, predictions, strict=True)
    counts = [label_counts(reference=a, prediction=b, uncertain=uncertain) for a, b in pairs]
    return np.array(counts, dtype=np.float64).reshape(-1, len(CHEXPERT_CLASSES), CELLS)


def class_scores(counts: Matrix, *, measure: Measure, zero_division: float | None) -> Matrix:
    """A measure from summed counts: (..., 4) -> (...), NaN where nothing was scored.

    Args:
        zero_division: what 0 / 0 counts as; ``None`` gives NaN, which averages leave out.
    """
    tp, fp, fn, tn = (counts[..., cell] for cell in (TP, FP, FN, TN))
    total = tp + fp + fn + tn
    numerator, denominator = {
        "f1": (2 * tp, 2 * tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "accuracy": (tp + tn, total),
        "exact_match": (np.where(fp + fn > 0, 0.0, total), total),
    }[measure]
    undefined = np.nan if zero_division is None else zero_division
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(denominator > 0, numerator / denominator, undefined)
    return np.where(total > 0, ratio, np.nan)


def _weighted_mean(scores: Matrix, weights: Matrix) -> Matrix:
    """Mean over the last axis without NaNs; a plain one where all weights are 0, as in scikit-learn."""
    weights = np.where(np.isnan(scores), 0.0, weights)
    none = weights.sum(axis=-1, keepdims=True) == 0
    weights = np.where(none, ~np.isnan(scores), weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((np.nan_to_num(scores) * weights).sum(axis=-1) / weights.sum(axis=-1))


@dataclass(frozen=True)
class LabelMetric:
    """One convention: classes, meaning of uncertain, measure and average. Call it, or give its parts to
    `statistics.bootstrap_interval`: ``rows`` once per study, ``aggregate`` once per resampling.

    Attributes:
        uncertain: see `Uncertain`.
        average: over all pairs of study and class (micro), over classes (macro; weighted by how often the
            reference has each), or over studies (example).
        classes: those that are scored.
        measure: "accuracy" is the share of classes that agree, "exact_match" whether all do.
        zero_division: what 0 / 0 counts as; ``None`` leaves the class or the study out of the average.
        source: who publishes numbers in this convention; empty for a setting of one's own.
    """

    uncertain: Uncertain = "present"
    average: Average = "micro"
    classes: tuple[str, ...] = CHEXPERT_CLASSES
    measure: Measure = "f1"
    zero_division: float | None = 0.0
    source: str = ""

    def rows(self, counts: Matrix) -> Matrix:
        """(studies, 14, 4) counts -> (studies, columns) that `aggregate` takes the sums of."""
        mine = counts[:, [CHEXPERT_CLASSES.index(name) for name in self.classes], :]
        if self.average != "example":
            return mine.reshape(len(counts), len(self.classes) * CELLS)
        scores = self._scores(mine.sum(axis=1))
        return np.stack([np.nan_to_num(scores), ~np.isnan(scores)], axis=-1).astype(np.float64)

    def aggregate(self, sums: Matrix) -> Matrix:
        """(..., columns) sums of `rows` -> (...) scores, NaN where nothing was scored."""
        if self.average == "example":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(sums[..., 0] / sums[..., 1])
        counts = sums.reshape(*sums.shape[:-1], len(self.classes), CELLS)
        if self.average == "micro":
            return self._scores(counts.sum(axis=-2))
        if self.average == "macro":
            return _weighted_mean(self._scores(counts), np.ones(counts.shape[:-1]))
        return _weighted_mean(self._scores(counts), counts[..., TP] + counts[..., FN])

    def _scores(self, counts: Matrix) -> Matrix:
        return class_scores(counts, measure=self.measure, zero_division=self.zero_division)

    def __call__(self, *, references: Sequence[Labels], predictions: Sequence[Labels]) -> float | None:
        """The score of a whole test set; ``None`` when there is nothing to score."""
        counts = count_studies(references=references, predictions=predictions, uncertain=self.uncertain)
        value = float(self.aggregate(self.rows(counts).sum(axis=0)))
        return value if np.isfinite(value) else None


def label_f1(
    *,
    references: Sequence[Labels],
    predictions: Sequence[Labels],
    uncertain: Uncertain,
    average: Average,
    classes: tuple[str, ...] = CHEXPERT_CLASSES,
    zero_division: float | None = 0.0,
) -> float | None:
    """F1 in [0, 1] with every choice spelt out (see `LabelMetric`); ``None`` when nothing can be scored."""
    metric = LabelMetric(uncertain, average, classes, zero_division=zero_division)
    return metric(references=references, predictions=predictions)
