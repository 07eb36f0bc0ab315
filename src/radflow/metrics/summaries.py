"""Sum stored scores up over studies: every metric of every system with its interval, systems against systems.

Texts are never scored again: intervals and tests only re-aggregate what `report_scores` stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radflow.config import EvaluateConfig
from radflow.metrics.lexical import MAX_ORDER, bleu_from_counts
from radflow.metrics.paired import paired_difference
from radflow.metrics.report_scores import PARTS, Counts
from radflow.metrics.statistics import bootstrap_interval, mean_of_rows
from radflow.records import Difference, Interval, Score

Matrix = NDArray[np.float64]
Patients = Mapping[str, str | None]


class Statistic(NamedTuple):
    """What a metric is computed from: rows of counts, one a study, and what their sums give."""

    name: str
    study_ids: tuple[str, ...]
    rows: Matrix
    aggregate: Callable[[Matrix], Matrix]


def summarise(
    scores: Sequence[Score], config: EvaluateConfig, *, seed: int, patients: Patients | None = None
) -> dict[str, dict[str, Interval]]:
    """Per system: every metric of every part over its studies, with bootstrap intervals.

    Keys are ``part/metric``: corpus BLEU-1..4 (no smoothing), means of ROUGE-L and lexicon-graph F1, micro
    precision, recall and F1 of the ontology's columns by rules (uncertain counts as present; of chest X-rays
    the 14 CheXpert classes, the convention radeval-micro-14); ``consistent``, the share of reports whose
    sections agree; on phantoms the same measures of findings against the truth table
    (``findings_truth/...``), also with sides and by observation. Keys with ``critical/`` in front are over
    the studies whose reference is critical.

    Args:
        patients: patient of each study; patients with several are then resampled as a whole.
    """
    summary: dict[str, dict[str, Interval]] = {}
    for system in dict.fromkeys(score.system for score in scores):
        intervals = {
            statistic.name: bootstrap_interval(
                statistic.rows,
                statistic.aggregate,
                samples=config.bootstrap_samples,
                confidence=config.confidence,
                seed=seed,
                clusters=_clusters(statistic, patients),
            )
            for statistic in statistics_of([score for score in scores if score.system == system])
        }
        summary[system] = {name: value for name, value in intervals.items() if value is not None}
    return summary


def differences(
    scores: Sequence[Score],
    pairs: Sequence[tuple[str, str]],
    config: EvaluateConfig,
    *,
    seed: int,
    patients: Patients | None = None,
) -> dict[str, dict[str, Difference]]:
    """Paired differences of all metrics, ``"a - b"`` -> metric -> difference, for pairs that are there."""
    by_system: dict[str, list[Score]] = {}
    for score in scores:
        by_system.setdefault(score.system, []).append(score)
    compared: dict[str, dict[str, Difference]] = {}
    for first, second in pairs:
        if first not in by_system or second not in by_system:
            continue
        others = {statistic.name: statistic for statistic in statistics_of(by_system[second])}
        found = {
            statistic.name: paired_difference(
                statistic.rows,
                others[statistic.name].rows,
                statistic.aggregate,
                samples=config.bootstrap_samples,
                confidence=config.confidence,
                seed=seed,
                clusters=_clusters(statistic, patients),
            )
            for statistic in statistics_of(by_system[first])
            if statistic.name in others
        }
        compared[f"{first} - {second}"] = {
            name: difference for name, difference in found.items() if difference is not None
        }
    return compared


def _clusters(statistic: Statistic, patients: Patients | None) -> list[str | None] | None:
    return None if patients is None else [patients.get(study_id) for study_id in statistic.study_ids]


def statistics_of(scores: Sequence[Score]) -> Iterator[Statistic]:
    """Every metric that these scores have, on all studies and on the critical ones.

    Each has a row for each of its studies, in the order given.
    """
    yield from _statistics(scores, by_observation=True)
    critical = [score for score in scores if score.is_critical]
    for statistic in _statistics(critical, by_observation=False):
        yield statistic._replace(name=f"critical/{statistic.name}")


def _statistics(scores: Sequence[Score], *, by_observation: bool) -> Iterator[Statistic]:
    for part in PARTS:
        rows = [score for score in scores if score.part == part]
        if not rows:
            continue  # no reference has this part
        ids = tuple(score.study_id for score in rows)
        counts = np.array([score.bleu_counts for score in rows], dtype=np.float64)
        for order in range(1, MAX_ORDER + 1):
            yield Statistic(f"{part}/bleu_{order}", ids, counts, partial(bleu_from_counts, order=order))
        yield from _mean_statistic(f"{part}/rouge_l", ids, [score.rouge_l for score in rows])
        yield from _mean_statistic(f"{part}/graph_f1", ids, [score.graph_f1 for score in rows])
        labels = [score.labels for score in rows]
        yield from _count_statistics(f"{part}/label_", ids, labels, by_observation=False)
    whole = [score for score in scores if score.part == "report"]
    ids = tuple(score.study_id for score in whole)
    yield from _mean_statistic("consistent", ids, [score.is_consistent for score in whole])
    with_truth = [score for score in whole if score.findings is not None]
    ids = tuple(score.study_id for score in with_truth)
    for name, found in (
        ("findings_truth/", [score.findings or {} for score in with_truth]),
        ("findings_truth_with_side/", [score.findings_with_side or {} for score in with_truth]),
    ):
        yield from _count_statistics(name, ids, found, by_observation=by_observation)


def _mean_statistic(name: str, ids: tuple[str, ...], values: Sequence[float | None]) -> Iterator[Statistic]:
    """The mean over the studies that have a value; none of it where no study has."""
    scored = [(study_id, value) for study_id, value in zip(ids, values, strict=True) if value is not None]
    if scored:
        rows = np.array([[value, 1.0] for _, value in scored], dtype=np.float64)
        yield Statistic(name, tuple(study_id for study_id, _ in scored), rows, mean_of_rows)


def _count_statistics(
    prefix: str, ids: tuple[str, ...], rows: Sequence[Counts], *, by_observation: bool
) -> Iterator[Statistic]:
    def matrix(names: Sequence[str]) -> Matrix:
        return np.array(
            [np.sum([row.get(name, (0, 0, 0)) for name in names], axis=0) for row in rows], dtype=np.float64
        )

    observations = sorted({name for row in rows for name in row})
    if not observations:
        return
    for ratio in (precision, recall, f1):
        yield Statistic(f"{prefix}{ratio.__name__}", ids, matrix(observations), ratio)
    if by_observation:
        for observation in observations:
            yield Statistic(f"{prefix}f1/{observation}", ids, matrix([observation]), f1)


def precision(counts: Matrix) -> Matrix:
    """True positives / all asserted, from (..., 3) sums of (tp, fp, fn); NaN when nothing was asserted."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 1])


def recall(counts: Matrix) -> Matrix:
    """True positives / all true, from (..., 3) sums; NaN when nothing was true."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 2])


def f1(counts: Matrix) -> Matrix:
    """2 tp / (2 tp + fp + fn), from (..., 3) sums; NaN when nothing was true or asserted."""
    return _ratio(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])


def _ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator / denominator)
