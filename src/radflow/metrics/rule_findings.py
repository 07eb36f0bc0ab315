"""What the rule labeler reads in both texts of a pair: their labels, and where sides and severities differ"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, LabelValue
from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology import Ontology
from radflow.metrics.declaration import Pair, Statistics, Vocabulary
from radflow.metrics.label_scores import label_statistics
from radflow.records import Mention

REMEMBERED_TEXTS = 4096
"""A reference is compared with the reports of several systems, and systems repeat each other."""

Words = Mapping[str, frozenset[str]]
"""By observation: what a text says of it."""


class RuleFindings:
    """Statistics of label metrics and of error rates, by rules."""

    def __init__(self, *, ontology: str = "chest-xray") -> None:
        self.labeler = RuleLabeler(ontology)
        self.columns = vocabulary_of(self.labeler.ontology).columns
        self._known = lru_cache(maxsize=REMEMBERED_TEXTS)(self._read)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [self._compare(self._known(pair.reference), self._known(pair.prediction)) for pair in pairs]

    def _compare(self, expected: _Read, written: _Read) -> Statistics:
        sides = _differences(expected.sides, written.sides)
        return {
            **label_statistics("rules-labels", expected.labels, written.labels, self.columns),
            "finding-details": (*sides, *_differences(expected.severities, written.severities)),
        }

    def _read(self, text: str) -> _Read:
        ontology, mentions = self.labeler.ontology, self.labeler.label(text)
        # a text that isn't there doesn't say No Finding
        labels = labels_of(mentions, ontology) if text.strip() else dict.fromkeys(ontology.columns)
        return _Read(labels, _sides(mentions), _severities(mentions))


class _Read(NamedTuple):
    """What a text says: the labels, and the sides and severities of what it asserts or leaves open."""

    labels: Mapping[str, LabelValue]
    sides: Words
    severities: Words


def vocabulary_of(ontology: Ontology) -> Vocabulary:
    """The names of an ontology; the 14 CheXpert classes in their published order, however it lists them."""
    columns = tuple(ontology.columns)
    is_chexpert = set(columns) == set(CHEXPERT_CLASSES)
    return Vocabulary(ontology.name, CHEXPERT_CLASSES if is_chexpert else columns, ontology.no_finding)


def _differences(expected: Words, written: Words) -> tuple[float, float]:
    """(2,) findings that differ, findings that both say it of."""
    both = expected.keys() & written.keys()
    return float(sum(expected[name] != written[name] for name in both)), float(len(both))


def _sides(mentions: Iterable[Mention]) -> Words:
    """A bilateral finding is one on the left and one on the right."""
    pairs = ((mention, mention.side) for mention in mentions)
    return _said(
        (mention.observation, side)
        for mention, said in pairs
        if said is not None and mention.assertion != "absent"
        for side in (("left", "right") if said == "bilateral" else (said,))
    )


def _severities(mentions: Iterable[Mention]) -> Words:
    return _said(
        (mention.observation, mention.severity)
        for mention in mentions
        if mention.severity is not None and mention.assertion != "absent"
    )


def _said(pairs: Iterable[tuple[str, str]]) -> Words:
    found: dict[str, frozenset[str]] = {}
    for observation, word in pairs:
        found[observation] = found.get(observation, frozenset()) | {word}
    return found
