"""Which model, and how good: errors of a kind that its fit never saw, calibration, detection"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from radflow.audit.result import RATE
from radflow.audit.statistics import auc, exceeding, thresholds, trends
from radflow.audit.variants import CONTROLS
from radflow.errors import ConfigError, DataError
from radflow.fitting.reward_fit import CANDIDATES, Candidate, Model, calibrated, fit_model, row_weights
from radflow.fitting.reward_rows import Rows
from radflow.metrics.learned_model import RewardModel
from radflow.metrics.resampling import Matrix
from radflow.records import Record
from radflow.registry import names_in, nearest

BINS = 10


class KindMeasures(Record):
    """How well one kind of error is told from harmless changes on other studies.

    Attributes:
        variants: with one error.
        auc: how often one error scores lower than one harmless change, ties half.
        detection: share of single errors below the score that 5 % of harmless changes fall short of.
        trend: rank correlation of score and number of errors within a report.
    """

    variants: int
    auc: float | None
    detection: float
    trend: float | None


class Bin(Record):
    """Pairs with a predicted probability of an error in [low, high): their weighted mean, and the truth."""

    low: float
    high: float
    pairs: int
    weight: float
    predicted: float
    observed: float


class Calibration(Record):
    """Of the probability of at least one error, harmless and wrong weighing alike, kinds alike.

    Attributes:
        ece: mean absolute gap of predicted and observed over the bins, by weight.
        brier: mean squared error; 0.25 is what a constant gets.
    """

    bins: tuple[Bin, ...]
    ece: float
    brier: float


class Trial(NamedTuple):
    """A candidate and what it makes of each kind, fitted without that kind."""

    candidate: Candidate
    unseen: dict[str, KindMeasures]

    @property
    def auc(self) -> float:
        """Mean over kinds."""
        return float(np.mean([one.auc for one in self.unseen.values() if one.auc is not None]))

    @property
    def order(self) -> float:
        """Mean over kinds of the share of pairs of one report in order of their errors; ties count half."""
        trends = [one.trend for one in self.unseen.values() if one.trend is not None]
        return float(np.mean([(trend + 1) / 2 for trend in trends])) if trends else 0.5

    @property
    def value(self) -> float:
        """A reward has to do both: tell errors from other words, and order the candidates of one report."""
        return (self.auc + self.order) / 2


def choose(
    fit: Rows, validation: Rows, kinds: Sequence[str], *, candidates: Sequence[Candidate], seed: int
) -> list[Trial]:
    """All candidates, the best first: by errors of unseen kinds on unseen studies.

    A reward meets errors that nobody injected, so this is what counts. With a single kind, that kind.

    Raises:
        DataError: no error of these kinds in the reports to choose by.
    """
    trials = []
    for candidate in candidates:
        unseen: dict[str, KindMeasures] = {}
        for kind in kinds:
            others = [other for other in kinds if other != kind] or [kind]
            some = fit.of_kinds((*others, *CONTROLS))
            if np.isin(some.kinds, others).any():
                model = fit_model(some, candidate, seed=seed)
                unseen |= kind_measures(validation, against_reference(model, validation), [kind])
        if unseen:
            trials.append(Trial(candidate, unseen))
    if not trials:
        raise DataError(
            "the reports to choose by hold no error of these kinds",
            next_step="Give more reports, a larger --limit, or more --kinds.",
        )
    return sorted(trials, key=lambda trial: -round(trial.value, 4))  # stable: of equals the simpler one


def against_reference(model: Model, rows: Rows) -> Matrix:
    """(rows,) 1 less what the model says beyond what it says of the reference itself."""
    own = model(np.zeros((1, rows.features.shape[1])))[0]
    return np.asarray(1 - (model(rows.features) - own))


def complete(
    model: Model, validation: Rows, kinds: Sequence[str], *, names: Sequence[str], ontology: str
) -> RewardModel:
    """The model with its calibration on studies that it wasn't fitted on."""
    rows = validation.of_kinds((*kinds, *CONTROLS))
    slope, intercepts = calibrated(model(rows.features), rows)
    return RewardModel(
        features=tuple(names), model=model, slope=slope, intercepts=intercepts, ontology=ontology
    )


def kind_measures(rows: Rows, scores: Matrix, kinds: Sequence[str]) -> dict[str, KindMeasures]:
    """By kind, from (rows,) scores of which any monotone function would do."""
    controls = [drops for kind in CONTROLS if len((drops := rows.drops(scores, kind)).values)]
    if not controls:
        return {}
    weights = np.ones((1, int(rows.studies.max()) + 1))
    limits = thresholds(controls, weights, RATE)
    found = {}
    for kind in kinds:
        drops = rows.drops(scores, kind)
        single = drops.with_count(1)
        if not len(single.values):
            continue
        _, order = trends(drops)
        found[kind] = KindMeasures(
            variants=len(single.values),
            auc=auc(single.values, controls),
            detection=float(exceeding(single, weights, limits)[0]),
            trend=float(order.mean()) if len(order) else None,
        )
    return found


def unseen_alarms(rows: Rows, scores: Matrix) -> dict[str, float]:
    """By harmless kind: share of false alarms where the threshold comes from the other harmless kinds."""
    found = {}
    weights = np.ones((1, int(rows.studies.max()) + 1))
    for kind in CONTROLS:
        mine = rows.drops(scores, kind)
        others = [
            drops for other in CONTROLS if other != kind and len((drops := rows.drops(scores, other)).values)
        ]
        if len(mine.values) and others:
            found[kind] = float(exceeding(mine, weights, thresholds(others, weights, RATE))[0])
    return found


def calibration(rows: Rows, predicted: Matrix) -> Calibration:
    """From (rows,) probabilities of at least one error."""
    weights, truth = row_weights(rows), (rows.errors > 0).astype(np.float64)
    places = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    bins = []
    for place in range(BINS):
        mine = places == place
        weight = float(weights[mine].sum())
        if weight:
            bins.append(
                Bin(
                    low=place / BINS,
                    high=(place + 1) / BINS,
                    pairs=int(mine.sum()),
                    weight=weight,
                    predicted=float(weights[mine] @ predicted[mine]) / weight,
                    observed=float(weights[mine] @ truth[mine]) / weight,
                )
            )
    return Calibration(
        bins=tuple(bins),
        ece=sum(one.weight * abs(one.predicted - one.observed) for one in bins),
        brier=float(weights @ (predicted - truth) ** 2),
    )


def candidates_of(names: str) -> list[Candidate]:
    """Candidates of the kinds in a text with commas.

    Raises:
        ConfigError: unknown kind, or none.
    """
    wanted = set(names_in(names))
    known = list(dict.fromkeys(one.kind for one in CANDIDATES))
    for name in sorted(wanted.difference(known)) or ([""] if not wanted else []):
        raise ConfigError(
            f"unknown model {name!r}" if name else "no model is named",
            next_step=f"{nearest(name, known)}Known: {', '.join(known)}.",
        )
    return [one for one in CANDIDATES if one.kind in wanted]
