"""Does the Impression follow from the Findings? By the labels that a fitted labeler gives to either section

For a domain without an ontology: sides and degrees are not looked at, and nothing is known to be critical.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.consistency import NOT_APPLICABLE, Examination, has_both_sections
from radflow.clinical.fitted_labeler import FittedLabeler
from radflow.records import Conflict, ConflictKind, Consistency, Report

SURE = 0.8
"""Probability of a label from which on it is relied upon."""


class FittedConsistency:
    """The interface of `LabelConsistency`; a problem has no spans, as labels have none.

    contradicted: present in one section, absent in the other. unsupported: present in the Impression, not
    mentioned in the Findings. A column that does not tell absent from not mentioned (people wrote 1 and 0)
    can only be unsupported.

    Raises:
        ModelError: no fitted labeler in the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._labeler = FittedLabeler.load(folder)
        self._tells_denials = {
            head.name: 0 in head.states and None in head.states for head in self._labeler.model.heads
        }

    def check(self, report: Report) -> Consistency:
        """The verdict on one report; never raises on any text."""
        return self.examine(report).consistency

    def examine(self, report: Report) -> Examination:
        """The verdict, and whether every label that decided it is sure."""
        if not has_both_sections(report):
            return Examination(NOT_APPLICABLE, is_sure=True)
        findings, impression = self._labeler.probabilities([report.findings or "", report.impression or ""])
        problems = []
        is_sure = True
        for name, tells in self._tells_denials.items():
            kind = problem_kind(_said(findings[name]), _said(impression[name]), tells_denials=tells)
            if kind is not None:
                problems.append(Conflict(kind=kind, label=name, findings_span=None, impression_span=None))
            if kind is not None or _said(impression[name]) == 1:
                is_sure &= min(max(findings[name].values()), max(impression[name].values())) >= SURE
        verdict = Consistency(
            verdict="inconsistent" if problems else "consistent", problems=tuple(problems), source="fitted"
        )
        return Examination(verdict, is_sure)


def problem_kind(findings: LabelValue, impression: LabelValue, *, tells_denials: bool) -> ConflictKind | None:
    """What is wrong with an Impression's label, given that of the Findings."""
    if impression == 1 and findings in (0, None):
        return "contradicted" if findings == 0 and tells_denials else "unsupported"
    if impression == 0 and findings == 1 and tells_denials:
        return "contradicted"
    return None


def _said(probabilities: Mapping[LabelValue, float]) -> LabelValue:
    return max(probabilities, key=lambda state: probabilities[state])
