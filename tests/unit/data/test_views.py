"""Views are ranked by one rule, whoever asks and whatever words the data set has for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radflow.data.views import choose_views, view_rank

FRONTAL = ["PA", "AP", "AP AXIAL", "PA LLD", "frontal"]
VIEWS = [*FRONTAL, "", None, "LL", "RL", "XTABLE LATERAL", "lateral", "LAO"]
SOME = st.lists(st.sampled_from(VIEWS), max_size=8)


def test_the_order() -> None:
    classes = [["PA"], ["AP"], ["AP AXIAL", "PA LLD", "frontal"], ["", None]]
    classes += [["LL", "RL", "LATERAL", "lateral"], ["LAO", "SWIMMERS", "PAX"]]
    assert [{view_rank(view) for view in views} for views in classes] == [{n} for n in range(6)]


@given(SOME)
def test_all_views_are_kept_sorted_and_those_of_a_rank_in_their_order(views: list[str | None]) -> None:
    places = choose_views(range(len(views)), views.__getitem__, frontal_only=False)
    assert places == sorted(range(len(views)), key=lambda place: (view_rank(views[place]), place))


@given(SOME)
def test_frontal_only_never_keeps_what_is_known_to_be_otherwise(views: list[str | None]) -> None:
    kept = choose_views(views, lambda view: view, frontal_only=True)
    if any(view in FRONTAL for view in views):
        assert sorted(map(str, kept)) == sorted(str(view) for view in views if view in FRONTAL)
    else:
        assert kept == [view for view in views if not view]
