"""Thresholds, detection, trends and their intervals against answers known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, somersd

from radflow.audit.statistics import (
    Drops,
    auc,
    auc_draws,
    bootstrap_weights,
    difference,
    exceeding,
    means,
    term_result,
    thresholds,
    trends,
)

ONE = np.ones((1, 1000))
VALUES = st.lists(st.integers(-5, 20).map(float), min_size=1, max_size=30)


def drops(values: list[float], *, counts: list[int] | None = None, reports: list[int] | None = None) -> Drops:
    size = len(values)
    return Drops(
        reports=np.array(range(size) if reports is None else reports, dtype=np.int64),
        counts=np.array([1] * size if counts is None else counts, dtype=np.int64),
        values=np.array(values, dtype=np.float64),
    )


def test_the_threshold_is_the_smallest_drop_that_few_enough_controls_exceed() -> None:
    controls = [drops([float(value) for value in range(100)])]
    assert thresholds(controls, ONE, 0.05)[0] == 94.0
    assert thresholds(controls, ONE, 0.0)[0] == 99.0
    assert thresholds([drops([0.0] * 96 + [1.0] * 4)], ONE, 0.05)[0] == 0.0


def test_kinds_of_controls_weigh_alike_however_many_variants_they_have() -> None:
    many, few = drops([0.0] * 900), drops([1.0, 0.0])
    assert thresholds([many, few], ONE, 0.2)[0] == 1.0  # a quarter of the weight exceeds 0
    assert thresholds([many, few], ONE, 0.25)[0] == 0.0


def test_without_a_control_there_is_no_threshold() -> None:
    with pytest.raises(ValueError, match="no control"):
        thresholds([drops([])], ONE, 0.05)


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES, st.sampled_from([0.0, 0.05, 0.3]))
def test_false_alarms_never_pass_the_rate_and_a_lower_threshold_would(
    one: list[float], other: list[float], rate: float
) -> None:
    controls = [drops(one), drops(other)]
    (limit,) = thresholds(controls, ONE, rate)

    def alarms(at: float) -> float:
        return float(np.mean([exceeding(some, ONE, np.array([at]))[0] for some in controls]))

    assert alarms(limit) <= rate + 1e-9
    lower = [value for value in (*one, *other) if value < limit]
    if lower:
        assert alarms(max(lower)) > rate


def test_detection_counts_what_lies_above_the_threshold_and_not_on_it() -> None:
    assert exceeding(drops([0.0, 0.5, 0.5, 2.0]), ONE, np.array([0.5]))[0] == 0.25


def test_draws_weigh_reports_with_all_their_variants() -> None:
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    some = drops([1.0, 1.0, 0.0], reports=[0, 0, 1])
    assert exceeding(some, weights, np.array([0.5] * 3)).tolist() == pytest.approx([2 / 3, 1.0, 0.0])
    assert means(some.reports, some.values, weights).tolist() == pytest.approx([2 / 3, 1.0, 0.0])


def test_weights_are_the_reports_once_and_then_draws_of_as_many() -> None:
    weights = bootstrap_weights(7, samples=50, seed=3)
    assert weights.shape == (51, 7)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == bootstrap_weights(7, samples=50, seed=3)).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0, 3.0], 1.0), ([3.0, 2.0, 1.0], 0.0), ([0.0, 0.0, 0.0], 0.0), ([-1.0, -2.0, -3.0], -1.0)],
)
def test_a_trend_is_1_where_each_error_costs_more(values: list[float], expected: float) -> None:
    _, found = trends(drops(values, counts=[1, 2, 3], reports=[0, 0, 0]))
    assert found.tolist() == pytest.approx([expected])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=3))
def test_a_trend_is_somers_d_of_the_drop_given_the_count(values: list[float]) -> None:
    assume(any(values))  # scipy calls it undefined where all drops are alike; here nothing is seen then: 0
    counts = list(range(1, len(values) + 1))
    _, found = trends(drops(values, counts=counts, reports=[0] * len(values)))
    assert found[0] == pytest.approx(somersd([0, *counts], [0.0, *values]).statistic)


def test_a_report_with_room_for_one_error_has_no_trend() -> None:
    places, _ = trends(drops([1.0, 1.0, 2.0], counts=[1, 1, 2], reports=[0, 1, 1]))
    assert places.tolist() == [1]


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_auc_is_mann_whitneys(errors: list[float], controls: list[float]) -> None:
    expected = mannwhitneyu(errors, controls).statistic / (len(errors) * len(controls))
    assert auc(np.array(errors), [drops(controls)]) == pytest.approx(expected)
    assert auc_draws(drops(errors), [drops(controls)], ONE)[0] == pytest.approx(expected)


def test_auc_weighs_kinds_of_controls_alike() -> None:
    controls = [drops([0.0] * 90), drops([2.0])]
    assert auc(np.array([1.0]), controls) == pytest.approx(0.5)
    assert auc_draws(drops([1.0]), controls, ONE)[0] == pytest.approx(0.5)


def test_a_term_that_sees_everything_and_one_that_sees_nothing() -> None:
    weights = bootstrap_weights(40, samples=200, seed=0)
    controls = drops([0.0] * 40)
    for value, share in ((1.0, 1.0), (0.0, 0.0)):
        result = term_result(
            {"error": drops([value] * 40), "order": controls}, ["order"], weights, rate=0.05, confidence=0.95
        )
        assert result is not None
        found = result.kinds["error"].detection[1]
        assert (found.value, found.low, found.high, found.studies) == (share, share, share, 40)
        assert result.false_alarms == 0.0


def test_an_interval_holds_its_share_and_narrows_with_more_reports() -> None:
    widths = []
    for size in (50, 800):
        weights = bootstrap_weights(size, samples=500, seed=1)
        errors = drops([float(place % 2) for place in range(size)])
        result = term_result(
            {"error": errors, "order": drops([0.0] * size)}, ["order"], weights, rate=0.05, confidence=0.95
        )
        assert result is not None
        found = result.kinds["error"].detection[1]
        assert found.low < 0.5 == found.value < found.high
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 50), rel=0.15)
    assert widths[1] < widths[0] / 3


def test_without_controls_a_term_has_no_result() -> None:
    weights = bootstrap_weights(1, samples=10, seed=0)
    assert term_result({"error": drops([1.0])}, ["order"], weights, rate=0.05, confidence=0.95) is None


def test_a_paired_difference_is_exact_where_both_see_the_same() -> None:
    weights = bootstrap_weights(30, samples=100, seed=0)
    errors = drops([float(place % 3) for place in range(30)])
    limits = np.zeros(101)
    same = difference((errors, limits), (errors, limits), weights, 0.95)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
