"""`radflow score` and `radflow metrics`: formats, mismatches, swapped files, what is written, the docs."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.conftest import REPOSITORY
from typer.testing import CliRunner

from radflow.cli import app
from radflow.data.report_pairs import MatchedReports, ReportFile
from radflow.data.rexrank import read_rexrank, report_of_text
from radflow.errors import DataError
from radflow.metrics import explain
from radflow.metrics.registry import METRICS, find_metric
from radflow.records import MetricRow

TEXTS = {
    "a": "FINDINGS: Small left effusion.\nIMPRESSION: Effusion.",
    "b": "IMPRESSION: No acute disease.",
    "c": "FINDINGS: Cardiomegaly.\nIMPRESSION: Cardiomegaly.",
}
WRITTEN = {
    "b": TEXTS["b"],
    "a": "FINDINGS: Small effusion.\nIMPRESSION: Effusion.",
    "d": "IMPRESSION: Edema.",
}


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def rows(texts: dict[str, str], column: str) -> list[dict[str, Any]]:
    return [{"study_id": name, column: text} for name, text in texts.items()]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return (
        table(tmp_path / "truth.csv", rows(TEXTS, "reference")),
        table(tmp_path / "mine.csv", rows(WRITTEN, "prediction")),
    )


def run(reference: Path, prediction: Path, out: Path, *more: str) -> Any:
    arguments = ["score", "--reference", reference, "--prediction", prediction, "-o", out, "--workers", "1"]
    return CliRunner().invoke(app, [*map(str, arguments), "--samples", "100", *more])


def test_all_files_are_written_with_provenance(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(*files, out, "--metrics", "bleu-1,rouge-l,omission-rate", "--system", "mine")
    assert result.exit_code == 0, result.exception
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["reference"]["sha256"] == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert summary["metrics"]["bleu-1"]["version"].startswith("radflow ")
    assert summary["scores"]["all"]["report"]["rouge-l"]["studies"] == 2
    stored = [
        MetricRow.model_validate_json(line)
        for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {(row.study_id, row.part) for row in stored} == {
        ("a", "report"), ("a", "findings"), ("a", "impression"), ("b", "report"), ("b", "impression"),
    }  # fmt: skip
    assert {row.system for row in stored} == {"mine"}
    assert "| rouge-l ↑ |" in (out / "table.md").read_text(encoding="utf-8")
    assert r"omission-rate $\downarrow$" in (out / "table.tex").read_text(encoding="utf-8")
    assert "rouge-l" in result.stdout


def test_ids_without_a_match_are_counted_and_listed(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*files, tmp_path / "out", "--metrics", "rouge-l")
    assert "1 ids left out: no_prediction" in result.stderr
    listed = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert [(row["study_id"], row["reason"], row["detail"]) for row in listed] == [
        ("c", "no_prediction", None), ("d", "no_reference", None), ("b", "empty_reference", "findings"),
    ]  # fmt: skip


def test_strict_refuses_a_mismatch_and_writes_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*files, tmp_path / "out", "--metrics", "rouge-l", "--strict")
    assert "2 ids are in one of the two files only, the first is 'c'" in str(result.exception)
    assert not (tmp_path / "out" / "scores.jsonl").exists()


def test_swapped_files_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(files[1], files[0], tmp_path / "out")
    assert "swapped" in str(result.exception)
    assert "ffusion" not in str(result.exception)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_one_file_may_hold_both_columns_in_every_format(suffix: str, tmp_path: Path) -> None:
    both = [{"id": name, "reference": text, "prediction": text.lower()} for name, text in TEXTS.items()]
    path = table(tmp_path / f"both{suffix}", both)
    result = run(path, path, tmp_path / "out", "--metrics", "rouge-l")
    assert result.exit_code == 0, result.exception
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["scores"]["all"]["report"]["rouge-l"]["value"] == 1
    same = run(
        path, path, tmp_path / "x", "--reference-column", "reference", "--prediction-column", "reference"
    )
    assert "same column of the same file" in str(same.exception)


def test_files_of_a_run_are_read_and_a_swap_of_them_is_noticed(tmp_path: Path) -> None:
    studies = table(
        tmp_path / "studies.jsonl",
        [{"study_id": "a", "patient_id": "p", "report": {"text": TEXTS["c"], "findings": "Cardiomegaly."}}],
    )
    written = [
        {"study_id": "a", "text": TEXTS["c"], "tokens": 5, "finished": True, "system": system}
        for system in ("sft", "rft")
    ]
    predictions = table(tmp_path / "predictions.jsonl", written)
    assert run(studies, predictions, tmp_path / "o", "--system", "rft", "--metrics", "rouge-l").exit_code == 0
    assert "--system" in str(run(studies, predictions, tmp_path / "o").exception)
    assert "swapped" in str(run(predictions, studies, tmp_path / "o", "--system", "rft").exception)


def test_rexrank_submissions_are_read_and_written(tmp_path: Path) -> None:
    submission = tmp_path / "model.json"
    studies = {
        "s1": {
            "section_findings": "Small left effusion.",
            "section_impression": None,
            "model_prediction": "Findings: None Impression: Effusion.",
        },
        "s2": {
            "section_findings": float("nan"),
            "section_impression": "Normal.",
            "model_prediction": "Normal.",
        },
    }
    submission.write_text(json.dumps(studies), encoding="utf-8")
    out, again = tmp_path / "out", tmp_path / "again.json"
    result = run(submission, submission, out, "--metrics", "rouge-l", "--rexrank", str(again))
    assert result.exit_code == 0, result.exception
    first = dict(read_rexrank(again, "prediction"))["s1"]
    assert (first.findings, first.impression) == (None, "Effusion.")
    assert dict(read_rexrank(again, "reference"))["s2"].impression == "Normal."
    assert json.loads(again.read_text())["s2"]["model_prediction"] == "Findings: Normal. Impression: None"


@pytest.mark.parametrize(
    ("text", "findings", "impression"),
    [
        ("Findings: None Impression: Normal.", None, "Normal."),
        ("Findings:Clear lungs.Impression:Normal.", "Clear lungs.", "Normal."),
        ("Findings: Clear. Impression: None", "Clear.", None),
        ("findings: nan impression: nan", None, None),
    ],
)
def test_missing_sections_of_a_submission_are_not_text(
    text: str, findings: str | None, impression: str | None
) -> None:
    report = report_of_text(text)
    assert (report.findings, report.impression) == (findings, impression)


@pytest.mark.parametrize(
    ("content", "role", "message"),
    [
        ('{"s": {"section_findings": "Secret."}}', "prediction", "swapped"),
        ('{"s": {"model_prediction": "Secret."}}', "reference", "swapped"),
        ('[{"model_prediction": "Secret."}]', "prediction", "object of studies"),
        ('{"s": {"model_prediction": 5}}', "prediction", "int"),
        ("Secret", "prediction", "no JSON"),
    ],
)
def test_other_json_is_refused_without_its_text(
    content: str, role: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        list(read_rexrank(path, role))
    assert "Secret" not in str(caught.value)


def test_files_in_the_same_order_are_matched_without_waiting(tmp_path: Path) -> None:
    texts = {str(number): TEXTS["a"] for number in range(50)}
    reference = ReportFile(table(tmp_path / "r.csv", rows(texts, "report")), "reference")
    prediction = ReportFile(table(tmp_path / "p.csv", rows(texts, "report")), "prediction")
    matched = MatchedReports(reference=reference, prediction=prediction)
    assert next(iter(matched)).study_id == "0"  # long before the files end
    assert [case.study_id for case in matched] == list(texts)
    assert matched.left_out == []


def test_no_common_id_and_repeated_ids_are_errors(tmp_path: Path) -> None:
    one = table(tmp_path / "one.jsonl", rows({"x": "Clear."}, "report"))
    other = table(tmp_path / "other.jsonl", rows({"y": "Clear."}, "report"))
    assert "no id occurs in both files" in str(run(one, other, tmp_path / "o").exception)
    twice = table(tmp_path / "twice.jsonl", [*rows({"x": "Clear."}, "report")] * 2)
    assert "occurs a second time" in str(run(one, twice, tmp_path / "o").exception)


def test_docs_are_those_of_the_declarations() -> None:
    page = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == explain.markdown(), "run: radflow metrics --markdown > docs/metrics.md"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_declares_itself(name: str) -> None:
    metric = find_metric(name)
    assert metric.name == name
    assert metric.family in explain.FAMILIES
    assert metric.meaning.endswith(".")
    assert metric.citation
    assert metric.cost
    assert metric.direction == "higher" or metric.low in (0, None)


def test_metrics_are_listed_and_explained_with_an_example() -> None:
    listed = CliRunner().invoke(app, ["metrics"]).stdout
    assert all(name in listed for name in ("bleu-4", "radcliq-v1", "hallucination-rate"))
    shown = CliRunner().invoke(app, ["metrics", "rouge-l"]).stdout
    assert "of the set: 0.9" in shown or "of the set: 0.8" in shown
    assert "0 to 1, higher is better" in shown
    missing = CliRunner().invoke(app, ["metrics", "radgraph-xl-partial"]).stdout
    assert "example" in missing
    unknown = CliRunner().invoke(app, ["metrics", "blue-4"])
    assert "Did you mean bleu-4?" in str(unknown.exception)
