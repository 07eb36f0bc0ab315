"""How often 95 % intervals hold the true value: means, corpus F1 and BLEU, few and many studies, patients

Repeats an experiment whose truth is known and counts; 2,000 repetitions leave a standard error of 0.5 %:
python benchmarks/interval_coverage.py [--repetitions 2000] [--samples 1000]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.lexical import bleu_from_counts
from radflow.metrics.paired import paired_difference
from radflow.metrics.resampling import Aggregate
from radflow.metrics.statistics import bootstrap_interval, mean_of_rows
from radflow.metrics.sums import f1

Matrix = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Matrix]
TRUTH_STUDIES = 1_000_000
STUDIES = (10, 20, 50, 200, 1000)
BLEU_4 = partial(bleu_from_counts, order=4)


def normal_scores(generator: np.random.Generator, studies: int) -> Matrix:
    return np.column_stack([generator.normal(0.4, 0.1, studies), np.ones(studies)])


def skewed_scores(generator: np.random.Generator, studies: int) -> Matrix:
    """Most scores low, few near 1: Beta(0.5, 2), like sentence BLEU-4."""
    return np.column_stack([generator.beta(0.5, 2, studies), np.ones(studies)])


def finding_counts(generator: np.random.Generator, studies: int) -> Matrix:
    """(tp, fp, fn): most studies normal, the others with one to three findings of unlike difficulty."""
    true = generator.binomial(3, 0.6, studies) * (generator.random(studies) < 0.4)
    found = generator.binomial(true, generator.beta(2, 1, studies))
    invented = generator.poisson(0.15, studies)
    return np.column_stack([found, invented, true - found]).astype(np.float64)


def bleu_rows(generator: np.random.Generator, studies: int) -> Matrix:
    """Matches and totals of orders 1 to 4 and lengths, of reports that differ in length and quality."""
    reference = generator.integers(8, 60, studies)
    written = np.maximum(5, reference + generator.integers(-8, 6, studies))
    quality = generator.beta(4, 4, studies)
    totals = written[:, None] - np.arange(4)
    matches = generator.binomial(totals, quality[:, None] ** np.arange(1, 5))
    return np.column_stack([matches, totals, reference, written]).astype(np.float64)


CASES: dict[str, tuple[Draw, Aggregate]] = {
    "mean, normal scores": (normal_scores, mean_of_rows),
    "mean, skewed scores": (skewed_scores, mean_of_rows),
    "F1 of all findings": (finding_counts, f1),
    "corpus BLEU-4": (bleu_rows, BLEU_4),
}


def coverage(draw: Draw, statistic: Aggregate, studies: int, *, repetitions: int, samples: int) -> float:
    """Share of repetitions whose 95 % interval holds the value of a million studies."""
    generator = np.random.default_rng(studies)
    truth = float(statistic(draw(np.random.default_rng(12345), TRUTH_STUDIES).sum(axis=0)))
    held = []
    for seed in range(repetitions):
        rows = draw(generator, studies)
        found = bootstrap_interval(rows, statistic, samples=samples, confidence=0.95, seed=seed)
        if found is not None:
            held.append(found.low <= truth <= found.high)
    return float(np.mean(held))


def difference_coverage(studies: int, *, repetitions: int, samples: int) -> tuple[float, float]:
    """The same for F1 differences of two equal systems on shared studies; and how often p < .05."""
    generator = np.random.default_rng(studies)
    held, rejected = [], []
    for seed in range(repetitions):
        true = generator.binomial(3, 0.6, studies) * (generator.random(studies) < 0.4)
        difficulty = generator.beta(2, 1, studies)
        sides = []
        for _ in range(2):
            found = generator.binomial(true, difficulty)
            columns = [found, generator.poisson(0.15, studies), true - found]
            sides.append(np.column_stack(columns).astype(np.float64))
        result = paired_difference(*sides, f1, samples=samples, seed=seed, confidence=0.95)
        if result is not None:
            held.append(result.low <= 0 <= result.high)
            rejected.append(result.p < 0.05)
    return float(np.mean(held)), float(np.mean(rejected))


def clustered_coverage(*, repetitions: int, samples: int) -> tuple[float, float]:
    """100 patients with 1 to 9 studies, whose scores share the patient's: studies drawn, patients drawn."""
    generator = np.random.default_rng(0)
    held = []
    for seed in range(repetitions):
        patients = np.repeat(np.arange(100), generator.integers(1, 10, 100))
        scores = generator.normal(0.4, 0.1, 100)[patients] + generator.normal(0, 0.1, len(patients))
        rows = np.column_stack([scores, np.ones(len(scores))])
        for clusters in (None, patients.tolist()):
            found = bootstrap_interval(
                rows, mean_of_rows, samples=samples, confidence=0.95, seed=seed, clusters=clusters
            )
            assert found is not None
            held.append(found.low <= 0.4 <= found.high)
    return float(np.mean(held[::2])), float(np.mean(held[1::2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=1000)
    options = vars(parser.parse_args())
    print(f"{'studies':30}" + "".join(f"{studies:>8}" for studies in STUDIES))
    for name, (draw, statistic) in CASES.items():
        shares = [coverage(draw, statistic, studies, **options) for studies in STUDIES]
        print(f"{name:30}" + "".join(f"{share:8.1%}" for share in shares), flush=True)
    pairs = [difference_coverage(studies, **options) for studies in STUDIES]
    print(f"{'paired difference of F1':30}" + "".join(f"{share:8.1%}" for share, _ in pairs))
    print(f"{'  p < .05 for equal systems':30}" + "".join(f"{share:8.1%}" for _, share in pairs))
    print(
        "100 patients with 1 to 9 studies: drawing studies {:.1%}, patients {:.1%}".format(
            *clustered_coverage(**options)
        )
    )


if __name__ == "__main__":
    main()
