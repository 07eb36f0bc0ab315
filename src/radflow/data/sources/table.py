"""Studies from a table: CSV, JSONL, Parquet, or a Hugging Face dataset saved on disk.

With data.table.findings_column or impression_column the sections come from these and report_column isn't
read; otherwise the whole report is cut by the section parser. Without indication_column or comparison_column
the prompt parts are those that the section parser found in the report, if any.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radflow.config import DataConfig, TableConfig
from radflow.data.images import fit_within, read_image
from radflow.data.sections import parse_report, render_report
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import field_text, missing_section, refuse_escape, stays_inside, whole_text
from radflow.data.splits import parse_split
from radflow.data.tables import (
    ANY_TABLE,
    Row,
    is_saved_dataset,
    read_rows,
    read_saved_dataset,
    require_columns,
)
from radflow.errors import DataError, ImageError
from radflow.records import LeftOut, Report, Split


def read_table(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies in the order of the rows. An image that is missing is listed; the others remain.

    Args:
        data: root (the table), images, max_images, require, limit, sections and table are used.
        seed: unused, nothing is random here.

    Raises:
        DataError: no table, a column that isn't there, an empty or repeated id, an unknown split, an image
            path that leads out of the data folder.
    """
    if data.root is None:
        raise DataError("no table", where="data.root", next_step=ANY_TABLE)
    finder = ImageFinder.of(data, data.root)
    seen: dict[str, int] = {}
    taken = 0
    for number, split_name, row in _rows(data.root):
        where = f"{data.root}, row {number}"
        if not seen:
            _check_columns(row, data.table, where=str(data.root))
        study_id = _id(row.get(data.table.id_column))
        if study_id is None:
            raise DataError("a row has no id", where=where, next_step="Every row needs a unique id.")
        if seen.setdefault(study_id, number) != number:
            raise DataError(
                "two rows have the same id",
                where=f"{where} and row {seen[study_id]}",
                next_step="Give every study one row; several images go into one cell or several columns.",
            )
        split = _split(row, split_name, data.table, where=where)
        for item in _read_study(study_id, row, split, data, finder, where=where):
            yield item
            taken += isinstance(item, SourceStudy)
        if taken == data.limit:
            return
    if not seen:
        raise DataError("the table has no rows", where=str(data.root), next_step=ANY_TABLE)


def _rows(root: Path) -> Iterator[tuple[int, str | None, Row]]:
    if is_saved_dataset(root):
        yield from read_saved_dataset(root)
    elif root.is_dir():
        raise DataError("a folder that holds no saved dataset", where=str(root), next_step=ANY_TABLE)
    else:
        for number, row in read_rows(root):
            yield number, None, row


def _read_study(
    study_id: str, row: Row, split: Split | None, data: DataConfig, finder: ImageFinder, *, where: str
) -> Iterator[SourceStudy | LeftOut]:
    table = data.table
    cells = [cell for name in table.image_columns for cell in _images(row.get(name), table)]
    if not cells:
        yield LeftOut(study_id=study_id, reason="no_image_listed", detail=where)
        return
    found: list[Path | NDArray[np.uint8]] = []
    for cell in cells:
        if len(found) == data.max_images:
            break
        image = finder.find(cell, study_id=study_id, where=where)
        if isinstance(image, LeftOut):
            yield image
        else:
            found.append(image)
    if not found:
        return
    for column in (table.report_column, table.findings_column, table.impression_column):
        if column and isinstance(row.get(column), (list, dict, bytes)):
            kind = type(row[column]).__name__
            raise DataError(f"column {column!r} holds no text but a {kind}", where=where)
    report = _report(row, data)
    if lacking := missing_section(report, data.require):
        yield LeftOut(study_id=study_id, reason=lacking, detail=f"{where}, data.require: {data.require}")
        return
    yield SourceStudy(
        study_id=study_id,
        patient_id=_id(row.get(table.patient_column)) if table.patient_column else None,
        images=tuple(found),
        report=report,
        split=split,
        indication=_prompt_part(row, table.indication_column, report, "indication"),
        comparison=_prompt_part(row, table.comparison_column, report, "comparison"),
    )


def _report(row: Row, data: DataConfig) -> Report:
    table = data.table
    if not (table.findings_column or table.impression_column):
        cell = row.get(table.report_column) if table.report_column else None
        text = "" if _is_empty(cell) else whole_text(cell)
        return parse_report(text, fallback=data.sections.fallback)
    findings = _text(row.get(table.findings_column)) if table.findings_column else None
    impression = _text(row.get(table.impression_column)) if table.impression_column else None
    return Report(
        text=render_report(findings=findings, impression=impression),
        findings=findings,
        impression=impression,
        findings_found_by="field" if findings else "none",
        impression_found_by="field" if impression else "none",
    )


