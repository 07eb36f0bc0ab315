"""Findings of a phantom's truth table that a text asserts, in that table's names, by the modality's own
reader"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.carotid_truth import OBSERVATIONS
from radflow.data.phantoms.chest_reader import read_findings
from radflow.records import Side, Study

Said = tuple[str, Side | None]
"""(observation, side)."""


def modality_of(study: Study) -> str:
    """What kind of phantom a study is, as its source says."""
    return str(study.metadata.get("modality", "chest"))


def said_findings(text: str, modality: str) -> Iterator[Said]:
    """What a text says is there, or may be; general words that no truth table holds ("plaque") are left
    out."""
    return READERS[modality](text)


def _chest(text: str) -> Iterator[Said]:
    for mention in read_findings(text):
        if mention.assertion != "absent":
            yield mention.observation, mention.side


def _carotid(text: str) -> Iterator[Said]:
    for mention in _carotid_labeler().label(text):
        if mention.assertion != "absent" and mention.observation in OBSERVATIONS:
            yield mention.observation, mention.side


@cache
def _carotid_labeler() -> RuleLabeler:
    return RuleLabeler("carotid-ultrasound")


READERS: Mapping[str, Callable[[str], Iterator[Said]]] = {"chest": _chest, "carotid": _carotid}
"""Modality of a phantom -> its reader."""
