"""Consistency by a language model, alone or where the rules are unsure; its failures are typed.

A failure is never a verdict: the caller gets the `JudgeFailure` in the verdict's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from radflow.clinical.consistency import NOT_APPLICABLE, LabelConsistency, has_both_sections
from radflow.clinical.judge import Judge, Result
from radflow.clinical.judge_questions import JudgeFailure, Question, consistency_question
from radflow.clinical.judge_verdicts import ConsistencyVerdict, Problem, find_verbatim
from radflow.privacy.scrub import Scrubbed
from radflow.records import Conflict, Consistency, Report

WINDOW = 2048
"""Reports held at once: between questions there may be any number that the rules decide."""

Verdict = Consistency | JudgeFailure


class JudgeConsistency:
    """Asks a judge whether Findings and Impression agree.

    Args:
        judge: the client; where its answers are kept is its own matter.
        rules: decide first; the judge is asked only about reports of whose verdict they are unsure
            (`consistency.Examination`). ``None``: it is asked about every report that has both sections.
    """

    def __init__(self, judge: Judge, *, rules: LabelConsistency | None = None) -> None:
        self._judge = judge
        self._rules = rules

    def check_all(self, reports: Iterable[tuple[str, Report]]) -> Iterator[Verdict]:
        """One verdict or failure for each (study id, report), in order and in flat memory.

        Raises:
            JudgeError: the judge can't be used at all. Answers so far are kept.
        """
        source = iter(reports)
        while window := list(islice(source, WINDOW)):
            known = [self._known(report) for _, report in window]
            asked = (
                _question(study_id, report)
                for (study_id, report), verdict in zip(window, known, strict=True)
                if verdict is None
            )
            answers = self._judge.ask_all(asked)
            for (_, report), verdict in zip(window, known, strict=True):
                yield self._verdict(next(answers), report) if verdict is None else verdict

    def _verdict(self, result: Result[ConsistencyVerdict], report: Report) -> Verdict:
        if isinstance(result, JudgeFailure):
            return result
        findings, impression = (
            self._judge.shown(section or "") for section in (report.findings, report.impression)
        )
        return Consistency(
            verdict=result.verdict.verdict,
            problems=tuple(_conflict(problem, findings, impression) for problem in result.verdict.problems),
            source=result.judge,
        )

    def _known(self, report: Report) -> Consistency | None:
        """The verdict that needs no judge, if there is one."""
        if not has_both_sections(report):
            return NOT_APPLICABLE
        if self._rules is None:
            return None
        examined = self._rules.examine(report)
        return examined.consistency if examined.is_sure else None


def _question(study_id: str, report: Report) -> Question[ConsistencyVerdict]:
    return consistency_question(study_id, findings=report.findings or "", impression=report.impression or "")


def _conflict(problem: Problem, findings: Scrubbed, impression: Scrubbed) -> Conflict:
    return Conflict(
        kind=problem.kind,
        label=problem.label,
        findings_span=_span(problem.findings_quote, findings),
        impression_span=_span(problem.impression_quote, impression),
    )


def _span(quote: str | None, section: Scrubbed) -> tuple[int, int] | None:
    """Where a quote stands in the section as it came; ``None`` where it can't be told, as a few letters grow
    when they are lowered."""
    if quote is None:
        return None
    span = find_verbatim(quote, section.text)
    if span is None and len(section.text.lower()) == len(section.text):
        span = find_verbatim(quote.lower(), section.text.lower())
    return None if span is None else section.span_before(*span)
