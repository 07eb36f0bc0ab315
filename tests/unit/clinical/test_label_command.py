"""`radflow label`: tables, mentions, explanations, all or nothing, without torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radflow.cli import app
from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES
from radflow.clinical.readers import open_labeler
from radflow.errors import ConfigError

TEXT = "FINDINGS: No effusion. IMPRESSION: Possible left pneumonia."


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "report"], ["a", TEXT], ["b", ""], ["c", "Right pneumothorax"]])
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["label", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_table_in_chexperts_format(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    run(reports, "-o", out)
    with out.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", *CHEXPERT_CLASSES]
    by_id = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_id["a"]["Pleural Effusion"] == "0"
    assert by_id["a"]["Pneumonia"] == "-1"
    assert by_id["a"]["No Finding"] == ""
    assert set(list(by_id["b"].values())[1:]) == {""}  # no report: nothing is known
    assert by_id["c"]["Pneumothorax"] == "1"


def test_all_mentions_with_spans(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    run(reports, "-o", out, "--all")
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    mention = rows[0]["mentions"][1]
    assert TEXT[mention["start"] : mention["end"]] == "pneumonia"
    assert (mention["assertion"], mention["side"], mention["section"]) == ("uncertain", "left", "impression")
    assert rows[0]["labels"]["Granuloma"] is None
    assert rows[1]["labels"] is None


def test_explain_marks_the_report_and_says_why(reports: Path) -> None:
    shown = run(reports, "--explain", "a")
    assert "No [-1 effusion]. IMPRESSION: Possible left [?2 pneumonia]." in shown
    assert 'because of "Possible"' in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["-o", "labels.txt"], ".csv or .jsonl"),
        (["--explain", "z"], "no report has the id 'z'"),
        (["-o", "x.csv", "--ontology", "knee"], "unknown ontology"),
    ],
)
def test_mistakes_are_refused_without_report_text(reports: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["label", str(reports), *arguments])
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert "effusion" not in str(result.exception)


def test_an_output_never_replaces_its_input(reports: Path) -> None:
    before = reports.read_bytes()
    result = CliRunner().invoke(app, ["label", str(reports), "-o", str(reports)])
    assert "replace its own input" in str(result.exception)
    assert reports.read_bytes() == before


def test_labelers_are_found_by_name() -> None:
    texts = ["IMPRESSION: Small left effusion. No pneumothorax.", " "]
    said, blank = open_labeler("rules").label(texts)
    assert (said["Pleural Effusion"], said["Pneumothorax"], said["No Finding"]) == (1, 0, None)
    assert tuple(said) == tuple(blank) == CHEXPERT_CLASSES
    assert set(blank.values()) == {None}  # an empty report says nothing, not even that nothing was found
    with pytest.raises(ConfigError, match="unknown labeler"):
        open_labeler("rule-book")


def test_labelling_imports_no_torch(reports: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from radflow.cli import app\n"
        f"app(['label', {str(reports)!r}, '-o', {str(tmp_path / 'x.csv')!r}], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
