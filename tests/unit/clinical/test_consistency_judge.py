"""Consistency by a judge and by both: verdicts with spans, typed failures, calls only in doubt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.judge_server import JudgeServer, Reply, completion, payload_of
from typer.testing import CliRunner

from radflow.cli import app
from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.consistency_judge import WINDOW, JudgeConsistency
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure
from radflow.config import JudgeConfig
from radflow.records import Consistency, Report

UNSURE = Report(text="", findings="Left basilar opacity.", impression="Left basilar pneumonia.")
SURE = Report(text="", findings="Small left effusion.", impression="No EFFUSION.")
LACKING = Report(text="", findings=None, impression="No effusion.")
PROBLEM = {
    "kind": "contradicted",
    "label": "pleural_effusion",
    "findings_quote": "left effusion",
    "impression_quote": "no effusion",
}


def finds_a_problem_in_effusions(request: dict[str, Any], number: int) -> Reply:
    problems = [PROBLEM] if "effusion" in payload_of(request)["findings"] else []
    verdict = "inconsistent" if problems else "consistent"
    return completion(json.dumps({"problems": problems, "verdict": verdict}))


def refuses(request: dict[str, Any], number: int) -> Reply:
    return completion(None, refusal="I can't")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., JudgeConsistency]:
    def checker(server: JudgeServer, rules: LabelConsistency | None = None) -> JudgeConsistency:
        settings = JudgeConfig(base_url=server.url, retries=0, model="scripted", breaker_window=10_000)
        return JudgeConsistency(Judge(settings, cache=tmp_path / "cache"), rules=rules)

    return checker


def test_a_judges_verdict_becomes_ours_with_spans(make: Callable[..., JudgeConsistency]) -> None:
    with JudgeServer(finds_a_problem_in_effusions) as server:
        found = list(make(server).check_all([("a", SURE), ("b", UNSURE), ("c", LACKING)]))
    assert [item.verdict for item in found if isinstance(item, Consistency)] == [
        "inconsistent",
        "consistent",
        "not_applicable",
    ]
    first = found[0]
    assert isinstance(first, Consistency)
    problem = first.problems[0]
    assert (problem.kind, problem.findings_span, problem.impression_span) == (
        "contradicted",
        (6, 19),
        (0, 11),
    )
    assert first.source == "scripted"
    assert len(server.requests) == 2  # nothing was asked about the report without findings


def test_a_failure_is_typed_and_never_a_verdict(make: Callable[..., JudgeConsistency]) -> None:
    with JudgeServer(refuses) as server:
        found = list(make(server).check_all([("a", UNSURE), ("b", LACKING)]))
    assert isinstance(found[0], JudgeFailure)
    assert (found[0].study_id, found[0].kind) == ("a", "refused")
    assert isinstance(found[1], Consistency)


def test_both_asks_only_where_the_rules_are_unsure(make: Callable[..., JudgeConsistency]) -> None:
    reports = [(f"s{n}", UNSURE if n % WINDOW == 7 else SURE) for n in range(2 * WINDOW + 50)]
    with JudgeServer(finds_a_problem_in_effusions) as server:
        found = list(make(server, LabelConsistency()).check_all(iter(reports)))
    assert len(found) == len(reports)
    assert [item.source for item in found if isinstance(item, Consistency)] == [
        "scripted" if report is UNSURE else "labels" for _, report in reports
    ]
    assert len(server.requests) == 1  # equal questions are asked once


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["consistency", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_command_reads_section_columns_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    cells = [
        {"id": "b", "findings": "Small left effusion.", "impression": "No effusion."},
        {"id": "a", "findings": None, "impression": "No effusion."},
        {"id": "c", "findings": "Comparison: none. Lungs clear.", "impression": "IMPRESSION: No effusion."},
    ]
    source.write_text("".join(json.dumps(cell) + "\n" for cell in cells), encoding="utf-8")
    said = run(source, "-o", tmp_path / "out.jsonl")
    found = rows(tmp_path / "out.jsonl")
    assert [(row["id"], row["verdict"]) for row in found] == [
        ("b", "inconsistent"),
        ("a", "not_applicable"),
        ("c", "consistent"),
    ]
    span = found[0]["problems"][0]["impression_span"]
    assert "No effusion."[slice(*span)] == "effusion"
    assert "3 reports" in said
    assert "1 contradicted" in said


def test_the_command_finds_the_sections_of_whole_reports(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    text = "FINDINGS: Right pneumothorax. IMPRESSION: Left pneumothorax."
    source.write_text(json.dumps({"key": 1, "text": text}) + "\n", encoding="utf-8")
    run(source, "-o", tmp_path / "out.jsonl", "--id-column", "key", "--report-column", "text")
    assert rows(tmp_path / "out.jsonl")[0]["problems"][0]["kind"] == "side_or_severity_conflict"


def test_a_failing_judge_gives_typed_rows_that_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    lines = (
        "id,findings,impression",
        "a,Left opacity Zyxomorph.,Pneumonia.",
        "b,Left effusion.,No effusion.",
    )
    source.write_text("\n".join(lines), encoding="utf-8")

    def refuses_one(request: dict[str, Any], number: int) -> Reply:
        asks_for_it = "Zyxomorph" in payload_of(request)["findings"]
        return (refuses if asks_for_it else finds_a_problem_in_effusions)(request, number)

    with JudgeServer(refuses_one) as server:
        said = run(
            source,
            "-o",
            tmp_path / "out.jsonl",
            "--backend",
            "judge",
            "--set",
            f"judge.base_url={server.url}",
        )
    row = rows(tmp_path / "out.jsonl")[0]
    assert (row["id"], row["verdict"], row["failure"]["kind"]) == ("a", None, "refused")
    assert "problems" not in row
    assert "without a verdict: 1 refused" in said
    assert "Zyxomorph" not in said + json.dumps(row)


def test_a_remote_judge_must_be_allowed_by_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,report\na,x\n", encoding="utf-8")
    arguments = ["consistency", str(source), "-o", str(tmp_path / "o.jsonl"), "--backend", "judge"]
    result = CliRunner().invoke(app, [*arguments, "--set", "judge.base_url=https://example.org/v1"])
    assert result.exit_code == 1
    assert "allow_remote" in str(result.exception)
