"""Entities and relations of reports, by lexicon and rules: RadGraph's schema without RadGraph's model

Called lexicon-graph wherever it is named; docs/graph.md says how it reads and what it gives beside RadGraph.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from radflow.clinical.assertion import PRESENT, ScopeReader, joints_of
from radflow.clinical.graph_relations import relate
from radflow.clinical.graph_runs import Link, Run
from radflow.clinical.graph_words import GraphLexicon, Item
from radflow.clinical.labeler import MAX_REMEMBERED_LENGTH, REMEMBERED_SENTENCES, bodies
from radflow.clinical.ontology import Ontology
from radflow.clinical.ontology_file import load_ontology
from radflow.clinical.phrases import expand
from radflow.clinical.report_graph import GraphEntity, GraphRelation, ReportGraph
from radflow.clinical.spans import SentenceSpans
from radflow.clinical.text_batches import distinct_texts
from radflow.clinical.tokens import sentences, tokens
from radflow.records import Assertion

_SAID: dict[Assertion | None, str] = {
    "present": "definitely present",
    "absent": "definitely absent",
    "uncertain": "uncertain",
    None: "uncertain",  # a question or a history: named, but not seen
}
_ANATOMY = "Anatomy::definitely present"
_ANATOMY_MEASURE = "Anatomy::measurement::definitely present"


class _Entity(NamedTuple):
    """An entity of a sentence; characters count from the sentence's first."""

    text: str
    label: str
    start: int
    end: int


class _Piece(NamedTuple):
    """The graph of a sentence, relations by place."""

    entities: tuple[_Entity, ...]
    links: tuple[Link, ...]


class LexiconGraph:
    """Reads graphs with one ontology; what it says of a report depends on that report alone.

    Args:
        ontology: a shipped one by name, the path of your own .yaml, or one that is loaded.
    """

    def __init__(self, ontology: str | Ontology = "chest-xray") -> None:
        self.ontology = load_ontology(ontology) if isinstance(ontology, str) else ontology
        self._lexicon = GraphLexicon(self.ontology)
        self._denials = _single_words(self.ontology.cues.negation_before)
        self._abbreviations = frozenset(self.ontology.grammar.abbreviations)
        self._joints = joints_of(self.ontology.grammar)
        self._remembered: dict[str, _Piece] = {}

    def read(self, texts: Sequence[str]) -> list[ReportGraph]:
        """The graph of each text; an empty one where nothing is said. Never raises on any text.

        Sections that don't say what the image shows (indication, technique ...) are not read, as by the
        labeler; tokens are counted over the whole text, as `tokens` splits it.
        """
        distinct, places = distinct_texts(texts)
        graphs = [self._read(text) for text in distinct]
        return [graphs[place] for place in places]

    def _read(self, text: str) -> ReportGraph:
        entities: list[GraphEntity] = []
        relations: list[GraphRelation] = []
        starts = tokens(text).starts
        for begin, end, _ in bodies(text, self.ontology.headers):
            body = text[begin:end]
            for first, last in sentences(body, self._abbreviations):
                piece = self._piece(body[first:last])
                offset, before = begin + first, len(entities)
                for entity in piece.entities:
                    start = bisect_right(starts, offset + entity.start) - 1
                    stop = bisect_right(starts, offset + entity.end - 1, start) - 1
                    entities.append(GraphEntity(entity.text, entity.label, start, stop))
                for kind, source, target in piece.links:
                    relations.append(GraphRelation(kind, before + source, before + target))
        return ReportGraph(tuple(entities), tuple(relations))

    def _piece(self, sentence: str) -> _Piece:
        known = self._remembered.get(sentence)
        if known is None:
            known = self._read_sentence(sentence)
            if len(sentence) <= MAX_REMEMBERED_LENGTH:
                if len(self._remembered) >= REMEMBERED_SENTENCES:
                    del self._remembered[next(iter(self._remembered))]
                self._remembered[sentence] = known
        return known

    def _read_sentence(self, sentence: str) -> _Piece:
        entities: list[_Entity] = []
        links: list[Link] = []
        for spans in self._lexicon.reader.read(sentence):
            words = self._lexicon.words(spans)
            if not words.items:
                continue
            runs = relate(words, spans)
            offset = len(entities)
            labels = self._labels(words.items, runs, spans)
            entities += [_entity(*pair, sentence, spans) for pair in zip(words.items, labels, strict=True)]
            for run in runs:
                links += [(kind, offset + source, offset + target) for kind, source, target in run.links]
        return _Piece(tuple(entities), tuple(links))

    def _labels(self, items: list[Item], runs: list[Run], spans: SentenceSpans) -> list[str]:
        """What is said of each entity; modifiers follow the finding that they stand with."""
        labels = [_ANATOMY] * len(items)
        anatomy = set(_anatomy(items, runs))
        scopes = None
        if spans.cues:
            anchors = [item.first for place, item in enumerate(items) if place not in anatomy]
            scopes = ScopeReader(spans, anchors, self._joints)
        denied = self._denied(spans)
        for run in runs:
            for place in run.items:
                item = items[place]
                is_measure = item.kind == "measurement"
                if place in anatomy:
                    labels[place] = _ANATOMY_MEASURE if is_measure else _ANATOMY
                    continue
                head = item if run.observation is None else items[run.observation]
                said = (scopes.verdict(head.first) if scopes else PRESENT).assertion
                if item.first in denied:
                    said = "absent"
                labels[place] = f"Observation::{'measurement::' * is_measure}{_SAID[said]}"
        return labels

    def _denied(self, spans: SentenceSpans) -> set[int]:
        """Tokens behind the "no" of a phrase whose "no" is no cue: "no change in", "no flow"."""
        found: set[int] = set()
        neutral = (cue for cue in spans.cues if cue.name == "neutral")
        for span in (*neutral, *spans.observations):
            denied = False
            for index in range(span.first, span.last):
                if denied:
                    found.add(index)
                denied = denied or spans.tokens.words[index] in self._denials
        return found


def _anatomy(items: list[Item], runs: list[Run]) -> Iterator[int]:
    """Places of entities that name a part of the body, its properties and their measurements included."""
    for run in runs:
        modified = {
            source for kind, source, target in run.links if kind == "modify" and target == run.anatomy
        }
        for place in run.items:
            is_part = items[place].kind in ("anatomy", "place") or place in modified
            if is_part or place == run.anatomy:
                yield place


def _entity(item: Item, label: str, sentence: str, spans: SentenceSpans) -> _Entity:
    starts, ends = spans.tokens.starts, spans.tokens.ends
    text = " ".join(sentence[starts[index] : ends[index]] for index in range(item.first, item.last))
    return _Entity(text, label, starts[item.first], ends[item.last - 1])


def _single_words(phrases: tuple[str, ...]) -> frozenset[str]:
    return frozenset(words[0] for phrase in phrases for words in expand(phrase) if len(words) == 1)
