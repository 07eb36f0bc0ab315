"""Studies from a table: CSV, JSONL, Parquet, or a Hugging Face dataset saved on disk.

With data.table.findings_column or impression_column the sections come from these and report_column isn't
read; otherwise the whole report is cut by the section parser. Without indication_column or comparison_column
the prompt parts are those that the section parser found in the report, if any.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from radflow.config import DataConfig, TableConfig
from radflow.data.sections import parse_report, report_from_fields
from radflow.data.sources import ImageSource, SourceStudy
from radflow.data.sources.checks import field_text, id_text, is_empty, missing_section, whole_text
from radflow.data.sources.table_images import ImageFinder
from radflow.data.splits import parse_split
from radflow.data.tables import (
    ANY_TABLE,
    Row,
    is_saved_dataset,
    read_rows,
    read_saved_dataset,
    require_columns,
)
from radflow.errors import DataError
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
        study_id = id_text(row.get(data.table.id_column))
        if study_id is None:
            raise DataError("a row has no id", where=where, next_step="Every row needs a unique id.")
        if seen.setdefault(study_id, number) != number:
            raise DataError(
                "two rows have the same id",
                where=f"{where} and row {seen[study_id]}",
                next_step="Give every study one row; several images go into one cell or several columns.",
            )
        split = _split(row, split_name, data.table, where=where)
        for item in _read_study(study_id, number, row, split, data, finder):
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
    study_id: str, number: int, row: Row, split: Split | None, data: DataConfig, finder: ImageFinder
) -> Iterator[SourceStudy | LeftOut]:
    table = data.table
    where = f"{data.root}, row {number}"
    images = chain.from_iterable(finder.find(row, number, name) for name in table.image_columns)
    found: list[ImageSource] = []
    missing = 0
    for image in images:
        if image is None:
            missing += 1
            looked = ", ".join(map(str, finder.folders))
            detail = f"{where}; looked for from {looked}"
            yield LeftOut(study_id=study_id, reason="image_file_missing", detail=detail)
        elif len(found) < data.max_images:
            found.append(image)
    if not found:
        if not missing:
            yield LeftOut(study_id=study_id, reason="no_image_listed", detail=where)
        return
    for column in (table.report_column, table.findings_column, table.impression_column):
        if column and isinstance(row.get(column), (list, dict, bytes)):
            kind = type(row[column]).__name__
            raise DataError(f"column {column!r} holds no text but a {kind}", where=where)
    report = _report(row, data)
    lacking = missing_section(report, data.require)
    if lacking and not (lacking == "no_sections" and data.sections.fallback == "judge"):
        yield LeftOut(study_id=study_id, reason=lacking, detail=f"{where}, data.require: {data.require}")
        return
    yield SourceStudy(
        study_id=study_id,
        patient_id=id_text(row.get(table.patient_column)) if table.patient_column else None,
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
        text = "" if is_empty(cell) else whole_text(cell)
        return parse_report(text, fallback=data.sections.of_parser, headers=data.sections.headers)
    findings = _text(row.get(table.findings_column)) if table.findings_column else None
    impression = _text(row.get(table.impression_column)) if table.impression_column else None
    return report_from_fields(findings=findings, impression=impression)


def _prompt_part(row: Row, column: str | None, report: Report, section: str) -> str | None:
    return _text(row.get(column)) if column else field_text(report.other.get(section))


def _text(cell: object) -> str | None:
    return None if is_empty(cell) else field_text(cell)


def _split(row: Row, split_name: str | None, table: TableConfig, *, where: str) -> Split | None:
    cell = row.get(table.split_column) if table.split_column else split_name
    if is_empty(cell):
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
