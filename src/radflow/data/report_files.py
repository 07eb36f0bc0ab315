"""Reports in a CSV, JSONL or Parquet file or a folder of .txt files -> (id, text) pairs, and sections."""

from __future__ import annotations

import csv
import difflib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from radflow.data.sections import parse_report
from radflow.errors import DataError

_MAX_FIELD_CHARS = 2**31 - 1  # the csv module stops at 131,072 characters; a C long has 32 bits on Windows

_Row = tuple[str, Any, Any]  # where it stands, id, report


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

    Reads .csv (UTF-8, with or without byte order mark), .jsonl, .parquet, or a folder of .txt files, whose id
    is the file name without suffix. Every id must be there and occur once; ``DataError`` names the line.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if not path.exists():
        raise DataError(
            "There is no such file or folder of reports", where=str(path), next_step="Check the path."
        )
    if path.is_dir():
        rows = _folder_rows(path)
    elif path.suffix.lower() in readers:
        rows = readers[path.suffix.lower()](path, id_column, report_column)
    else:
        raise DataError(
            f"Reports can't be read from a {path.suffix or 'file without suffix'}",
            where=str(path),
            next_step="Give a .csv, .jsonl or .parquet file, or a folder of .txt files.",
        )
    return _checked(rows, id_column, report_column)


def _checked(rows: Iterable[_Row], id_column: str, report_column: str) -> Iterator[tuple[str, str | None]]:
    seen: set[str] = set()
    for where, raw_id, raw_report in rows:
        report_id = _as_id(raw_id)
        if report_id is None:
            raise DataError(
                f"A report has no id in {id_column!r}",
                where=where,
                next_step="Give every report a unique id.",
            )
        if report_id in seen:
            raise DataError(
                f"The id {report_id!r} occurs a second time",
                where=where,
                next_step="Give every report a unique id, or remove the repeated row.",
            )
        seen.add(report_id)
        if raw_report is None or (isinstance(raw_report, float) and math.isnan(raw_report)):
            yield report_id, None
        elif isinstance(raw_report, str):
            yield report_id, raw_report or None
        else:
            raise DataError(
                f"The report in {report_column!r} is no text but a {type(raw_report).__name__}",
                where=where,
                next_step="Make it a string, or null where there is none.",
            )


def _as_id(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            "The text is not UTF-8",
            where=str(path),
            next_step=f"Convert it: iconv -f latin1 -t utf8 {path.name}",
        ) from error
    except OSError as error:
        raise DataError(
            f"Reading failed: {error.strerror or type(error).__name__}", where=str(path)
        ) from error


def _require(columns: Iterable[str], wanted: tuple[str, ...], where: str) -> None:
    """Raise unless all wanted columns exist; the message lists those there are and the nearest one."""
    there = list(columns)
    for column in wanted:
        if column not in there:
            near = difflib.get_close_matches(column.lower(), [name.lower() for name in there], n=1)
            nearest = next((name for name in there if near and name.lower() == near[0]), None)
            raise DataError(
                f"There is no column {column!r}; there are: {', '.join(there) or 'none'}",
                where=where,
                next_step=f"Did you mean {nearest!r}?"
                if nearest
                else "Name the columns of the id and the report.",
            )


def _csv_rows(path: Path, id_column: str, report_column: str) -> Iterator[_Row]:
    # the limit belongs to the process, so it is only ever raised
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_CHARS))
    with _reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        line = 1
        try:
            header = next(lines, [])
            _require(header, (id_column, report_column), f"{path}:1")
            id_at, report_at = header.index(id_column), header.index(report_column)
            line = lines.line_num + 1
            for row in lines:
                if row and len(row) != len(header):
                    raise DataError(
                        f"A row has {len(row)} fields, the header has {len(header)}",
                        where=f"{path}:{line}",
                        next_step="Quote fields that hold commas or line breaks.",
                    )
                if row:
                    yield f"{path}:{line}", row[id_at], row[report_at]
                line = lines.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"The row that starts here is no valid CSV: {error}",
                where=f"{path}:{line}",
                next_step="Check its quotes; a quote inside a quoted field is written twice.",
            ) from error


