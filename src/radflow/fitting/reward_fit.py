"""Rows with known numbers of errors -> a model that never falls when a feature rises, and its calibration

Three kinds: logistic regression (any error or none), the same on the number of errors (proportional odds:
one set of weights, an intercept for each of "at least 1, 2, 3"), and gradient boosting. Weights can't be
negative, and trees are monotone. scikit-learn and its scipy are needed here only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from radflow.audit.variants import CONTROLS, MOST
from radflow.errors import ConfigError, DataError, RunError
from radflow.fitting.reward_rows import Rows
from radflow.metrics.learned_model import Linear, Tree, Trees
from radflow.metrics.resampling import Matrix

Model = Linear | Trees


@dataclass(frozen=True)
class Candidate:
    """A way to fit.

    Attributes:
        strength: of logistic and ordinal, the inverse of the L2 penalty; of boosting, leaves of a tree.
    """

    kind: Literal["logistic", "ordinal", "boosting"]
    strength: float

    @property
    def name(self) -> str:
        what = "leaves" if self.kind == "boosting" else "C"
        return f"{self.kind}, {what} {self.strength:g}"


CANDIDATES = (
    *(Candidate("logistic", strength) for strength in (0.01, 0.1, 1)),
    *(Candidate("ordinal", strength) for strength in (0.01, 0.1, 1)),
    *(Candidate("boosting", leaves) for leaves in (4, 8)),
)
"""Simple ones first: a later one must be better to be chosen."""
TREES = 100
RATE = 0.1
FEWEST_IN_LEAF = 20
FLOOR = 0.01
"""Least weight of a root mean square of a feature: what is worse scores less, though no fit asked for it."""


def require_fit() -> None:
    """Refuse to begin without what fits.

    Raises:
        ConfigError: scikit-learn isn't installed.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ConfigError(
            "fitting needs scikit-learn, which is not installed",
            next_step="pip install 'radflow[fit]'. What was fitted elsewhere works without it.",
        ) from None


def row_weights(rows: Rows) -> Matrix:
    """(rows,) weights with sum 1: harmless changes and errors weigh alike, and so do the kinds of each.

    Raises:
        DataError: one of the two is missing.
    """
    present = set(rows.kinds.tolist())
    controls = [kind for kind in present if kind in CONTROLS]
    errors = sorted(present - set(controls))
    if not controls or not errors:
        raise DataError(
            f"the reports leave no room for {'errors' if controls else 'harmless changes'}: nothing can be "
            "learnt",
            next_step="Give more reports, or longer ones, with Findings and Impression; or more --kinds.",
        )
    weights = np.zeros(len(rows.kinds))
    for some in (controls, errors):
        for kind in some:
            mine = rows.kinds == kind
            weights[mine] = 0.5 / len(some) / mine.sum()
    return weights


def fit_model(rows: Rows, candidate: Candidate, *, seed: int) -> Model:
    """Fit one candidate.

    Raises:
        DataError: only errors, or only harmless changes.
    """
    weights = row_weights(rows)
    squares = weights @ rows.features**2
    scales = np.sqrt(np.where(squares > 0, squares, 1.0))
    if candidate.kind == "boosting":
        return _boosted(rows, weights, int(candidate.strength), scales, seed)
    steps = MOST if candidate.kind == "ordinal" else 1
    fitted, _ = _proportional_odds(
        rows.features / scales, rows.errors, weights, steps=steps, penalty=1 / candidate.strength, least=FLOOR
    )
    return Linear(weights=tuple(fitted.tolist()), scales=tuple(scales.tolist()))


def calibrated(values: Matrix, rows: Rows) -> tuple[float, tuple[float, ...]]:
    """Slope and intercepts of "at least 1, 2, 3 errors", from (rows,) values of a model on other studies."""
    scale = float(np.abs(values).max()) or 1.0
    slope, intercepts = _proportional_odds(
        values[:, None] / scale, rows.errors, row_weights(rows), steps=MOST, penalty=1e-3
    )
    # "at least 2" is never likelier than "at least 1", however few have two
    ordered = np.minimum.accumulate(intercepts)
    return float(slope[0]) / scale, tuple(ordered.tolist())


def _proportional_odds(
    features: Matrix, errors: Any, weights: Matrix, *, steps: int, penalty: float, least: float = 0.0
) -> tuple[Matrix, Matrix]:
    """Weights >= ``least`` and intercepts of P(errors >= k) = logistic(w . x + b_k), k = 1 .. steps.

    Minimises the mean over k of the weighted log loss, and penalty |w|^2 / 2 per row: with one step this is
    logistic regression.
    """
    from scipy.optimize import minimize

    count, width = features.shape
    targets = (errors[:, None] >= np.arange(1, steps + 1)).astype(np.float64)

    def loss(point: Matrix) -> tuple[float, Matrix]:
        logits = (features @ point[:width])[:, None] + point[width:]
        lost = np.logaddexp(0, logits) - targets * logits
        gap = weights[:, None] * (1 / (1 + np.exp(-np.clip(logits, -500, 500))) - targets) / steps
        value = float((weights @ lost).mean()) + penalty / count * float(point[:width] @ point[:width]) / 2
        slopes = features.T @ gap.sum(axis=1) + penalty / count * point[:width]
        return value, np.concatenate([slopes, gap.sum(axis=0)])

    bounds = [(least, None)] * width + [(None, None)] * steps
    start = np.concatenate([np.full(width, least), np.zeros(steps)])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 2000})
    point = cast(Matrix, found.x)
    return point[:width], point[width:]


def _boosted(rows: Rows, weights: Matrix, leaves: int, scales: Matrix, seed: int) -> Trees:
    """Monotone gradient boosting, exported as plain columns; checked against what fitted it.

    Raises:
        RunError: this scikit-learn keeps its trees in another way.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    width = rows.features.shape[1]
    fitted = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=RATE,
        max_leaf_nodes=leaves,
        min_samples_leaf=FEWEST_IN_LEAF,
        monotonic_cst=[1] * width,
        early_stopping=False,
        random_state=seed,
    ).fit(rows.features, rows.errors > 0, sample_weight=weights * len(weights))
    trees = tuple(_exported(each[0].nodes) for each in fitted._predictors)
    bare = Trees(trees=trees, floor=0.0, scales=tuple(scales.tolist()))
    gap = fitted.decision_function(rows.features) - bare(rows.features)
    if np.ptp(gap) > 1e-6:  # all but the constant that it begins with
        raise RunError(
            "the trees of this scikit-learn can't be exported: they give other values",
            next_step="Install scikit-learn 1.5 to 1.9, or fit without boosting: --models logistic,ordinal.",
        )
    return bare.model_copy(update={"floor": FLOOR})


def _exported(nodes: Any) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=tuple(np.where(is_leaf, -1, nodes["feature_idx"]).tolist()),
        threshold=tuple(np.where(is_leaf, 0.0, nodes["num_threshold"]).tolist()),
        left=tuple(nodes["left"].tolist()),
        right=tuple(nodes["right"].tolist()),
        value=tuple(np.where(is_leaf, nodes["value"], 0.0).tolist()),
    )