def _prompt_part(row: Row, column: str | None, report: Report, section: str) -> str | None:
    return _text(row.get(column)) if column else field_text(report.other.get(section))


def _text(cell: object) -> str | None:
    return None if _is_empty(cell) else field_text(cell)


def _is_empty(cell: object) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _id(cell: object) -> str | None:
    """An id as text; 12.0, which pandas makes of 12 in a column with gaps, is 12 again."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return _text(cell)


def _split(row: Row, split_name: str | None, table: TableConfig, *, where: str) -> Split | None:
    cell = row.get(table.split_column) if table.split_column else split_name
    if _is_empty(cell):
        return None
    split = parse_split(cell)
    if split is None:
        raise DataError(
            "unknown split", where=where, next_step="Known are train, validation (val, valid, dev) and test."
        )
    return split


def _check_columns(row: Row, table: TableConfig, *, where: str) -> None:
    """Raise for a configured column that the first row lacks; later rows of a JSONL file may lack some."""
    settings = {
        name: value
        for name, value in table.model_dump().items()
        if name.endswith("_column") and value is not None
    }
    if table.findings_column or table.impression_column:
        settings.pop("report_column", None)
    elif table.report_column is None:
        raise DataError(
            "no column holds the report",
            where="data.table",
            next_step="Set report_column, or findings_column and impression_column.",
        )
    wanted = {column: f"data.table.{setting}" for setting, column in settings.items()}
    wanted.update(dict.fromkeys(table.image_columns, "data.table.image_columns"))
    require_columns(row, wanted, where=where)


def _images(cell: object, table: TableConfig) -> list[str | bytes]:
    """Paths or encoded images of a cell: text with separators, bytes, a Hugging Face image, or a list."""
    if _is_empty(cell):
        return []
    if isinstance(cell, bytes):
        return [cell]
    if isinstance(cell, str):
        parts = cell.split(table.image_separator) if table.image_separator else [cell]
        return [part.strip() for part in parts if part.strip()]
    if isinstance(cell, dict):
        encoded = cell.get("bytes")
        return [encoded] if isinstance(encoded, bytes) else _images(cell.get("path"), table)
    if isinstance(cell, list):
        return [image for part in cell for image in _images(part, table)]
    return [str(cell)]


@dataclass(frozen=True, slots=True)
class ImageFinder:
    """Turns an image cell into a file inside the allowed folders, or an array.

    Attributes:
        folders: where relative paths start, resolved: data.images if set, then the table's folder.
        long_side: images that the table itself holds are scaled down to this, as all studies wait in memory
            until the split is drawn.
        allow_missing_preamble: as in `read_image`.
    """

    folders: tuple[Path, ...]
    long_side: int
    allow_missing_preamble: bool

    @classmethod
    def of(cls, data: DataConfig, root: Path) -> ImageFinder:
        own = root if root.is_dir() else root.parent
        if data.images is not None and not data.images.is_dir():
            raise DataError("no such folder", where=f"data.images: {data.images}")
        folders = [Path(os.path.realpath(folder)) for folder in (data.images, own) if folder is not None]
        return cls(tuple(folders), data.image_long_side, data.allow_missing_preamble)

    def find(self, cell: str | bytes, *, study_id: str, where: str) -> Path | NDArray[np.uint8] | LeftOut:
        if isinstance(cell, bytes):
            try:
                return self._decode(cell)
            except ImageError as error:
                return LeftOut(study_id=study_id, reason="unreadable_image", detail=f"{where}: {error.what}")
        path = self._inside(cell, where=where)
        if path is None:
            return LeftOut(study_id=study_id, reason="image_file_missing", detail=where)
        return path

    def _inside(self, cell: str, *, where: str) -> Path | None:
        """The first existing file that the cell may mean; raises when it means one outside or none inside."""
        readings = [Path(os.path.normpath(folder / cell.replace("\0", ""))) for folder in self.folders]
        inside = [path for path in readings if stays_inside(path, self.folders)]
        for path in inside:
            if os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises, and quotes, an overlong name)
                return path
        for path in readings:
            if path not in inside and (not inside or os.path.exists(path)):  # noqa: PTH110  (as above)
                refuse_escape(path, self.folders, where=where)
        return None

    def _decode(self, content: bytes) -> NDArray[np.uint8]:
        """Grey values (height, width). By way of a file, so that all images are read and bounded alike."""
        with tempfile.TemporaryDirectory(prefix="radflow-") as folder:
            path = Path(folder, "embedded")
            path.write_bytes(content)
            image = fit_within(
                read_image(path, allow_missing_preamble=self.allow_missing_preamble), long_side=self.long_side
            )
        return np.asarray(Image.fromarray(image).convert("L"))
