"""What a phantom of each modality may have, and which of it a text asserts, by the modality's own reader"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.carotid_truth import OBSERVATIONS as CAROTID
from radflow.data.phantoms.chest_reader import read_findings
from radflow.data.phantoms.chest_truth import WEIGHTS as CHEST
from radflow.records import Side

Said = tuple[str, Side | None]
"""(observation, side)."""


class Truth(NamedTuple):
    """A modality's truth table.

    Attributes:
        observations: all that it can hold.
        said: what a text says is there, or may be, in the table's names; general words that no table holds
            ("plaque") are left out.
    """

    observations: tuple[str, ...]
    said: Callable[[str], Iterator[Said]]


def truth_of(columns: Collection[str]) -> Truth:
    """The truth table of the phantoms that an ontology with these columns is for."""
    return TRUTHS["chest" if set(CAROTID).isdisjoint(columns) else "carotid"]


def _chest(text: str) -> Iterator[Said]:
    for mention in read_findings(text):
        if mention.assertion != "absent":
            yield mention.observation, mention.side


def _carotid(text: str) -> Iterator[Said]:
    for mention in _carotid_labeler().label(text):
        if mention.assertion != "absent" and mention.observation in CAROTID:
            yield mention.observation, mention.side


@cache
def _carotid_labeler() -> RuleLabeler:
    return RuleLabeler("carotid-ultrasound")


TRUTHS: Mapping[str, Truth] = {"chest": Truth(tuple(CHEST), _chest), "carotid": Truth(CAROTID, _carotid)}
"""Modality of phantoms -> its truth table."""
