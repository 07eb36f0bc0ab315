"""Bootstrap intervals over studies: stored counts are re-aggregated, texts are never scored again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from radflow.metrics.resampling import Aggregate, Matrix, bootstrap_sums, cluster_sums, scored
from radflow.records import Interval


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
    """Percentile bootstrap over studies, or patients, of any statistic that is a function of column sums.

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
    sums = bootstrap_sums(cluster_sums(rows, clusters), samples=samples, seed=seed)
    low, high = percentile_interval(aggregate(sums), confidence=confidence)
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


def percentile_interval(draws: Matrix, *, confidence: float) -> tuple[float, float]:
    """The middle ``confidence`` of (samples,) draws; those that are NaN are left out."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws[np.isfinite(draws)], [tail, 1 - tail])
    return float(low), float(high)
