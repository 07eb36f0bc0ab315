"""Faults of a data set: a table of ten small pictures with reports, and what can be wrong with it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.bench import Bench, Fault

Row = list[str]
HEAD = ["id", "patient", "split", "image", "report"]
NORMAL = "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease."
ILL = "FINDINGS: Large left pleural effusion.\nIMPRESSION: Left pleural effusion."
SPLITS = ("train",) * 6 + ("validation",) * 2 + ("test",) * 2


def rows() -> list[Row]:
    return [[f"s{n}", f"p{n}", split, f"{n}.png", (NORMAL, ILL)[n % 2]] for n, split in enumerate(SPLITS)]


def write_table(folder: Path, table: Sequence[Row]) -> None:
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([HEAD, *table])


def make_data(folder: Path) -> None:
    """table.csv and its pictures."""
    folder.mkdir(parents=True)
    for number in range(len(SPLITS)):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    write_table(folder, rows())


def table_settings(folder: Path) -> tuple[str, ...]:
    return (
        "data.source=table", f"data.root={folder / 'table.csv'}", "data.table.report_column=report",
        "data.table.patient_column=patient", "data.table.split_column=split", "data.image_long_side=32",
        "engine.workers=1",
    )  # fmt: skip


def other_rows(change: Callable[[list[Row]], list[Row]]) -> Fault:
    """The table with other rows."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        assert bench.data is not None
        write_table(bench.data, change(rows()))
        yield
        write_table(bench.data, rows())

    return breaks


def other_bytes(name: str, change: Callable[[bytes], bytes | None]) -> Fault:
    """One file of the data with other content, or without it."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        assert bench.data is not None
        path = bench.data / name
        before = path.read_bytes()
        after = change(before)
        if after is None:
            path.unlink()
        else:
            path.write_bytes(after)
        yield
        path.write_bytes(before)

    return breaks


def with_cell(number: int, column: str, value: str) -> Callable[[list[Row]], list[Row]]:
    def change(table: list[Row]) -> list[Row]:
        table[number][HEAD.index(column)] = value
        return table

    return change


def all_with(report: str) -> Callable[[list[Row]], list[Row]]:
    return lambda table: [[*row[:-1], report] for row in table]
