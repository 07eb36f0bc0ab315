"""The composite of Target Exploration: BLEU-2, BERTScore and graph F1 of a report, and their weighted mean

Each component and the composite are in [0, 1], higher is better: how close a generated report is to its
reference. A component that can't be scored makes the composite ``None``, with the reason: never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from radflow.clinical.readers import GraphReader, open_graph_reader
from radflow.config import CompositeConfig
from radflow.data.sections import parse_report
from radflow.metrics.embedding import BERTScore
from radflow.metrics.encoders import LEXICAL, default_encoder
from radflow.metrics.lexical import WORD, rouge_l, sentence_bleu
from radflow.metrics.registry import GRAPH_METRICS
from radflow.metrics.report_parts import parts_of
from radflow.records import Report
from radflow.registry import resolve

LEXICON = "lexicon-graph"
DIGITS = 6
"""Scores are rounded: their last bits depend on threads and on which texts share a batch."""


class Composite(NamedTuple):
    """The scores of one pair; ``None`` for a component of weight 0, or one that can't be scored."""

    bleu_2: float | None
    bertscore: float | None
    graph_f1: float | None
    composite: float | None
    reason: str | None


@dataclass(frozen=True)
class Pair:
    """A generated report beside its reference."""

    study_id: str
    reference: Report
    prediction: str


@dataclass(frozen=True)
class PairChunk:
    """Some pairs that are scored together; goes by the id of its first."""

    pairs: tuple[Pair, ...]

    @property
    def study_id(self) -> str:
        return self.pairs[0].study_id


class CompositeScorer:
    """Scores chunks of pairs. Picklable: each process opens the encoder and the graph reader itself.

    Args:
        config: weights and backends.
        ontology: what the lexicon graph reads by.
        device: of encoder and graph model: auto, cpu, cuda.
        threads: CPU threads of the encoder; default: as many as torch uses.

    Raises:
        ConfigError, ModelError: unknown or missing backend.
    """

    def __init__(
        self,
        config: CompositeConfig,
        *,
        ontology: str = "chest-xray",
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.config = config
        self.ontology = ontology
        self.device = device
        self.encoder = default_encoder() if config.encoder == "auto" else config.encoder
        if config.bertscore and self.encoder != LEXICAL:
            # Each reference comes once, so none is remembered.
            self._embedding = BERTScore(
                self.encoder, layer=config.encoder_layer, device=device, threads=threads, remembered_mb=0
            )
        self._graph_metric = resolve("graph metric", GRAPH_METRICS, f"radgraph-{config.graph_level}")

    @property
    def scorers(self) -> dict[str, str]:
        """Component -> what it is scored by, those of weight 0 left out."""
        similarity = LEXICAL if self.encoder == LEXICAL else self._embedding_name()
        names = {
            "bleu_2": "bleu-2",
            "bertscore": similarity,
            "graph_f1": f"{self.config.graph_reader}-{self.config.graph_level}",
        }
        return {name: names[name] for name, weight in self._weights.items() if weight}

    def _embedding_name(self) -> str:
        return self._embedding.name if self.config.bertscore else ""

    @property
    def _weights(self) -> dict[str, float]:
        return {
            "bleu_2": self.config.bleu_2,
            "bertscore": self.config.bertscore,
            "graph_f1": self.config.graph_f1,
        }

    @cached_property
    def _reader(self) -> GraphReader:
        if self.config.graph_reader == LEXICON:
            return open_graph_reader(LEXICON, ontology=self.ontology)
        return open_graph_reader(self.config.graph_reader, device=self.device)

    def __call__(self, chunk: PairChunk) -> list[Composite]:
        """The scores of each pair, in order."""
        references = [compared_text(pair.reference) for pair in chunk.pairs]
        predictions = [compared_text(parse_report(pair.prediction)) for pair in chunk.pairs]
        bleu = self._bleu(references, predictions) if self.config.bleu_2 else _nothing(chunk)
        similarity = self._similarity(references, predictions) if self.config.bertscore else _nothing(chunk)
        graph = self._graph(references, predictions) if self.config.graph_f1 else _nothing(chunk)
        return [self._composite(*scores) for scores in zip(references, bleu, similarity, graph, strict=True)]

    def _bleu(self, references: Sequence[str], predictions: Sequence[str]) -> list[float | None]:
        return [
            sentence_bleu(reference=reference, prediction=prediction, order=2)
            for reference, prediction in zip(references, predictions, strict=True)
        ]

    def _similarity(self, references: Sequence[str], predictions: Sequence[str]) -> list[float | None]:
        if self.encoder == LEXICAL:
            pairs = zip(references, predictions, strict=True)
            return [rouge_l(reference=reference, prediction=prediction) for reference, prediction in pairs]
        scores = self._embedding.score(reference=references, prediction=predictions)
        return [None if score is None else score.f1 for score in scores]

    def _graph(self, references: Sequence[str], predictions: Sequence[str]) -> Iterator[float | None]:
        """Where the reference names no entity, published F1 is 0 whatever is written: it measures nothing."""
        graphs = self._reader.read([*references, *predictions])
        for reference, prediction in zip(graphs[: len(references)], graphs[len(references) :], strict=True):
            known = bool(reference.entities)
            yield self._graph_metric(reference=reference, prediction=prediction) if known else None

    def _composite(
        self, reference: str, bleu: float | None, similarity: float | None, graph: float | None
    ) -> Composite:
        scores = dict(zip(self._weights, (bleu, similarity, graph), strict=True))
        weights = {name: weight for name, weight in self._weights.items() if weight}
        if not WORD.search(reference):
            return Composite(None, None, None, None, "empty_reference")
        rounded = {name: None if value is None else round(value, DIGITS) for name, value in scores.items()}
        total = 0.0
        for name, weight in weights.items():
            value = rounded[name]
            if value is None:
                return Composite(**rounded, composite=None, reason=NOT_SCORED[name])
            total += weight * min(max(value, 0.0), 1.0)  # a rescaled BERTScore may be below 0
        return Composite(**rounded, composite=round(total / sum(weights.values()), DIGITS), reason=None)


NOT_SCORED = {
    "bleu_2": "empty_reference",
    "bertscore": "reference_without_words",
    "graph_f1": "reference_without_entities",
}
"""Why a component of a pair has no score."""


def compared_text(report: Report) -> str:
    """What is compared: the section bodies without headers, as in evaluation."""
    return parts_of(report)["report"]


def _nothing(chunk: PairChunk) -> list[float | None]:
    return [None] * len(chunk.pairs)
