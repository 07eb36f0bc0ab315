"""Two systems on the same studies: difference with interval, permutation test, Holm, effect size."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from radflow.errors import DataError
from radflow.metrics.resampling import Aggregate, Matrix, bootstrap_sums, cluster_sums, swap_sums
from radflow.metrics.statistics import interval_of_draws, scored_studies, true_tail
from radflow.records import Difference


def paired_difference(
    rows_a: Matrix,
    rows_b: Matrix,
    statistic: Aggregate,
    *,
    samples: int,
    seed: int,
    confidence: float,
    clusters: Sequence[Hashable | None] | None = None,
) -> Difference | None:
    """Paired bootstrap of ``statistic(a) - statistic(b)``: both systems are drawn on the same studies.

    The two-sided p-value is that of the interval turned round: the share of resamplings on the other side
    of 0, with one added to numerator and denominator so that it is never 0, doubled; for few studies
    corrected as the interval is.

    Args:
        rows_a, rows_b: (studies, columns) per-study counts; row i of both is the same study. A study in
            which either has a NaN is left out of both.
        statistic: maps (..., columns) sums to (...) values.
        samples: resamplings of the studies with replacement.
        confidence: coverage, e.g. 0.95.
        clusters: the patient of each study, see `statistics.bootstrap_interval`.

    Returns:
        The difference; ``None`` without studies or where either value is undefined (0 / 0).

    Raises:
        DataError: the two don't have the same shape.
    """
    rows, clusters, studies = scored_studies(side_by_side(rows_a, rows_b), clusters)
    if studies == 0:
        return None
    value = float(difference_of(rows.sum(axis=0), statistic))
    if not np.isfinite(value):
        return None
    units = cluster_sums(rows, clusters)
    draws = difference_of(bootstrap_sums(units, samples=samples, seed=seed), statistic)
    return bootstrap_difference(value, draws, confidence=confidence, units=len(units), studies=studies)


def paired_permutation(
    rows_a: Matrix,
    rows_b: Matrix,
    statistic: Aggregate,
    *,
    samples: int,
    seed: int,
    clusters: Sequence[Hashable | None] | None = None,
) -> float | None:
    """Two-sided p of the paired permutation (approximate randomisation) test of equal ``statistic``.

    Under the null hypothesis it doesn't matter which system wrote which of a study's two reports: rows
    are swapped within studies (all rows of a patient together), and the difference of the two statistics
    compared with the one observed. For a mean these are the sign flips of the per-study differences.

    Args:
        rows_a, rows_b, statistic, clusters: as for `paired_difference`.
        samples: random swaps; where all 2 ** studies swaps are not more, all are taken and p is exact.

    Returns:
        p in (0, 1]; ``None`` without studies or where either value is undefined (0 / 0).
    """
    rows, clusters, studies = scored_studies(side_by_side(rows_a, rows_b), clusters)
    if studies == 0:
        return None
    total = rows.sum(axis=0)
    observed = float(difference_of(total, statistic))
    if not np.isfinite(observed):
        return None
    sums, is_exact = swap_sums(swap_rows(cluster_sums(rows, clusters)), samples=samples, seed=seed)
    return permutation_p(difference_of(total + sums, statistic), observed, is_exact=is_exact)


def side_by_side(rows_a: Matrix, rows_b: Matrix) -> Matrix:
    """(studies, 2 * columns): the rows of a, then those of b.

    Raises:
        DataError: the two don't have the same shape.
    """
    if rows_a.shape != rows_b.shape:
        raise DataError(
            f"a paired comparison needs the same studies on both sides, not {rows_a.shape} and {rows_b.shape}"
        )
    return np.concatenate([rows_a, rows_b], axis=1)


def swap_rows(rows: Matrix) -> Matrix:
    """What swapping the two systems adds to each row of `side_by_side`: (units, 2 * columns)."""
    first, second = np.split(rows, 2, axis=1)
    return np.concatenate([second - first, first - second], axis=1)


def difference_of(sums: Matrix, statistic: Aggregate) -> Matrix:
    """(..., 2 * columns) sums of `side_by_side` -> (...) differences a - b."""
    first, second = np.split(sums, 2, axis=-1)
    return np.asarray(statistic(first) - statistic(second))


def bootstrap_difference(
    value: float, draws: Matrix, *, confidence: float, units: int, studies: int
) -> Difference:
    """Interval and p from (samples,) resampled differences, of ``units`` studies or patients each."""
    low, high = interval_of_draws(draws, confidence=confidence, units=units)
    p = bootstrap_p(draws, units=units)
    return Difference(value=value, low=low, high=high, p=p, studies=studies)


def bootstrap_p(draws: Matrix, *, units: int) -> float:
    """Two-sided p in (0, 1] from (samples,) resampled differences; those that are NaN are left out.

    It is below 1 - confidence where the interval of that confidence leaves out 0; of one unit it is 1, since
    all draws are that one, whatever it is.
    """
    if units < 2:
        return 1.0
    draws = draws[np.isfinite(draws)]
    smaller = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    share = (smaller + 1) / (len(draws) + 1)
    return 1.0 if share >= 0.5 else 2 * true_tail(share, units)


def permutation_p(null: Matrix, observed: float, *, is_exact: bool) -> float:
    """Share of the (samples,) differences under the null that are at least as far from 0 as the observed one.

    A difference that is undefined (0 / 0 on either side) counts as far: it can't speak against the null.
    Random swaps count the observed assignment as one of them, (b + 1) / (m + 1); among all swaps it is.
    """
    with np.errstate(invalid="ignore"):
        nearer = np.abs(null) < abs(observed) * (1 - 1e-9) - 1e-12  # ties differ in their last digits
    far = len(null) - int(nearer.sum())
    return far / len(null) if is_exact else (far + 1) / (len(null) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction for as many tests as there are values, in their order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def cohens_dz(scores_a: Matrix, scores_b: Matrix) -> float | None:
    """Paired effect size: mean of the per-study differences over their standard deviation (n - 1).

    Args:
        scores_a, scores_b: (studies,) scores of the same studies; NaN in either leaves the study out.

    Returns:
        Positive where a is higher; ``None`` below two studies or where all differences are the same.
    """
    differences = scores_a - scores_b
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2 or np.ptp(differences) <= 1e-12:
        return None
    return float(differences.mean() / differences.std(ddof=1))


def format_p(p: float) -> str:
    """Three digits without the leading zero, "< .001" below that: never 0."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
