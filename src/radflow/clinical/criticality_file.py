"""A file of reports -> a JSONL row of criticality for each, row by row in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from radflow.clinical.criticality import JudgeCriticality, RuleCriticality, levels_from
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure
from radflow.config import JudgeConfig
from radflow.data.report_files import count_reports, json_line, read_reports, require_suffix, whole_file
from radflow.data.sources.checks import id_text, is_empty
from radflow.data.tables import read_rows, require_columns
from radflow.errors import ConfigError, DataError
from radflow.records import Criticality, Report
from radflow.terminal import with_late_bar

_TRUE, _FALSE = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no"))


class CriticalityJudge(Protocol):
    """Whatever decides: verdicts or typed failures, in the order of the reports."""

    def decide_all(
        self, reports: Iterable[tuple[str, Report | str]], *, total: int | None = None
    ) -> Iterator[Criticality | JudgeFailure]: ...


def criticality_backend(
    name: str, *, ontology: str, level: str, judge: JudgeConfig, cache: Path
) -> tuple[CriticalityJudge, Judge | None]:
    """Who decides by this name, and the judge that it asks; ``None`` where it asks none.

    Args:
        level: the lowest that counts, for rules; see `levels_from`.

    Raises:
        ConfigError: unknown name, level or ontology.
    """
    if name == "rules":
        return RuleCriticality(ontology, levels=levels_from(level)), None
    if name == "judge":
        client = Judge(judge, cache=cache)
        return JudgeCriticality(client), client
    raise ConfigError(f"unknown backend {name!r}", next_step="Known: rules, judge.")


def decide_file(
    source: Path,
    out: Path,
    judge: CriticalityJudge,
    *,
    id_column: str = "id",
    report_column: str = "report",
) -> Iterator[tuple[str, bool | None]]:
    """Write a row for each report and yield its id and verdict; ``out`` is complete when this ends.

    A report that is missing, and one on which the judge failed, get ``null`` for a verdict: never false.

    Raises:
        DataError: unreadable input, unwritable output, or another kind of output file.
        JudgeError: the judge can't be used at all.
    """
    require_suffix(out, ".jsonl", what="verdicts", example="criticality.jsonl")
    columns = {"id_column": id_column, "report_column": report_column}
    reports = with_late_bar(
        read_reports(source, **columns), "criticality", total=lambda: count_reports(source, **columns)
    )
    with whole_file(out, source=source) as write:
        for row in _rows(reports, judge):
            write(json_line(row))
            yield row["id"], row["is_critical"]


def _rows(reports: Iterable[tuple[str, str | None]], judge: CriticalityJudge) -> Iterator[dict[str, Any]]:
    waiting: deque[tuple[str, bool]] = deque()

    def asked() -> Iterator[tuple[str, str]]:
        for report_id, text in reports:
            has_text = bool(text and text.strip())
            waiting.append((report_id, has_text))
            if has_text and text is not None:
                yield report_id, text

    for result in judge.decide_all(asked()):
        while not waiting[0][1]:
            yield _unknown(waiting.popleft()[0], "no report")
        waiting.popleft()
        if isinstance(result, JudgeFailure):
            yield _unknown(result.study_id, f"judge failed: {result.kind}, {result.message}")
        else:
            verdict = result.model_dump()
            yield {"id": verdict.pop("study_id"), **verdict}
    for report_id, _ in waiting:
        yield _unknown(report_id, "no report")


def _unknown(report_id: str, reason: str) -> dict[str, Any]:
    return {"id": report_id, "is_critical": None, "confidence": None, "reason": reason, "source": None}


def read_labels(path: Path, *, id_column: str = "id", column: str = "is_critical") -> dict[str, bool | None]:
    """Report id -> whether people call it critical; ``None`` where the cell is empty: nobody decided.

    Raises:
        DataError: unreadable file, missing column, repeated id, or a cell that is neither 1 nor 0, true nor
            false, yes nor no.
    """
    labels: dict[str, bool | None] = {}
    for number, row in read_rows(path, only=[id_column, column]):
        where = f"{path}, row {number}"
        require_columns(row, {id_column: "--id-column", column: "--against-column"}, where=where)
        report_id, cell = id_text(row[id_column]), row[column]
        if report_id is None or report_id in labels:
            raise DataError(
                "a label has no id" if report_id is None else f"the id {report_id!r} occurs a second time",
                where=where,
                next_step="Give every label the unique id of its report.",
            )
        if is_empty(cell):
            labels[report_id] = None
            continue
        word = str(cell).strip().lower()
        if word not in _TRUE | _FALSE:
            raise DataError(
                f"the cell in {column!r} says neither yes nor no",
                where=where,
                next_step="Write 1 or 0, true or false, yes or no; leave it empty where nobody decided.",
            )
        labels[report_id] = word in _TRUE
    return labels


class Compared(NamedTuple):
    """Verdicts beside labels.

    Attributes:
        pairs: (label, verdict) where there are both.
        unmatched: labels without a verdict.
        empty: labels that say nothing.
    """

    pairs: list[tuple[bool, bool]]
    unmatched: int
    empty: int


def compared(verdicts: Mapping[str, bool | None], labels: Mapping[str, bool | None]) -> Compared:
    """Verdicts of `decide_file` beside labels of `read_labels`, by id."""
    said = {report_id: label for report_id, label in labels.items() if label is not None}
    pairs = [
        (label, verdict)
        for report_id, label in said.items()
        if (verdict := verdicts.get(report_id)) is not None
    ]
    return Compared(pairs, unmatched=len(said) - len(pairs), empty=len(labels) - len(said))
