"""The annotation JSON of the radgraph package, and of RadGraph's data sets, as `ReportGraph`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radflow.clinical.report_graph import V1_LABELS, GraphEntity, GraphRelation, ReportGraph
from radflow.errors import DataError, ModelError


def parse_annotation(annotation: Mapping[str, Any]) -> ReportGraph:
    """One report's annotation, ``{"entities": {"1": {...}, ...}}``, as a graph.

    An entity holds tokens, label, start_ix, end_ix (inclusive) and relations: pairs of a kind and the key of
    their target. The first model's names of labels are mapped.

    Raises:
        ModelError: another shape, or a label or relation that RadGraph's schema lacks.
    """
    try:
        entries: Mapping[str, Mapping[str, Any]] = annotation["entities"]
        place = {key: number for number, key in enumerate(entries)}
        entities = tuple(
            GraphEntity(
                text=str(entry["tokens"]),
                label=V1_LABELS.get(entry["label"], entry["label"]),
                start=int(entry["start_ix"]),
                end=int(entry["end_ix"]),
            )
            for entry in entries.values()
        )
        relations = tuple(
            GraphRelation(kind, place[key], place[target])
            for key, entry in entries.items()
            for kind, target in entry["relations"]
        )
        return ReportGraph(entities, relations)
    except DataError as error:
        raise ModelError(error.what, where="a RadGraph annotation") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # The message of these could quote the report.
        raise ModelError(
            f"this is no annotation as the radgraph package writes it ({type(error).__name__})",
            next_step="radflow reads the JSON of radgraph 0.1.x.",
        ) from None
