"""A report's text -> the names of what stands in it: one and two words, pieces of words, what rules read

Presence only: nothing is divided by a text's length, so that an Impression is read like a whole report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.label_table import RuleLabels
from radflow.clinical.labeler import bodies
from radflow.records import Record

Group = Literal["words", "characters", "rules", "sentence-vectors"]
GROUPS: tuple[Group, ...] = get_args(Group)
NEGATIONS = ("no", "not", "without", "denies", "negative", "free", "absent", "nor", "never")
"""English words that deny what follows them in a sentence."""
ENDS = frozenset(("but", "however", "although", "though", "except", "yet"))
"""Words behind which a denial doesn't reach; a stop, too."""
NOT = "no:"
PIECES = (3, 5)
"""Shortest and longest piece of a word, in letters."""

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[.;:!?\n]")
_STOPS = frozenset(".;:!?\n")


class TextSettings(Record):
    """How a text is read.

    Attributes:
        groups: which names it gives.
        negations: words that deny what follows, in the language of the reports.
        ontology: what the rules read with, for the group "rules".
    """

    groups: tuple[Group, ...] = ("words", "characters")
    negations: tuple[str, ...] = NEGATIONS
    ontology: str | None = None


class TextReader:
    """Texts -> the names of what stands in each. What it says of a text depends on that text alone."""

    def __init__(self, settings: TextSettings) -> None:
        self.settings = settings
        self._negations = frozenset(settings.negations)

    def __call__(self, texts: Sequence[str]) -> list[frozenset[str]]:
        """Names without order and number; none for a text that says nothing."""
        found = [set(self._names(text)) for text in texts]
        if "rules" in self.settings.groups:
            for names, labels in zip(found, self._rules.label(texts), strict=True):
                names.update(rule_names(labels))
        return [frozenset(names) for names in found]

    def _names(self, text: str) -> Iterator[str]:
        for start, end, _ in bodies(text):
            for sentence in self._sentences(text[start:end]):
                if "words" in self.settings.groups:
                    yield from sentence
                    yield from (f"{one} {other}" for one, other in pairwise(sentence))
                if "characters" in self.settings.groups:
                    for word in sentence:
                        yield from pieces(word)

    def _sentences(self, body: str) -> Iterator[list[str]]:
        """Lower-case words of each sentence, those that are denied marked; long numbers are left out.

        A number of more than three digits is an id or a year, not a grade.
        """
        words: list[str] = []
        is_denied = False
        for token in _TOKEN.findall(body.lower()):
            if token in _STOPS:
                yield words
                words, is_denied = [], False
                continue
            if token in ENDS:
                is_denied = False
            if not (token[0].isdigit() and len(token.split(".")[0]) > 3):
                words.append(f"{NOT}{token}" if is_denied else token)
            is_denied |= token in self._negations
        yield words

    @cached_property
    def _rules(self) -> RuleLabels:
        return RuleLabels(self.settings.ontology or "chest-xray")


def pieces(word: str) -> Iterator[str]:
    """Pieces of a word with its ends marked: <eff, effu, ... ; a denied word's pieces are others."""
    mark, plain = (NOT, word[len(NOT) :]) if word.startswith(NOT) else ("", word)
    closed = f"<{plain}>"
    for length in range(PIECES[0], PIECES[1] + 1):
        for start in range(len(closed) - length + 1):
            yield f"{mark}~{closed[start : start + length]}"


def rule_names(labels: Mapping[str, LabelValue]) -> Iterator[str]:
    """What the rule labeler says, as names."""
    return (f"rule:{name}={value}" for name, value in labels.items() if value is not None)
