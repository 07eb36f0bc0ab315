"""Phrases of an ontology as one token trie: all are found in one pass, the longest of a layer wins."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Literal, NamedTuple

from radflow.clinical.tokens import Tokens

MAX_VARIANTS = 2048
MAX_REMEMBERED_STEPS = 100_000

Kind = Literal[
    "observation",
    "exception",
    "structure",
    "state",
    "anatomy",
    "side",
    "severity",
    "change",
    "measure",
    "cue",
    "graph",
]


def expand(phrase: str) -> list[tuple[str, ...]]:
    """All word sequences that a phrase stands for.

    Notation: ``a|b`` either word, ``[a]`` a word that may be missing, ``a*`` any word that begins with a.
    Hyphens between words are left out, as the tokeniser does.

    Raises:
        ValueError: an empty phrase, capitals, a hyphen between words, or too many variants.
    """
    choices: list[tuple[str, ...]] = []
    variants = 1
    for part in phrase.split():
        optional = part.startswith("[") and part.endswith("]")
        words = (part[1:-1] if optional else part).split("|")
        for word in words:
            _check(word, phrase)
        choices.append(("", *words) if optional else tuple(words))
        variants *= len(choices[-1])
        if variants > MAX_VARIANTS:
            raise ValueError(f"the phrase {phrase!r} has more than {MAX_VARIANTS} variants")
    found = [tuple(word for word in words if word) for words in product(*choices)]
    if not found or () in found:
        raise ValueError(f"the phrase {phrase!r} may be empty: one word must always be there")
    return found


def _check(word: str, phrase: str) -> None:
    plain = word.removesuffix("*")
    if not plain or any(mark in plain for mark in "*[]"):
        raise ValueError(f"the phrase {phrase!r} holds an empty word, or *, [ or ] where they mean nothing")
    if plain != plain.lower():
        raise ValueError(f"the phrase {phrase!r} has capitals; text is compared in lower case")
    if len(plain) > 1 and "-" in plain:
        raise ValueError(f"the phrase {phrase!r} has a hyphen; write a space, as text is read without them")


class Meaning(NamedTuple):
    """What a phrase stands for: its kind, and its name within that kind ("cue", "negation_before")."""

    kind: Kind
    name: str


class Span(NamedTuple):
    """A phrase in a sentence: tokens ``first`` to ``last`` (exclusive); characters count from its start."""

    kind: Kind
    name: str
    first: int
    last: int
    start: int
    end: int


class _Node:
    """A place in the trie of phrase words."""

    __slots__ = ("meanings", "next")

    def __init__(self) -> None:
        self.next: dict[str, _Node] = {}
        self.meanings: dict[str, list[Meaning]] = {}


class _State:
    """All nodes that a run of words leads to; where the next word leads is worked out once and remembered."""

    __slots__ = ("meanings", "next", "nodes")

    def __init__(self, nodes: list[_Node]) -> None:
        self.nodes = nodes
        self.next: dict[str, _State | None] = {}
        joined: dict[str, list[Meaning]] = {}
        for node in nodes:
            for layer, meanings in node.meanings.items():
                known = joined.setdefault(layer, [])
                known += [meaning for meaning in meanings if meaning not in known]
        self.meanings = tuple(joined.items())


class PhraseTrie:
    """Finds phrases in token sequences.

    Within a layer matches don't overlap: the leftmost, and there the longest, wins. Layers are independent,
    so that "right lung" can be a side and a place at once.
    """

    def __init__(self, phrases: Iterable[tuple[str, str, Meaning]]) -> None:
        """``phrases``: (layer, phrase, meaning)."""
        root = _Node()
        prefixes: set[str] = set()
        for layer, phrase, meaning in phrases:
            for words in expand(phrase):
                node = root
                for word in words:
                    if word.endswith("*"):
                        prefixes.add(word)
                    node = node.next.setdefault(word, _Node())
                meanings = node.meanings.setdefault(layer, [])
                if meaning not in meanings:
                    meanings.append(meaning)
        self._prefixes = prefixes
        self._lengths = sorted({len(prefix) - 1 for prefix in prefixes})
        self._root = _State([root])
        self._remembered = 0

    def find(self, tokens: Tokens) -> dict[str, list[Span]]:
        """Spans by layer, in order; a phrase with several meanings gives several spans."""
        found: dict[str, list[Span]] = {}
        free_from: dict[str, int] = {}
        words, starts, ends = tokens
        root, count = self._root, len(words)
        known = root.next
        for first, word in enumerate(words):
            state = known[word] if word in known else self._step(root, word)
            if state is None:
                continue
            longest: dict[str, tuple[int, list[Meaning]]] = {}
            last = first + 1
            while True:
                for layer, meanings in state.meanings:
                    longest[layer] = (last, meanings)
                if last == count:
                    break
                word = words[last]
                state = state.next[word] if word in state.next else self._step(state, word)
                if state is None:
                    break
                last += 1
            for layer, (last, meanings) in longest.items():
                if free_from.get(layer, 0) <= first:
                    free_from[layer] = last
                    start, end = starts[first], ends[last - 1]
                    spans = found.setdefault(layer, [])
                    for kind, name in meanings:
                        spans.append(Span(kind, name, first, last, start, end))
        return found

    def _step(self, state: _State, word: str) -> _State | None:
        """The state after ``word``, worked out and remembered (bounded: reports hold any word)."""
        symbols = [word]
        for length in self._lengths:
            if length > len(word):
                break
            prefix = word[:length] + "*"
            if prefix in self._prefixes:
                symbols.append(prefix)
        nodes = [node.next[symbol] for node in state.nodes for symbol in symbols if symbol in node.next]
        following = _State(nodes) if nodes else None
        if self._remembered >= MAX_REMEMBERED_STEPS:
            self._root.next.clear()
            self._remembered = 0
        self._remembered += 1
        state.next[word] = following
        return following
