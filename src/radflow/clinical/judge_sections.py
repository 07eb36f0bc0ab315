"""Findings and Impression of reports without headers, found by a judge, cut from the report itself.

The rule parser always goes first: only a report in which it finds neither section is sent. Where the judge
fails or copies inexactly, the rule parser's answer stays and the failure comes with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure, Question, sections_question
from radflow.clinical.judge_verdicts import SectionsVerdict, section_spans
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import missing_section
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
            yield study_id, with_sections(report, result.verdict), None
    for study_id, report in waiting:
        yield study_id, report, None


def needs_judge(report: Report) -> bool:
    """Whether the rule parser found neither section in a report that has text."""
    return report.findings is None and report.impression is None and bool(report.text.strip())


def with_sections(report: Report, verdict: SectionsVerdict) -> Report:
    """The report with the sections that the verdict names, cut from its own text."""
    spans = section_spans(verdict, report.text)
    if isinstance(spans, str):
        return report
    texts = {name: report.text[start:end] for name, (start, end) in spans.items()}
    found_by = {f"{name}_found_by": "judge" for name in texts}
    return report.model_copy(update={**texts, **found_by})


def split_studies(
    studies: Sequence[SourceStudy], judge: Judge, *, require: Literal["any", "findings", "impression", "both"]
) -> tuple[list[SourceStudy], list[LeftOut]]:
    """Studies with the sections that the judge found, and those that lack what `require` asks for even so."""
    kept: list[SourceStudy] = []
    left_out: list[LeftOut] = []
    reports = ((study.study_id, study.report) for study in studies)
    split = split_reports(reports, judge, label="sections")
    for study, (_, report, failure) in zip(studies, split, strict=True):
        lacking = missing_section(report, require)
        if lacking is None:
            kept.append(replace(study, report=report))
            continue
        detail = f"judge: {failure.kind}, {failure.message}" if failure else f"data.require: {require}"
        left_out.append(LeftOut(study_id=study.study_id, reason=lacking, detail=detail))
    return kept, left_out
