"""Does the Impression of a report follow from its Findings? Decided by rules on the mentions of both.

What may differ without being a disagreement is data: ``agreement:`` in the ontology (docs/consistency.md).
"""

from __future__ import annotations

from typing import NamedTuple

from radflow.clinical.consistency_rules import Comparison
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology import Ontology
from radflow.clinical.section_claims import Claims, Problem, read_claims
from radflow.records import Conflict, Consistency, Report

REMEMBERED_SECTIONS = 20_000
MAX_REMEMBERED_LENGTH = 4_000
"""Impressions repeat, and the candidates of one study share theirs: what a section says is remembered."""


class Examination(NamedTuple):
    """A verdict of the rules, and whether they are sure of it.

    They are unsure when a problem rests on something uncertain, on an inference or on a denial that is a
    summary ("no acute disease"), and when the Impression asserts what only an inference supports.
    """

    consistency: Consistency
    is_sure: bool


NOT_APPLICABLE = Consistency(verdict="not_applicable")


class LabelConsistency:
    """Compares the sections of reports with one ontology; what it says depends on the report alone.

    Args:
        ontology: a shipped one by name, the path of your own .yaml, or one that is loaded.
    """

    def __init__(self, ontology: str | Ontology = "chest-xray") -> None:
        self._labeler = RuleLabeler(ontology)
        self._comparison = Comparison(self._labeler.ontology)
        self._remembered: dict[str, Claims] = {}

    def __reduce__(self) -> tuple[type[LabelConsistency], tuple[Ontology]]:
        return type(self), (self._labeler.ontology,)

    def check(self, report: Report) -> Consistency:
        """The verdict on one report; never raises on any text."""
        return self.examine(report).consistency

    def examine(self, report: Report) -> Examination:
        """The verdict on one report, and whether the rules are sure of it."""
        if not has_both_sections(report):
            return Examination(NOT_APPLICABLE, is_sure=True)
        assert report.findings is not None
        assert report.impression is not None
        findings, impression = self._claims(report.findings), self._claims(report.impression)
        problems, is_sure = self._comparison.problems(findings, impression)
        verdict = Consistency(
            verdict="inconsistent" if problems else "consistent",
            problems=tuple(map(_conflict, problems)),
        )
        return Examination(verdict, is_sure)

    def _claims(self, text: str) -> Claims:
        known = self._remembered.get(text)
        if known is None:
            known = read_claims(text, self._labeler)
            if len(text) <= MAX_REMEMBERED_LENGTH:
                if len(self._remembered) >= REMEMBERED_SECTIONS:
                    del self._remembered[next(iter(self._remembered))]
                self._remembered[text] = known
        return known


def has_both_sections(report: Report) -> bool:
    """Whether there is anything to compare."""
    return all(section is not None and section.strip() for section in (report.findings, report.impression))


def _conflict(problem: Problem) -> Conflict:
    return Conflict(
        kind=problem.kind,
        label=problem.label,
        findings_span=problem.findings.span if problem.findings else None,
        impression_span=problem.impression.span if problem.impression else None,
    )
