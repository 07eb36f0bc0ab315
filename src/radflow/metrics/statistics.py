"""Bootstrap intervals over studies: stored counts are re-aggregated, texts are never scored again."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np

from radflow.metrics.resampling import Aggregate, Matrix, bootstrap_sums, cluster_sums, scored
from radflow.records import Interval

_NORMAL = NormalDist()


def mean_of_rows(sums: Matrix) -> Matrix:
    """Aggregate for plain means: column 0 holds the score, column 1 a one for each study that has it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def bootstrap_interval(
    rows: Matrix,
    aggregate: Aggregate,
    *,
    samples: int,
    confidence: float,
    seed: int,
    clusters: Sequence[Hashable | None] | None = None,
) -> Interval | None:
    """Expanded percentile bootstrap, over studies or patients, of any function of column sums.

    Resamplings in which the statistic is undefined (0 / 0) are left out.

    Args:
        rows: (studies, columns) per-study counts; a study with a NaN has no score and is left out.
        aggregate: maps (..., columns) sums to (...) statistics.
        samples: resamplings of the studies with replacement.
        confidence: coverage, e.g. 0.95.
        clusters: the patient of each study (``None``: unknown, counts as one of its own): patients are then
            drawn, each with all of their studies, which are not independent of each other.

    Returns:
        The statistic with its interval; ``None`` without studies or where it is undefined (0 / 0).
    """
    rows, clusters, studies = scored_studies(rows, clusters)
    if studies == 0:
        return None
    value = float(aggregate(rows.sum(axis=0)))
    if not np.isfinite(value):
        return None
    units = cluster_sums(rows, clusters)
    draws = aggregate(bootstrap_sums(units, samples=samples, seed=seed))
    low, high = interval_of_draws(draws, confidence=confidence, units=len(units))
    return Interval(value=value, low=low, high=high, studies=studies)


def scored_studies(
    rows: Matrix, clusters: Sequence[Hashable | None] | None
) -> tuple[Matrix, Sequence[Hashable | None] | None, int]:
    """Rows and clusters of the studies that have a score, and how many these are."""
    keep = scored(rows)
    if keep.all():
        return rows, clusters, len(rows)
    if clusters is not None:
        clusters = [cluster for cluster, is_kept in zip(clusters, keep, strict=True) if is_kept]
    return rows[keep], clusters, int(keep.sum())


def interval_of_draws(draws: Matrix, *, confidence: float, units: int) -> tuple[float, float]:
    """Ends of the expanded percentile interval: the middle of the draws, reaching out further for few units.

    Args:
        draws: (samples,) resampled statistics; those that are NaN are left out.
        confidence: coverage, e.g. 0.95.
        units: how many studies, or patients, were drawn each time.
    """
    tail = expanded_tail((1 - confidence) / 2, units)
    low, high = np.quantile(draws[np.isfinite(draws)], [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(tail: float, units: int) -> float:
    """Tail of the draws that leaves out ``tail`` of the truth (Hesterberg 2015, section 5.3), in [0, 0.5].

    Draws spread sqrt((n - 1) / n) too little, and like a normal where few units vary like Student's t; plain
    percentiles therefore hold the truth too rarely (docs/statistics.md). 200 units hardly make a difference.
    """
    if units < 2:
        return tail
    quantile = t_from_normal(_NORMAL.inv_cdf(tail), units - 1)
    return _NORMAL.cdf(quantile * math.sqrt(units / (units - 1)))


def true_tail(tail: float, units: int) -> float:
    """The inverse of `expanded_tail`: what a share of the draws beyond a value says about the truth."""
    if units < 2:
        return tail
    quantile = _NORMAL.inv_cdf(tail) / math.sqrt(units / (units - 1))
    return _NORMAL.cdf(_normal_from_t(quantile, units - 1))


def t_from_normal(z: float, degrees: int) -> float:
    """Student's quantile where the normal's is z (Wallace 1959, inverted); within 1 % from 3 degrees on."""
    scaled = z * (8 * degrees + 3) / (8 * degrees + 1)
    return math.copysign(math.sqrt(degrees * math.expm1(scaled * scaled / degrees)), z)


def _normal_from_t(t: float, degrees: int) -> float:
    size = math.sqrt(degrees * math.log1p(t * t / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return math.copysign(size, t)
