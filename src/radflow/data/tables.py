"""Rows of CSV, JSONL and Parquet files and of saved Hugging Face datasets, one at a time in flat memory."""

from __future__ import annotations

import csv
import difflib
import gzip
import json
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from radflow.data.sources.checks import concerns_all_rows
from radflow.errors import DataError

Row = dict[str, object]

SHOWN_COLUMNS = 30
MAX_FIELD_CHARS = 2**31 - 1  # the csv module stops at 131,072 otherwise; a C long has 32 bits on Windows
BATCH = 32  # rows may hold images
ANY_TABLE = "Give a .csv, .tsv, .jsonl or .parquet file, or a folder written by datasets.save_to_disk."


def read_rows(path: Path, *, only: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
    """Rows of a .csv, .tsv, .jsonl or .parquet file with their numbers from 1, as dicts by column.

    Text tables may be compressed by gzip (.csv.gz).

    Args:
        only: columns of a Parquet file to read if it has them all; other kinds are read whole anyway.

    Raises:
        DataError: missing file, other kind of file, or a row that can't be read; its text isn't shown.
    """
    suffix = table_suffix(path)
    if not path.is_file():
        raise DataError("table file is missing", where=str(path), next_step=ANY_TABLE)
    if suffix == ".parquet":
        yield from _parquet_rows(path, only)
    elif suffix in READERS:
        yield from READERS[suffix](path)
    else:
        raise DataError("unknown kind of table", where=str(path), next_step=ANY_TABLE)


def table_suffix(path: Path) -> str:
    """The suffix that says which kind of table it is: .csv of reports.csv.gz."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


@contextmanager
def _opened(path: Path, *, encoding: str, newline: str | None = None) -> Iterator[IO[str]]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding=encoding, newline=newline) as handle:
        yield handle


def is_saved_dataset(path: Path) -> bool:
    """Whether `path` is a folder that datasets.save_to_disk wrote."""
    return any((path / name).is_file() for name in ("state.json", "dataset_info.json", "dataset_dict.json"))


def read_saved_dataset(path: Path) -> Iterator[tuple[int, str | None, Row]]:
    """Number, split name (``None`` outside a DatasetDict) and values of each row, images left encoded.

    Raises:
        DataError: the folder can't be read.
    """
    number = 0
    with _data_errors(path):
        for split, dataset in _load_parts(path):
            for table in dataset.iter(batch_size=BATCH):
                for row in table.to_pylist():
                    number += 1
                    yield number, split, row


def read_cell(path: Path, number: int, column: str) -> object:
    """One cell of a Parquet file or a saved dataset by its row number from 1, cheap for neighbouring rows.

    Raises:
        DataError: the table can't be read any more.
        OSError: the disk or the machine failed, which concerns all rows.
    """
    with _data_errors(path, in_a_row=True):
        if path.is_dir():
            for _, dataset in _load_parts(path):
                if number <= len(dataset):
                    return dataset.select_columns([column])[number - 1][column][0].as_py()
                number -= len(dataset)
            raise IndexError(number)
        ends = _group_ends(path)
        group = bisect_left(ends, number)
        return _group_cells(path, group, column)[number - 1 - (ends[group - 1] if group else 0)].as_py()


@lru_cache(maxsize=2)
def _load_parts(path: Path) -> list[tuple[str | None, Any]]:
    """Split name and dataset, as Arrow, so that image features stay {"bytes", "path"} and undecoded."""
    import datasets  # slow to import

    loaded = datasets.load_from_disk(str(path))
    if isinstance(loaded, datasets.DatasetDict):
        return [(str(split), dataset.with_format("arrow")) for split, dataset in loaded.items()]
    return [(None, loaded.with_format("arrow"))]


@lru_cache(maxsize=2)
def _group_ends(path: Path) -> list[int]:
    """Number of the last row of each row group."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(path)
    return list(accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)))


@lru_cache(maxsize=2)
def _group_cells(path: Path, group: int, column: str) -> Any:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[column]).column(0)


