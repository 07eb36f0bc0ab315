"""MIMIC-CXR in its official layout: reports, MIMIC-CXR-JPG's or the DICOM images, metadata and split tables.

    files/p10/p10000032/s50414267.txt                    the report
    files/p10/p10000032/s50414267/<dicom_id>.jpg|.dcm    its images
    mimic-cxr-2.0.0-metadata.csv.gz, mimic-cxr-2.0.0-split.csv.gz

Reports and images may lie in different folders. Ids are the files' names: study s50414267 of patient
p10000032. A patient's studies come in the order of their time, each with the report before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.config import DataConfig
from radflow.data.sections import parse_report, render_report
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import (
    concerns_all_rows,
    field_text,
    missing_section,
    refuse_escape,
)
from radflow.data.sources.mimic_sections import official_report
from radflow.data.sources.mimic_tables import ListedStudy, MimicTables, find_tables
from radflow.data.views import choose_views
from radflow.errors import DataError
from radflow.records import LeftOut, Report

GROUP, PATIENT = re.compile(r"p(\d\d)"), re.compile(r"p(\d{8})")
REPORT = re.compile(r"s(\d{1,12})\.txt")
TREES = (".", "files", "mimic-cxr-reports/files", "mimic-cxr-reports")
"""Where patient groups may lie below a folder; mimic-cxr-reports.zip unpacks to files/."""
SUFFIXES = (".jpg", ".dcm")
MAX_REPORT_BYTES = 1_000_000
GET_IT = (
    "Set data.root to a folder with files/p10/... of MIMIC-CXR (mimic-cxr-reports.zip unpacked there), and "
    "data.images to that of MIMIC-CXR-JPG if it is another one: docs/datasets.md."
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the collection lies: folders with patient groups (reports, images or both), and the tables."""

    trees: tuple[Path, ...]
    real: tuple[Path, ...]
    tables: MimicTables

    def groups(self) -> list[str]:
        """Digits of the patient groups that lie on disk; others may not be downloaded, and aren't missed."""
        found = {name for tree in self.trees for name in _names(tree)}
        return sorted(match[1] for name in found if (match := GROUP.fullmatch(name)))

    def patients(self, group: str) -> set[str]:
        found = {name for tree in self.trees for name in _names(tree / f"p{group}")}
        return {match[1] for name in found if (match := PATIENT.fullmatch(name))}

    def reports(self, subject: str) -> dict[str, Path]:
        """Report files of a patient by study; the first tree wins."""
        found: dict[str, Path] = {}
        for tree in self.trees:
            folder = _patient_folder(tree, subject)
            for name in _names(folder):
                if match := REPORT.fullmatch(name):
                    found.setdefault(match[1], folder / name)
        return found

    def image(self, subject: str, study: str, dicom_id: str) -> Path | None:
        for tree in self.trees:
            folder = _patient_folder(tree, subject) / f"s{study}"
            for suffix in SUFFIXES:
                path = folder / f"{dicom_id}{suffix}"
                if path.is_file():
                    refuse_escape(path, self.real, where=str(path))
                    return path
        return None


