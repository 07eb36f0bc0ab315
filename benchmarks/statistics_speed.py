"""Seconds and memory of intervals and paired tests on 10,000 studies, beside scipy's bootstrap

Processor time on one core, median of three rounds: python benchmarks/statistics_speed.py [--studies 10000]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radflow.metrics.compare import compare_systems
from radflow.metrics.lexical import bleu_from_counts
from radflow.metrics.paired import paired_difference, paired_permutation
from radflow.metrics.statistics import bootstrap_interval
from radflow.records import MetricRow

Matrix = NDArray[np.float64]
SAMPLES = 1000
ROUNDS = 3


def seconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def bleu_rows(studies: int, skill: float, *, seed: int) -> Matrix:
    generator = np.random.default_rng(seed)
    reference = np.random.default_rng(0).integers(8, 60, studies)
    written = np.maximum(5, reference + generator.integers(-8, 6, studies))
    totals = written[:, None] - np.arange(4)
    matches = generator.binomial(totals, skill ** np.arange(1, 5))
    return np.column_stack([matches, totals, reference, written]).astype(np.float64)


def bleu_4(sums: Matrix) -> Matrix:
    return bleu_from_counts(sums, order=4)


METRICS = ("bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l")


def scores(rows: Matrix, system: str) -> list[MetricRow]:
    return [
        MetricRow(
            study_id=str(number),
            system=system,
            part="report",
            reference=str(number),
            values=dict.fromkeys(METRICS, 0.0),
            statistics={"bleu": tuple(row.tolist()), "rouge": (0.0, 0.0, float(row[0] / row[4]))},
        )
        for number, row in enumerate(rows)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000)
    studies = parser.parse_args().studies
    a, b = bleu_rows(studies, 0.60, seed=1), bleu_rows(studies, 0.59, seed=2)
    first, second = scores(a, "a"), scores(b, "b")
    options = {"samples": SAMPLES, "seed": 0}
    print(f"{studies:,} studies, {SAMPLES} samples, corpus BLEU-4; peak memory before: {peak_mb()} MB")
    calls: dict[str, Callable[[], object]] = {
        "interval": lambda: bootstrap_interval(a, bleu_4, confidence=0.95, **options),
        "paired difference": lambda: paired_difference(a, b, bleu_4, confidence=0.95, **options),
        "paired permutation": lambda: paired_permutation(a, b, bleu_4, **options),
        "compare, all 5 metrics of a part": lambda: compare_systems(first, second, **options),
    }
    for name, call in calls.items():
        print(f"{name:34} {seconds(call):6.2f} s, peak memory {peak_mb()} MB", flush=True)

    def statistic(*columns: Matrix, axis: int) -> Matrix:
        return bleu_4(np.stack([column.sum(axis=axis) for column in columns], axis=-1))

    took = seconds(
        lambda: stats.bootstrap(
            tuple(a.T), statistic, paired=True, n_resamples=SAMPLES, batch=50, method="percentile", rng=0
        )
    )
    print(f"{'scipy.stats.bootstrap, interval':34} {took:6.2f} s, peak memory {peak_mb()} MB")


if __name__ == "__main__":
    main()
