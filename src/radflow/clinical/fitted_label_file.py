"""A file of reports -> the labels of a fitted labeler: a table (CSV), or labels with probabilities (JSONL)"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from radflow.clinical.fitted_labeler import FittedLabeler
from radflow.data.report_files import json_line, read_reports, whole_file
from radflow.errors import DataError

BATCH = 64
STATES = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}


def fitted_label_file(
    source: Path,
    out: Path,
    labeler: FittedLabeler,
    *,
    id_column: str = "id",
    report_column: str = "report",
) -> int:
    """Label a file of reports; returns how many there were. ``out`` appears complete or not at all.

    Raises:
        DataError: unreadable input, unwritable output, or another kind of output file.
    """
    if out.suffix not in {".csv", ".jsonl"}:
        raise DataError(
            f"labels are written as .csv or .jsonl, not {out.suffix or 'a file without suffix'}",
            where=str(out),
            next_step="Name the output labels.csv (a table) or labels.jsonl (with probabilities).",
        )
    reports = iter(read_reports(source, id_column=id_column, report_column=report_column))
    count = 0
    with whole_file(out, source=source) as write:
        if out.suffix == ".csv":
            write(_csv_line(["id", *labeler.columns]))
        while batch := list(islice(reports, BATCH)):
            lines = _csv(batch, labeler) if out.suffix == ".csv" else _jsonl(batch, labeler)
            for line in lines:
                write(line)
            count += len(batch)
    return count


def _csv(batch: Iterable[tuple[str, str | None]], labeler: FittedLabeler) -> Iterator[bytes]:
    rows = list(batch)
    for (report_id, _), labels in zip(rows, labeler.label([text or "" for _, text in rows]), strict=True):
        yield _csv_line([report_id, *("" if value is None else str(value) for value in labels.values())])


def _jsonl(batch: Iterable[tuple[str, str | None]], labeler: FittedLabeler) -> Iterator[bytes]:
    rows = list(batch)
    texts = [text or "" for _, text in rows]
    found = zip(rows, labeler.label(texts), labeler.probabilities(texts), strict=True)
    for (report_id, text), labels, probabilities in found:
        has_text = bool(text and text.strip())
        named = {
            name: {STATES[state]: round(value, 6) for state, value in own.items()}
            for name, own in probabilities.items()
        }
        yield json_line(
            {
                "id": report_id,
                "labels": labels if has_text else None,
                "probabilities": named if has_text else None,
            }
        )


def _csv_line(cells: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", errors="backslashreplace")
