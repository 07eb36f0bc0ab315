"""Rates with Wilson intervals against published values, and Cohen's kappa."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.metrics.triage import agreement, triage_rates, wilson

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()))


def test_wilson_interval_of_newcombes_examples() -> None:
    """Newcombe, Stat Med 1998, table I, method 3."""
    for hits, of, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        rate = wilson(hits, of)
        assert (rate.low, rate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_rates_have_their_own_denominators() -> None:
    pairs = [(True, True)] * 3 + [(True, False)] * 1 + [(False, True)] * 2 + [(False, False)] * 10
    rates = triage_rates(pairs)
    assert (rates.precision.value, rates.recall.value) == (3 / 5, 3 / 4)
    assert rates.false_positive_rate[3:] == (2, 12)


def test_what_no_case_can_show_is_not_zero() -> None:
    rates = triage_rates([(False, False)])
    assert rates.precision.value is None
    assert rates.recall.value is None
    assert agreement([]).raw is None
    assert agreement([(True, True)] * 4).kappa is None


def test_kappa_of_a_worked_example() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: raw 0.7, chance 0.5, kappa 0.4."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert agreement(pairs) == (0.7, pytest.approx(0.4), 50)


@given(PAIRS)
def test_bounds(pairs: list[tuple[bool, bool]]) -> None:
    for rate in triage_rates(pairs):
        if rate.value is not None:
            assert 0 <= rate.low <= rate.value + 1e-12
            assert rate.value <= rate.high + 1e-12 <= 1 + 1e-12
    found = agreement(pairs)
    swapped = agreement([(two, one) for one, two in pairs])
    assert found.raw == swapped.raw
    if found.kappa is not None:
        assert -1 - 1e-9 <= found.kappa <= found.raw + 1e-9
        assert found.kappa == pytest.approx(swapped.kappa)