def read_mimic_cxr(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies patient by patient, in the order of their time; memory holds one patient group's tables.

    Args:
        data: root, images, views, max_images, require, limit, sections, split.method and mimic are used.
        seed: unused, nothing is random here.

    Raises:
        DataError: no such folder, no table, a table that isn't what it should be, a path that leads out.
    """
    layout = find_layout(data)
    taken = 0
    for group in layout.groups():
        listed = layout.tables.patients(group)
        for subject in sorted(layout.patients(group) | set(listed)):
            for item in _read_patient(subject, listed.pop(subject, {}), layout, data):
                yield item
                taken += isinstance(item, SourceStudy)
                if taken == data.limit:
                    return


def find_layout(data: DataConfig) -> Layout:
    """Where reports, images and tables lie.

    Raises:
        DataError: no folder with patient groups, or no tables.
    """
    if data.root is None or not data.root.is_dir():
        raise DataError("no folder with MIMIC-CXR", where=str(data.root), next_step=GET_IT)
    if data.images is not None and not data.images.is_dir():
        raise DataError("data.images is no folder", where=str(data.images), next_step=GET_IT)
    roots = [data.root, *([data.images] if data.images else [])]
    candidates = (root / name for root in roots for name in TREES)
    trees = [tree for tree in candidates if any(GROUP.fullmatch(name) for name in _names(tree))]
    if not trees:
        raise DataError("no patient folders (p10 ... p19) here", where=str(data.root), next_step=GET_IT)
    folders = dict.fromkeys([*roots, *(tree.parent for tree in trees if tree.name == "files")])
    tables = find_tables(folders, needs_split=data.split.method in ("auto", "source"))
    return Layout(tuple(trees), tuple(Path(os.path.realpath(tree)) for tree in trees), tables)


def _read_patient(
    subject: str, listed: dict[str, ListedStudy], layout: Layout, data: DataConfig
) -> Iterator[SourceStudy | LeftOut]:
    reports = layout.reports(subject)
    studies = {study: listed.get(study, ListedStudy()) for study in {*listed, *reports}}
    previous: str | None = None
    for study, entry in sorted(studies.items(), key=_by_time):
        report = _read_report(reports.get(study), study, layout, data)
        yield _admit(subject, study, entry, report, previous, layout, data)
        if entry.when is not None and isinstance(report, Report):
            written = render_report(findings=report.findings, impression=report.impression)
            previous = written or previous


def _by_time(item: tuple[str, ListedStudy]) -> tuple[bool, Any, int]:
    study, entry = item
    return entry.when is None, entry.when or (), int(study)


def _read_report(path: Path | None, study: str, layout: Layout, data: DataConfig) -> Report | LeftOut:
    if path is None:
        return LeftOut(study_id=f"s{study}", reason="no_report", detail=f"s{study}.txt is not there")
    refuse_escape(path, layout.real, where=str(path))
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_REPORT_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        if concerns_all_rows(error):
            raise
        return LeftOut(study_id=f"s{study}", reason="unreadable_report", detail=type(error).__name__)
    if len(content) > MAX_REPORT_BYTES:
        return LeftOut(study_id=f"s{study}", reason="unreadable_report", detail="larger than a report can be")
    if data.mimic.sections == "official":
        return official_report(text, fallback=data.sections.of_parser)
    return parse_report(text, fallback=data.sections.of_parser, headers=data.sections.headers)


def _admit(
    subject: str,
    study: str,
    entry: ListedStudy,
    report: Report | LeftOut,
    previous: str | None,
    layout: Layout,
    data: DataConfig,
) -> SourceStudy | LeftOut:
    """The study, or the first reason against it: its report file, its images, its sections."""
    if isinstance(report, LeftOut):
        return report
    study_id = f"s{study}"
    if not entry.images:
        return LeftOut(study_id=study_id, reason="no_image_listed", detail=layout.tables.metadata.name)
    found = [
        (path, dicom_id, view)
        for dicom_id, view in entry.images
        if (path := layout.image(subject, study, dicom_id))
    ]
    if not found:
        detail = f"{len(entry.images)} listed, 0 on disk"
        return LeftOut(study_id=study_id, reason="image_file_missing", detail=detail)
    chosen = choose_views(found, lambda image: image[2], frontal_only=data.views == "frontal")
    chosen = chosen[: data.max_images]
    if not chosen:
        return LeftOut(study_id=study_id, reason="no_frontal_view", detail="data.views: frontal")
    lacking = missing_section(report, data.require)
    if lacking and not (lacking == "no_sections" and data.sections.fallback == "judge"):
        return LeftOut(study_id=study_id, reason=lacking, detail=f"data.require: {data.require}")
    return SourceStudy(
        study_id=study_id,
        patient_id=f"p{subject}",
        images=tuple(path for path, _, _ in chosen),
        report=report,
        split=entry.split,
        indication=field_text(report.other.get("indication")) or field_text(report.other.get("history")),
        comparison=field_text(report.other.get("comparison")),
        previous=previous if entry.when is not None else None,
        metadata={"dicom_ids": [name for _, name, _ in chosen], "views": [view for _, _, view in chosen]},
    )


def _patient_folder(tree: Path, subject: str) -> Path:
    return tree / f"p{subject[:2]}" / f"p{subject}"


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
