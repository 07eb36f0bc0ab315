"""Findings and Impression of reports without headers, found by a judge, cut from the report itself.

The rule parser always goes first: only a report in which it finds neither section is sent. Where the judge
fails or copies inexactly, the rule parser's answer stays and the failure comes with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure, Question, sections_question
from radflow.clinical.judge_verdicts import SectionsVerdict, section_spans
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import missing_section
from radflow.privacy.scrub import Scrubbed
from radflow.records import LeftOut, Report


def split_reports(
    reports: Iterable[tuple[str, Report]], judge: Judge, *, label: str | None = None
) -> Iterator[tuple[str, Report, JudgeFailure | None]]:
    """Parsed reports with their ids, in order; those without Findings and Impression as the judge reads them.

    Args:
        reports: study id and the report as `parse_report` read it.
        label: what the progress bar says; ``None`` shows none.

    Raises:
        JudgeError: the judge can't be used at all.
    """
    waiting: deque[tuple[str, Report]] = deque()

    def asked() -> Iterator[Question[SectionsVerdict]]:
        for study_id, report in reports:
            waiting.append((study_id, report))
            if needs_judge(report):
                yield sections_question(study_id, text=report.text)

    for result in judge.ask_all(asked(), label=label):
        while not needs_judge(waiting[0][1]):
            yield (*waiting.popleft(), None)
        study_id, report = waiting.popleft()
        if isinstance(result, JudgeFailure):
            yield study_id, report, result
        else:
            yield study_id, with_sections(report, result.verdict, judge.shown(report.text)), None
    for study_id, report in waiting:
        yield study_id, report, None


def needs_judge(report: Report) -> bool:
    """Whether the rule parser found neither section in a report that has text."""
    return report.findings is None and report.impression is None and bool(report.text.strip())


def with_sections(report: Report, verdict: SectionsVerdict, shown: Scrubbed | None = None) -> Report:
    """The report with the sections that the verdict names, cut from its own text.

    Args:
        shown: its text as the judge saw it, if that was scrubbed.
    """
    shown = shown or Scrubbed(report.text)
    spans = section_spans(verdict, shown.text)
    if isinstance(spans, str):
        return report
    own = {name: shown.span_before(*span) for name, span in spans.items()}
    texts = {name: report.text[start:end] for name, (start, end) in own.items()}
    found_by = {f"{name}_found_by": "judge" for name in texts}
    return report.model_copy(update={**texts, **found_by})


class Answer(NamedTuple):
    """What became of one report that was sent: its sections, or why there are none."""

    report: Report | None
    failure: str | None = None


def ask_for_sections(rows: Iterable[SourceStudy | LeftOut], judge: Judge) -> dict[str, Answer]:
    """By id, the judge's reading of the studies' reports in which the rule parser found neither section.

    Only these reports are held.
    """
    asked = (
        (row.study_id, row.report) for row in rows if isinstance(row, SourceStudy) and needs_judge(row.report)
    )
    return {
        study_id: Answer(None if needs_judge(report) else report, _reason(failure))
        for study_id, report, failure in split_reports(asked, judge, label="sections")
    }


def _reason(failure: JudgeFailure | None) -> str | None:
    return None if failure is None else f"judge: {failure.kind}, {failure.message}"


def with_answers(
    rows: Iterable[SourceStudy | LeftOut],
    answers: Mapping[str, Answer],
    *,
    require: Literal["any", "findings", "impression", "both"],
) -> Iterator[SourceStudy | LeftOut]:
    """The rows with the sections that the judge found; left out is what lacks a required one even so."""
    for row in rows:
        answer = answers.get(row.study_id)
        if isinstance(row, LeftOut) or answer is None:
            yield row
            continue
        report = answer.report or row.report
        lacking = missing_section(report, require)
        if lacking is None:
            yield replace(row, report=report)
        else:
            detail = answer.failure or f"data.require: {require}"
            yield LeftOut(study_id=row.study_id, reason=lacking, detail=detail)
