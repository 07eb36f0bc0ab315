"""Rows of CSV, JSONL and Parquet files and of saved Hugging Face datasets, one at a time in flat memory."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from radflow.errors import DataError

Row = dict[str, object]

SHOWN_COLUMNS = 30
MAX_FIELD_CHARS = 2**31 - 1  # the csv module stops at 131,072 otherwise; a C long has 32 bits on Windows
BATCH = 32  # rows may hold images
ANY_TABLE = "Give a .csv, .tsv, .jsonl or .parquet file, or a folder written by datasets.save_to_disk."


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a .csv, .tsv, .jsonl or .parquet file with their numbers from 1, as dicts by column.

    Raises:
        DataError: missing file, other kind of file, or a row that can't be read; its text isn't shown.
    """
    reader = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".jsonl": _jsonl_rows,
        ".ndjson": _jsonl_rows,
        ".parquet": _parquet_rows,
    }.get(path.suffix.lower())
    if not path.is_file():
        raise DataError("table file is missing", where=str(path), next_step=ANY_TABLE)
    if reader is None:
        raise DataError("unknown kind of table", where=str(path), next_step=ANY_TABLE)
    yield from reader(path)


def is_saved_dataset(path: Path) -> bool:
    """Whether `path` is a folder that datasets.save_to_disk wrote."""
    return any((path / name).is_file() for name in ("state.json", "dataset_info.json", "dataset_dict.json"))


def read_saved_dataset(path: Path) -> Iterator[tuple[int, str | None, Row]]:
    """Number, split name (``None`` outside a DatasetDict) and values of each row, images left encoded.

    Raises:
        DataError: the folder can't be read.
    """
    import datasets  # slow to import

    with _data_errors(path):
        loaded = datasets.load_from_disk(str(path))
        parts = loaded.items() if isinstance(loaded, datasets.DatasetDict) else [(None, loaded)]
        number = 0
        for split, dataset in parts:
            # As Arrow, image features stay {"bytes", "path"}: nothing is decoded here.
            for table in dataset.with_format("arrow").iter(batch_size=BATCH):
                for row in table.to_pylist():
                    number += 1
                    yield number, None if split is None else str(split), row


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
            raise DataError(
                f"the table has no column {column!r}, which {asked_by} names",
                where=where,
                next_step=f"{hint}Its columns: {', '.join(list(row)[:SHOWN_COLUMNS])}{more}.",
            )


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))  # the process's, so only ever raised
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with _data_errors(path), path.open(encoding="utf-8-sig", newline="") as handle:
        lines = csv.reader(handle, delimiter=delimiter, strict=True)
        names = next(lines, [])
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DataError(f"column {repeated[0]!r} occurs twice", where=str(path))
        for number, cells in enumerate(filter(None, lines), 1):
            if len(cells) != len(names):
                raise DataError(
                    f"a row has {len(cells)} cells, the header has {len(names)}",
                    where=f"{path}, row {number}",
                    next_step="Put cells that hold the delimiter or a line break in quotes.",
                )
            yield number, dict(zip(names, cells, strict=True))


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with _data_errors(path), path.open(encoding="utf-8-sig") as handle:
        number = 0
        for line in handle:
            if not line.strip():
                continue
            number += 1
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DataError("a line is no JSON object", where=f"{path}, row {number}")
            yield number, row


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow.parquet

    with _data_errors(path), pyarrow.parquet.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches(batch_size=BATCH) for row in batch.to_pylist())
        yield from enumerate(rows, 1)


@contextmanager
def _data_errors(path: Path) -> Iterator[None]:
    """Reading errors name the file and their kind only, as their own text may quote a report."""
    try:
        yield
    except (OSError, ValueError, KeyError, csv.Error) as error:  # pyarrow's errors are these too
        raise DataError(
            f"the table can't be read ({type(error).__name__})",
            where=str(path),
            next_step=f"Check that it is whole and in UTF-8. {ANY_TABLE}",
        ) from None
