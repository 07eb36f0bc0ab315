"""Labelled texts -> a fitted labeler: logistic regression per observation, its penalty and sureness by folds

scikit-learn and its scipy are needed here only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_labeler import FittedLabeler, Head, LabelerModel, softmax
from radflow.clinical.fitted_text import TextReader, TextSettings
from radflow.errors import DataError
from radflow.fitting.reward_fit import require_fit

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Inverse L2 penalties that are tried."""
TEMPERATURES = tuple(np.geomspace(0.25, 4.0, 33).tolist())
FOLDS = 3
LEAST_OF_STATE = 2
"""A state that fewer reports have can't be learnt: the column knows it not."""
LEAST_REPORTS_WITH_NAME = 2
"""Names that stand in fewer reports are dropped: they teach nothing, and may be somebody's."""
MOST_NAMES = 30_000
FLOOR = 1e-6

Floats = NDArray[np.float64]
Labels = Sequence[Mapping[str, LabelValue]]


@dataclass(frozen=True)
class LabelerOptions:
    """How a labeler is fitted.

    Attributes:
        constants: keep columns of which all reports say the same, as heads that always say that.
        strengths: inverse penalties to choose from.
    """

    text: TextSettings = field(default_factory=TextSettings)
    constants: bool = False
    seed: int = 0
    strengths: tuple[float, ...] = STRENGTHS


class LabelerFit(NamedTuple):
    """A fitted labeler, and what each report got from a fit without it (with penalty and temperature chosen
    on the same folds, so a little too good)."""

    labeler: FittedLabeler
    strength: float
    crossed: list[dict[str, dict[LabelValue, float]]]


def fit_labeler(
    texts: Sequence[str], labels: Labels, columns: Sequence[str], options: LabelerOptions
) -> LabelerFit:
    """Fit a head for each column; the penalty and one temperature for all are chosen by cross-validation.

    Raises:
        ConfigError: scikit-learn isn't installed.
        DataError: a column of which all reports say the same, unless constants are kept.
    """
    require_fit()
    heads = [_head(column, labels, options) for column in columns]
    inputs = Inputs(texts, options.text)
    places = np.random.default_rng(options.seed).permutation(len(texts)) % FOLDS
    folds = [_fold(inputs, places == fold) for fold in range(FOLDS)]
    best: tuple[float, float, float, list[Floats]] | None = None
    for strength in options.strengths:
        logits = [_crossed(folds, labels, head, strength) for head in heads]
        for temperature in TEMPERATURES:
            loss = _loss(logits, labels, heads, temperature)
            if best is None or loss < best[0]:
                best = (loss, strength, temperature, logits)
    assert best is not None
    _, strength, temperature, logits = best
    names = inputs.names
    matrix = inputs.matrix(range(len(texts)), names)
    fitted = [_fit_head(matrix, labels, head, strength) for head in heads]
    model = LabelerModel(text=options.text, heads=tuple(heads), names=names, temperature=temperature)
    labeler = FittedLabeler(
        model,
        np.concatenate([weights for weights, _ in fitted], axis=1).astype(np.float32),
        np.concatenate([bias for _, bias in fitted]).astype(np.float32),
    )
    return LabelerFit(labeler, strength, _rows(logits, heads, temperature))


