"""Every metric of two systems on the same studies: values, difference, interval, p-values, effect size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from radflow.errors import DataError
from radflow.metrics.paired import (
    bootstrap_difference,
    cohens_dz,
    difference_of,
    holm,
    permutation_p,
    side_by_side,
    swap_rows,
)
from radflow.metrics.resampling import Aggregate, Matrix, bootstrap_sums, cluster_sums, scored, swap_sums
from radflow.metrics.statistics import mean_of_rows
from radflow.metrics.summaries import Statistic, statistics_of
from radflow.records import Difference, Record, Score
from radflow.registry import nearest

Patients = Mapping[str, str | None]


class Comparison(Record):
    """One metric of two systems, on the studies that both have a score for.

    Attributes:
        metric: ``part/metric``, see `summaries.summarise`.
        studies: how many the numbers rest on.
        first, second: the two values; ``None`` where a metric is undefined (0 / 0).
        difference: first minus second, by paired bootstrap; ``None`` without both values.
        p: of the paired permutation test; ``None`` without both values.
        p_holm: p corrected for all metrics that were compared.
        effect_size: Cohen's d_z of per-study scores; ``None`` for metrics that aren't means over studies.
    """

    metric: str
    studies: int
    first: float | None
    second: float | None
    difference: Difference | None = None
    p: float | None = None
    p_holm: float | None = None
    effect_size: float | None = None


class PairedScores(NamedTuple):
    """The rows of two systems, study by study in the same order, and the studies that only one of them has.

    A study of which the two have different parts is among the latter with the parts that only one has.
    """

    first: list[Score]
    second: list[Score]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def pair_scores(first: Sequence[Score], second: Sequence[Score]) -> PairedScores:
    """Match the rows of two systems by study and part.

    Raises:
        DataError: a system has two rows for a study's part, or the two were scored against other references.
    """
    rows_a, rows_b = _by_key(first), _by_key(second)
    shared = sorted(rows_a.keys() & rows_b.keys())
    for key in shared:
        # The reference's length is among the counts of corpus BLEU.
        if rows_a[key].bleu_counts[-2] != rows_b[key].bleu_counts[-2]:
            raise DataError(
                "the two systems were scored against different references",
                where=f"study {key[0]}, {key[1]}",
                next_step="Score both against the same reports.",
            )
    return PairedScores(
        [rows_a[key] for key in shared],
        [rows_b[key] for key in shared],
        tuple(dict.fromkeys(study for study, _ in sorted(rows_a.keys() - rows_b.keys()))),
        tuple(dict.fromkeys(study for study, _ in sorted(rows_b.keys() - rows_a.keys()))),
    )


def _by_key(scores: Sequence[Score]) -> dict[tuple[str, str], Score]:
    rows: dict[tuple[str, str], Score] = {}
    for score in scores:
        if (score.study_id, score.part) in rows:
            raise DataError(
                f"two rows for one study of system {score.system!r}",
                where=f"study {score.study_id}, {score.part}",
                next_step="Keep one row per study, system and part.",
            )
        rows[(score.study_id, score.part)] = score
    return rows


def compare_systems(
    first: Sequence[Score],
    second: Sequence[Score],
    *,
    samples: int,
    seed: int,
    confidence: float = 0.95,
    patients: Patients | None = None,
    metrics: Sequence[str] = (),
) -> list[Comparison]:
    """Compare two systems in every metric that their scores have.

    All metrics of the same studies share one set of draws, the same as `paired.paired_difference` and
    `paired.paired_permutation` take for one metric.

    Args:
        first, second: rows of two systems on the same studies.
        samples: resamplings and random swaps.
        confidence: coverage of the intervals.
        patients: patient of each study; those with several studies are drawn and swapped as a whole.
        metrics: names or patterns (``report/*``) of the metrics wanted; none stands for all. Holm's
            correction is over these, so choose before looking.

    Returns:
        One comparison per metric, in the order of `summaries.statistics_of`.

    Raises:
        DataError: the systems don't have the same studies, or no metric of that name; see `pair_scores`.
    """
    pairs = pair_scores(first, second)
    if pairs.only_first or pairs.only_second:
        raise DataError(
            f"the systems don't have the same studies: {len(pairs.only_first)} only in the first, "
            f"{len(pairs.only_second)} only in the second",
            where=f"e.g. {(pairs.only_first or pairs.only_second)[0]}",
            next_step="Compare pair_scores(...).first with .second, which both have.",
        )
    statistics = _chosen(list(statistics_of([*pairs.first, *pairs.second])), metrics)
    paired = [_pair(statistic) for statistic in statistics]
    compared: dict[str, Comparison] = {}
    for study_ids in dict.fromkeys(metric.study_ids for metric in paired):
        group = [metric for metric in paired if metric.study_ids == study_ids]
        compared.update(
            (row.metric, row)
            for row in _compare_group(
                group, samples=samples, seed=seed, confidence=confidence, patients=patients
            )
        )
    tested = [row for metric in paired if (row := compared[metric.name]).p is not None]
    corrected = holm([row.p for row in tested if row.p is not None])
    for row, p_holm in zip(tested, corrected, strict=True):
        compared[row.metric] = row.model_copy(update={"p_holm": p_holm})
    return [compared[metric.name] for metric in paired]


def _chosen(statistics: Sequence[Statistic], patterns: Sequence[str]) -> list[Statistic]:
    names = [statistic.name for statistic in statistics]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(
                f"no metric {pattern!r} among the scores",
                next_step=f"{nearest(pattern, names)}Known: {', '.join(names)}.",
            )
    wanted = patterns or ("*",)
    return [
        statistic
        for statistic in statistics
        if any(fnmatchcase(statistic.name, pattern) for pattern in wanted)
    ]


class _PairedMetric(NamedTuple):
    """A metric with (studies, 2 * columns) rows of the studies that both systems have a score for."""

    name: str
    study_ids: tuple[str, ...]
    rows: Matrix
    aggregate: Aggregate


def _pair(statistic: Statistic) -> _PairedMetric:
    """Rows of both systems, stacked -> side by side, without studies that either has no score for."""
    half = len(statistic.rows) // 2
    ids = statistic.study_ids[:half]
    if ids != statistic.study_ids[half:]:
        raise DataError(f"only one of the systems has a score for some studies in {statistic.name}")
    rows = side_by_side(statistic.rows[:half], statistic.rows[half:])
    keep = scored(rows)
    if statistic.aggregate is mean_of_rows:
        keep &= (rows[:, 1] > 0) & (rows[:, 3] > 0)
    kept = tuple(study for study, is_kept in zip(ids, keep, strict=True) if is_kept)
    return _PairedMetric(statistic.name, kept, rows[keep], statistic.aggregate)


def _compare_group(
    metrics: Sequence[_PairedMetric], *, samples: int, seed: int, confidence: float, patients: Patients | None
) -> list[Comparison]:
    """Metrics of the same studies: their columns are drawn and swapped together, once."""
    studies = len(metrics[0].rows)
    if studies == 0:
        return [Comparison(metric=metric.name, studies=0, first=None, second=None) for metric in metrics]
    clusters = None if patients is None else [patients.get(study) for study in metrics[0].study_ids]
    units = [cluster_sums(metric.rows, clusters) for metric in metrics]
    borders = np.cumsum([rows.shape[1] for rows in units])[:-1]
    drawn = np.split(bootstrap_sums(np.hstack(units), samples=samples, seed=seed), borders, axis=1)
    swaps, is_exact = swap_sums(np.hstack([swap_rows(rows) for rows in units]), samples=samples, seed=seed)
    compared = []
    for metric, sums, swapped in zip(metrics, drawn, np.split(swaps, borders, axis=1), strict=True):
        total = metric.rows.sum(axis=0)
        values = [float(value) for value in metric.aggregate(total.reshape(2, -1))]
        first, second = (value if np.isfinite(value) else None for value in values)
        row = Comparison(metric=metric.name, studies=studies, first=first, second=second)
        if first is not None and second is not None:
            draws = difference_of(sums, metric.aggregate)
            null = difference_of(total + swapped, metric.aggregate)
            is_mean = metric.aggregate is mean_of_rows
            row = row.model_copy(
                update={
                    "difference": bootstrap_difference(
                        first - second, draws, confidence=confidence, units=len(units[0]), studies=studies
                    ),
                    "p": permutation_p(null, first - second, is_exact=is_exact),
                    "effect_size": cohens_dz(metric.rows[:, 0], metric.rows[:, 2]) if is_mean else None,
                }
            )
        compared.append(row)
    return compared
