"""The words and sentences that errors and harmless changes are made of (bank.yaml), checked when read"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Annotated, Any, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from radflow.audit.texts import like

Pattern = Annotated[str, Field(min_length=1)]
Rules = tuple[tuple[Pattern, str], ...]


class Entry(BaseModel):
    """Frozen, and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(Entry):
    """Words that name one finding, sentences that assert and deny it, and sentences that make it up."""

    words: Pattern
    there: str
    not_there: str
    invent: tuple[str, ...]


class Swap(Entry):
    """Words and what they become: not in a sentence with ``unless``, only in one with ``near``."""

    unless: Pattern | None = None
    near: Pattern | None = None
    rules: Rules = ()


class Flips(Entry):
    """What turns a statement into its opposite, by what the sentence holds: a negation, "normal", neither."""

    negated: Rules
    normal: Rules
    asserted: Rules


class Bank(Entry):
    """bank.yaml.

    Attributes:
        mask: words that stand for something removed.
        negation, doubt, normal: words that make a sentence deny, doubt, or call something normal.
        not_counted: phrases with such a word that deny no finding.
        findings, side, severity, location, device_position, temporal, flips: what errors are made of.
        paraphrases: other ways to say the same.
        guards: classes of words that a harmless change must leave as they are.
    """

    mask: Pattern
    negation: Pattern
    doubt: Pattern
    normal: Pattern
    not_counted: Pattern
    findings: dict[str, Group]
    side: Swap
    severity: Swap
    location: Swap
    device_position: Swap
    temporal: Swap
    flips: Flips
    paraphrases: Rules
    guards: dict[str, Pattern]

    @model_validator(mode="after")
    def _every_finding_is_named_by_its_sentences(self) -> Self:
        for name, group in self.findings.items():
            for sentence in (group.there, group.not_there, *group.invent):
                if name not in self.named(sentence):
                    raise ValueError(f"findings.{name}: a sentence holds none of its words")
        return self

    def has(self, kind: str, text: str) -> bool:
        """Whether a word of ``mask``, ``negation``, ``doubt`` or ``normal`` stands in the text."""
        return whole_words(getattr(self, kind)).search(text) is not None

    def named(self, text: str) -> frozenset[str]:
        """The findings that the text names, asserted or denied."""
        return frozenset(name for name, words in self._words.items() if words.search(text))

    def guarded(self, text: str) -> Counter[str]:
        """How many words of each guarded class, and which numbers, a text holds."""
        found = Counter(re.findall(r"\d+(?:\.\d+)?", text))
        for name, pattern in self.guards.items():
            found[name] = sum(1 for _ in whole_words(pattern).finditer(text))
        return +found

    @cached_property
    def _words(self) -> dict[str, re.Pattern[str]]:
        return {name: whole_words(group.words) for name, group in self.findings.items()}


@lru_cache(maxsize=1024)
def whole_words(pattern: str) -> re.Pattern[str]:
    """A pattern that matches whole words, in any case."""
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


class Found(NamedTuple):
    """A place where a rule fits: ``text[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: str


def find_first(rules: Rules, text: str) -> Found | None:
    """The first place of the first rule that fits."""
    for pattern, new in rules:
        if match := _compiled(pattern).search(text):
            return _found(match, new)
    return None


def find_all(rules: Rules, text: str) -> list[Found]:
    """Every place where a rule fits; of rules for overlapping places the earlier one counts."""
    taken: list[Found] = []
    for pattern, new in rules:
        for match in _compiled(pattern).finditer(text):
            if all(match.end() <= other.start or other.end <= match.start() for other in taken):
                taken.append(_found(match, new))
    return sorted(taken)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of whole words; one that ends in white space has its boundary there."""
    boundary = "" if pattern.endswith((" ", " )?")) else r"(?![\w-])"
    return re.compile(rf"(?<![\w-])(?:{pattern}){boundary}", re.IGNORECASE)


def _found(match: re.Match[str], new: str) -> Found:
    text = match.expand(new) if "\\" in new else new
    if not text and not match.start():  # "No effusion": what follows opens the sentence
        return Found(0, match.end() + 1, match.string[match.end() : match.end() + 1].upper())
    return Found(match.start(), match.end(), like(text, match[0]))


@lru_cache(maxsize=1)
def load_bank() -> Bank:
    """The shipped bank."""
    text = files("radflow.audit").joinpath("bank.yaml").read_text(encoding="utf-8")
    data: Any = yaml.safe_load(text)
    return Bank.model_validate(data)