class Inputs:
    """What stands in each text, and matrices of some of the texts."""

    def __init__(self, texts: Sequence[str], settings: TextSettings) -> None:
        self._found = TextReader(settings)(texts)
        self._vectors: Floats | None = None
        if "sentence-vectors" in settings.groups:
            from radflow.clinical.sentence_vectors import sentence_vectors

            self._vectors = sentence_vectors(texts)

    @property
    def names(self) -> tuple[str, ...]:
        return self.names_in(range(len(self._found)))

    def names_in(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Names of at least two of these texts, at most `MOST_NAMES` (the most frequent), in order."""
        counts = Counter(name for row in rows for name in self._found[row])
        known = [name for name, count in counts.items() if count >= LEAST_REPORTS_WITH_NAME]
        return tuple(sorted(sorted(known, key=lambda name: (-counts[name], name))[:MOST_NAMES]))

    def matrix(self, rows: Sequence[int], names: Sequence[str]) -> Any:
        """(rows, names and numbers of vectors) sparse."""
        from scipy.sparse import csr_matrix, hstack

        places = {name: place for place, name in enumerate(names)}
        own = [sorted(places[name] for name in self._found[row] if name in places) for row in rows]
        ends = np.cumsum([0, *map(len, own)])
        columns = np.array([place for each in own for place in each], dtype=np.int64)
        found = csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(own), len(names)))
        if self._vectors is None:
            return found
        return hstack([found, csr_matrix(self._vectors[list(rows)])], format="csr")


def _head(column: str, labels: Labels, options: LabelerOptions) -> Head:
    counts = Counter(row[column] for row in labels)
    order: tuple[LabelValue, ...] = (1, 0, -1, None)
    states = tuple(state for state in order if counts[state] >= LEAST_OF_STATE)
    if len(states) < 2 and not options.constants:
        shown = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}
        said = ", ".join(f"{counts[state]} {shown[state]}" for state in order if counts[state])
        raise DataError(
            f"{column!r} can't be learnt: of {len(labels)} reports {said}; at least {LEAST_OF_STATE} of each "
            "of two states are needed",
            next_step=f"Label reports that show it, leave it out (--leave-out {column!r}), or keep columns "
            "that always say the same (--constants).",
        )
    return Head(name=column, states=states or (max(counts, key=lambda state: counts[state]),))


def _fit_head(matrix: Any, labels: Labels, head: Head, strength: float) -> tuple[Floats, Floats]:
    """(features, states) weights and (states,) bias; rows of states that the head doesn't know are left out.

    A state without a row here gets a bias that makes it all but impossible.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((matrix.shape[1], len(head.states)))
    places = {state: place for place, state in enumerate(head.states)}
    targets = np.array([places.get(row[head.name], -1) for row in labels])
    known = targets >= 0
    present = np.unique(targets[known])
    bias = np.full(len(head.states), np.log(FLOOR))
    if len(present) < 2:
        bias[present] = 0.0
        return weights, bias
    fitted = LogisticRegression(C=strength, max_iter=2000).fit(matrix[np.flatnonzero(known)], targets[known])
    if len(present) == 2:  # one row of coefficients, for the second state against the first
        weights[:, present[1]] = fitted.coef_[0]
        bias[present] = 0.0, fitted.intercept_[0]
    else:
        weights[:, present] = fitted.coef_.T
        bias[present] = fitted.intercept_
    return weights, bias


class Fold(NamedTuple):
    """Reports inside and outside of a fit, and their matrices over what stands in those inside."""

    inside: list[int]
    outside: list[int]
    known: Any
    asked: Any


def _fold(inputs: Inputs, is_outside: NDArray[np.bool_]) -> Fold:
    inside, outside = np.flatnonzero(~is_outside).tolist(), np.flatnonzero(is_outside).tolist()
    names = inputs.names_in(inside)
    return Fold(inside, outside, inputs.matrix(inside, names), inputs.matrix(outside, names))


def _crossed(folds: Sequence[Fold], labels: Labels, head: Head, strength: float) -> Floats:
    """(texts, states) logits, each from a fit without the text's fold."""
    found = np.zeros((len(labels), len(head.states)))
    for fold in folds:
        weights, bias = _fit_head(fold.known, [labels[row] for row in fold.inside], head, strength)
        found[fold.outside] = fold.asked @ weights + bias
    return found


def _loss(logits: Sequence[Floats], labels: Labels, heads: Sequence[Head], temperature: float) -> float:
    """Mean log loss over columns; that of a state that a head doesn't know is left out."""
    losses = []
    for values, head in zip(logits, heads, strict=True):
        own = softmax(values / temperature)
        truth = [row[head.name] for row in labels]
        hit = [own[row, head.states.index(state)] for row, state in enumerate(truth) if state in head.states]
        losses.append(-float(np.log(np.maximum(hit, FLOOR)).mean()))
    return float(np.mean(losses))


def _rows(
    logits: Sequence[Floats], heads: Sequence[Head], temperature: float
) -> list[dict[str, dict[LabelValue, float]]]:
    rows: list[dict[str, dict[LabelValue, float]]] = [{} for _ in range(len(logits[0]))]
    for values, head in zip(logits, heads, strict=True):
        for row, own in zip(rows, softmax(values / temperature).tolist(), strict=True):
            row[head.name] = dict(zip(head.states, own, strict=True))
    return rows
