"""MIMIC-CXR's metadata and split tables: views, time and split of each study, one patient group at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from radflow.data.splits import parse_split
from radflow.data.tables import Row, read_rows, require_columns
from radflow.errors import DataError
from radflow.records import Split

TABLE_NAME = re.compile(r"mimic-cxr-[\d.]+-(metadata|split)\.csv(?:\.gz)?")
METADATA_COLUMNS = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime")
SPLIT_COLUMNS = ("study_id", "subject_id", "split")
CODE_MEANING = "ViewCodeSequence_CodeMeaning"
NUMBER = re.compile(r"\d{1,12}")
DICOM_ID = re.compile(r"\w[\w.-]{0,127}")
VIEW_OF_CODE = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "LATERAL",
    "left lateral": "LL",
    "right lateral": "RL",
}
"""What stands in for an empty ViewPosition."""

When = tuple[int, float]


@dataclass(slots=True)
class ListedStudy:
    """A study as the tables list it.

    Attributes:
        when: StudyDate and StudyTime, to put a patient's studies in order; ``None`` where unreadable.
        images: (dicom_id, view) in the table's order; the view is "" where no column says it.
        split: the official one, ``None`` where the split table doesn't list the study or isn't read.
    """

    when: When | None = None
    images: list[tuple[str, str]] = field(default_factory=list)
    split: Split | None = None


Patients = dict[str, dict[str, ListedStudy]]
"""Studies by subject_id and study_id, digits only."""


@dataclass(frozen=True, slots=True)
class MimicTables:
    """Where the tables lie; ``split`` is ``None`` when another split is asked for."""

    metadata: Path
    split: Path | None

    def patients(self, group: str) -> Patients:
        """Studies of the patients whose subject_id begins with the digits ``group``.

        The tables are read once for each group, which costs seconds: so a tenth of them is held.

        Raises:
            DataError: a column or id is missing, or one study stands in two splits.
        """
        found: Patients = {}
        for where, subject, row in _rows(self.metadata, METADATA_COLUMNS, group):
            study = found.setdefault(subject, {}).setdefault(_number(row, "study_id", where), ListedStudy())
            study.when = study.when or _when(row)
            study.images.append((_dicom_id(row, where), _view(row)))
        if self.split is not None:
            for where, subject, row in _rows(self.split, SPLIT_COLUMNS, group):
                study_id = _number(row, "study_id", where)
                split = parse_split(row["split"])
                if split is None:
                    raise DataError("unknown split", where=where, next_step="Download the table again.")
                study = found.setdefault(subject, {}).setdefault(study_id, ListedStudy())
                if study.split not in (None, split):
                    raise DataError(f"study s{study_id} is in two splits", where=where)
                study.split = split
        return found


def find_tables(folders: Iterable[Path], *, needs_split: bool) -> MimicTables:
    """The tables in the first of the folders that has them.

    Raises:
        DataError: there is none; without the split table no other split is drawn unasked.
    """
    found: dict[str, Path] = {}
    looked = []
    for folder in folders:
        looked.append(str(folder))
        for path in sorted(folder.iterdir(), reverse=True):  # .csv.gz before .csv, a later version first
            if match := TABLE_NAME.fullmatch(path.name):
                found.setdefault(match[1], path)
    for kind in ("metadata", *(["split"] if needs_split else [])):
        if kind not in found:
            other = ", or set data.split.method: seeded to draw another split" if kind == "split" else ""
            raise DataError(
                f"no {kind} table of MIMIC-CXR",
                where=", ".join(looked),
                next_step=f"Copy mimic-cxr-2.0.0-{kind}.csv.gz of MIMIC-CXR-JPG (PhysioNet) there{other}.",
            )
    return MimicTables(found["metadata"], found["split"] if needs_split else None)


def _rows(path: Path, columns: tuple[str, ...], group: str) -> Iterator[tuple[str, str, Row]]:
    for number, row in read_rows(path):
        if number == 1:
            require_columns(row, dict.fromkeys(columns, "MIMIC-CXR's layout"), where=str(path))
        where = f"{path}, row {number}"
        subject = _number(row, "subject_id", where)
        if subject.startswith(group):
            yield where, subject, row


def _number(row: Row, column: str, where: str) -> str:
    cell = str(row[column]).strip()
    if not NUMBER.fullmatch(cell):
        raise DataError(f"{column} is no number", where=where, next_step="Download the table again.")
    return cell


def _dicom_id(row: Row, where: str) -> str:
    cell = str(row["dicom_id"]).strip()
    if not DICOM_ID.fullmatch(cell):  # it becomes part of a path
        raise DataError("dicom_id is no file name", where=where, next_step="Download the table again.")
    return cell


def _when(row: Row) -> When | None:
    try:
        return int(str(row["StudyDate"])), float(str(row["StudyTime"]) or 0)
    except ValueError:
        return None


def _view(row: Row) -> str:
    view = str(row["ViewPosition"]).strip().upper()
    return view or VIEW_OF_CODE.get(str(row.get(CODE_MEANING, "")).strip().lower(), "")
