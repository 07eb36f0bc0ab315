"""What a report says as entities and relations, in the schema of RadGraph (v1 and XL)

Jain et al., NeurIPS Datasets 2021; Delbrouck et al., ACL Findings 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from radflow.errors import DataError

RelationKind = Literal["modify", "located_at", "suggestive_of"]
RELATION_KINDS: tuple[RelationKind, ...] = get_args(RelationKind)

GRAPH_LABELS: tuple[str, ...] = (
    "Observation::definitely present",
    "Observation::uncertain",
    "Observation::definitely absent",
    "Observation::measurement::definitely present",
    "Observation::measurement::uncertain",
    "Observation::measurement::definitely absent",
    "Anatomy::definitely present",
    "Anatomy::uncertain",
    "Anatomy::measurement::definitely present",
    "Anatomy::measurement::uncertain",
)

V1_LABELS: dict[str, str] = {
    "OBS-DP": "Observation::definitely present",
    "OBS-U": "Observation::uncertain",
    "OBS-DA": "Observation::definitely absent",
    "ANAT-DP": "Anatomy::definitely present",
}
"""The first model's names. One to one, so no F1 depends on which names are used."""


@dataclass(frozen=True, slots=True)
class GraphEntity:
    """A phrase that names an observation or a part of the body.

    Attributes:
        text: its tokens as they stand in the report, joined by spaces; case is kept, F1 depends on it.
        label: one of GRAPH_LABELS.
        start, end: its first and its last token, counted from 0; both belong to it, as in RadGraph.
    """

    text: str
    label: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.label not in GRAPH_LABELS:
            raise DataError(f"{self.label!r} is no entity label of RadGraph")
        if not 0 <= self.start <= self.end:
            raise DataError(f"an entity can't span the tokens {self.start} to {self.end}")


@dataclass(frozen=True, slots=True)
class GraphRelation:
    """A directed relation: ``source`` modifies, is located at, or suggests ``target``.

    Attributes:
        source, target: places of the two in the graph's entities.
    """

    kind: RelationKind
    source: int
    target: int

    def __post_init__(self) -> None:
        if self.kind not in RELATION_KINDS:
            raise DataError(f"{self.kind!r} is no relation of RadGraph")


@dataclass(frozen=True, slots=True)
class ReportGraph:
    """All entities of a report and the relations between them; both empty where it says nothing."""

    entities: tuple[GraphEntity, ...] = ()
    relations: tuple[GraphRelation, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.entities)
        for relation in self.relations:
            if not (0 <= relation.source < count and 0 <= relation.target < count):
                raise DataError(f"a relation points beyond the {count} entities of its graph")
