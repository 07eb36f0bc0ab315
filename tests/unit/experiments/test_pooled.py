"""A measure over seeds: the mean of what each seed alone would give, drawn as the seeds' studies demand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.experiments.measures import PriorShift, Sample
from radflow.experiments.pooled import Side, contrast, estimate
from radflow.metrics.paired import paired_difference, paired_permutation
from radflow.metrics.resampling import Matrix
from radflow.metrics.statistics import bootstrap_interval
from radflow.metrics.sums import CountRatio, Mean, f1

OPTIONS = Side(samples=2000, seed=0)
MEAN = Mean()
CORPUS = CountRatio(f1)


def sample(values: Matrix, *, names: str = "s", clusters: list[str] | None = None) -> Sample:
    """(studies,) values or (studies, columns) counts, under names of their own."""
    rows = np.stack([values, np.ones(len(values))], axis=1) if values.ndim == 1 else values
    ids = [f"{names}{number}" for number in range(len(rows))]
    return Sample(tuple((name, "digest") for name in ids), tuple(clusters or ids), rows.astype(np.float64))


def drawn(studies: int, *, seed: int, shift: float = 0.0) -> Matrix:
    return np.random.default_rng(seed).random(studies) + shift


def test_one_seed_alone_is_the_plain_bootstrap_and_permutation() -> None:
    first, second = sample(drawn(80, seed=1, shift=0.1)), sample(drawn(80, seed=2))
    alone = bootstrap_interval(first.rows, MEAN.aggregate, samples=2000, confidence=0.95, seed=0)
    ours = estimate({5: first}, MEAN, OPTIONS)
    assert alone is not None
    assert (ours.value, ours.low, ours.high) == pytest.approx((alone.value, alone.low, alone.high))
    found = contrast({5: first}, {5: second}, MEAN, OPTIONS)
    plain = paired_difference(first.rows, second.rows, MEAN.aggregate, samples=2000, confidence=0.95, seed=0)
    assert plain is not None
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))
    assert found.p == paired_permutation(first.rows, second.rows, MEAN.aggregate, samples=2000, seed=0)


def test_value_and_spread_are_those_of_the_seeds_values() -> None:
    """A ratio of sums: the mean over seeds is not the ratio of all studies together."""
    counts = {
        1: sample(np.array([[3, 0, 0], [1, 1, 1]]), names="a"),
        2: sample(np.array([[0, 4, 0], [1, 0, 2]]), names="b"),
    }
    found = estimate(counts, CORPUS, OPTIONS)
    assert found.per_seed == {1: pytest.approx(0.8), 2: pytest.approx(0.25)}
    assert found.value == pytest.approx(0.525)
    assert found.spread == pytest.approx(np.std([0.8, 0.25], ddof=1))
    assert found.studies == 4
    one = estimate({1: counts[1]}, CORPUS, OPTIONS)
    assert one.spread is None


def test_studies_of_different_seeds_are_drawn_apart() -> None:
    """Seeds whose studies are all alike within but differ between have an interval without width."""
    found = estimate({1: sample(np.zeros(50), names="a"), 2: sample(np.ones(50), names="b")}, MEAN, OPTIONS)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.spread == pytest.approx(0.7071, abs=1e-3)


def test_seeds_on_the_same_studies_do_not_count_as_more_studies() -> None:
    """Three models that write the same reports: the interval is that of one, not a narrower one."""
    values = drawn(100, seed=3)
    one = estimate({1: sample(values)}, MEAN, OPTIONS)
    three = estimate({seed: sample(values) for seed in (1, 2, 3)}, MEAN, OPTIONS)
    apart = estimate({seed: sample(values, names=f"{seed}-") for seed in (1, 2, 3)}, MEAN, OPTIONS)

    def width(found: object) -> float:
        return float(found.high - found.low)  # type: ignore[attr-defined]

    assert width(three) == pytest.approx(width(one), rel=0.02)
    assert width(apart) == pytest.approx(width(one) / 3**0.5, rel=0.15)


def test_patients_are_drawn_with_all_of_their_studies() -> None:
    values = np.repeat(drawn(20, seed=4), 5)
    patients = [f"p{number // 5}" for number in range(100)]
    by_study = estimate({1: sample(values)}, MEAN, OPTIONS)
    by_patient = estimate({1: sample(values, clusters=patients)}, MEAN, OPTIONS)
    assert by_patient.low is not None
    assert by_study.low is not None
    assert by_patient.low < by_study.low


def test_only_shared_cases_are_compared() -> None:
    """A study that one arm lacks, and one whose reference differs, are in no difference."""
    first = sample(np.array([1.0, 0.0, 1.0, 1.0]))
    second = sample(np.array([0.0, 0.0, 1.0]))
    other = second._replace(studies=(second.studies[0], ("s1", "another digest"), second.studies[2]))
    found = contrast({1: first}, {1: other}, MEAN, OPTIONS)
    assert found.studies == 2
    assert found.value == pytest.approx(0.5)


def test_a_seed_in_which_a_value_is_undefined_is_shown_and_left_out() -> None:
    nothing = sample(np.zeros((3, 3)), names="b")
    found = estimate({1: sample(np.array([[1, 0, 0]] * 3), names="a"), 2: nothing}, CORPUS, OPTIONS)
    assert found.per_seed == {1: 1.0, 2: None}
    assert found.value == 1.0
    assert estimate({2: nothing}, CORPUS, OPTIONS).value is None
    assert contrast({2: nothing}, {2: nothing}, CORPUS, OPTIONS).p is None


@given(st.integers(0, 2**31 - 1), st.floats(0, 3))
def test_p_is_never_zero_and_the_same_both_ways(seed: int, shift: float) -> None:
    options = Side(samples=200)
    first = {s: sample(drawn(30, seed=seed + s, shift=shift), names=f"{s}-") for s in (1, 2)}
    second = {s: sample(drawn(30, seed=seed + 7 * s), names=f"{s}-") for s in (1, 2)}
    found, back = contrast(first, second, MEAN, options), contrast(second, first, MEAN, options)
    assert found.p is not None
    assert back.p is not None
    assert 0 < found.p <= 1
    assert found.p == pytest.approx(back.p)
    assert found.value == pytest.approx(-(back.value or 0))


def test_prior_shift_counts_how_common_labels_are_and_not_where() -> None:
    """Two labels, four studies: the same shares in other studies shift nothing; one label never said does."""
    expected = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    moved = expected[::-1]
    silent = expected * np.array([0, 1])
    ones = np.ones((4, 1))
    shift = PriorShift(2)
    assert shift(np.concatenate([expected, moved, ones], axis=1).sum(axis=0)) == 0
    assert shift(np.concatenate([expected, silent, ones], axis=1).sum(axis=0)) == pytest.approx(0.25)
