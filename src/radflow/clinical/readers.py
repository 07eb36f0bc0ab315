"""What reads reports: labelers give the 14 CheXpert labels, graph readers entities and relations, by name"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_labeler import FittedLabeler, is_folder
from radflow.clinical.report_graph import ReportGraph
from radflow.registry import resolve


class Labeler(Protocol):
    """Texts -> the 14 labels of each, in the order of the texts and of CHEXPERT_CLASSES."""

    def label(self, texts: Sequence[str]) -> list[dict[str, LabelValue]]: ...


class GraphReader(Protocol):
    """Texts -> the graph of each, in the order of the texts; a text that says nothing has an empty one."""

    def read(self, texts: Sequence[str]) -> list[ReportGraph]: ...


LABELERS = {
    "rules": "radflow.clinical.label_table:RuleLabels",
    "chexbert": "radflow.clinical.hub_chexbert:CheXbert",
}

GRAPH_READERS = {
    "lexicon-graph": "radflow.clinical.graph:LexiconGraph",
    "radgraph": "radflow.clinical.hub_radgraph:RADGRAPH",
    "radgraph-xl": "radflow.clinical.hub_radgraph:RADGRAPH_XL",
    "modern-radgraph-xl": "radflow.clinical.hub_radgraph:MODERN_RADGRAPH_XL",
}


def open_labeler(name: str, **settings: Any) -> Labeler:
    """The labeler of that name, or the fitted one in a folder (./ or / in front); settings are its own
    (rules: ontology; hub models: source, device, batch_size; fitted: none).

    Raises:
        ConfigError: unknown name.
        ModelError: its package or its weights are missing.
    """
    if is_folder(name):
        return FittedLabeler.load(name)
    return cast(Labeler, resolve("labeler", LABELERS, name)(**settings))


def open_graph_reader(name: str, **settings: Any) -> GraphReader:
    """The graph reader of that name, like `open_labeler` (lexicon-graph: ontology)."""
    return cast(GraphReader, resolve("graph reader", GRAPH_READERS, name)(**settings))
