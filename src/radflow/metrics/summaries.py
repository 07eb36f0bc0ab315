"""Sum stored scores up over studies: every metric of every system with its interval, systems against systems.

Texts are never scored again: intervals and tests only re-aggregate what `report_scores` stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from radflow.config import EvaluateConfig
from radflow.metrics.lexical import MAX_ORDER, bleu_from_counts
from radflow.metrics.paired import paired_difference
from radflow.metrics.report_scores import PARTS, Counts
from radflow.metrics.statistics import bootstrap_interval, mean_of_rows
from radflow.records import Difference, Interval, Score

Matrix = NDArray[np.float64]
Statistic = tuple[str, Matrix, Callable[[Matrix], Matrix]]
"""Name, (studies, columns) rows of sufficient statistics, and what makes the metric of their sums."""


def summarise(
    scores: Sequence[Score], config: EvaluateConfig, *, seed: int
) -> dict[str, dict[str, Interval]]:
    """Per system: every metric of every part over its studies, with bootstrap intervals.

    Keys are ``part/metric``: corpus BLEU-1..4 (no smoothing), means of ROUGE-L and lexicon-graph F1, micro
    precision, recall and F1 of the CheXpert classes by rules (14 classes, uncertain counts as present: the
    convention radeval-micro-14); ``consistent``, the share of reports whose sections agree; on phantoms the
    same measures of findings against the truth table (``findings_truth/...``), also with sides and by
    observation. Keys with ``critical/`` in front are over the studies whose reference is critical.
    """
    return {
        system: {
            name: interval
            for name, rows, aggregate in system_statistics(scores, system)
            if (interval := _interval(rows, aggregate, config, seed)) is not None
        }
        for system in dict.fromkeys(score.system for score in scores)
    }


def differences(
    scores: Sequence[Score], pairs: Sequence[tuple[str, str]], config: EvaluateConfig, *, seed: int
) -> dict[str, dict[str, Difference]]:
    """Paired differences of all metrics, ``"a - b"`` -> metric -> difference, for pairs that are there."""
    systems = dict.fromkeys(score.system for score in scores)
    compared: dict[str, dict[str, Difference]] = {}
    for first, second in pairs:
        if first not in systems or second not in systems:
            continue
        others = {name: rows for name, rows, _ in system_statistics(scores, second)}
        compared[f"{first} - {second}"] = {
            name: difference
            for name, rows, aggregate in system_statistics(scores, first)
            if name in others and (difference := _difference(rows, others[name], aggregate, config, seed))
        }
    return compared


def _difference(
    rows: Matrix, others: Matrix, aggregate: Callable[[Matrix], Matrix], config: EvaluateConfig, seed: int
) -> Difference | None:
    return paired_difference(
        rows, others, aggregate, samples=config.bootstrap_samples, confidence=config.confidence, seed=seed
    )


def _interval(
    rows: Matrix, aggregate: Callable[[Matrix], Matrix], config: EvaluateConfig, seed: int
) -> Interval | None:
    return bootstrap_interval(
        rows, aggregate, samples=config.bootstrap_samples, confidence=config.confidence, seed=seed
    )


def system_statistics(scores: Sequence[Score], system: str) -> Iterator[Statistic]:
    """All metrics of one system, on all of its studies and on the critical ones."""
    mine = [score for score in scores if score.system == system]
    yield from _statistics(mine, by_observation=True)
    critical = [score for score in mine if score.is_critical]
    for name, rows, aggregate in _statistics(critical, by_observation=False):
        yield f"critical/{name}", rows, aggregate


def _statistics(scores: Sequence[Score], *, by_observation: bool) -> Iterator[Statistic]:
    for part in PARTS:
        rows = [score for score in scores if score.part == part]
        if not rows:
            continue  # no reference has this part
        counts = np.array([score.bleu_counts for score in rows], dtype=np.float64)
        for order in range(1, MAX_ORDER + 1):
            yield f"{part}/bleu_{order}", counts, partial(bleu_from_counts, order=order)
        yield f"{part}/rouge_l", _means([score.rouge_l for score in rows]), mean_of_rows
        yield f"{part}/graph_f1", _means([score.graph_f1 for score in rows]), mean_of_rows
        labels = [score.labels for score in rows]
        yield from _count_statistics(f"{part}/label", labels, "_", by_observation=False)
    consistent = [score.is_consistent for score in scores if score.part == "report"]
    if any(verdict is not None for verdict in consistent):
        yield "consistent", _means(consistent), mean_of_rows
    with_truth = [score for score in scores if score.findings is not None]
    if with_truth:
        for name, found in (
            ("findings_truth", [score.findings or {} for score in with_truth]),
            ("findings_truth_with_side", [score.findings_with_side or {} for score in with_truth]),
        ):
            yield from _count_statistics(name, found, "/", by_observation=by_observation)


def _means(values: Sequence[float | None]) -> Matrix:
    """Rows for `mean_of_rows`; what is not scored counts in neither column."""
    return np.array([[value or 0.0, value is not None] for value in values], dtype=np.float64)


def _count_statistics(
    prefix: str, rows: Sequence[Counts], joint: str, *, by_observation: bool
) -> Iterator[Statistic]:
    def matrix(names: Sequence[str]) -> Matrix:
        return np.array(
            [np.sum([row.get(name, (0, 0, 0)) for name in names], axis=0) for row in rows], dtype=np.float64
        ).reshape(len(rows), 3)

    observations = sorted({name for row in rows for name in row})
    if not observations:
        return
    for ratio in (precision, recall, f1):
        yield f"{prefix}{joint}{ratio.__name__}", matrix(observations), ratio
    if by_observation:
        for observation in observations:
            yield f"{prefix}/f1/{observation}", matrix([observation]), f1


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
