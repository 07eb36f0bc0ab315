"""`radflow scrub`: a table, a text file or a folder of them -> the same without identifiers, and counts"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from radflow.data.report_files import json_line, read_text, whole_file
from radflow.data.sources.checks import is_empty
from radflow.data.tables import SUFFIXES, Row, read_rows, require_columns, table_suffix
from radflow.errors import DataError
from radflow.privacy.scrub import Scrubber
from radflow.terminal import with_late_bar

TEXT_COLUMNS = ("report", "findings", "impression")
"""Columns that are scrubbed when none is named, those that there are."""
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass
class ScrubCounts:
    """What was done; holds no text.

    Attributes:
        texts, changed: cells or files that hold text, and those of them in which something was replaced.
        hidden: identifiers by kind.
        columns: which were scrubbed; empty for text files.
        untouched: the table's other columns, which are written as they came.
    """

    texts: int = 0
    changed: int = 0
    hidden: Counter[str] = field(default_factory=Counter)
    columns: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.hidden.items()))
        return f"{self.texts} texts, {self.changed} changed{f' ({kinds})' if kinds else ''}"


def scrub_file(source: Path, out: Path, scrubber: Scrubber, *, columns: Sequence[str] = ()) -> ScrubCounts:
    """Write ``source`` to ``out`` with its text scrubbed; a file appears whole or not at all, and private.

    Args:
        source: .csv, .tsv, .jsonl, .parquet (the first three also as .gz), .txt, or a folder of .txt files.
        out: .csv, .tsv or .jsonl for a table, .txt for a text file, a folder for a folder.
        columns: of a table, which hold text; else report, findings and impression, those that there are.

    Raises:
        DataError: unreadable input, no such column, a cell that is no text, or an output of another kind.
    """
    counts = ScrubCounts()

    def scrubbed(text: str) -> str:
        done = scrubber.scrub(text)
        counts.texts += bool(text.strip())
        counts.changed += bool(done.hidden)
        counts.hidden.update(done.counts)
        return done.text

    if source.is_dir():
        _scrub_folder(source, out, scrubbed)
    elif source.suffix.lower() == ".txt":
        _require_suffix(out, (".txt",))
        with whole_file(out, source=source) as write:
            write(_encoded(scrubbed(read_text(source))))
    else:
        _scrub_table(source, out, scrubbed, columns, counts)
    return counts


def _scrub_folder(source: Path, out: Path, scrubbed: Callable[[str], str]) -> None:
    files = sorted(path for path in source.iterdir() if path.suffix.lower() == ".txt")
    if not files:
        raise DataError("the folder holds no .txt file", where=str(source))
    if out.exists() and out.samefile(source):
        raise DataError(
            "the output would replace its own input", where=str(out), next_step="Name another folder."
        )
    for file in with_late_bar(files, "scrub", total=lambda: len(files)):
        with whole_file(out / file.name, source=file) as write:
            write(_encoded(scrubbed(read_text(file))))


def _scrub_table(
    source: Path, out: Path, scrubbed: Callable[[str], str], columns: Sequence[str], counts: ScrubCounts
) -> None:
    if table_suffix(source) not in SUFFIXES:
        raise DataError(
            f"text can't be read from a {source.suffix or 'file without suffix'}",
            where=str(source),
            next_step="Give a .csv, .tsv, .jsonl, .parquet or .txt file, or a folder of .txt files.",
        )
    suffix = _require_suffix(out, (*DELIMITERS, ".jsonl"))
    with whole_file(out, source=source) as write:
        line: Callable[[Row], bytes] = json_line
        names: list[str] = []
        for number, row in with_late_bar(read_rows(source), "scrub", total=lambda: None):
            where = f"{source}, row {number}"
            if not names:
                names = list(row)
                counts.columns = _text_columns(row, columns, where)
                counts.untouched = tuple(name for name in names if name not in counts.columns)
                if suffix in DELIMITERS:
                    line = _CsvLines(names, DELIMITERS[suffix], write)
            if list(row) != names and suffix in DELIMITERS:
                raise DataError(
                    "the row has other columns than the first",
                    where=where,
                    next_step="Name the output .jsonl.",
                )
            write(line(dict(_cells(row, counts.columns, scrubbed, where))))
        if not names:
            raise DataError("the table holds no row", where=str(source))


def _text_columns(row: Mapping[str, object], columns: Sequence[str], where: str) -> tuple[str, ...]:
    if columns:
        require_columns(row, dict.fromkeys(columns, "--column"), where=where)  # type: ignore[arg-type]
        return tuple(dict.fromkeys(columns))
    found = tuple(name for name in TEXT_COLUMNS if name in row)
    if not found:
        require_columns(row, {TEXT_COLUMNS[0]: "--column"}, where=where)  # type: ignore[arg-type]
    return found


def _cells(
    row: Mapping[str, object], columns: Sequence[str], scrubbed: Callable[[str], str], where: str
) -> Iterator[tuple[str, object]]:
    for name, cell in row.items():
        if name not in columns or is_empty(cell):
            yield name, cell
        elif isinstance(cell, str):
            yield name, scrubbed(cell)
        else:
            raise DataError(
                f"the cell in {name!r} is no text but a {type(cell).__name__}",
                where=where,
                next_step="Name the columns that hold text with --column.",
            )
    for name in columns:
        if name not in row:
            raise DataError(f"the row has no column {name!r}", where=where)


class _CsvLines:
    """Rows -> lines of CSV; the header is written when it is made."""

    def __init__(self, names: Sequence[str], delimiter: str, write: Callable[[bytes], int]) -> None:
        self._names, self._delimiter = names, delimiter
        write(self._line(names))

    def __call__(self, row: Mapping[str, object]) -> bytes:
        return self._line(["" if row[name] is None else row[name] for name in self._names])

    def _line(self, cells: Sequence[object]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerow(cells)
        return _encoded(text.getvalue())


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # lone surrogates have no UTF-8 form


def _require_suffix(out: Path, known: Sequence[str]) -> str:
    if out.suffix not in known:
        raise DataError(
            f"the output must be called {' or '.join(known)}", where=str(out), next_step="Name it so with -o."
        )
    return out.suffix
