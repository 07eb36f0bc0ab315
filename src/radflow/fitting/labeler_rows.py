"""A table of labelled reports -> texts and labels: 1 present, 0 absent, -1 uncertain, blank not mentioned"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radflow.clinical.chexpert_classes import LabelValue
from radflow.data.report_files import read_reports
from radflow.data.sources.checks import id_text, is_empty
from radflow.data.tables import read_rows, require_columns
from radflow.errors import DataError
from radflow.registry import nearest

LEAST_REPORTS = 20
"""Fewer labelled reports than this can't even be cut into three parts to check a fit on."""
TEXT_COLUMNS = frozenset({"findings", "impression", "report", "text", "indication"})
"""Columns of a table that hold text, whatever they are asked for."""
_VALUES: Mapping[str, LabelValue] = {"1": 1, "0": 0, "-1": -1}


class Labelled(NamedTuple):
    """Reports with labels, in the order of the file.

    Attributes:
        labels: by report, its labels by column.
        without_text: reports left out because they say nothing.
        without_labels: reports left out because nobody labelled them.
    """

    ids: list[str]
    texts: list[str]
    labels: list[dict[str, LabelValue]]
    columns: tuple[str, ...]
    without_text: int
    without_labels: int


def read_labelled(
    path: Path,
    *,
    labels: Path | None = None,
    columns: Sequence[str] = (),
    left_out: Sequence[str] = (),
    id_column: str = "id",
    report_column: str = "report",
) -> Labelled:
    """Read reports and their labels from one table, or labels by id from another.

    Args:
        labels: table with the labels; by default the table of the reports.
        columns: those to learn; by default all that aren't the id or text.
        left_out: those not to learn.

    Raises:
        DataError: unreadable, unknown column, a cell that is no label, or too few labelled reports.
    """
    texts = dict(read_reports(path, id_column=id_column, report_column=report_column))
    found = _read_labels(labels or path, columns, left_out, id_column, report_column)
    kept = [name for name, text in texts.items() if name in found and text and text.strip()]
    if len(kept) < LEAST_REPORTS:
        raise DataError(
            f"{len(kept)} reports have text and labels; {LEAST_REPORTS} are the least, a hundred are better",
            where=f"{path}, {labels}" if labels else str(path),
            next_step=f"Label more reports. Ids are read from {id_column!r}; see --id-column.",
        )
    return Labelled(
        ids=kept,
        texts=[texts[name] or "" for name in kept],
        labels=[found[name] for name in kept],
        columns=tuple(found[kept[0]]),
        without_text=sum(name in found and not (text and text.strip()) for name, text in texts.items()),
        without_labels=sum(name not in found for name in texts),
    )


def _read_labels(
    path: Path, columns: Sequence[str], left_out: Sequence[str], id_column: str, report_column: str
) -> dict[str, dict[str, LabelValue]]:
    found: dict[str, dict[str, LabelValue]] = {}
    wanted: list[str] = []
    for number, row in read_rows(path):
        where = f"{path}, row {number}"
        require_columns(row, {id_column: "--id-column"}, where=where)
        if not wanted:
            known = [name for name in row if name not in {id_column, report_column, *TEXT_COLUMNS}]
            wanted = _wanted(known, columns, left_out, path)
        report_id = id_text(row[id_column])
        if report_id is None or report_id in found:
            raise DataError(
                "a label has no id" if report_id is None else f"the id {report_id!r} occurs a second time",
                where=where,
                next_step="Give every labelled report a unique id.",
            )
        found[report_id] = {name: _label(row[name], name, where) for name in wanted}
    return found


def _wanted(known: Sequence[str], columns: Sequence[str], left_out: Sequence[str], path: Path) -> list[str]:
    for name in (*columns, *left_out):
        if name not in known:
            raise DataError(
                f"no column of labels is called {name!r}",
                where=str(path),
                next_step=f"{nearest(name, known)}There are: {', '.join(known) or 'none'}.",
            )
    wanted = [name for name in columns or known if name not in left_out]
    if not wanted:
        raise DataError(
            "no column of labels is left",
            where=str(path),
            next_step="A column per observation is needed: 1, 0, -1 or blank. --labels names another table.",
        )
    return wanted


def _label(cell: object, column: str, where: str) -> LabelValue:
    if is_empty(cell) or (isinstance(cell, str) and not cell.strip()):
        return None
    text = str(int(cell)) if isinstance(cell, (bool, float)) and cell in (0, 1, -1) else str(cell).strip()
    text = text.removesuffix(".0")  # what pandas makes of whole numbers in a column with gaps
    if text not in _VALUES:
        raise DataError(
            f"the cell in {column!r} is no label",
            where=where,
            next_step="Write 1 (present), 0 (absent), -1 (uncertain) or nothing (not mentioned). A column "
            f"that holds something else can be left out: --leave-out {column!r}.",
        )
    return _VALUES[text]
