"""What kind of data lies there: IU X-ray, MIMIC-CXR, or a table, whose columns are recognised"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from radflow.data.sources.iu_xray import ARCHIVE, REPORTS, XML_FOLDERS
from radflow.data.sources.mimic_cxr import GROUP
from radflow.data.tables import (
    ANY_TABLE,
    SUFFIXES,
    Row,
    is_saved_dataset,
    read_rows,
    read_saved_dataset,
    table_suffix,
)
from radflow.errors import DataError

PHANTOMS = "phantoms"
LOOKED_AT = 200
"""Rows whose cells are looked at."""
R2GEN = ("annotation.json", "r2gen/annotation.json")
NAMES: dict[str, Sequence[str]] = {
    "id_column": ("study_id", "id", "uid", "study", "study_uid", "studyinstanceuid", "accession",
                  "accession_number", "report_id", "exam_id", "case_id"),
    "report_column": ("report", "text", "report_text", "full_report", "radiology_report", "caption"),
    "findings_column": ("findings", "section_findings", "finding", "befund"),
    "impression_column": ("impression", "section_impression", "impressions", "conclusion", "beurteilung"),
    "patient_column": ("patient_id", "subject_id", "patient", "patientid", "subject", "mrn"),
    "split_column": ("split", "fold", "partition", "subset"),
    "indication_column": ("indication", "section_indication", "clinical_information", "history"),
    "comparison_column": ("comparison", "section_comparison"),
}  # fmt: skip
"""Setting of data.table -> what its column is usually called, the likeliest first."""
IMAGE_NAME = re.compile(r"image|img|png|jpe?g|dicom|dcm|picture|path|file|frontal|lateral", re.IGNORECASE)
IMAGE_FILE = re.compile(r"\.(png|jpe?g|dcm|dicom)\b", re.IGNORECASE)
ID_CELL = re.compile(r"(?=\S*\d)\S{1,80}")
"""Words, and so reports and people's names, are no ids: ids go to logs, errors and names of files."""
PERSONAL = re.compile(r"name|birth|dob|date|phone|address|insurance|ssn", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Data as the settings name them.

    Attributes:
        source: phantoms, iu_xray, mimic_cxr or table.
        root: ``None`` for phantoms.
        split: method, and the file for r2gen.
        table: settings of data.table.
        found: what was recognised, in a few words, for the user.
    """

    source: str
    found: str
    root: Path | None = None
    split: dict[str, str] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)


def find_layout(data: str) -> Layout:
    """Recognise what lies there.

    Args:
        data: "phantoms", or a path.

    Raises:
        DataError: nothing there, nothing that is known, or a table whose columns aren't recognised.
    """
    if data == PHANTOMS:
        return Layout("phantoms", "generated phantoms")
    root = Path(data).expanduser().absolute()
    if not root.exists():
        raise DataError(
            "nothing is there", where=str(root), next_step=f"Give a folder, a table, or {PHANTOMS}."
        )
    if root.is_dir() and not is_saved_dataset(root):
        return _iu_xray(root) or _mimic(root) or _only_table(root)
    return _table(root)


def _iu_xray(root: Path) -> Layout | None:
    has_xml = any(any((root / name).glob("CXR*.xml")) or any((root / name).glob("[0-9]*.xml"))
                  for name in XML_FOLDERS)  # fmt: skip
    if not (has_xml or (root / ARCHIVE).is_file() or (root / REPORTS).is_file()):
        return None
    file = next((root / name for name in R2GEN if (root / name).is_file()), None)
    split = {"method": "r2gen", "file": str(file)} if file else {"method": "seeded"}
    how = "R2Gen's split" if file else "no annotation.json of R2Gen, so the split is drawn"
    return Layout("iu_xray", f"the Indiana University chest X-rays; {how}", root, split)


def _mimic(root: Path) -> Layout | None:
    trees = [tree for tree in (root, root / "files") if tree.is_dir()]
    groups = {entry.name for tree in trees for entry in tree.iterdir() if GROUP.fullmatch(entry.name)}
    if not groups:
        return None
    return Layout("mimic_cxr", f"MIMIC-CXR with {len(groups)} patient groups", root, {"method": "source"})


def _only_table(root: Path) -> Layout:
    tables = sorted(path for path in root.iterdir() if table_suffix(path) in SUFFIXES and path.is_file())
    if len(tables) == 1:
        return _table(tables[0])
    names = ", ".join(path.name for path in tables[:5])
    raise DataError(
        f"{len(tables)} tables are here: {names}" if tables else "no known layout is here",
        where=str(root),
        next_step="Name the table that holds the reports."
        if tables
        else f"Known are IU X-ray, MIMIC-CXR and tables. {ANY_TABLE}",
    )


def _table(path: Path) -> Layout:
    rows = list(islice(_rows(path), LOOKED_AT))
    if not rows:
        raise DataError("the table has no rows", where=str(path), next_step=ANY_TABLE)
    settings = columns_of(rows, where=str(path))
    shown = ", ".join(
        f"{name.partition('_column')[0]} {value if isinstance(value, str) else ' + '.join(value)}"
        for name, value in settings.items()
        if value
    )
    split = {"method": "source"} if "split_column" in settings else {"method": "seeded"}
    return Layout("table", f"a table with {shown}", path, split, settings)


def _rows(path: Path) -> Any:
    if is_saved_dataset(path):
        return (row for _, _, row in read_saved_dataset(path))
    return (row for _, row in read_rows(path))


def columns_of(rows: Sequence[Row], *, where: str) -> dict[str, Any]:
    """Settings of data.table for these rows: by the columns' names, and for images also by what cells hold.

    Raises:
        DataError: no column for ids, for reports or for images; lists the columns that there are.
    """
    columns = list(rows[0])
    found: dict[str, Any] = {}
    for setting, names in NAMES.items():
        if (column := _named(columns, names)) is not None:
            found[setting] = column
    repeated = None
    if "id_column" not in found or not _is_unique(rows, found["id_column"]):
        repeated = found.get("id_column")
        known = set(found.values())
        found["id_column"] = next(
            (name for name in columns if name not in known and _is_id(rows, name)), None
        )
    if "findings_column" in found or "impression_column" in found:
        found["report_column"] = None
    taken = set(found.values())
    found["image_columns"] = tuple(
        name for name in columns if name not in taken and _holds_images(rows, name)
    )
    lacking = [
        what
        for what, is_there in (
            ("ids (unique, e.g. id)", found["id_column"] is not None),
            ("reports (e.g. report, or findings and impression)", "report_column" in found),
            ("images (paths of PNG, JPEG or DICOM files)", bool(found["image_columns"])),
        )
        if not is_there
    ]
    if lacking:
        raise DataError(
            f"no column for {' and for '.join(lacking)} is recognised among {', '.join(columns)}"
            + (f"; {repeated} has repeated or empty cells" if repeated and not found["id_column"] else ""),
            where=where,
            next_step="Rename columns, or write the config yourself: radflow config show data.table",
        )
    order = ("id_column", "report_column", "findings_column", "impression_column", "image_columns")
    return {name: found[name] for name in (*order, *NAMES) if name in found}


def _named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    by_plain = {re.sub(r"[\s-]+", "_", column.strip().lower()): column for column in reversed(columns)}
    return next((by_plain[name] for name in names if name in by_plain), None)


def _is_unique(rows: Sequence[Row], column: str) -> bool:
    cells = [str(row.get(column)) for row in rows]
    return len(set(cells)) == len(cells) and all(cells)


def _is_id(rows: Sequence[Row], column: str) -> bool:
    """Unique, one word with a digit, no path: what can stand for a study without saying anything of it."""
    cells = [row.get(column) for row in rows]
    is_word = all(isinstance(cell, str | int) and ID_CELL.fullmatch(str(cell)) for cell in cells)
    is_nobody = not PERSONAL.search(column)
    return is_word and is_nobody and _is_unique(rows, column) and not _holds_images(rows, column)


def _holds_images(rows: Sequence[Row], column: str) -> bool:
    cells = [cell for row in rows if (cell := row.get(column))]
    if any(isinstance(cell, bytes | dict) for cell in cells):
        return bool(IMAGE_NAME.search(column))
    if any(isinstance(cell, list) for cell in cells):
        cells = [part for cell in cells if isinstance(cell, list) for part in cell]
    return bool(cells) and all(isinstance(cell, str) and IMAGE_FILE.search(cell) for cell in cells)
