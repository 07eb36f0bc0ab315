"""Structures and the states that reports give them: "heart and mediastinum are normal", "enlarged heart"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from radflow.clinical.ontology import Ontology
from radflow.clinical.phrases import Span
from radflow.clinical.spans import NORMAL, SentenceSpans
from radflow.records import Assertion

_FILLING = frozenset(
    """is are was were be been appears appear appeared remains remain again now still size sized in silhouette
    shadow contour contours slightly mildly moderately markedly severely minimally grossly borderline overall
    significantly also and or to at the top normal upper limits of xxxx ___ definitely mild moderate diffusely
    mildly stably not isn't stable unchanged likely probably somewhat persistently , : has have may might
    could possibly considered with""".split()  # noqa: SIM905 (a list of words reads better)
)


class Term(NamedTuple):
    """A mention before its assertion: tokens ``first`` to ``last``; the cues reach it at ``anchor``.

    ``said`` is fixed by the words themselves: "present" for a name, "absent" for a normal state.
    ``unless_denied`` is that of the grade that a measured number got.
    """

    observation: str
    first: int
    last: int
    anchor: int
    said: Assertion
    state: Span | None = None
    rank: int | None = None
    unless_denied: tuple[str, ...] = ()


class StateReader:
    """Pairs structures with states, by an ontology's table of what each pair asserts or denies."""

    def __init__(self, ontology: Ontology) -> None:
        self._states = _state_table(ontology)
        self._filling = _FILLING.union(ontology.grammar.filling)

    def read(self, spans: SentenceSpans, taken: set[int]) -> Iterator[Term]:
        """Terms made of a structure and its state; each structure takes one state, the nearest that fits."""
        words = spans.tokens.words
        bound: set[tuple[int, str]] = set()
        previous_end = 0
        for state in _unique(spans.states):
            if state.first in taken:
                continue
            behind = [item for item in spans.structures if state.last <= item.first]
            before = [
                item for item in spans.structures if previous_end <= item.first and item.last <= state.first
            ]
            found = False
            for structure in before:
                if ";" in words[structure.last : state.first]:
                    continue
                is_last = structure is before[-1] or structure.first == before[-1].first
                for term in self._pair(structure, state, words, taken, is_last=is_last):
                    if (structure.first, term.observation) not in bound:
                        bound.add((structure.first, term.observation))
                        found = True
                        yield term
            if not found:
                for term in self._preceding(state, behind, words, taken):
                    if (structure_key := (term.last, term.observation)) not in bound:
                        bound.add(structure_key)
                        found = True
                        bound.update(
                            (item.first, term.observation) for item in behind if item.last == term.last
                        )
                        yield term
            if found:
                previous_end = state.last

    def _pair(
        self, structure: Span, state: Span, words: Sequence[str], taken: set[int], *, is_last: bool
    ) -> Iterator[Term]:
        """ "heart size is normal", "heart and mediastinum are enlarged": the state behind its structure."""
        for observation, said in self._states.get((structure.name, state.name), ()):
            between = words[structure.last : state.first]
            if said == "present":
                odd = sum(word not in self._filling for word in between)
                if not is_last or odd or (state.last < len(words) and state.last in taken):
                    continue
            elif any(index in taken for index in range(structure.last, state.first)):
                continue
            yield Term(observation, structure.first, state.last, state.first, said, state)

    def _preceding(
        self, state: Span, behind: list[Span], words: Sequence[str], taken: set[int]
    ) -> Iterator[Term]:
        """ "normal heart size and mediastinal contours": the state before its structures."""
        position = state.last
        for structure in behind:
            between = words[position : structure.first]
            is_next = position == state.last
            goes_on = between[:1] == [","] and not is_next
            if len(between) > (2 if is_next else 4):
                return
            if between and between[0] in {";", ":", ","} and not goes_on:
                return
            if any(index in taken for index in range(position, structure.first)):
                return
            if any(word in {"is", "are", "was", "were", "with", "but"} for word in between):
                return
            for observation, said in self._states.get((structure.name, state.name), ()):
                yield Term(observation, state.first, structure.last, state.first, said, state)
            position = structure.last


def _state_table(ontology: Ontology) -> dict[tuple[str, str], list[tuple[str, Assertion]]]:
    """(structure, state phrase) -> observations that it asserts or denies."""
    table: dict[tuple[str, str], list[tuple[str, Assertion]]] = {}
    for name, structure in ontology.structures.items():
        for state in structure.states:
            pairs: list[tuple[str, Assertion]] = [(phrase, "present") for phrase in state.present]
            pairs += [(phrase, "absent") for phrase in state.absent]
            if state.normal_is_absent:
                pairs.append((NORMAL, "absent"))
            for phrase, said in pairs:
                table.setdefault((name, phrase), []).append((state.observation, said))
    return table


def _unique(states: list[Span]) -> list[Span]:
    return sorted(set(states), key=lambda span: (span.first, span.last, span.name))
