"""Read phantom reports back: text to mentions, sentence by sentence, with the writer's own vocabulary.

A sentence is cut into known words (longest match first). Negations and doubts hold forward until a breaker,
"cannot be excluded" and the like hold backward. Words of side, severity and place belong to the finding they
precede, or that they follow before the next connective. Unknown words are stepped over, so any text can be
read: repeated, truncated, shouted or empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from radflow.data.phantoms import chest_phrases as phrases
from radflow.data.phantoms.chest_truth import Side
from radflow.data.phantoms.chest_words import MORE_SIDE_WORDS, SIDE_WORDS, VOCABULARY

Assertion = Literal["present", "absent", "uncertain"]


@dataclass(frozen=True, slots=True)
class Mention:
    """What a text says about one observation; ``None`` where it doesn't say."""

    observation: str
    assertion: Assertion = "present"
    side: Side | None = None
    severity: str | None = None
    location: str | None = None


@dataclass(slots=True)
class _Item:
    """A finding word of a sentence while its attributes are gathered."""

    observation: str
    assertion: Assertion
    words: list[str] = field(default_factory=list)


def read_findings(text: str | None) -> frozenset[Mention]:
    """All mentions in a text; empty for an empty text. Contradictions appear as two mentions."""
    if not text:
        return frozenset()
    sentences = re.split(r"(?<!\d)\.|\.(?!\d)|[!?;\n]", text.lower())
    return frozenset(
        mention for sentence in sentences for mention in _read_sentence(" ".join(sentence.split()))
    )


def stated(mentions: Iterable[Mention], assertion: Assertion = "present") -> frozenset[Mention]:
    """The mentions with one assertion."""
    return frozenset(mention for mention in mentions if mention.assertion == assertion)


def _plural(term: str) -> str:
    if term.endswith("thorax"):
        return term[:-2] + "aces"
    if term.endswith("sis"):
        return term[:-2] + "es"
    return term[:-1] + "ies" if term.endswith("y") else term + "s"


def _vocabulary_roles() -> Iterator[tuple[str, tuple[str, str]]]:
    """(wording, (kind, value)) for everything the reader knows; later entries don't override earlier ones."""
    for wording in phrases.DENIALS:
        yield wording, ("denial", wording)
    for wording in phrases.SIDED_DENIALS:
        yield wording, ("sided_denial", wording)
    for kind, wordings in (
        ("neutral", phrases.NEUTRAL),
        ("after", phrases.UNCERTAIN_AFTER),
        ("absent_after", phrases.NEGATED_AFTER),
        ("uncertain", phrases.UNCERTAIN_BEFORE),
        ("absent", phrases.NEGATIONS),
        ("breaker", phrases.BREAKERS),
        ("connective", phrases.CONNECTIVES),
    ):
        yield from ((wording, (kind, wording)) for wording in wordings)
    for name, vocabulary in VOCABULARY.items():
        for term in vocabulary.terms:
            yield term, ("term", name)
            yield _plural(term), ("term", name)
        for table in (vocabulary.severity, vocabulary.adverbs, vocabulary.location):
            yield from ((word, ("word", word)) for words in table.values() for word in words)
    yield from ((word, ("word", word)) for word in _SIDES)


_SIDES: dict[str, Side] = {
    word: side  # type: ignore[misc]
    for table in (SIDE_WORDS, MORE_SIDE_WORDS)
    for side, words in table.items()
    for word in words
}
_SEVERITY = {
    name: {w: level for t in (v.severity, v.adverbs) for level, words in t.items() for w in words}
    for name, v in VOCABULARY.items()
}
_LOCATION = {
    name: {w: place for place, words in v.location.items() for w in words} for name, v in VOCABULARY.items()
}
_ROLES: dict[str, tuple[str, str]] = {}
for _wording, _role in _vocabulary_roles():
    _ROLES.setdefault(_wording, _role)
_LEXER = re.compile(
    "|".join(
        (r"(?<![\w-])" + re.escape(wording) + r"(?![\w-])") if wording != "," else ","
        for wording in sorted(_ROLES, key=len, reverse=True)
    )
)


@lru_cache(maxsize=65536)
def _read_sentence(sentence: str) -> tuple[Mention, ...]:
    denied: list[Mention] = []
    items: list[_Item] = []
    clause = 0  # first item of the clause
    behind: dict[int, tuple[int, Assertion]] = {}  # by clause, how far its last word that looks back reaches
    state: Assertion = "present"
    pending: list[str] = []
    current: _Item | None = None
    for match in _LEXER.finditer(sentence):
        kind, value = _ROLES[match.group()]
        match kind:
            case "term":
                current = _Item(value, state, pending)
                items.append(current)
                pending = []
            case "word":
                (pending if current is None else current.words).append(value)
            case "connective":
                current = None
            case "absent" | "uncertain":
                state, current = ("absent" if kind == "absent" else "uncertain"), None
            case "after" | "absent_after":
                behind[clause] = len(items), "uncertain" if kind == "after" else "absent"
            case "breaker":
                state, current, pending, clause = "present", None, [], len(items)
            case "denial":
                denied += [Mention(name, "absent") for name in phrases.DENIALS[value]]
                current = None
            case "sided_denial":
                side = _SIDES[phrases.SIDED_DENIALS[value][0]]
                denied += [Mention(name, "absent", side) for name in phrases.LUNGS]
                current = None
    for first, (last, said) in behind.items():
        for item in items[first:last]:
            item.assertion = said
    if items:
        items[-1].words += pending
    return (*denied, *_resolve(items))


def _resolve(items: list[_Item]) -> Iterator[Mention]:
    """Merge what a sentence says twice of one observation, and turn words into side, severity and place."""
    merged: dict[tuple[str, Assertion], list[str]] = {}
    for item in items:
        merged.setdefault((item.observation, item.assertion), []).extend(item.words)
    for (name, assertion), words in merged.items():
        side = next((_SIDES[word] for word in words if word in _SIDES), None)
        if side is None and assertion != "absent" and VOCABULARY[name].default_side == "bilateral":
            side = "bilateral"
        severity = next((_SEVERITY[name][word] for word in words if word in _SEVERITY[name]), None)
        location = next((_LOCATION[name][word] for word in words if word in _LOCATION[name]), None)
        yield Mention(name, assertion, side, severity, location)