def _jsonl_rows(path: Path, id_column: str, report_column: str) -> Iterator[_Row]:
    with _reading(path), path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(
                    "The line is no complete JSON object",
                    where=where,
                    next_step="Write one object a line; if the last line was cut off, copy the file again.",
                ) from error
            if not isinstance(row, dict):
                raise DataError(
                    f"The line holds a {type(row).__name__}, not an object",
                    where=where,
                    next_step="Write one object a line.",
                )
            _require(row, (id_column, report_column), where)
            yield where, row[id_column], row[report_column]


def _parquet_rows(path: Path, id_column: str, report_column: str) -> Iterator[_Row]:
    import pyarrow  # slow to import, and needed for this format only
    import pyarrow.parquet

    number = 0
    try:
        with _reading(path), pyarrow.parquet.ParquetFile(path) as file:
            _require(file.schema_arrow.names, (id_column, report_column), str(path))
            for batch in file.iter_batches(batch_size=1024, columns=[id_column, report_column]):
                ids, reports = batch.column(id_column).to_pylist(), batch.column(report_column).to_pylist()
                for report_id, report in zip(ids, reports, strict=True):
                    number += 1
                    yield f"{path}:{number}", report_id, report
    except pyarrow.ArrowException as error:
        raise DataError(
            "The file is no readable Parquet file",
            where=f"{path}:{number + 1}",
            next_step="Copy or write it again.",
        ) from error


def _folder_rows(path: Path) -> Iterator[_Row]:
    files = sorted(
        (file for file in path.iterdir() if file.suffix.lower() == ".txt"), key=lambda file: file.stem
    )
    if not files:
        raise DataError(
            "The folder holds no .txt file",
            where=str(path),
            next_step="Give a folder with one .txt per report.",
        )
    for file in files:
        with _reading(file):
            text = file.read_bytes().decode("utf-8-sig")
        yield f"{file}:1", file.stem, text


def split_file(
    source: Path,
    out: Path,
    *,
    id_column: str = "id",
    report_column: str = "report",
    fallback: Literal["none", "last_paragraph"] = "none",
) -> SectionCounts:
    """Reports -> JSONL rows of sections, null where absent; ``out`` appears complete or not at all."""
    if out.exists() and source.exists() and out.samefile(source):
        raise DataError(
            "The output would replace its own input", where=str(out), next_step="Name another output file."
        )
    reports = read_reports(source, id_column=id_column, report_column=report_column)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                counts = _write_sections(reports, file.write, fallback)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:  # of the output only: the reader turns its own into DataError
        raise DataError(
            f"The output can't be written: {error.strerror or type(error).__name__}",
            where=str(out),
            next_step="Free space, correct permissions, or name another output file.",
        ) from error
    return counts


def _write_sections(
    reports: Iterable[tuple[str, str | None]],
    write: Callable[[bytes], int],
    fallback: Literal["none", "last_paragraph"],
) -> SectionCounts:
    total = with_findings = with_impression = with_both = 0
    for report_id, text in reports:
        report = parse_report(text, fallback=fallback)
        row = {
            "id": report_id,
            "findings": report.findings,
            "impression": report.impression,
            "findings_found_by": report.findings_found_by,
            "impression_found_by": report.impression_found_by,
            "other": report.other,
        }
        write(_json_line(row))
        has_findings, has_impression = report.findings is not None, report.impression is not None
        total += 1
        with_findings += has_findings
        with_impression += has_impression
        with_both += has_findings and has_impression
    return SectionCounts(total, with_findings, with_impression, with_both)


def _json_line(row: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but a JSON escape
        return (json.dumps(row) + "\n").encode()
