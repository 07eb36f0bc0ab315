"""Reports in a CSV, JSONL or Parquet file or a folder of .txt files -> (id, text) pairs, and sections."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from radflow.data.sections import parse_report, render_report
from radflow.data.sources.checks import field_text, id_text, is_empty
from radflow.data.tables import SUFFIXES, read_rows, require_columns, table_suffix
from radflow.errors import DataError
from radflow.owner_only import make_private
from radflow.records import Report
from radflow.terminal import with_late_bar

ANY_REPORTS = "Give a .csv, .tsv, .jsonl or .parquet file, or a folder of .txt files."

SECTION_COLUMNS = ("findings", "impression")
"""What a table may hold in place of whole reports."""


class _Sections(NamedTuple):
    findings: str | None
    impression: str | None


_Row = tuple[str, str | None, object]  # where it stands, id, report


@dataclass(frozen=True)
class SectionCounts:
    """How many reports were read, and how many of them have which section."""

    reports: int
    with_findings: int
    with_impression: int
    with_both: int


def read_reports(
    path: Path, *, id_column: str = "id", report_column: str = "report"
) -> Iterator[tuple[str, str | None]]:
    """Yield (id, report) row by row; the report is ``None`` where the file says null, NaN or nothing.

    Reads .csv, .tsv, .jsonl, .parquet, or a folder of .txt files, whose id is the file name without suffix.
    A table without the report column, but with a column findings or impression, gives reports of those. Every
    id must be there and occur once.

    Raises:
        DataError: names the row; no report text is in the message, nor in an error that it stems from.
    """
    for report_id, report in _unique_rows(path, id_column, report_column):
        if isinstance(report, _Sections):
            yield report_id, render_report(findings=report.findings, impression=report.impression)
        else:
            yield report_id, report


def read_parsed(
    path: Path,
    *,
    id_column: str = "id",
    report_column: str = "report",
    headers: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Report]]:
    """Like `read_reports`, with the sections found; cells findings and impression are taken as they are.

    ``headers`` are further ones, as in `parse_report`.

    Raises:
        DataError: as `read_reports`.
    """
    for report_id, report in _unique_rows(path, id_column, report_column):
        if not isinstance(report, _Sections):
            yield report_id, parse_report(report, headers=headers)
            continue
        text = render_report(findings=report.findings, impression=report.impression)
        yield (
            report_id,
            Report(
                text=text,
                findings=report.findings,
                impression=report.impression,
                findings_found_by="none" if report.findings is None else "field",
                impression_found_by="none" if report.impression is None else "field",
            ),
        )


def count_reports(path: Path, *, id_column: str = "id", report_column: str = "report") -> int:
    """How many rows `read_reports` gives, as long as nothing is wrong with them."""
    return sum(1 for _ in _rows(path, id_column, report_column))


def _unique_rows(
    path: Path, id_column: str, report_column: str
) -> Iterator[tuple[str, str | _Sections | None]]:
    seen: set[str] = set()
    for where, report_id, report in _rows(path, id_column, report_column):
        if report_id is None:
            raise DataError(
                f"a report has no id in {id_column!r}",
                where=where,
                next_step="Give every report a unique id.",
            )
        if report_id in seen:
            raise DataError(
                f"the id {report_id!r} occurs a second time",
                where=where,
                next_step="Give every report a unique id, or remove the repeated row.",
            )
        seen.add(report_id)
        if isinstance(report, _Sections):
            yield report_id, report
        elif is_empty(report):
            yield report_id, None
        elif isinstance(report, str):
            yield report_id, report
        else:
            raise DataError(
                f"the report in {report_column!r} is no text but a {type(report).__name__}",
                where=where,
                next_step="Make it a string, or null where there is none.",
            )


def _rows(path: Path, id_column: str, report_column: str) -> Iterator[_Row]:
    if path.is_dir():
        yield from _folder_rows(path)
        return
    if not path.exists():
        raise DataError(
            "there is no such file or folder of reports", where=str(path), next_step="Check the path."
        )
    if table_suffix(path) not in SUFFIXES:
        raise DataError(
            f"reports can't be read from a {path.suffix or 'file without suffix'}",
            where=str(path),
            next_step=ANY_REPORTS,
        )
    number = 0
    for number, row in read_rows(path, only=[id_column, report_column]):
        where = f"{path}, row {number}"
        in_sections = report_column not in row and any(name in row for name in SECTION_COLUMNS)
        wanted = {id_column: "--id-column"}
        require_columns(
            row, wanted if in_sections else {**wanted, report_column: "--report-column"}, where=where
        )
        report = _of_sections(row, where) if in_sections else row[report_column]
        yield where, id_text(row[id_column]), report
    if not number:
        raise DataError("the file holds no report", where=str(path), next_step=ANY_REPORTS)


def _of_sections(row: Mapping[str, object], where: str) -> _Sections:
    sections: list[str | None] = []
    for name in SECTION_COLUMNS:
        cell = row.get(name)
        if not (is_empty(cell) or isinstance(cell, str)):
            raise DataError(f"the cell in {name!r} is no text but a {type(cell).__name__}", where=where)
        sections.append(field_text(cell))
    return _Sections(sections[0], sections[1])


def _folder_rows(path: Path) -> Iterator[_Row]:
    files = [file for file in path.iterdir() if file.suffix.lower() == ".txt"]
    if not files:
        raise DataError(
            "the folder holds no .txt file",
            where=str(path),
            next_step="Give a folder with one .txt per report.",
        )
    for file in sorted(files, key=lambda file: file.stem):
        yield str(file), file.stem, read_text(file)


def read_text(file: Path) -> str:
    """The text of a .txt file.

    Raises:
        DataError: not UTF-8, or unreadable.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            "the text is not UTF-8",
            where=str(file),
            next_step=f"Convert it: iconv -f latin1 -t utf8 {file.name}",
        ) from None
    except OSError as error:
        raise DataError(
            f"reading failed: {error.strerror or type(error).__name__}",
            where=str(file),
            next_step="Check the file and its permissions.",
        ) from None


