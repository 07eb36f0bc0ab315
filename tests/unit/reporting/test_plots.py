"""Scales, charts and families: facts that a reader of a chart relies on."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.reporting.history import family_of, points_of, quantities, stratum_of
from radflow.reporting.names import in_order, metric_key, metric_name
from radflow.reporting.plots import WIDTH, Bars, Line, Mark, Row, histogram, interval_chart, line_chart
from radflow.reporting.scales import short, thinned, ticks

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


@given(numbers, numbers)
def test_ticks_enclose_the_data_evenly(first: float, second: float) -> None:
    low, high = sorted((first, second))
    found = ticks(low, high)
    assert 2 <= len(found) <= 12
    margin = 1e-6 * max(1, abs(low), abs(high))
    assert found[0] <= low + margin
    assert found[-1] >= high - margin
    steps = [b - a for a, b in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


@given(st.lists(st.tuples(st.integers(0, 10_000), numbers), min_size=1, max_size=700))
def test_thinning_keeps_order_ends_and_extremes(points: list[tuple[float, float]]) -> None:
    kept = thinned(points, limit=60)
    assert len(kept) <= 64
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    for pick in (min, max):
        assert pick(y for _, y in kept) == pick(y for _, y in points)
    remaining = iter(points)
    assert all(point in remaining for point in kept)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25382, "0.254"), (785, "785"), (1985792, "1,985,792"), (0.000012, "1.2e-05"), (0.5, "0.5")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def chart_of(figure: str) -> ElementTree.Element:
    """The drawing, parsed as XML: it must be well-formed."""
    return list(ElementTree.fromstring(figure).iter("svg"))[-1]


texts = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=30
)


@given(texts, st.lists(st.tuples(st.integers(0, 999), numbers), min_size=1, max_size=40))
def test_lines_stay_inside_the_drawing_and_text_is_escaped(
    name: str, points: list[tuple[float, float]]
) -> None:
    figure = line_chart(name, [Line(name, tuple(sorted(points)), 2), Line("none", (), 1)])
    svg = chart_of(figure)
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.get("cx") or -1) <= WIDTH
        assert 0 <= float(circle.get("cy") or -1) <= 220
    said = ["".join(title.itertext()) for title in svg.iter("title")]
    assert all(text.startswith(f"{name}, ") for text in said)


def test_an_interval_is_drawn_from_low_to_high_around_its_value() -> None:
    figure = interval_chart("x", [Row("a", (Mark("a", 1, 0.5, 0.4, 0.7),))], reference=0.0)
    found = re.search(r'class="whisker look1" d="M([\d.]+) [\d.]+H([\d.]+)', figure)
    assert found is not None
    low, high = float(found[1]), float(found[2])
    centre = float(re.findall(r'class="mark look1" cx="([\d.]+)"', figure)[0])
    zero = float(re.findall(r'class="reference" d="M([\d.]+)', figure)[0])
    assert zero < low < centre < high
    assert (centre - low) / (high - low) == pytest.approx(1 / 3, abs=0.01)
    assert "a: 0.500 [0.400, 0.700]" in figure


def test_bars_stack_to_their_counts() -> None:
    figure = histogram("x", [0, 1, 2], [Bars("low", (2, 0), 2), Bars("rest", (1, 4), 5)], x_label="score")
    heights = [
        float(bar.get("height") or 0)
        for bar in chart_of(figure).iter("rect")
        if bar.find("title") is not None
    ]
    assert [round(height / heights[1]) for height in heights] == [2, 1, 4]
    assert "low: 2 between 0 and 1" in figure


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("clip_ratio/critical", ("clip_ratio", "critical")),
        ("critical/kl", ("kl", "critical")),
        ("clip_fraction_normal", ("clip_fraction", "normal")),
        ("normal_reward", ("reward", "normal")),
        ("terms/language", ("terms/language", "all")),
        ("all/reward_language", ("reward_language", "all")),
        ("hardest/reward", ("reward, by choice", "hardest")),
        ("rewards/abnormality", ("rewards/abnormality", "all")),
    ],
)
def test_strata_are_read_from_keys(key: str, expected: tuple[str, str]) -> None:
    assert stratum_of(key) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip_ratio/region_mean", "clip"),
        ("clip_fraction", "clip"),
        ("terms/language", "terms"),
        ("reward_terms/impression", "terms"),
        ("reward", "reward"),
        ("reward, by choice", "reward"),
        ("reward_language", "terms"),
        ("applies_language", "other"),
        ("validation_label_f1", "validation"),
        ("kl", "divergence"),
        ("entropy", "divergence"),
        ("completions/clipped_ratio", "other"),
        ("grad_norm", "other"),
    ],
)
def test_families(name: str, expected: str) -> None:
    assert family_of(name) == expected


def test_rows_without_a_number_are_gaps_not_zeros() -> None:
    rows = [{"step": 1, "kl": 0.5}, {"step": 2}, {"step": 3, "kl": None}, {"step": 4, "kl": float("nan")}]
    assert points_of(rows, "kl") == ((1.0, 0.5),)
    assert quantities([{"step": 1, "kl/critical": None}]) == {}


def test_a_stated_all_counts_before_the_trainers_own_number() -> None:
    rows = [{"step": 1, "all/reward": 2.0, "reward": 9.0, "critical/reward": 1.0}]
    assert quantities(rows) == {"reward": {"critical": ((1.0, 1.0),), "all": ((1.0, 2.0),)}}


def test_metric_keys() -> None:
    assert metric_key("critical/report/truth-f1/pleural_effusion") == (
        True, "report", "truth-f1", "pleural_effusion"
    )  # fmt: skip
    assert metric_key("consistent") == (False, "", "consistent", None)
    assert metric_name("critical/impression/rules-label-f1") == "label F1, Impression"


def test_systems_have_an_order() -> None:
    systems = ["most frequent", "new", "sft (sampled)", "sft", "rft"]
    assert in_order(systems) == ["rft", "sft", "sft (sampled)", "most frequent", "new"]