def require_columns(row: Row, wanted: Mapping[str, str], *, where: str) -> None:
    """Raise unless the row has all columns.

    Args:
        wanted: column names, each with who asks for it ("data.table.id_column").

    Raises:
        DataError: names the setting, the columns there are, and the nearest of them.
    """
    for column, asked_by in wanted.items():
        if column not in row:
            names = {name.lower(): name for name in row}
            near = difflib.get_close_matches(column.lower(), names, n=1)
            hint = f"Did you mean {names[near[0]]!r}? " if near else ""
            more = ", ..." if len(row) > SHOWN_COLUMNS else ""
            if len(row) == 1 and (sign := next((sign for sign in ";\t|" if sign in next(iter(row))), None)):
                hint = f"A CSV file is cut at commas, this one perhaps at {sign!r}: save it with commas. "
            raise DataError(
                f"the table has no column {column!r}, which {asked_by} names",
                where=where,
                next_step=f"{hint}Its columns: {', '.join(list(row)[:SHOWN_COLUMNS])}{more}.",
            )


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))  # the process's, so only ever raised
    delimiter = "\t" if table_suffix(path) == ".tsv" else ","
    with _data_errors(path), _opened(path, encoding="utf-8-sig", newline="") as handle:
        lines = csv.reader(handle, delimiter=delimiter, strict=True)
        names = next(lines, [])
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError(f"column {min(repeated)!r} occurs twice", where=str(path))
        for number, cells in enumerate(filter(None, _valid_lines(lines, path)), 1):
            if len(cells) != len(names):
                raise DataError(
                    f"a row has {len(cells)} cells, the header has {len(names)}",
                    where=f"{path}, row {number}",
                    next_step="Put cells that hold the delimiter or a line break in quotes.",
                )
            yield number, dict(zip(names, cells, strict=True))


def _valid_lines(lines: Any, path: Path) -> Iterator[list[str]]:
    """The rows of a CSV reader; an open quote swallows the rest of a file, so its first line is named."""
    start = lines.line_num + 1
    try:
        for cells in lines:
            yield cells
            start = lines.line_num + 1
    except csv.Error as error:  # its text names characters that csv expects, never the cell
        raise DataError(
            f"the row that starts in this line is no valid CSV: {error}",
            where=f"{path}:{start}",
            next_step="Check its quotes; a quote inside a quoted cell is written twice.",
        ) from None


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with _data_errors(path), _opened(path, encoding="utf-8-sig") as handle:
        number = 0
        for line in handle:
            if not line.strip():
                continue
            number += 1
            row = _parsed(line)
            if not isinstance(row, dict):
                raise DataError(
                    "a line is no complete JSON object",
                    where=f"{path}, row {number}",
                    next_step="Write one object a line; if the last line was cut off, copy the file again.",
                )
            yield number, row


def _parsed(line: str) -> object:
    """``None`` for bad JSON; no error leaves here, since a JSONDecodeError carries the whole line."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _parquet_rows(path: Path, only: Sequence[str] | None) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet

    with _data_errors(path), pyarrow.parquet.ParquetFile(path) as file:
        columns = list(only) if only and set(only) <= set(file.schema_arrow.names) else None
        batches = file.iter_batches(batch_size=BATCH, columns=columns)
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)


UNREADABLE = (OSError, EOFError, zlib.error, ValueError, LookupError, csv.Error)
"""What readers raise for a damaged file; pyarrow's errors are among them."""
READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
}
SUFFIXES = (*READERS, ".parquet")


@contextmanager
def _data_errors(path: Path, *, in_a_row: bool = False) -> Iterator[None]:
    """Reading errors name the file and their kind only, as their own text may quote a report.

    Args:
        in_a_row: a DataError would concern one row only, so errors that concern all pass unchanged.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(
            "the text is not UTF-8",
            where=str(path),
            next_step=f"Convert it: iconv -f latin1 -t utf8 {path.name}",
        ) from None
    except UNREADABLE as error:
        if in_a_row and concerns_all_rows(error):
            raise
        raise DataError(
            f"the table can't be read ({type(error).__name__})",
            where=str(path),
            next_step="Check that it is whole and of the kind that its name says.",
        ) from None
