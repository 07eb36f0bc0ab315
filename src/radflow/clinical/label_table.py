"""Mentions of a report -> one value per column: CheXpert's published aggregation, deviations declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology import Ontology
from radflow.records import Assertion, Mention

_VALUE: dict[Assertion, LabelValue] = {"present": 1, "uncertain": -1, "absent": 0}
_RANK: dict[LabelValue, int] = {1: 3, -1: 2, 0: 1, None: 0}


class RuleLabels:
    """The rule expert model behind the interface of `readers.Labeler`.

    Args:
        ontology: a shipped one by name, or the path of your own .yaml.
    """

    def __init__(self, ontology: str = "chest-xray") -> None:
        self._rules = RuleLabeler(ontology)

    def label(self, texts: Sequence[str]) -> list[dict[str, LabelValue]]:
        """The ontology's columns for each text; one that says nothing has only blank ones."""
        ontology = self._rules.ontology
        blank: dict[str, LabelValue] = dict.fromkeys(ontology.columns)
        return [
            labels_of(self._rules.label(text), ontology) if text.strip() else dict(blank) for text in texts
        ]


def aggregate(
    mentions: Iterable[tuple[str, Assertion]],
    ontology: Ontology,
    *,
    parents: bool = True,
    extras: bool = False,
) -> dict[str, LabelValue]:
    """One value per column of the ontology: 1 present, -1 uncertain, 0 absent, ``None`` not mentioned.

    Positive wins over uncertain, uncertain over negative. An observation that is present also sets its
    parents (`parents=False` leaves that out, as the published code does), and present or uncertain ones leave
    what they suggest uncertain. The No Finding column is 1 when nothing but devices and such is present or
    uncertain, else ``None``; a report without any mention is No Finding too, as published.

    Args:
        mentions: (observation, assertion) pairs.
        extras: add the observations that have no column, by their own name.
    """
    labels: dict[str, LabelValue] = dict.fromkeys(ontology.columns)
    if extras:
        labels |= dict.fromkeys(ontology.extras)
    nothing_found = True
    for name, assertion in mentions:
        item = ontology.observations[name]
        value = _VALUE[assertion]
        if value != 0 and item.suppresses_no_finding and not item.is_device:
            nothing_found = False
        column = item.column or (name if extras else None)
        if column is not None:
            _raise(labels, column, value)
        if value == 1 and parents:
            for parent in item.parents:
                _raise(labels, parent, 1)
        if value != 0:
            for suggested in item.suggests:
                _raise(labels, suggested, -1)
    if ontology.no_finding is not None:
        labels[ontology.no_finding] = 1 if nothing_found else None
    return labels


def labels_of(
    mentions: Iterable[Mention], ontology: Ontology, *, parents: bool = True, extras: bool = False
) -> dict[str, LabelValue]:
    """`aggregate` for mention records."""
    pairs = ((mention.observation, mention.assertion) for mention in mentions)
    return aggregate(pairs, ontology, parents=parents, extras=extras)


def _raise(labels: dict[str, LabelValue], column: str, value: LabelValue) -> None:
    if _RANK[value] > _RANK[labels[column]]:
        labels[column] = value