def split_file(
    source: Path,
    out: Path,
    *,
    id_column: str = "id",
    report_column: str = "report",
    fallback: Literal["none", "last_paragraph"] = "none",
    headers: Mapping[str, str] | None = None,
) -> SectionCounts:
    """Reports -> JSONL rows of sections, null where absent; ``out`` appears complete or not at all.

    It holds report text, so that nobody but its owner may read it.

    Raises:
        DataError: unreadable input, unwritable output, or an output that isn't called .jsonl.
    """
    require_suffix(out, ".jsonl", what="sections", example="sections.jsonl")
    columns = {"id_column": id_column, "report_column": report_column}
    reports = with_late_bar(
        read_reports(source, **columns), "sections", total=lambda: count_reports(source, **columns)
    )
    with whole_file(out, source=source) as write:
        return _write_sections(reports, write, partial(parse_report, fallback=fallback, headers=headers))


def require_suffix(out: Path, *known: str, what: str, example: str) -> None:
    """Raises DataError when the output isn't called what is written to it."""
    if out.suffix not in known:
        raise DataError(
            f"{what} are written as {' or '.join(known)}, not {out.suffix or 'a file without suffix'}",
            where=str(out),
            next_step=f"Name the output {example}.",
        )


@contextmanager
def whole_file(out: Path, *, source: Path) -> Iterator[Callable[[bytes], int]]:
    """Write ``out`` piece by piece; it appears complete or not at all, and only its owner may read it.

    Raises:
        DataError: ``out`` is the file that it is made from, or can't be written.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise DataError(
            "the output would replace its own input", where=str(out), next_step="Name another output file."
        )
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        make_private(out.parent)
        partial.unlink(missing_ok=True)  # of a killed process that had the same number
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:  # of the output only: the reader turns its own into DataError
        raise DataError(
            f"the output can't be written: {error.strerror or type(error).__name__}",
            where=str(out),
            next_step="Free space, correct permissions, or name another output file.",
        ) from error


def _write_sections(
    reports: Iterable[tuple[str, str | None]],
    write: Callable[[bytes], int],
    parse: Callable[[str | None], Report],
) -> SectionCounts:
    total = with_findings = with_impression = with_both = 0
    for report_id, text in reports:
        report = parse(text)
        row = {
            "id": report_id,
            "findings": report.findings,
            "impression": report.impression,
            "findings_found_by": report.findings_found_by,
            "impression_found_by": report.impression_found_by,
            "other": report.other,
        }
        write(json_line(row))
        has_findings, has_impression = report.findings is not None, report.impression is not None
        total += 1
        with_findings += has_findings
        with_impression += has_impression
        with_both += has_findings and has_impression
    return SectionCounts(total, with_findings, with_impression, with_both)


def json_line(row: dict[str, Any]) -> bytes:
    """One row as a line of JSON."""
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but a JSON escape
        return (json.dumps(row) + "\n").encode()
