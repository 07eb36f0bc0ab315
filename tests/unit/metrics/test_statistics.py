"""Bootstrap intervals: right width, right coverage, and the same as resampling the texts themselves."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from numpy.typing import NDArray

from radflow.metrics.lexical import CountedReference, bleu_from_counts, tokenize
from radflow.metrics.statistics import bootstrap_interval, expanded_tail, mean_of_rows, true_tail
from radflow.records import Interval

Matrix = NDArray[np.float64]


def interval_of_mean(
    values: Matrix, *, samples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    rows = np.column_stack([values, np.ones(len(values))])
    interval = bootstrap_interval(rows, mean_of_rows, samples=samples, confidence=confidence, seed=seed)
    assert interval is not None
    return interval


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_of_a_mean_is_the_normal_one(confidence: float) -> None:
    values = np.random.default_rng(1).normal(0.4, 0.1, 400)
    interval = interval_of_mean(values, samples=5000, confidence=confidence)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert interval.studies == 400


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    intervals = [interval_of_mean(generator.normal(0, 1, 60), seed=seed) for seed in range(200)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.88 <= covered <= 0.99


def test_reaggregated_counts_equal_resampled_texts() -> None:
    words = np.array(["no", "effusion", "heart", "size", "normal"])
    generator = np.random.default_rng(3)
    references = [" ".join(generator.choice(words, 8)) for _ in range(12)]
    predictions = [" ".join(generator.choice(words, 7)) for _ in range(12)]
    counts = [
        CountedReference(tokenize(a)).counts(tokenize(b))
        for a, b in zip(references, predictions, strict=True)
    ]
    naive: list[float] = []

    def score(sums: Matrix) -> Matrix:
        """BLEU-2 from the counts; columns in front say how often each study was drawn."""
        drawn, fast = sums[..., :12], bleu_from_counts(sums[..., 12:], order=2)
        if sums.ndim == 2:
            for times in drawn.astype(int):
                chosen = np.repeat(np.arange(12), times)
                assert len(chosen) == 12
                texts = (
                    [[tokenize(references[i])] for i in chosen],
                    [tokenize(predictions[i]) for i in chosen],
                )
                naive.append(corpus_bleu(*texts, weights=(0.5, 0.5)))
            assert fast == pytest.approx(naive)
        return fast

    rows = np.column_stack([np.eye(12), np.array(counts, dtype=np.float64)])
    interval = bootstrap_interval(rows, score, samples=100, confidence=0.9, seed=0)
    assert interval is not None
    assert len(set(naive)) > 50
    tail = expanded_tail(0.05, 12)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(naive, [tail, 1 - tail])))


def test_no_studies_have_no_interval() -> None:
    assert bootstrap_interval(np.empty((0, 2)), mean_of_rows, samples=100, confidence=0.95, seed=0) is None


def test_undefined_statistic_has_no_interval() -> None:
    rows = np.zeros((5, 2))
    assert bootstrap_interval(rows, mean_of_rows, samples=100, confidence=0.95, seed=0) is None


def test_resamplings_where_the_statistic_is_undefined_are_left_out() -> None:
    rows = np.array([[0.7, 1.0], [0.0, 0.0], [0.0, 0.0]])
    interval = bootstrap_interval(rows, mean_of_rows, samples=200, confidence=0.95, seed=0)
    assert interval is not None
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.7, 0.7, 0.7))


def test_interval_depends_on_the_seed_and_on_nothing_else() -> None:
    values = np.random.default_rng(4).random(30)
    assert interval_of_mean(values, seed=1) == interval_of_mean(values, seed=1)
    assert interval_of_mean(values, seed=1) != interval_of_mean(values, seed=2)


@pytest.mark.parametrize("units", [5, 10, 20, 200])
@pytest.mark.parametrize("tail", [0.1, 0.05, 0.025, 0.005])
def test_tails_are_expanded_by_students_quantile(units: int, tail: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    quantile = stats.t.ppf(tail, units - 1) * np.sqrt(units / (units - 1))
    assert expanded_tail(tail, units) == pytest.approx(stats.norm.cdf(quantile), rel=0.1, abs=1e-4)
    assert true_tail(expanded_tail(tail, units), units) == pytest.approx(tail)


def test_tails_of_many_studies_and_of_one_stay_as_they_are() -> None:
    assert expanded_tail(0.025, 1) == true_tail(0.025, 1) == 0.025
    assert expanded_tail(0.025, 100_000) == pytest.approx(0.025, rel=1e-3)


def test_two_studies_have_a_tail_of_their_own() -> None:
    for tail in (0.1, 0.025):
        assert expanded_tail(tail, 2) < expanded_tail(tail, 3) < tail
        assert true_tail(tail, 2) > true_tail(tail, 3) > tail
    assert true_tail(expanded_tail(0.1, 2), 2) == pytest.approx(0.1)


def test_one_study_has_an_interval_without_width() -> None:
    alone = interval_of_mean(np.array([0.3]))
    assert (alone.value, alone.low, alone.high, alone.studies) == (0.3, 0.3, 0.3, 1)


def test_interval_of_few_studies_is_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).normal(0.4, 0.1, 10)
    interval = interval_of_mean(values, samples=20_000)
    half = stats.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.05)


def test_studies_of_a_patient_are_drawn_together() -> None:
    """Four copies of every study tell nothing new: by patient, the interval stays that of the 30."""
    values = np.random.default_rng(5).random(30)
    rows = np.column_stack([values, np.ones(30)])
    options = {"samples": 1000, "confidence": 0.95, "seed": 0}
    alone = bootstrap_interval(rows, mean_of_rows, **options)  # type: ignore[arg-type]
    patients = [f"p{number % 30}" for number in range(120)]
    copied = np.tile(rows, (4, 1))
    clustered = bootstrap_interval(copied, mean_of_rows, clusters=patients, **options)  # type: ignore[arg-type]
    naive = bootstrap_interval(copied, mean_of_rows, **options)  # type: ignore[arg-type]
    assert alone is not None
    assert clustered is not None
    assert naive is not None
    assert (clustered.value, clustered.low, clustered.high) == pytest.approx(
        (alone.value, alone.low, alone.high)
    )
    assert (clustered.studies, naive.studies) == (120, 120)
    assert naive.high - naive.low < 0.6 * (clustered.high - clustered.low)


def test_studies_without_a_patient_stand_alone() -> None:
    values = np.random.default_rng(6).random(20)
    rows = np.column_stack([values, np.ones(20)])
    options = {"samples": 200, "confidence": 0.95, "seed": 0}
    unknown: list[str | None] = [None] * 20
    assert bootstrap_interval(rows, mean_of_rows, clusters=unknown, **options) == bootstrap_interval(  # type: ignore[arg-type]
        rows,
        mean_of_rows,
        **options,  # type: ignore[arg-type]
    )


def test_studies_without_a_score_are_left_out_and_not_counted() -> None:
    rows = np.array([[0.2, 1], [np.nan, 1], [0.4, 1], [0.9, 1]])
    options = {"samples": 200, "confidence": 0.95, "seed": 0}
    found = bootstrap_interval(rows, mean_of_rows, **options)  # type: ignore[arg-type]
    assert found == bootstrap_interval(rows[[0, 2, 3]], mean_of_rows, **options)  # type: ignore[arg-type]
    assert found is not None
    assert found.studies == 3
