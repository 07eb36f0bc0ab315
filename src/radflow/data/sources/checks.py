"""What all sources check: failing disks, empty fields, required sections, paths that leave their folder."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from radflow.errors import DataError
from radflow.records import Report

HAS_WORD = re.compile(r"\w")
LITERALLY_EMPTY = frozenset({"none", "nan", "null", "n/a", "#name?"})
"""Cells that say nothing. ``#NAME?`` is what a spreadsheet makes of a text that starts with + or -; three
indications of the Kaggle copy of IU X-ray read so."""


OF_ALL_ROWS = frozenset(
    {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETIMEDOUT, errno.EHOSTDOWN}
)


def concerns_all_rows(error: BaseException) -> bool:
    """Whether a disk, a share or the machine failed, rather than the file that happened to be read then."""
    return isinstance(error, OSError) and error.errno in OF_ALL_ROWS


def is_empty(cell: object) -> bool:
    """Whether a cell holds nothing: null, an empty text, or the NaN that pandas writes for null."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def field_text(value: object) -> str | None:
    """The text of a cell or an XML element without outer blanks, ``None`` when it is literally empty."""
    text = "" if value is None else whole_text(value).strip()
    is_empty = text.rstrip(" .").lower() in LITERALLY_EMPTY or not HAS_WORD.search(text)
    return None if is_empty else text


def id_text(value: object) -> str | None:
    """An id as text, ``None`` without one; 12.0, which pandas makes of 12 in a column with gaps, is 12."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return field_text(value) if is_plain else None


def whole_text(value: object) -> str:
    """The text with lone surrogates, which no UTF-8 file can hold, replaced by question marks."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def missing_section(report: Report, require: Literal["any", "findings", "impression", "both"]) -> str | None:
    """The reason to leave a study out for its report, ``None`` without one.

    no_report: there is no text. no_sections: there is one, but no section was found in it. no_findings and
    no_impression: `require` asks for that section.
    """
    if report.findings is None and report.impression is None:
        return "no_sections" if field_text(report.text) else "no_report"
    if report.findings is None and require in ("findings", "both"):
        return "no_findings"
    if report.impression is None and require in ("impression", "both"):
        return "no_impression"
    return None


def stays_inside(path: Path, folders: Iterable[Path]) -> bool:
    """Whether `path`, its links followed, lies in one of the `folders`, which are resolved already."""
    real = Path(os.path.realpath(path))  # not strict: a missing file is no escape
    return any(real.is_relative_to(folder) for folder in folders)


def refuse_escape(path: Path, folders: Iterable[Path], *, where: str) -> None:
    """Raise unless `path` stays inside one of the `folders`.

    A table from elsewhere must not make radflow read, and copy into the run folder, whatever file its author
    names.

    Raises:
        DataError: the path leads out of all folders.
    """
    if not stays_inside(path, folders):
        raise DataError(
            "a path leads out of the data folder",
            where=where,
            next_step="Set data.root or data.images to the folder that holds the file, or correct the path.",
        )
