"""Paired comparisons: what scipy says on cases with known answers, and what holds for any two systems."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radflow.errors import DataError
from radflow.metrics.lexical import CountedReference, bleu_from_counts
from radflow.metrics.paired import (
    bootstrap_p,
    cohens_dz,
    format_p,
    holm,
    paired_difference,
    paired_permutation,
)
from radflow.metrics.statistics import mean_of_rows
from radflow.metrics.sums import f1
from radflow.records import Difference

Matrix = NDArray[np.float64]
BLEU_2 = partial(bleu_from_counts, order=2)


def mean_rows(values: Matrix) -> Matrix:
    return np.column_stack([values, np.ones(len(values))])


def difference(a: Matrix, b: Matrix, *, samples: int = 2000, seed: int = 0, **options: object) -> Difference:
    found = paired_difference(
        mean_rows(a),
        mean_rows(b),
        mean_of_rows,
        samples=samples,
        seed=seed,
        confidence=0.95,
        **options,  # type: ignore[arg-type]
    )
    assert found is not None
    return found


def permutation(a: Matrix, b: Matrix, *, samples: int = 5000) -> float:
    p = paired_permutation(mean_rows(a), mean_rows(b), mean_of_rows, samples=samples, seed=0)
    assert p is not None
    return p


def two_systems(studies: int, gain: float, *, seed: int = 0) -> tuple[Matrix, Matrix]:
    generator = np.random.default_rng(seed)
    shared = generator.normal(0.4, 0.2, studies)
    return shared + generator.normal(gain, 0.1, studies), shared + generator.normal(0, 0.1, studies)


def counts_of_two_systems(studies: int, *, seed: int = 0) -> tuple[Matrix, Matrix]:
    """(tp, fp, fn) of two systems of unlike skill."""
    generator = np.random.default_rng(seed)
    positives = generator.integers(0, 5, studies)
    systems = []
    for skill in (0.7, 0.4):
        found = generator.binomial(positives, skill)
        systems.append(np.column_stack([found, generator.integers(0, 3, studies), positives - found]))
    return systems[0].astype(float), systems[1].astype(float)


def test_difference_and_interval_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = two_systems(150, 0.02)
    ours = difference(a, b, samples=20_000)
    theirs = stats.bootstrap((a - b,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    width = ours.high - ours.low
    assert ours.value == pytest.approx((a - b).mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02 * width)
    assert ours.studies == 150


def test_interval_of_a_corpus_ratio_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = counts_of_two_systems(80)

    def statistic(*columns: Matrix, axis: int) -> Matrix:
        sums = np.stack([column.sum(axis=axis) for column in columns], axis=-1)
        return f1(sums[..., :3]) - f1(sums[..., 3:])

    columns = tuple(np.concatenate([a, b], axis=1).T)
    theirs = stats.bootstrap(
        columns, statistic, paired=True, n_resamples=20_000, method="percentile", rng=1, vectorized=True
    )
    ours = paired_difference(a, b, f1, samples=20_000, seed=0, confidence=0.95)
    assert ours is not None
    assert ours.value == pytest.approx(float(f1(a.sum(axis=0)) - f1(b.sum(axis=0))))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.005)


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.1])
def test_exact_p_is_that_of_scipy(gain: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = two_systems(10, gain)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", n_resamples=np.inf
    )
    assert permutation(a, b) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_exact_p_of_a_corpus_ratio_is_that_of_every_swap() -> None:
    a, b = counts_of_two_systems(8, seed=3)
    observed = abs(f1(a.sum(axis=0)) - f1(b.sum(axis=0)))
    far = 0
    for swap in range(2**8):
        is_swapped = np.array([swap >> place & 1 for place in range(8)], dtype=bool)[:, None]
        left, right = np.where(is_swapped, b, a), np.where(is_swapped, a, b)
        far += abs(f1(left.sum(axis=0)) - f1(right.sum(axis=0))) >= observed - 1e-12
    assert paired_permutation(a, b, f1, samples=5000, seed=0) == pytest.approx(far / 2**8)


def test_sampled_p_comes_near_the_exact_one() -> None:
    a, b = two_systems(14, 0.03, seed=5)
    exact, sampled = permutation(a, b, samples=2**14), permutation(a, b, samples=2**14 - 1)
    assert 0.02 < exact < 0.9
    assert sampled == pytest.approx(exact, abs=0.015)
    assert sampled != exact


def test_sampled_p_is_near_the_signed_rank_tests() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = two_systems(200, 0.02, seed=2)
    assert permutation(a, b, samples=20_000) == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)
    assert permutation(a, b, samples=20_000) == pytest.approx(stats.wilcoxon(a - b).pvalue, abs=0.05)


def test_bootstrap_p_and_interval_agree() -> None:
    for gain in np.linspace(-0.04, 0.04, 17):
        a, b = two_systems(100, float(gain), seed=7)
        found = difference(a, b)
        if not 0.045 < found.p < 0.055:
            assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_both_tests_reject_as_rarely_as_they_say() -> None:
    """400 pairs of equal systems: p below .05 in about 5 %."""
    found = []
    for seed in range(400):
        a, b = two_systems(60, 0, seed=seed)
        found.append((difference(a, b, samples=400).p < 0.05, permutation(a, b, samples=400) < 0.05))
    for rate in np.mean(found, axis=0):
        assert 0.02 <= rate <= 0.09


def test_a_system_beside_itself_differs_by_nothing() -> None:
    a, _ = counts_of_two_systems(40)
    found = paired_difference(a, a, f1, samples=200, seed=0, confidence=0.95)
    assert found == Difference(value=0, low=0, high=0, p=1, studies=40)
    assert paired_permutation(a, a, f1, samples=200, seed=0) == 1


def test_pairing_is_worth_its_studies() -> None:
    """Difficulty that both systems share drops out: unpaired, the interval would be far wider."""
    a, b = two_systems(200, 0.03)
    found = difference(a, b)
    unpaired = 2 * 1.96 * np.sqrt((a.var() + b.var()) / 200)
    assert found.high - found.low < 0.7 * unpaired


def test_swapping_the_systems_turns_the_sign_only() -> None:
    a, b = two_systems(50, 0.02)
    there, back = difference(a, b), difference(b, a)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert back.p == there.p
    assert permutation(a, b) == permutation(b, a)


def test_p_is_never_0() -> None:
    a, b = two_systems(300, 1.0)
    assert 2 / 1000 < difference(a, b, samples=999).p < 2.5 / 1000
    assert permutation(a, b, samples=999) == pytest.approx(1 / 1000)
    assert permutation(a[:9], b[:9]) == pytest.approx(2 / 2**9)


def test_studies_that_one_system_has_no_score_for_are_left_out_of_both() -> None:
    a, b = two_systems(60, 0.02)
    with_gaps = a.copy()
    with_gaps[[3, 20]] = np.nan
    keep = np.isfinite(with_gaps)
    patients = [str(number // 2) for number in range(60)]
    kept = [patient for patient, is_kept in zip(patients, keep, strict=True) if is_kept]
    assert difference(with_gaps, b) == difference(a[keep], b[keep])
    assert difference(with_gaps, b).studies == 58
    assert difference(with_gaps, b, clusters=patients) == difference(a[keep], b[keep], clusters=kept)
    assert permutation(with_gaps, b) == permutation(a[keep], b[keep])


def test_nothing_to_compare_is_none() -> None:
    for rows in (np.empty((0, 2)), np.zeros((5, 2)), np.full((3, 2), np.nan)):
        options = {"samples": 100, "seed": 0}
        assert paired_difference(rows, rows, mean_of_rows, confidence=0.95, **options) is None  # type: ignore[arg-type]
        assert paired_permutation(rows, rows, mean_of_rows, **options) is None  # type: ignore[arg-type]


def test_one_study_shows_a_difference_and_proves_none() -> None:
    alone = difference(np.array([0.9]), np.array([0.2]))
    assert (alone.value, alone.low, alone.high, alone.studies) == (*[pytest.approx(0.7)] * 3, 1)
    assert alone.p == 1
    assert permutation(np.array([0.9]), np.array([0.2])) == 1


def test_other_studies_on_both_sides_are_refused() -> None:
    with pytest.raises(DataError, match="same studies"):
        paired_difference(np.ones((3, 2)), np.ones((3, 1)), mean_of_rows, samples=10, seed=0, confidence=0.9)
    with pytest.raises(DataError, match="same studies"):
        paired_permutation(np.ones((3, 2)), np.ones((4, 2)), mean_of_rows, samples=10, seed=0)


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(DataError, match="infinite"):
        difference(np.array([np.inf, 1.0]), np.array([0.0, 1.0]))


def test_patients_with_several_studies_count_once() -> None:
    """Every study four times: the clustered results are those of the patients alone."""
    a, b = two_systems(30, 0.03)
    patients = [str(number % 30) for number in range(120)]
    fourfold, alone = (np.tile(a, 4), np.tile(b, 4)), difference(a, b)
    clustered, naive = difference(*fourfold, clusters=patients), difference(*fourfold)
    assert (clustered.low, clustered.high, clustered.p) == pytest.approx((alone.low, alone.high, alone.p))
    assert clustered.studies == 120
    assert naive.high - naive.low < 0.6 * (clustered.high - clustered.low)
    p = paired_permutation(
        mean_rows(fourfold[0]), mean_rows(fourfold[1]), mean_of_rows, samples=500, seed=0, clusters=patients
    )
    assert p == paired_permutation(mean_rows(a), mean_rows(b), mean_of_rows, samples=500, seed=0)


def test_corpus_bleu_of_better_reports_is_significantly_higher() -> None:
    words = np.array(["no", "effusion", "heart", "size", "normal", "lungs", "clear"])
    generator = np.random.default_rng(3)
    sides: list[Matrix] = []
    references = [list(generator.choice(words, 9)) for _ in range(60)]
    for kept in (0.8, 0.5):
        rows = []
        for reference in references:
            changed = np.where(generator.random(9) < kept, reference, generator.choice(words, 9))
            rows.append(CountedReference(reference).counts(changed))
        sides.append(np.array(rows, dtype=np.float64))
    found = paired_difference(*sides, BLEU_2, samples=1000, seed=0, confidence=0.95)
    assert found is not None
    assert found.low > 0
    p = paired_permutation(*sides, BLEU_2, samples=1000, seed=0)
    assert p is not None
    assert p < 0.01


def test_holm_on_the_textbook_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0.0001, 1), max_size=30))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, q in zip(p_values, corrected, strict=True):
        assert p <= q <= min(1, len(p_values) * p)
    ranked = [q for _, q in sorted(zip(p_values, corrected, strict=True))]
    assert ranked == sorted(ranked)


def test_effect_size_is_the_paired_t_over_the_root_of_n() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = two_systems(50, 0.05)
    assert cohens_dz(a, b) == pytest.approx(stats.ttest_rel(a, b).statistic / np.sqrt(50))
    assert cohens_dz(a, a) is None
    assert cohens_dz(a[:1], b[:1]) is None
    assert cohens_dz(np.array([1.0, 2.0]), np.zeros(2)) == pytest.approx(1.5 / np.sqrt(0.5))
    gap = np.full(1, np.nan)
    assert cohens_dz(np.append(a, gap), np.append(b, 1)) == pytest.approx(cohens_dz(a, b))
    assert cohens_dz(np.append(a, 1), np.append(b, gap)) == pytest.approx(cohens_dz(a, b))


@pytest.mark.parametrize(
    ("p", "shown"),
    [(1.0, "1.000"), (0.0496, ".050"), (0.001, ".001"), (0.00099, "< .001"), (1e-9, "< .001")],
)
def test_p_is_shown_with_three_digits_or_as_a_bound(p: float, shown: str) -> None:
    assert format_p(p) == shown


def test_undefined_resamplings_do_not_count_for_p() -> None:
    draws = np.array([0.1, 0.2, -0.1, 0.3] * 5)
    with_gaps = np.append(draws, np.full(40, np.nan))
    assert bootstrap_p(with_gaps, units=50) == bootstrap_p(draws, units=50) < 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_bootstrap_p_is_a_probability(draws: list[float]) -> None:
    for units in (1, 2, 5, 1000):
        assert 0 < bootstrap_p(np.array(draws), units=units) <= 1
