"""RadGraph F1: the three published levels by hand, and what must hold for any two graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.clinical.report_graph import (
    GRAPH_LABELS,
    RELATION_KINDS,
    V1_LABELS,
    GraphEntity,
    GraphRelation,
    ReportGraph,
)
from radflow.errors import DataError
from radflow.metrics.graph_f1 import complete_f1, graph_f1, partial_f1, simple_f1
from radflow.metrics.registry import GRAPH_METRICS
from radflow.registry import resolve

PRESENT, ABSENT = "Observation::definitely present", "Observation::definitely absent"
ANATOMY = "Anatomy::definitely present"
LEVELS = (simple_f1, partial_f1, complete_f1)
Level = Callable[..., float]


def graph(*entities: tuple[str, str], relations: tuple[tuple[str, int, int], ...] = ()) -> ReportGraph:
    return ReportGraph(
        tuple(GraphEntity(text, label, place, place) for place, (text, label) in enumerate(entities)),
        tuple(GraphRelation(kind, source, target) for kind, source, target in relations),  # type: ignore[arg-type]
    )


@st.composite
def graphs(draw: st.DrawFn) -> ReportGraph:
    entity = st.tuples(st.sampled_from(["edema", "Edema", "lung", "left"]), st.sampled_from(GRAPH_LABELS[:4]))
    entities = draw(st.lists(entity, max_size=6))
    if not entities:
        return ReportGraph()
    place = st.integers(0, len(entities) - 1)
    relations = draw(st.lists(st.tuples(st.sampled_from(RELATION_KINDS), place, place), max_size=6))
    return graph(*entities, relations=tuple(relations))


def test_the_levels_by_hand() -> None:
    """Three entities and two, of which two are shared; one of these has a relation on one side only."""
    reference = graph(
        ("opacity", PRESENT), ("left", ANATOMY), ("small", PRESENT), relations=(("located_at", 0, 1),)
    )
    prediction = graph(("opacity", PRESENT), ("left", ANATOMY))
    scores = graph_f1(reference=reference, prediction=prediction)
    assert scores.simple == pytest.approx(2 * 2 / (3 + 2))
    assert scores.partial == pytest.approx(2 * 1 / (3 + 2))
    assert scores.complete == pytest.approx(2 * 1 / (3 + 2))


def test_only_the_complete_level_sees_where_a_relation_leads() -> None:
    def located(where: str) -> ReportGraph:
        return graph(("opacity", PRESENT), (where, ANATOMY), relations=(("located_at", 0, 1),))

    scores = graph_f1(reference=located("left"), prediction=located("right"))
    assert scores == (0.5, 0.5, 0.0)


def test_the_complete_level_counts_an_entity_once_per_relation() -> None:
    nouns = (("opacity", PRESENT), ("left", ANATOMY), ("base", ANATOMY))
    reference = graph(*nouns, relations=(("located_at", 0, 1), ("located_at", 0, 2)))
    prediction = graph(*nouns, relations=(("located_at", 0, 1),))
    assert complete_f1(reference=reference, prediction=prediction) == pytest.approx(2 * 3 / (4 + 3))
    assert partial_f1(reference=reference, prediction=prediction) == 1.0


def test_a_relation_s_kind_counts_at_the_complete_level_alone() -> None:
    nouns = (("opacity", PRESENT), ("atelectasis", PRESENT))
    one = graph(*nouns, relations=(("suggestive_of", 0, 1),))
    other = graph(*nouns, relations=(("modify", 0, 1),))
    assert graph_f1(reference=one, prediction=other) == (1.0, 1.0, pytest.approx(0.5))


def test_repeated_entities_count_once() -> None:
    once, twice = graph(("tube", PRESENT)), graph(("tube", PRESENT), ("tube", PRESENT))
    assert graph_f1(reference=once, prediction=twice) == (1.0, 1.0, 1.0)


def test_absent_is_not_present() -> None:
    assert graph_f1(reference=graph(("edema", PRESENT)), prediction=graph(("edema", ABSENT))) == (0, 0, 0)


def test_case_counts_except_beside_a_relation_at_the_complete_level() -> None:
    def edema(text: str) -> ReportGraph:
        return graph((text, PRESENT), ("lung", ANATOMY), relations=(("located_at", 0, 1),))

    assert graph_f1(reference=edema("edema"), prediction=edema("Edema")) == (0.5, 0.5, 1.0)
    alone = graph_f1(reference=graph(("edema", PRESENT)), prediction=graph(("Edema", PRESENT)))
    assert alone == (0, 0, 0)


@given(one=graphs(), other=graphs())
def test_symmetric_bounded_and_zero_exactly_as_published(one: ReportGraph, other: ReportGraph) -> None:
    for level in LEVELS:
        score = level(reference=one, prediction=other)
        assert score == level(reference=other, prediction=one)
        assert 0 <= score <= 1
        if not one.entities or not other.entities:
            assert score == 0


@given(one=graphs())
def test_a_graph_against_itself_is_one_unless_it_is_empty(one: ReportGraph) -> None:
    assert graph_f1(reference=one, prediction=one) == ((1, 1, 1) if one.entities else (0, 0, 0))


@given(one=graphs(), other=graphs())
def test_no_level_is_above_the_simple_one_without_case(one: ReportGraph, other: ReportGraph) -> None:
    """Partial items are simple items with one mark more, so they can't agree on more of the entities."""
    if partial_f1(reference=one, prediction=other) == 1:
        assert simple_f1(reference=one, prediction=other) == 1


@given(one=graphs(), other=graphs())
def test_an_entity_that_nobody_has_lowers_every_level(one: ReportGraph, other: ReportGraph) -> None:
    size = len(other.entities)
    more = ReportGraph((*other.entities, GraphEntity("hernia", PRESENT, size, size)), other.relations)
    for level in LEVELS:
        before = level(reference=one, prediction=other)
        after = level(reference=one, prediction=more)
        assert after < before or before == after == 0


def test_names_of_the_first_model_map_one_to_one() -> None:
    assert len(set(V1_LABELS.values())) == len(V1_LABELS)
    assert set(V1_LABELS.values()) <= set(GRAPH_LABELS)


def test_a_graph_refuses_what_its_schema_lacks() -> None:
    with pytest.raises(DataError, match="no entity label"):
        GraphEntity("edema", "OBS-DP", 0, 0)
    with pytest.raises(DataError, match="no relation"):
        GraphRelation("near", 0, 1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="beyond the 1 entities"):
        graph(("edema", PRESENT), relations=(("modify", 0, 1),))
    with pytest.raises(DataError, match="3 to 2"):
        GraphEntity("edema", PRESENT, 3, 2)


@pytest.mark.parametrize(("name", "level"), list(zip(GRAPH_METRICS, LEVELS, strict=True)))
def test_the_registry_names_the_levels(name: str, level: Level) -> None:
    assert resolve("metric", GRAPH_METRICS, name) is level
