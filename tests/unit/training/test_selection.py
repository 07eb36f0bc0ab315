"""Target Exploration's choice: sizes, no study twice, the hardest are the lowest, every group stays."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.records import LeftOut, SelectedStudy
from radflow.training.selection import Selection, rarest_label_groups, select, share
from radflow.training.selection_facts import selection_facts

IDS = st.text("abcdefghij0123456789", min_size=1, max_size=4)
COMPOSITES = st.dictionaries(IDS, st.sampled_from([k / 8 for k in range(9)]), max_size=40)  # many ties
PERCENT = st.integers(0, 100).map(lambda percent: percent / 100)
FRACTION = st.integers(1, 100).map(lambda percent: percent / 100)
SELECTIONS = st.sampled_from(["hardest", "random", "all", "stratified"])
GROUPS = ("effusion", "edema", "normal")


def group_of(study: str) -> str:
    return GROUPS[sum(map(ord, study)) % 3]


def choose(
    composites: dict[str, float],
    selection: Selection = "hardest",
    fraction: float = 0.1,
    anchors: float = 0.0,
    seed: int = 0,
) -> list[SelectedStudy]:
    groups = {study: group_of(study) for study in composites}
    return select(composites, selection, fraction=fraction, anchor_fraction=anchors, seed=seed, groups=groups)


def ids(rows: list[SelectedStudy], *, anchors: bool = False) -> list[str]:
    return [row.study_id for row in rows if (row.chosen_as == "anchor") == anchors]


@given(COMPOSITES, SELECTIONS, FRACTION, PERCENT, st.integers(0, 3))
def test_no_study_is_chosen_twice_and_each_keeps_its_score(
    composites: dict[str, float], selection: Selection, fraction: float, anchors: float, seed: int
) -> None:
    rows = choose(composites, selection, fraction, anchors, seed)
    assert len({row.study_id for row in rows}) == len(rows)
    assert all(row.composite == composites[row.study_id] for row in rows)
    assert {row.chosen_as for row in rows} <= {selection, "anchor"}


@given(COMPOSITES, SELECTIONS, FRACTION, PERCENT, st.integers(0, 3), st.randoms())
def test_the_order_of_studies_does_not_matter(
    composites: dict[str, float], selection: Selection, fraction: float, anchors: float, seed: int, random
) -> None:
    items = list(composites.items())
    random.shuffle(items)
    assert choose(dict(items), selection, fraction, anchors, seed) == choose(
        composites, selection, fraction, anchors, seed
    )


@given(COMPOSITES, FRACTION, PERCENT)
def test_sizes(composites: dict[str, float], fraction: float, anchors: float) -> None:
    count = len(composites)
    wanted = ceil(Fraction(str(fraction)) * count)
    drawn = min(ceil(Fraction(str(anchors)) * count), count - wanted)
    for selection in ("hardest", "random"):
        rows = choose(composites, selection, fraction, anchors)
        assert len(ids(rows)) == wanted
        assert len(ids(rows, anchors=True)) == drawn
    assert len(choose(composites, "all", fraction, anchors)) == count


@given(COMPOSITES, FRACTION)
def test_the_hardest_are_the_lowest_and_ties_go_by_id(composites: dict[str, float], fraction: float) -> None:
    rows = choose(composites, "hardest", fraction)
    rest = set(composites) - set(ids(rows))
    keys = [(row.composite, row.study_id) for row in rows]
    assert keys == sorted(keys)
    assert all(keys[-1] < (composites[study], study) for study in rest)


@given(COMPOSITES, FRACTION)
def test_stratified_takes_the_hardest_of_every_group(composites: dict[str, float], fraction: float) -> None:
    chosen = set(ids(choose(composites, "stratified", fraction)))
    for group in GROUPS:
        members = {study: score for study, score in composites.items() if group_of(study) == group}
        assert chosen & members.keys() == set(ids(choose(members, "hardest", fraction)))
        assert not members or chosen & members.keys()


@given(COMPOSITES, FRACTION, PERCENT)
def test_anchors_leave_the_chosen_as_they_are(
    composites: dict[str, float], fraction: float, anchors: float
) -> None:
    for selection in ("hardest", "random", "stratified"):
        with_anchors = choose(composites, selection, fraction, anchors)
        assert ids(with_anchors) == ids(choose(composites, selection, fraction, 0.0))


def test_a_tenth_and_anchors_of_a_fifth_are_twice_as_many_anchors() -> None:
    rows = choose({f"s{k:03d}": k / 100 for k in range(100)}, "hardest", 0.1, 0.2)
    assert len(ids(rows)) == 10
    assert len(ids(rows, anchors=True)) == 20


def test_another_seed_draws_other_anchors() -> None:
    composites = {f"s{k:03d}": k / 100 for k in range(100)}
    draws = {tuple(ids(choose(composites, anchors=0.2, seed=seed), anchors=True)) for seed in range(5)}
    assert len(draws) == 5


@pytest.mark.parametrize(
    ("fraction", "count", "expected"), [(0.07, 100, 7), (0.1, 30, 3), (0.1, 31, 4), (1.0, 5, 5), (0.1, 0, 0)]
)
def test_shares_are_those_of_the_decimal_that_was_written(fraction: float, count: int, expected: int) -> None:
    assert share(fraction, count) == expected


def test_a_study_belongs_to_the_rarest_of_its_labels() -> None:
    labels = {
        "a": ["edema", "effusion"],
        "b": ["effusion"],
        "c": ["effusion", "edema"],
        "d": [],
        "e": ["rib", "edema"],
    }
    groups = rarest_label_groups(labels, without="none")
    assert groups == {"a": "effusion", "b": "effusion", "c": "effusion", "d": "none", "e": "rib"}


def test_facts_tell_what_the_selection_did_to_scores_and_labels() -> None:
    composites = {"a": 0.1, "b": 0.2, "c": 0.6, "d": 0.7}
    labels = {"a": ["edema"], "b": ["edema", "rib"], "c": ["rib"], "d": [], "x": ["edema"]}
    rows = choose(composites, "hardest", 0.5, 0.25)
    facts = selection_facts(composites, rows, labels, [LeftOut(study_id="x", reason="empty_reference")])
    groups = facts["groups"]
    assert facts["unscored"] == {"empty_reference": 1}
    assert groups["all"]["labels"] == {"edema": 2, "rib": 2}
    assert groups["hardest"] == {
        "studies": 2,
        "composite": {"mean": 0.15, "q05": 0.105, "q25": 0.125, "q50": 0.15, "q75": 0.175, "q95": 0.195},
        "labels": {"edema": 2, "rib": 1},
    }
    assert [groups[name]["studies"] for name in ("all", "anchor", "selected", "rest")] == [4, 1, 3, 1]
