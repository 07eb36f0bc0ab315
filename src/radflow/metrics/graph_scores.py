"""F1 of report graphs at RadGraph's published levels, and as RadCliQ takes it in, with any graph reader"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from radflow.clinical.readers import open_graph_reader
from radflow.clinical.report_graph import ReportGraph
from radflow.metrics.declaration import Metric, Pair, Statistics, declared, read_by
from radflow.metrics.graph_f1 import entity_relation_f1, graph_f1
from radflow.metrics.remembered import Remembered
from radflow.metrics.sums import Mean

LEXICON = "lexicon-graph"


REMEMBERED = 4096
"""Texts: a reference is compared with the reports of several systems, and systems repeat each other."""


class GraphScores:
    """Statistics of one graph reader's metrics.

    Args:
        reader: a name of `readers.GRAPH_READERS`; its results carry that name.
        ontology: what the lexicon graph reads by.

    Raises:
        ModelError: its package or weights are missing.
    """

    def __init__(self, reader: str, *, ontology: str = "chest-xray") -> None:
        self.name = reader
        self.in_process = reader != LEXICON
        settings = {} if self.in_process else {"ontology": ontology}
        self.reader = open_graph_reader(reader, **settings)
        self._read = self.reader.read if self.in_process else Remembered(self.reader.read, size=REMEMBERED)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        texts = [pair.reference for pair in pairs] + [pair.prediction for pair in pairs]
        graphs = self._read(texts)
        return [
            self._compare(expected, written)
            for expected, written in zip(graphs[: len(pairs)], graphs[len(pairs) :], strict=True)
        ]

    def _compare(self, reference: ReportGraph, prediction: ReportGraph) -> Statistics:
        return {
            self.name: graph_f1(reference=reference, prediction=prediction),
            f"{self.name}-mean": (entity_relation_f1(reference=reference, prediction=prediction),),
        }


LEXICON_GRAPH = partial(GraphScores, LEXICON)
RADGRAPH = partial(GraphScores, "radgraph")
RADGRAPH_XL = partial(GraphScores, "radgraph-xl")
MODERN_RADGRAPH_XL = partial(GraphScores, "modern-radgraph-xl")

_LEVELS = {
    "simple": "entities match by text and label",
    "partial": "entities match by text, label and whether a relation starts at them",
    "complete": "entities match with their relations and their targets",
}


def _of_reader(reader: str, scorer: str, backend: str, package: str, cost: str) -> list[Metric]:
    make = partial(
        Metric,
        family="graph",
        inputs="entities and relations that the graph reader finds in either text",
        scorers=(f"radflow.metrics.graph_scores:{scorer}",),
        citation="Delbrouck et al., EMNLP Findings 2022; Jain et al., NeurIPS Datasets 2021",
        backend=backend,
        package=package,
        cost=cost,
        of=read_by if reader == LEXICON else None,
        symmetric=True,
    )
    names_none = "the best value, but 0, as published, for a text that names no entity"
    levels = [
        make(
            name=f"{reader}-{level}",
            title=f"{reader} {level}",
            meaning=f"Mean F1 of report graphs: {meaning}.",
            reads=(reader,),
            sums=Mean(place),
            identical=names_none,
        )
        for place, (level, meaning) in enumerate(_LEVELS.items())
    ]
    mean = make(
        name=f"{reader}-mean",
        title=f"{reader} mean",
        meaning="Mean of entity F1 and relation F1 over sets, as RadCliQ takes it in.",
        reads=(f"{reader}-mean",),
        sums=Mean(),
        identical="0.5, as published, for a text without relations, 0 for one without entities",
    )
    return [*levels, mean]


METRICS = declared(
    [
        *_of_reader(LEXICON, "LEXICON_GRAPH", "lexicon-graph (chest-xray)", "radflow", "2 ms"),
        *_of_reader("radgraph", "RADGRAPH", "RadGraph-1.0", "radgraph", "150 ms"),
        *_of_reader("radgraph-xl", "RADGRAPH_XL", "RadGraph-XL", "radgraph", "150 ms"),
        *_of_reader("modern-radgraph-xl", "MODERN_RADGRAPH_XL", "ModernRadGraph-XL", "radgraph", "150 ms"),
    ]
)
