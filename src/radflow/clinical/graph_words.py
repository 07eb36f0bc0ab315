"""The words of a sentence that are entities of a report graph, by kind; measurements too

Nearly every content word of a report is an entity of its own in RadGraph's scheme. Which ones, and of what
kind, an ontology says in its ``graph:`` section; words of its other phrases that stand in no list follow
their section (anatomy, sides, severities, names of observations and of structures, states).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, cast

from radflow.clinical.ontology import ENTITY_LISTS, Ontology, Phrases
from radflow.clinical.phrases import Meaning, PhraseTrie, Span, expand
from radflow.clinical.spans import SentenceSpans, SpanReader
from radflow.clinical.tokens import Tokens

ItemKind = Literal["anatomy", "place", "aspect", "observation", "modifier", "measurement"]
_KINDS: dict[str, ItemKind] = {
    "anatomy": "anatomy",
    "places": "place",
    "aspects": "aspect",
    "observations": "observation",
    "modifiers": "modifier",
}
_DASHES = frozenset("-–—")
_RANGE = _DASHES | {"to", "x", "×", "*", "by", "/"}
_UNITLESS_REACH = 6
"""Words between a ratio's name and its number, as in `ontology.Measure`."""


class Item(NamedTuple):
    """A word or phrase that is an entity: tokens ``first`` to ``last`` (exclusive)."""

    kind: ItemKind
    first: int
    last: int


class Words(NamedTuple):
    """The entities of a sentence in order, and the phrases that relate them."""

    items: list[Item]
    suggests: list[Span]
    locators: list[Span]


class GraphLexicon:
    """Finds the entities' words of a sentence with one ontology."""

    def __init__(self, ontology: Ontology) -> None:
        self.reader = SpanReader(_with_graph_cues(ontology), _entries(ontology))
        ratios = [measure for measure in ontology.measures if measure.unit == "ratio"]
        self._ratios = PhraseTrie(
            ("ratio", phrase, Meaning("measure", "ratio")) for item in ratios for phrase in item.phrases
        )
        self._has_ratios = bool(ratios)

    def words(self, spans: SentenceSpans) -> Words:
        """Entities never overlap; a listed phrase wins over a word that only another section holds."""
        layers = spans.layers
        measured = list(self._measurements(spans.tokens, layers.get("unit", [])))
        taken = {index for item in measured for index in range(item.first, item.last)}
        items = list(measured)
        for layer in ("listed", "derived"):
            for span in layers.get(layer, []):
                place = range(span.first, span.last)
                if taken.isdisjoint(place):
                    taken.update(place)
                    if span.name in _KINDS:  # else it is ignored
                        items.append(Item(_KINDS[span.name], span.first, span.last))
        items.sort(key=lambda item: item.first)
        return Words(items, layers.get("suggests", []), layers.get("locator", []))

    def _measurements(self, tokens: Tokens, units: list[Span]) -> Iterator[Item]:
        """ "3 cm", "2.5 x 3 cm", "50-69 %", and the bare number of a ratio ("ICA/CCA ratio 3.2")."""
        words = tokens.words
        free_from = 0
        for unit in units:
            first = unit.first
            while first > free_from and (words[first - 1][0].isdigit() or _joins(words, first - 1)):
                first -= 1
            while first < unit.first and not words[first][0].isdigit():
                first += 1
            if first < unit.first:
                free_from = unit.last
                yield Item("measurement", first, unit.last)
        if not self._has_ratios:
            return
        followed = {unit.first for unit in units}
        for ratio in self._ratios.find(tokens).get("ratio", []):
            ends = range(ratio.last, min(len(words), ratio.last + _UNITLESS_REACH))
            number = next((index for index in ends if words[index][0].isdigit()), None)
            if number is not None and number + 1 not in followed and number >= free_from:
                yield Item("measurement", number, number + 1)
                free_from = number + 1


def _with_graph_cues(ontology: Ontology) -> Ontology:
    """The ontology with the cues that only graphs have."""
    added = {
        kind: (*getattr(ontology.cues, kind), *getattr(ontology.graph, kind))
        for kind in ("negation_before", "uncertain_before")
    }
    return ontology.model_copy(update={"cues": ontology.cues.model_copy(update=added)})


def _joins(words: list[str], index: int) -> bool:
    """Whether a word stands between two numbers of one measurement; a unit may precede it ("2 cm x 3 cm")."""
    return words[index] in _RANGE and index > 0 and words[index - 1][0].isdigit()


def _entries(ontology: Ontology) -> Iterator[tuple[str, str, Meaning]]:
    words = ontology.graph
    listed: set[tuple[str, ...]] = set()
    for name in ENTITY_LISTS:
        for phrase in cast(Phrases, getattr(words, name)):
            yield "listed", phrase, Meaning("graph", name)
            listed.update(expand(phrase))
    for layer, phrases in (("unit", words.units), ("suggests", words.suggests), ("locator", words.locators)):
        for phrase in phrases:
            yield layer, phrase, Meaning("graph", layer)
    known = {words[0] for words in listed if len(words) == 1}
    for word, name in _derived(ontology):
        if word not in known:
            known.add(word)
            yield "derived", word, Meaning("graph", name)


def _derived(ontology: Ontology) -> Iterator[tuple[str, str]]:
    """(word, list) of the words in an ontology's other phrases; the first list of a word counts."""
    sides = [phrase for phrases in ontology.sides.values() for phrase in phrases]
    yield from ((word, "places") for phrase in sides for word in _last(phrase))
    anatomy = [phrase for phrases in ontology.anatomy.values() for phrase in phrases]
    yield from ((word, "anatomy") for phrase in anatomy for word in _last(phrase))
    severities = [phrase for phrases in ontology.severities.values() for phrase in phrases]
    yield from ((word, "modifiers") for phrase in severities for word in _single(phrase))
    states = [
        phrase
        for structure in ontology.structures.values()
        for state in structure.states
        for phrase in (*state.present, *state.absent)
    ]
    yield from ((word, "observations") for phrase in states for word in _single(phrase))
    places = {word for phrase in anatomy for word in _last(phrase)}
    names = [phrase for item in ontology.observations.values() for phrase in item.phrases]
    yield from ((word, "observations") for phrase in names for word in _head(phrase, places))


def _parts(phrase: str) -> Iterable[list[str]]:
    """The alternatives at each position of a phrase, in order; one letter is no word."""
    for part in phrase.split():
        yield [word for word in part.strip("[]").split("|") if len(word) > 1]


def _last(phrase: str) -> list[str]:
    *_, last = _parts(phrase)
    return last


def _single(phrase: str) -> list[str]:
    first, *rest = _parts(phrase)
    return [] if rest else first


def _head(phrase: str, places: set[str]) -> list[str]:
    """The words of a name that are the finding: its last position that no part of the body can fill."""
    for words in reversed(list(_parts(phrase))):
        if words and places.isdisjoint(words):
            return words
    return []
