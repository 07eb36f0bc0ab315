"""Bootstrap intervals over studies: stored counts are re-aggregated, texts are never scored again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radflow.records import Interval

Matrix = NDArray[np.float64]


def mean_of_rows(sums: Matrix) -> Matrix:
    """Aggregate for plain means: column 0 holds the score, column 1 a one for each study that has it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def bootstrap_interval(
    rows: Matrix, aggregate: Callable[[Matrix], Matrix], *, samples: int, confidence: float, seed: int
) -> Interval | None:
    """Percentile bootstrap over studies of any statistic that is a function of column sums.

    Args:
        rows: (studies, columns) per-study counts.
        aggregate: maps (..., columns) sums to (...) statistics.
        samples: resamplings of the studies with replacement.
        confidence: coverage, e.g. 0.95.

    Returns:
        The statistic with its interval; ``None`` without studies or where it is undefined (0 / 0).
    """
    studies = len(rows)
    if studies == 0:
        return None
    value = float(aggregate(rows.sum(axis=0)))
    if not np.isfinite(value):
        return None
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(studies, np.full(studies, 1 / studies), size=samples)
    resampled = aggregate(weights.astype(np.float64) @ rows)
    resampled = resampled[np.isfinite(resampled)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(value=value, low=float(low), high=float(high), studies=studies)
