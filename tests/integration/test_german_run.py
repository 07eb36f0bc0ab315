"""A run through all stages on German reports, by settings alone: headers, ontology, prompt."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.config_file import load_config
from radflow.jsonl import read_jsonl
from radflow.records import Criticality, Study
from radflow.stages.pipeline import run_stages
from tests.integration.small import SMALL

FINDINGS = (
    ("Herz normal groß. Kein Pleuraerguss. Kein Pneumothorax.", "Unauffälliger Thoraxbefund."),
    ("Herz vergrößert. Kleiner Pleuraerguss rechts.", "Kardiomegalie. Pleuraerguss rechts."),
    ("Pneumothorax links. Kein Pleuraerguss.", "Pneumothorax links."),
    ("Infiltrat im rechten Unterlappen. Herz nicht vergrößert.", "Pneumonie rechts."),
)
OF_PHANTOMS = "data.phantoms"
ONTOLOGIES = ("explore", "annotate", "reward", "evaluate")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = []
    for number in range(48):
        findings, impression = FINDINGS[number % len(FINDINGS)]
        text = f"Fragestellung: Pneumothorax?\nBefund: {findings}\nBeurteilung: {impression}"
        pixels = np.full((32, 32), 40 + 50 * (number % len(FINDINGS)), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append((f"s{number}", f"{number}.png", text, f"p{number}"))
    path = tmp_path / "befunde.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("id", "image", "report", "patient"), *rows])
    return path


@pytest.mark.slow
def test_run_reads_german_by_its_settings(table: Path, tmp_path: Path) -> None:
    overrides = [item for item in SMALL if not item.startswith(OF_PHANTOMS)]
    overrides += [
        "data.source=table",
        f"data.root={table}",
        "data.table.patient_column=patient",
        "data.sections.headers={Befund: findings, Beurteilung: impression, Fragestellung: indication}",
        "model.prompt=Schreibe den Röntgenbefund.",
        "explore.selection=all",
        *(f"{stage}.ontology=chest-xray-de" for stage in ONTOLOGIES),
    ]
    config = load_config(None, overrides=overrides)
    run = tmp_path / "run"
    run_stages(config, run)
    studies = {study.study_id: study for study in read_jsonl(Study, run / "studies.jsonl")}
    assert all(study.report.findings and study.report.impression for study in studies.values())
    assert {study.indication for study in studies.values()} == {"Pneumothorax?"}
    critical = {row.study_id for row in read_jsonl(Criticality, run / "criticality.jsonl") if row.is_critical}
    trained = [study for study in studies.values() if study.split == "train"]
    assert critical == {study.study_id for study in trained if study.report.impression == FINDINGS[2][1]}
    summary = json.loads((run / "summary.json").read_text())
    assert summary
    assert (run / "report.html").exists()
