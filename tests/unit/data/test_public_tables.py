"""examples/public_tables.py on invented files with the data sets' columns, read by the table source."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

from radflow.config import DataConfig
from radflow.data.sources import SourceStudy
from radflow.data.sources.table import read_table

SCRIPT = REPOSITORY / "examples" / "public_tables.py"
TABLE = {
    "report_column": None,
    "findings_column": "findings",
    "impression_column": "impression",
    "image_columns": ["images"],
    "patient_column": "patient",
    "indication_column": "indication",
    "comparison_column": "comparison",
}


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as handle:
        csv.writer(handle).writerows([columns, *rows])
    return path


def studies(folder: Path, kind: str, *files: Path, **table: Any) -> list[SourceStudy]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), kind, *map(str, files)], capture_output=True, text=True, check=True
    )
    path = folder / "table.jsonl"
    path.write_text(done.stdout, encoding="utf-8")
    for row in map(json.loads, done.stdout.splitlines()):
        for image in row["images"]:
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            (folder / image).write_bytes(b"")
    data = {"source": "table", "root": str(path), "max_images": 2, "table": {**TABLE, **table}}
    items = list(read_table(DataConfig.model_validate(data), 0))
    assert all(isinstance(item, SourceStudy) for item in items)
    return items  # type: ignore[return-value]


def images_of(study: SourceStudy, folder: Path) -> list[str]:
    return [str(path.relative_to(folder.resolve())) for path in study.images]  # type: ignore[union-attr]


def test_chexpert_plus_groups_images_by_study_with_frontal_first(tmp_path: Path) -> None:
    columns = [
        "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "split", "report",
        "section_history", "section_clinical_history", "section_comparison", "section_findings",
        "section_impression",
    ]  # fmt: skip
    study = "train/patient00001/study1"
    said = ["p1", "train", "", "Fall.", "", "None.", "Clear.", "Normal."]
    rows = [
        [f"{study}/view1_lateral.jpg", "", "Lateral", "", *said],
        [f"{study}/view2_frontal.jpg", "", "Frontal", "PA", *said],
        ["train/patient00001/study2/view1_frontal.jpg", "", "Frontal", "AP", *said],
    ]
    path = write_csv(tmp_path / "df.csv", columns, rows)
    first, second = studies(tmp_path, "chexpert-plus", path)
    assert first.study_id == study
    assert images_of(first, tmp_path) == [f"{study}/view2_frontal.png", f"{study}/view1_lateral.png"]
    assert (first.patient_id, first.indication, first.report.impression) == ("p1", "Fall.", "Normal.")
    assert second.study_id == "train/patient00001/study2"


def test_rexgradient_takes_the_split_from_the_file(tmp_path: Path) -> None:
    entry = {
        "PatientID": "P1", "ImagePath": ["../deid_png/a/lat.png", "../deid_png/a/pa.png"],
        "ImageViewPosition": ["LATERAL", "PA"], "Findings": "Clear.", "Impression": "Normal.",
        "Indication": "Fall.", "Comparison": "None.",
    }  # fmt: skip
    files = []
    for split in ("train", "valid", "test"):
        files.append(tmp_path / f"{split}_metadata_view_position.json")
        files[-1].write_text(json.dumps({f"s_{split}": {**entry, "PatientID": split}}))
    found = studies(tmp_path, "rexgradient", *files, split_column="split")
    assert [study.split for study in found] == ["train", "validation", "test"]
    assert images_of(found[0], tmp_path) == ["deid_png/a/pa.png", "deid_png/a/lat.png"]


@pytest.mark.parametrize(
    ("column", "text"), [("findings", "Clear. No effusion."), ("findings_es", "Limpio. Sin.")]
)
def test_padchest_gr_joins_sentences_in_either_language(tmp_path: Path, column: str, text: str) -> None:
    sentences = [("Clear.", "Limpio."), ("No effusion.", "Sin.")]
    found = [{"sentence_en": en, "sentence_es": es, "abnormal": False} for en, es in sentences]
    grounded = tmp_path / "grounded.json"
    grounded.write_text(json.dumps([{"StudyID": "s1", "ImageID": "i1.png", "findings": found}]))
    rows = [["s1", "p1", "test", "a"], ["s1", "p1", "test", "b"]]
    master = write_csv(tmp_path / "master_table.csv", ["StudyID", "PatientID", "split", "label_group"], rows)
    columns = dict.fromkeys(("impression_column", "indication_column", "comparison_column"))
    (study,) = studies(
        tmp_path, "padchest-gr", grounded, master, split_column="split", findings_column=column, **columns
    )
    assert (study.report.findings, study.split, study.patient_id) == (text, "test", "p1")


def test_casia_cxr_skips_marks_and_repeats(tmp_path: Path) -> None:
    columns = [
        "ExamID", "ImageID", "PatientID", "ImageDir", "Findings", "Impression", "Indication", "Comparison",
        "EndHere", "", "",
    ]  # fmt: skip
    row = ["e1", "i1.jpg", "p1", "images", "Poumons clairs.", "Normal.", "Toux.", "", "#", "", ""]
    rows = [row, [""] * len(columns), row]
    path = write_csv(tmp_path / "CASIA-CXR_Mass/CASIA-CXR_Mass_Reports.csv", columns, rows)
    (study,) = studies(tmp_path, "casia-cxr", path)
    assert images_of(study, tmp_path) == ["images/i1.jpg"]
    assert (study.report.findings, study.comparison) == ("Poumons clairs.", None)
