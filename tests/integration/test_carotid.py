"""A second modality goes through all stages: carotid studies of several pictures, with an own ontology."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radflow.config_file import load_config
from radflow.data.phantoms.carotid_truth import OBSERVATIONS
from radflow.jsonl import read_jsonl
from radflow.records import Criticality, Prediction, Study
from radflow.stages.pipeline import run_stages
from tests.conftest import REPOSITORY
from tests.integration.small import SMALL

CHEST = ("Cardiomegaly", "Pneumothorax", "Lung Opacity", "Pleural Effusion", "No Finding")


@pytest.fixture(scope="module")
def carotid_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "carotid"
    small = [*SMALL, "data.phantoms.train=32", "explore.selection=hardest", "model.tiny.warmup_epochs=1"]
    run_stages(load_config(REPOSITORY / "configs" / "carotid.yaml", overrides=small), folder)
    return folder


def test_all_pictures_of_a_study_are_prepared_and_its_truth_table_kept(carotid_run: Path) -> None:
    studies = list(read_jsonl(Study, carotid_run / "studies.jsonl"))
    assert {len(study.images) for study in studies} >= {3, 4}
    for study in studies:
        assert len(study.images) == len(study.metadata["views"])
        assert all((carotid_run / name).is_file() for name in study.images)
        assert [row["side"] for row in study.metadata["sides"]] == ["right", "left"]


def test_every_stage_reads_by_the_carotid_ontology(carotid_run: Path) -> None:
    verdicts = list(read_jsonl(Criticality, carotid_run / "criticality.jsonl"))
    truth = {
        study.study_id: study.metadata["is_critical"]
        for study in list(read_jsonl(Study, carotid_run / "studies.jsonl"))
        if study.report.findings is not None
    }
    assert all(row.is_critical == truth[row.study_id] for row in verdicts if row.study_id in truth)
    summary = json.loads((carotid_run / "summary.json").read_text(encoding="utf-8"))
    labels = summary["systems"]["nearest image"]["per_label"]["report"]
    names = set(labels["rules-label-f1"])
    assert "Plaque" in names
    assert not names & set(CHEST)
    assert any(name.startswith("Stenosis") for name in labels["truth-f1"])
    assert labels["truth-f1"].keys() <= set(OBSERVATIONS)
    assert "rft - sft" in summary["differences"]


def test_all_models_wrote_a_report_for_every_study_and_the_page_shows_them(carotid_run: Path) -> None:
    written = list(read_jsonl(Prediction, carotid_run / "predictions.jsonl"))
    assert {row.system for row in written} == {"sft", "rft"}
    page = (carotid_run / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") > 2 * 4
    assert not any(name in page for name in CHEST)
