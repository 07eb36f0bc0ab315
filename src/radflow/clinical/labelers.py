"""Labelers by name: what reads the observations of a report."""

from __future__ import annotations

from typing import Protocol

from radflow.clinical.ontology import Ontology
from radflow.records import Mention, Report
from radflow.registry import resolve

LABELERS: dict[str, str] = {"rules": "radflow.clinical.labeler:RuleLabeler"}


class Labeler(Protocol):
    """Reads the mentions of a report; never raises on any text."""

    ontology: Ontology

    def label(self, report: Report | str | None) -> list[Mention]: ...


def load_labeler(name: str, ontology: str = "chest-xray") -> Labeler:
    """The labeler of this name with a shipped ontology or your own file.

    Raises:
        ConfigError: unknown labeler or ontology, or mistakes in the ontology's file.
    """
    labeler: Labeler = resolve("labeler", LABELERS, name)(ontology)
    return labeler
