"""A run through all stages is exported and written with: its evaluation is in the card, no report is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from radflow.delivery.export import export_model
from radflow.delivery.given import HowToRead, find_given
from radflow.delivery.report_writer import Decoding, ReportWriter
from radflow.delivery.writing import open_author
from radflow.delivery.written import WrittenReport
from radflow.jsonl import read_jsonl
from radflow.records import Prediction, Study


@pytest.fixture(scope="module")
def exported(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    export_model(small_run, folder)
    return folder


def test_the_card_has_the_runs_metrics_of_all_parts(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    for told in ("12 test studies", "### Whole report", "### Findings", "### Impression", "| ROUGE-L | "):
        assert told in card


def test_no_report_of_the_run_is_in_the_folder(exported: Path, small_run: Path) -> None:
    sections = {
        section
        for study in read_jsonl(Study, small_run / "studies.jsonl")
        for section in (study.report.findings, study.report.impression)
        if section and len(section) > 20
    }
    assert sections
    for path in exported.iterdir():
        content = path.read_bytes()
        assert not [section for section in sections if section.encode() in content], path.name


def test_the_exported_model_writes_what_the_evaluation_has(exported: Path, small_run: Path) -> None:
    """From the prepared image and the indication of a test study: prompt and limit are the run's own."""
    predictions = {
        row.study_id: row.text
        for row in read_jsonl(Prediction, small_run / "predictions.jsonl")
        if row.system == "rft"
    }
    studies = [study for study in read_jsonl(Study, small_run / "studies.jsonl") if study.split == "test"]
    images = {str(small_run / study.images[0]): study for study in studies[:4]}
    given = [
        replace(study, indication=images[str(study.files[0])].indication)
        for study in find_given([Path(path) for path in images], HowToRead()).studies
    ]
    author = open_author(None, str(exported), device="cpu")
    rows = list(ReportWriter(author, Decoding(), ontology="chest-xray").write(given))
    assert len(rows) == 4
    for row in rows:
        assert isinstance(row, WrittenReport)
        assert row.text == predictions[images[row.images[0]].study_id]
