"""`radflow criticality`: rows, failures that are no verdicts, rates against labels, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radflow.cli import app
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.criticality_file import decide_file, read_labels
from radflow.clinical.judge_questions import JudgeFailure
from radflow.errors import DataError
from radflow.records import Criticality, Report

TEXTS = {
    "a": "FINDINGS: Large left pneumothorax. IMPRESSION: Pneumothorax.",
    "b": "Lungs are clear.",
    "c": None,
    "d": "Right pneumonia.",
    "e": "Free air under the diaphragm.",
}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.jsonl"
    path.write_text("".join(json.dumps({"id": name, "report": text}) + "\n" for name, text in TEXTS.items()))
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["criticality", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def test_a_row_for_each_report_in_their_order(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(reports, "-o", out)
    rows = rows_of(out)
    assert list(rows) == list(TEXTS)
    assert rows["a"].keys() == {"id", "is_critical", "confidence", "reason", "source"}
    assert [row["is_critical"] for row in rows.values()] == [True, False, None, False, True]
    assert rows["c"]["confidence"] is None, "no report: nothing is known"


def test_the_level_that_counts_is_a_choice(reports: Path, tmp_path: Path) -> None:
    run(reports, "-o", tmp_path / "out.jsonl", "--level", "urgent")
    assert rows_of(tmp_path / "out.jsonl")["d"]["is_critical"]


def test_rates_against_labels(reports: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,human\na,1\nb,\nc,1\nd,1\ne,no\nz,1\n")
    shown = run(reports, "-o", tmp_path / "out.jsonl", "--against", labels, "--against-column", "human")
    assert "precision: 0.500 [0.095, 0.905] (1 of 2)" in shown  # a right, e wrong
    assert "recall: 0.500 [0.095, 0.905] (1 of 2)" in shown  # a found, d missed; c has no report
    assert "false positive rate: 1.000 [0.207, 1.000] (1 of 1)" in shown  # nobody labelled b
    assert "3 verdicts compared; 2 labels have no verdict, 1 labels are empty" in shown


class FailsOnce:
    """A judge that answers all but one question."""

    def decide_all(
        self, reports: Iterable[tuple[str, Report | str]], *, total: int | None = None
    ) -> Iterator[Criticality | JudgeFailure]:
        for number, (study_id, report) in enumerate(reports):
            if number == 0:
                yield JudgeFailure(study_id=study_id, kind="timeout", message="no answer")
            else:
                yield RuleCriticality().decide(study_id, report)


def test_a_failure_is_never_a_verdict(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    verdicts = dict(decide_file(reports, out, FailsOnce()))
    assert verdicts == {"a": None, "b": False, "c": None, "d": False, "e": True}
    assert rows_of(out)["a"]["reason"] == "judge failed: timeout, no answer"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.csv"], "not .csv"),
        (["-o", "out.jsonl", "--backend", "oracle"], "Known: rules, judge"),
        (["-o", "out.jsonl", "--level", "red"], "Known: critical, urgent"),
        (["-o", "out.jsonl", "--report-column", "text"], "--report-column"),
    ],
)
def test_mistakes_are_refused_and_leave_no_file(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["criticality", str(reports), *arguments])
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert "pneumothorax" not in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["reports.jsonl"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,is_critical\na,maybe\n", "neither yes nor no"),
        ("id,is_critical\na,1\na,0\n", "a second time"),
        ("id,x\na,1\n", "--against-column"),
    ],
)
def test_labels_that_say_nothing_clear_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_labels(path)
    assert message in str(caught.value)
