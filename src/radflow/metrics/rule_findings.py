"""What the rule labeler reads in both texts of a pair: their labels, and where sides and severities differ"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.metrics.declaration import Pair, Statistics
from radflow.metrics.label_scores import label_statistics
from radflow.records import Mention

Words = Mapping[str, frozenset[str]]
"""By observation: what a text says of it."""


class RuleFindings:
    """Statistics of label metrics and of error rates, by rules."""

    def __init__(self) -> None:
        self.labeler = RuleLabeler("chest-xray")

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [self._compare(pair.reference, pair.prediction) for pair in pairs]

    def _compare(self, reference: str, prediction: str) -> Statistics:
        ontology = self.labeler.ontology
        expected, written = self.labeler.label(reference), self.labeler.label(prediction)
        blank = dict.fromkeys(ontology.columns)  # a text that isn't there doesn't say No Finding
        labels = labels_of(written, ontology) if prediction.strip() else blank
        return {
            **label_statistics("rules-labels", labels_of(expected, ontology), labels),
            "finding-details": finding_details(expected, written),
        }


def finding_details(reference: Iterable[Mention], prediction: Iterable[Mention]) -> tuple[float, ...]:
    """(4,) findings with another side, with a side in both, with another severity, with one in both.

    What is asserted or left open counts; a bilateral finding is one on the left and one on the right.
    """
    expected, written = list(reference), list(prediction)
    sides = _differences(_sides(expected), _sides(written))
    return (*sides, *_differences(_severities(expected), _severities(written)))


def _differences(expected: Words, written: Words) -> tuple[float, float]:
    both = expected.keys() & written.keys()
    return float(sum(expected[name] != written[name] for name in both)), float(len(both))


def _sides(mentions: Iterable[Mention]) -> Words:
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
