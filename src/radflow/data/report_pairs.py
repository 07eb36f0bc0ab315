"""Two files of reports, references and predictions -> pairs matched by id, and a list of what had no match

Files in the same order are matched in flat memory: a report waits only until its other half is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from radflow.data.report_files import SECTION_COLUMNS, read_reports
from radflow.data.rexrank import Role, read_rexrank
from radflow.data.sections import parse_report, render_report
from radflow.data.sources.checks import field_text, id_text, is_empty
from radflow.data.tables import Row, read_rows, require_columns
from radflow.errors import DataError
from radflow.records import Finding, LeftOut, Report

ID_COLUMNS = ("study_id", "id")
PATIENT_COLUMNS = ("patient_id", "subject_id")
OF_ROLE: dict[Role, tuple[str, ...]] = {
    "reference": ("reference", "ground_truth", "target"),
    "prediction": ("prediction", "model_prediction", "generated", "hypothesis", "candidate"),
}
"""Columns that only one of the two files can have. A file that has the other's is refused as swapped."""
OF_EITHER = ("report", "text")


class Case(NamedTuple):
    """A study whose report somebody wrote anew.

    Attributes:
        systems: all that wrote exactly this; empty where it doesn't matter who.
        is_critical: whether the reference is a critical case, where that is decided; ``None`` where it isn't.
        truth: what a phantom has, whatever its reference says.
    """

    study_id: str
    patient_id: str | None
    reference: Report
    prediction: Report
    systems: tuple[str, ...] = ()
    is_critical: bool | None = None
    truth: tuple[Finding, ...] | None = None


class _Half(NamedTuple):
    study_id: str
    patient_id: str | None
    report: Report


@dataclass(frozen=True)
class ReportFile:
    """One of the two files.

    Attributes:
        path: .csv, .tsv, .jsonl, .parquet, ReXrank's .json, a folder of .txt files, or studies.jsonl or
            predictions.jsonl of a run.
        role: what its reports are.
        id_column, column: which columns; ``None`` takes the usual ones.
        system: of predictions of several systems in one file (a column "system"), those of this one.
    """

    path: Path
    role: Role
    id_column: str | None = None
    column: str | None = None
    system: str | None = None

    def __iter__(self) -> Iterator[_Half]:
        """Every report once.

        Raises:
            DataError: names the row; a missing or repeated id, a missing column, or the other file's columns.
        """
        seen: set[str] = set()
        for where, half in self._halves():
            if half.study_id in seen:
                raise DataError(
                    f"the id {half.study_id!r} occurs a second time",
                    where=where,
                    next_step="Give every report a unique id, or remove the repeated row. If the file holds "
                    "several systems, name one: --system.",
                )
            seen.add(half.study_id)
            yield half
        if not seen:
            raise DataError(
                "the file holds no report",
                where=str(self.path),
                next_step="Give one with a row a report and a first row of column names (id, report).",
            )

    def _halves(self) -> Iterator[tuple[str, _Half]]:
        if self.path.is_dir() or not self.path.exists():
            for study_id, text in read_reports(self.path):
                yield str(self.path), _Half(study_id, None, parse_report(text))
        elif self.path.suffix.lower() == ".json":
            for study_id, report in read_rexrank(self.path, self.role):
                yield str(self.path), _Half(study_id, None, report)
        else:
            for number, row in read_rows(self.path):
                where = f"{self.path}, row {number}"
                if self.system is None or row.get("system", self.system) == self.system:
                    yield where, self._of_row(row, where)

    def _of_row(self, row: Row, where: str) -> _Half:
        id_column = self.id_column or _first(row, ID_COLUMNS) or ID_COLUMNS[-1]
        require_columns(row, {id_column: "--id-column"}, where=where)
        study_id = id_text(row[id_column])
        if study_id is None:
            raise DataError(
                f"a report has no id in {id_column!r}",
                where=where,
                next_step="Give every report a unique id.",
            )
        patient = _first(row, PATIENT_COLUMNS)
        return _Half(study_id, id_text(row[patient]) if patient else None, self._report(row, where))

    def _report(self, row: Row, where: str) -> Report:
        column = self.column
        if column is None:
            self._refuse_swapped(row, where)
            column = _first(row, (*OF_ROLE[self.role], *OF_EITHER))
        if column is None and any(name in row for name in SECTION_COLUMNS):
            sections = {name: field_text(_text(row.get(name), name, where)) for name in SECTION_COLUMNS}
            return parse_report(render_report(**sections))
        column = column or OF_EITHER[0]
        require_columns(row, {column: f"--{self.role}-column"}, where=where)
        cell = row[column]
        if isinstance(cell, dict) and self.role == "reference":  # studies.jsonl of a run
            return Report.model_validate(cell)
        return parse_report(_text(cell, column, where))

    def _refuse_swapped(self, row: Row, where: str) -> None:
        other: Role = "prediction" if self.role == "reference" else "reference"
        is_run_file = (
            "finished" in row and "tokens" in row
            if other == "prediction"
            else isinstance(row.get("report"), dict)
        )
        column = _first(row, OF_ROLE[other])
        if is_run_file or (column is not None and _first(row, OF_ROLE[self.role]) is None):
            what = (
                f"a column {column!r}"
                if column
                else f"the rows of a run's {'predictions' if other == 'prediction' else 'studies'}"
            )
            raise DataError(
                f"the file given as {self.role} has {what}: are the two files swapped?",
                where=where,
                next_step=f"Swap them, or name the column of the {self.role}: --{self.role}-column.",
            )


def _first(row: Mapping[str, object], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _text(cell: object, column: str, where: str) -> str:
    if is_empty(cell):
        return ""
    if not isinstance(cell, str):
        raise DataError(f"the cell in {column!r} is no text but a {type(cell).__name__}", where=where)
    return cell


class MatchedReports:
    """References and predictions with the same id, as often as they are asked for.

    Attributes:
        left_out: after an iteration, the ids without a match: reason no_prediction or no_reference.
    """

    def __init__(self, *, reference: ReportFile, prediction: ReportFile) -> None:
        if reference.path == prediction.path and reference.column == prediction.column is not None:
            raise DataError(
                "reference and prediction are the same column of the same file", where=str(reference.path)
            )
        self.reference, self.prediction = reference, prediction
        self.left_out: list[LeftOut] = []

    def __iter__(self) -> Iterator[Case]:
        """
        Raises:
            DataError: no id occurs in both, or what `ReportFile` raises.
        """
        waiting: tuple[dict[str, _Half], dict[str, _Half]] = ({}, {})
        sides = (iter(self.reference), iter(self.prediction))
        matched, going = 0, [True, True]
        while any(going):
            for number in (0, 1):
                half = next(sides[number], None) if going[number] else None
                if half is None:
                    going[number] = False
                elif (other := waiting[1 - number].pop(half.study_id, None)) is None:
                    waiting[number][half.study_id] = half
                else:
                    first, second = (half, other) if number == 0 else (other, half)
                    yield Case(
                        half.study_id, first.patient_id or second.patient_id, first.report, second.report
                    )
                    matched += 1
        if not matched:
            raise DataError(
                f"no id occurs in both files; the first are {min(waiting[0])!r} and {min(waiting[1])!r}",
                where=f"{self.reference.path}, {self.prediction.path}",
                next_step="Name the columns that hold the same ids: --id-column.",
            )
        self.left_out = [
            LeftOut(study_id=study_id, reason=reason)
            for half, reason in zip(waiting, ("no_prediction", "no_reference"), strict=True)
            for study_id in sorted(half)
        ]
