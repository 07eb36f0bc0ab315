"""Intervals hold the truth as often as they say: simulations of the benchmark, with fewer repetitions."""

from __future__ import annotations

import pytest
from benchmarks.interval_coverage import CASES, clustered_coverage, coverage, difference_coverage

pytestmark = pytest.mark.slow
COUNTS = {"repetitions": 1000, "samples": 500}
"""A standard error of 0.7 %: the bounds below are three of them from what 2,000 repetitions gave."""


@pytest.mark.parametrize("name", CASES)
def test_95_percent_of_intervals_of_200_studies_hold_the_truth(name: str) -> None:
    draw, statistic = CASES[name]
    assert 0.92 <= coverage(draw, statistic, 200, **COUNTS) <= 0.97


def test_few_studies_have_wide_enough_intervals_of_means() -> None:
    draw, statistic = CASES["mean, normal scores"]
    assert 0.92 <= coverage(draw, statistic, 10, **COUNTS) <= 0.97


def test_differences_of_equal_systems_are_rarely_significant() -> None:
    held, rejected = difference_coverage(50, **COUNTS)
    assert 0.92 <= held <= 0.97
    assert 0.03 <= rejected <= 0.08


def test_studies_of_the_same_patients_need_patients_drawn() -> None:
    by_study, by_patient = clustered_coverage(**COUNTS)
    assert by_study < 0.8
    assert 0.92 <= by_patient <= 0.97
