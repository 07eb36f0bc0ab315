"""Kappa and AC1 with intervals: against another implementation, and what each is there for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.metrics.agreement import agreed, cohen_kappa, gwet_ac1
from radflow.metrics.triage import agreement

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "agreement.json").read_text())
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(len(case["pairs"])))
def test_both_and_their_intervals_are_irrcacs(case: dict[str, object]) -> None:
    """Recorded by tests/golden/record_agreement.py; the quantile of few cases is within 1 %."""
    pairs = [(pair[0], pair[1]) for pair in case["pairs"]]
    found = agreed(pairs, case["categories"])
    for mine, golden in ((found.kappa, case["kappa"]), (found.ac1, case["ac1"])):
        assert mine.value == pytest.approx(golden[0], abs=1e-7)
        assert [mine.low, mine.high] == pytest.approx(golden[1:], abs=2e-3)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_kappa_is_the_triage_tables_kappa(pairs: list[tuple[bool, bool]]) -> None:
    mine, other = cohen_kappa([(str(a), str(b)) for a, b in pairs]).value, agreement(pairs).kappa
    assert (mine is None) == (other is None)
    if mine is not None:
        assert mine == pytest.approx(other, abs=1e-9)


def test_rare_cases_bring_kappa_down_but_not_ac1() -> None:
    """Of 100 cases both call 96 normal and two each differ: raw .96, and kappa says worse than chance."""
    pairs = [("normal", "normal")] * 96 + [("critical", "normal")] * 2 + [("normal", "critical")] * 2
    found = agreed(pairs, ("critical", "normal"))
    assert found.raw == 0.96
    assert found.kappa.value == pytest.approx(-0.0204, abs=1e-4)
    assert found.ac1.value == pytest.approx(0.9584, abs=1e-4)


def test_unused_answers_make_agreement_worth_more() -> None:
    pairs = [("a", "a"), ("b", "b"), ("a", "b")]
    assert gwet_ac1(pairs, "abcd").value > gwet_ac1(pairs, "ab").value


def test_what_nothing_can_show_is_not_zero() -> None:
    assert agreed([], "ab").kappa.value is None
    assert cohen_kappa([("a", "a")] * 5).value is None
    assert gwet_ac1([("a", "a")] * 5, "ab") == (1.0, 1.0, 1.0)
    assert gwet_ac1([("a", "a")], "ab") == (1.0, None, None)


@given(PAIRS)
def test_bounds_and_symmetry(pairs: list[tuple[str, str]]) -> None:
    turned = agreed([(two, one) for one, two in pairs], "abc")
    found = agreed(pairs, "abc")
    for one, other in ((found.kappa, turned.kappa), (found.ac1, turned.ac1)):
        assert one.value == (None if other.value is None else pytest.approx(other.value, abs=1e-12))
        if one.value is not None and one.low is not None and one.high is not None:
            assert -1 <= one.low <= one.value + 1e-12
            assert one.value - 1e-12 <= one.high <= 1
