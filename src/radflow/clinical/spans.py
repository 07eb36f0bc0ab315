"""A sentence -> typed spans: observations, structures and their states, anatomy, modifiers, cues.

This is what the labeler's scope rules work on, and what a graph of entities and relations can be built from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from radflow.clinical.ontology import Cues, Ontology
from radflow.clinical.phrases import Kind, Meaning, PhraseTrie, Span
from radflow.clinical.tokens import MAX_SENTENCE_TOKENS, Tokens, tokens


@dataclass(frozen=True, slots=True)
class SentenceSpans:
    """The tokens of a sentence and what they mean, each list in order of position.

    ``openings`` are tokens at which a sentence begins without a stop before it: "No effusion Heart normal";
    ``layers`` holds the spans of all layers, those of a reader's own phrases too.
    """

    tokens: Tokens
    observations: list[Span]
    structures: list[Span]
    states: list[Span]
    anatomy: list[Span]
    sides: list[Span]
    severities: list[Span]
    changes: list[Span]
    measures: list[Span]
    cues: list[Span]
    clause_starts: list[Span]
    verbs: list[Span]
    seen: list[Span]
    openings: frozenset[int]
    layers: dict[str, list[Span]]


class SpanReader:
    """Reads sentences with the phrases of one ontology, all of them in one pass over the tokens.

    ``more``: further phrases as (layer, phrase, meaning), in layers of their own.
    """

    def __init__(self, ontology: Ontology, more: Iterable[tuple[str, str, Meaning]] = ()) -> None:
        self.ontology = ontology
        self._trie = PhraseTrie(chain(_phrases(ontology), more))
        self._capitals_open = ontology.capitals_open_sentences

    def read(self, sentence: str) -> Iterator[SentenceSpans]:
        """Typed spans of a sentence; one that is longer than any real one comes in pieces."""
        found = tokens(sentence)
        count = len(found.words)
        if count <= MAX_SENTENCE_TOKENS:
            yield self._spans(sentence, found)
            return
        for first in range(0, count, MAX_SENTENCE_TOKENS):
            part = found.part(first, first + MAX_SENTENCE_TOKENS)
            yield self._spans(sentence, part)

    def _spans(self, sentence: str, part: Tokens) -> SentenceSpans:
        layers = self._trie.find(part)
        terms = layers.get("term", [])
        cues = layers.get("cue", [])
        if cues and terms:  # "no flow" is a name of occlusion: its "no" denies nothing
            cues = [cue for cue in cues if not any(_names(term, cue) for term in terms)]
        return SentenceSpans(
            tokens=part,
            observations=[span for span in terms if span.kind == "observation"],
            structures=[span for span in terms if span.kind == "structure"],
            states=layers.get("state", []),
            anatomy=layers.get("anatomy", []),
            sides=layers.get("side", []),
            severities=layers.get("severity", []),
            changes=layers.get("change", []),
            measures=layers.get("measure", []),
            cues=cues,
            clause_starts=layers.get("clause_starts", []),
            verbs=layers.get("verbs", []),
            seen=layers.get("seen", []),
            openings=_openings(sentence, part, layers) if self._capitals_open else frozenset(),
            layers=layers,
        )


def _names(term: Span, cue: Span) -> bool:
    return term.kind == "observation" and term.first <= cue.first and cue.last <= term.last


_CAPITAL = re.compile(r"(?<=[a-z] )[A-Z](?=[a-z])")
_OPENING_LAYERS = ("term", "clause_starts", "cue", "severity", "change", "side")


def _openings(sentence: str, part: Tokens, layers: dict[str, list[Span]]) -> frozenset[int]:
    """Known words with a capital right behind a word without one, in a text that isn't in capitals."""
    if not part.starts:
        return frozenset()
    places = {match.start() for match in _CAPITAL.finditer(sentence, part.starts[0], part.ends[-1])}
    if not places:
        return frozenset()
    capitals = {number for number, start in enumerate(part.starts) if start in places}
    known = {span.first for layer in _OPENING_LAYERS for span in layers.get(layer, ())}
    return frozenset(capitals & known)


def _phrases(ontology: Ontology) -> Iterator[tuple[str, str, Meaning]]:
    """(layer, phrase, meaning): an exception shares the layer of what it keeps from being found."""
    for name, item in ontology.observations.items():
        for phrase in item.phrases:
            yield "term", phrase, Meaning("observation", name)
        for phrase in item.exceptions:
            yield "term", phrase, Meaning("exception", name)
    for name, structure in ontology.structures.items():
        for phrase in structure.phrases:
            yield "term", phrase, Meaning("structure", name)
        for state in structure.states:
            for phrase in (*state.present, *state.absent):
                yield "state", phrase, Meaning("state", phrase)
    for phrase in ontology.cues.normal:
        yield "state", phrase, Meaning("state", NORMAL)
    named: tuple[tuple[Kind, dict[str, tuple[str, ...]]], ...] = (
        ("anatomy", ontology.anatomy),
        ("side", {str(side): phrases for side, phrases in ontology.sides.items()}),
        ("severity", ontology.severities),
        ("change", {str(change): phrases for change, phrases in ontology.cues.changes.items()}),
    )
    for kind, table in named:
        for name, phrases in table.items():
            for phrase in phrases:
                yield kind, phrase, Meaning(kind, name)
    for number, measure in enumerate(ontology.measures):
        for phrase in measure.phrases:
            yield "measure", phrase, Meaning("measure", str(number))
    for kind_of_cue in _CUE_KINDS:
        for phrase in getattr(ontology.cues, kind_of_cue):
            layer = "cue" if kind_of_cue not in _WORD_KINDS else kind_of_cue
            yield layer, phrase, Meaning("cue", kind_of_cue)


NORMAL = "normal"
_CUE_KINDS = tuple(name for name in Cues.model_fields if name not in {"normal", "changes", "unlikely"})
_WORD_KINDS = frozenset({"verbs", "seen", "clause_starts"})
