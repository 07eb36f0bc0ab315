"""RadGraph F1 at its three published levels, on graphs from any reader

F1 = 2 |A and B| / (|A| + |B|) over *sets*, in [0, 1], higher is better, symmetric; 0 when either side has no
entity, so a report that names none scores 0 even against itself. As published (Delbrouck et al., EMNLP
Findings 2022), case counts, except at the complete level for entities that have relations.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from radflow.clinical.report_graph import ReportGraph


class GraphF1(NamedTuple):
    """The three levels of one pair; "partial" is the one that most papers report as RadGraph F1 (RG_ER)."""

    simple: float
    partial: float
    complete: float


def graph_f1(*, reference: ReportGraph, prediction: ReportGraph) -> GraphF1:
    """All three levels of one pair."""
    return GraphF1(
        simple_f1(reference=reference, prediction=prediction),
        partial_f1(reference=reference, prediction=prediction),
        complete_f1(reference=reference, prediction=prediction),
    )


def simple_f1(*, reference: ReportGraph, prediction: ReportGraph) -> float:
    """Entities match by text and label (RG_E)."""
    return _set_f1(_simple_items(reference), _simple_items(prediction))


def partial_f1(*, reference: ReportGraph, prediction: ReportGraph) -> float:
    """Entities match by text, label and whether any relation starts at them (RG_ER)."""
    return _set_f1(_partial_items(reference), _partial_items(prediction))


def complete_f1(*, reference: ReportGraph, prediction: ReportGraph) -> float:
    """An entity counts once per relation that starts at it, with kind and target's text (bar RG_ER)."""
    return _set_f1(_complete_items(reference), _complete_items(prediction))


def entity_relation_f1(*, reference: ReportGraph, prediction: ReportGraph) -> float:
    """Mean of the F1 of entities and the F1 of relations, in [0, 1]: RadCliQ's input (Yu et al. 2023).

    A relation is matched with the texts and labels of both of its ends. A report without relations gets 0.5
    against itself.
    """
    entities = _set_f1(_simple_items(reference), _simple_items(prediction))
    return (entities + _set_f1(_relation_items(reference), _relation_items(prediction))) / 2


def _relation_items(graph: ReportGraph) -> set[Hashable]:
    ends = [(entity.text, entity.label) for entity in graph.entities]
    return {(ends[relation.source], ends[relation.target], relation.kind) for relation in graph.relations}


def _simple_items(graph: ReportGraph) -> set[Hashable]:
    return {(entity.text, entity.label) for entity in graph.entities}


def _partial_items(graph: ReportGraph) -> set[Hashable]:
    sources = {relation.source for relation in graph.relations}
    return {(entity.text, entity.label, place in sources) for place, entity in enumerate(graph.entities)}


def _complete_items(graph: ReportGraph) -> set[Hashable]:
    sources = {relation.source for relation in graph.relations}
    alone = {
        (entity.text, entity.label) for place, entity in enumerate(graph.entities) if place not in sources
    }
    related = {
        (
            graph.entities[relation.source].text.lower(),
            graph.entities[relation.source].label,
            relation.kind,
            graph.entities[relation.target].text.lower(),
        )
        for relation in graph.relations
    }
    return {*alone, *related}


def _set_f1(reference: set[Hashable], prediction: set[Hashable]) -> float:
    if not reference or not prediction:
        return 0.0
    return 2 * len(reference & prediction) / (len(reference) + len(prediction))
