"""The error-counting judge: what it counts, what has no score, whom it asks and when."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.judge_server import JudgeServer, Reply, Script, completion, payload_of
from typer.testing import CliRunner

import radflow
from radflow.audit.scoring import drop
from radflow.cli import app
from radflow.clinical.judge_errors import (
    CATEGORIES,
    ERRORS,
    ErrorVerdict,
    MatchedFinding,
    ReportError,
    check_errors,
    errors_question,
)
from radflow.clinical.judge_questions import read_verdict
from radflow.config import JudgeConfig, RunConfig, settings_of
from radflow.errors import JudgeError
from radflow.metrics.declaration import JudgeSettings
from radflow.metrics.explain import explain
from radflow.metrics.registry import METRICS, PRESETS, find_metric
from radflow.metrics.score import Options, ScoreResult, load_metric
from radflow.records import MetricRow

NAMES = tuple(name for name in METRICS if name.startswith("judge-"))
REFERENCE = "Small left effusion. No pneumothorax. Stable heart size."
CANDIDATE = "Large left effusion. No pneumothorax. New edema."
VERDICT: dict[str, Any] = {
    "errors": [
        {
            "category": "wrong_severity",
            "is_significant": True,
            "reference_quote": "Small left effusion",
            "candidate_quote": "large left  effusion",
        },
        {
            "category": "false_finding",
            "is_significant": True,
            "reference_quote": None,
            "candidate_quote": "edema",
        },
        {
            "category": "missing_comparison",
            "is_significant": False,
            "reference_quote": "Stable",
            "candidate_quote": None,
        },
    ],
    "matched": [{"reference_quote": "No pneumothorax", "candidate_quote": "No pneumothorax"}],
}
NOTHING: dict[str, Any] = {"errors": [], "matched": []}
PAYLOAD = {"reference": REFERENCE, "candidate": CANDIDATE}
CANARY = "Zyxomorph"


def settings(url: str, cache: Path, **more: Any) -> JudgeSettings:
    quick = {"retries": 0, "backoff_s": 0.01, "timeout_s": 20.0}
    return JudgeSettings(JudgeConfig.model_validate({"base_url": url, **quick, **more}), cache)


def by_candidate(answers: Mapping[str, Reply]) -> Script:
    return lambda request, number: answers[payload_of(request)["candidate"]]


def said(verdict: Mapping[str, Any]) -> Reply:
    return completion(json.dumps(verdict))


ANSWERS = {CANDIDATE: said(VERDICT), "Nothing.": said(NOTHING), "Failing.": Reply(status=500)}
MATCHED = {"matched": [{"reference_quote": "effusion", "candidate_quote": "effusion"}], "errors": []}


def score(url: str, cache: Path, candidates: list[str], **more: Any) -> ScoreResult:
    return radflow.score(
        reference=[REFERENCE] * len(candidates),
        prediction=candidates,
        metrics=NAMES,
        sections=["report"],
        options=Options(samples=100, judge=settings(url, cache, **more)),
    )


def test_the_score_is_matched_findings_over_matched_and_significant_errors(tmp_path: Path) -> None:
    with JudgeServer(by_candidate(ANSWERS)) as server:
        result = score(server.url, tmp_path, [CANDIDATE])
    (row,) = result.per_study
    assert row.values == {
        "judge-error-score": pytest.approx(1 / 3),
        "judge-matched-findings": 1,
        "judge-significant-errors": 2,
        "judge-insignificant-errors": 1,
    }
    by_category = result.summary.per_label["report"]
    significant = {name: value.value for name, value in by_category["judge-significant-errors"].items()}
    assert significant == dict.fromkeys(CATEGORIES, 0) | {"wrong_severity": 1, "false_finding": 1}
    assert by_category["judge-insignificant-errors"]["missing_comparison"].value == 1


def test_a_failed_judge_is_no_score_of_0_but_left_out_and_counted(tmp_path: Path) -> None:
    with JudgeServer(by_candidate(ANSWERS)) as server:
        result = score(server.url, tmp_path, ["Failing.", CANDIDATE, "Nothing."])
    values = {row.study_id: row.values for row in result.per_study}
    assert values["0"] == dict.fromkeys(NAMES)
    assert values["2"]["judge-error-score"] is None  # 0 / 0
    assert values["2"]["judge-significant-errors"] == 0
    assert result["judge-error-score"].value == pytest.approx(1 / 3)
    assert (result["judge-error-score"].studies, result["judge-significant-errors"].studies) == (1, 2)
    assert [(row.study_id, row.reason, row.detail) for row in result.not_judged] == [
        ("0", "judge_failed", "report: unavailable, HTTP 500")
    ]
    assert result.judge is not None
    assert result.judge["not_scored"] == {"unavailable": 1, "nothing_matched_no_significant_error": 1}
    assert (result.judge["model"], result.judge["prompt"]) == ("local", ERRORS.version)


def test_an_empty_prediction_scores_the_worst_value_unasked(tmp_path: Path) -> None:
    with JudgeServer(by_candidate(ANSWERS)) as server:
        result = score(server.url, tmp_path, ["", " \n", CANDIDATE])
        assert len(server.requests) == 1
    assert [row.values["judge-error-score"] for row in result.per_study] == [0, 0, pytest.approx(1 / 3)]
    assert result.per_study[0].values["judge-matched-findings"] == 0
    assert result.per_study[0].values["judge-significant-errors"] is None
    assert not result.not_judged


def test_equal_pairs_and_later_runs_are_asked_once(tmp_path: Path) -> None:
    with JudgeServer(by_candidate(ANSWERS)) as server:
        first = score(server.url, tmp_path, [CANDIDATE] * 3)
        again = score(server.url, tmp_path, [CANDIDATE] * 3)
        assert len(server.requests) == 1
        other = score(server.url, tmp_path, [CANDIDATE], model="another")
        assert len(server.requests) == 2
    assert first.per_study == again.per_study
    assert other["judge-error-score"].value == first["judge-error-score"].value


def test_all_pairs_of_a_set_are_under_way_together(tmp_path: Path) -> None:
    def slow(request: dict[str, Any], number: int) -> Reply:
        return Reply(body=said(NOTHING).body, delay_s=0.5)

    with JudgeServer(slow) as server:
        score(server.url, tmp_path, [f"Text {number}." for number in range(32)], concurrency=32)
        assert len(server.requests) == 32
        assert server.most_under_way > 16


def test_a_server_that_refuses_everything_stops_the_run(tmp_path: Path) -> None:
    with (
        JudgeServer(lambda *_: Reply(status=401)) as server,
        pytest.raises(JudgeError, match="HTTP 401"),
    ):
        score(server.url, tmp_path, [CANDIDATE])


def test_a_judge_is_asked_by_name_only() -> None:
    for members in PRESETS.values():
        assert not set(members) & set(NAMES)
    assert len(NAMES) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v["errors"][0].update(candidate_quote="huge effusion"),
            "error 0: candidate_quote does",
        ),
        (
            lambda v: v["errors"][0].update(reference_quote=None),
            r"error 0 \(wrong_severity\) lacks ref",
        ),
        (lambda v: v["errors"][1].update(candidate_quote=" "), r"error 1 \(false_finding\) lacks candidate"),
        (
            lambda v: v["errors"][2].update(reference_quote=None),
            "error 2 .missing_comparison. lacks",
        ),
        (
            lambda v: v["matched"][0].update(reference_quote="effusions"),
            "matched 0: reference_quote",
        ),
        (lambda v: v["matched"][0].update(candidate_quote=""), "matched 0: candidate_quote does not"),
        (lambda v: v["matched"].append(v["matched"][0]), "matched 1 repeats"),
        (lambda v: v["errors"].append(v["errors"][1]), "error 3 repeats"),
        (lambda v: v["errors"][0].update(category="typo"), "errors.0.category: literal_error"),
        (lambda v: v["errors"][0].update(is_significant=1), "errors.0.is_significant: bool_type"),
        (lambda v: v.pop("matched"), "matched: missing"),
        (lambda v: v.update({CANARY: 1}), "extra_forbidden"),
    ],
)
def test_what_neither_text_says_or_no_schema_allows_is_not_counted(change: Any, message: str) -> None:
    verdict = json.loads(json.dumps(VERDICT))
    question = errors_question("s", **PAYLOAD)
    assert isinstance(read_verdict(verdict, question), ErrorVerdict)
    change(verdict)
    complaint = read_verdict(verdict, question)
    assert isinstance(complaint, str)
    assert re.search(message, complaint)
    assert "effusion" not in complaint
    assert CANARY not in complaint


def test_counts_keep_categories_and_significance_apart() -> None:
    for place, category in enumerate(CATEGORIES):
        for is_significant in (True, False):
            error = ReportError(
                category=category,
                is_significant=is_significant,
                reference_quote="effusion",
                candidate_quote="effusion",
            )
            match = MatchedFinding(reference_quote="heart", candidate_quote="edema")
            verdict = ErrorVerdict(errors=(error,), matched=(match,))
            assert check_errors(verdict, PAYLOAD) is None
            expected = [1, *[0] * 12]
            expected[1 + place + (0 if is_significant else 6)] = 1
            assert list(verdict.counts()) == expected


def test_a_long_verdict_may_take_more_tokens(tmp_path: Path) -> None:
    with JudgeServer(by_candidate(ANSWERS)) as server:
        score(server.url, tmp_path, [CANDIDATE], max_tokens=100)
        assert server.requests[0]["max_tokens"] == 100 * ERRORS.length == 400


def test_the_command_writes_who_was_asked_and_whom_it_lacks(tmp_path: Path) -> None:
    texts = {"a": CANDIDATE, "b": "Failing."}
    for column, rows in (("reference", dict.fromkeys(texts, REFERENCE)), ("prediction", texts)):
        lines = [json.dumps({"study_id": name, column: text}) for name, text in rows.items()]
        (tmp_path / f"{column}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    with JudgeServer(by_candidate(ANSWERS)) as server:
        command = ["score", "--reference", str(tmp_path / "reference.jsonl"), "--prediction"]
        command += [str(tmp_path / "prediction.jsonl"), "-o", str(out), "--metrics", "judge-error-score"]
        command += ["--samples", "100", "--workers", "1", "--set", f"judge.base_url={server.url}"]
        command += ["--sections", "report", "--set", "judge.retries=0", "--set", "judge.model=mine"]
        result = CliRunner().invoke(app, command)
        # The server has no answer to the example, and need not be asked for it again and again.
        settings = ["--set", f"judge.base_url={server.url}", "--set", "judge.retries=0"]
        explained = CliRunner().invoke(app, ["metrics", "judge-error-score", *settings])
    assert result.exit_code == 0, result.exception
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["metrics"]["judge-error-score"]["backend"] == f"judge mine, {ERRORS.version}"
    assert summary["judge"]["not_scored"]["unavailable"] == 1
    assert summary["scores"]["all"]["report"]["judge-error-score"]["studies"] == 1
    left_out = json.loads((out / "left_out.jsonl").read_text(encoding="utf-8"))
    assert (left_out["study_id"], left_out["reason"]) == ("b", "judge_failed")
    stored = [MetricRow.model_validate_json(line) for line in (out / "scores.jsonl").open(encoding="utf-8")]
    assert [row.values["judge-error-score"] for row in stored] == [pytest.approx(1 / 3), None]
    assert (out / "judge-cache" / "answers.sqlite").is_file()
    assert "judge-error-score: Mean over studies" in explained.output


def test_one_metric_can_be_called_and_explained(tmp_path: Path) -> None:
    def answer(request: dict[str, Any], number: int) -> Reply:
        return said(MATCHED)

    with JudgeServer(answer) as server:
        asked = settings(server.url, tmp_path)
        metric = load_metric("judge-error-score", judge=asked)
        assert metric.per_study(references=[REFERENCE], predictions=[CANDIDATE]) == [1]
        assert "of the set: 1.000" in explain("judge-error-score", judge=asked)
    gone = settings("http://127.0.0.1:9/v1", tmp_path / "none")
    assert "the judge doesn't answer" in explain("judge-error-score", judge=gone)


def test_the_judge_is_part_of_what_decides_an_evaluation() -> None:
    plain = RunConfig.model_validate({})
    asking = RunConfig.model_validate({"evaluate": {"metrics": ["run", "judge-error-score"]}})
    assert "judge" not in settings_of(plain, "evaluate")
    assert settings_of(asking, "evaluate")["judge"] == {"model": "local", "seed": 0}
    assert "judge" not in settings_of(asking, "model", "sft")


def test_in_an_audit_a_judge_that_fails_says_nothing_against_or_for_a_text() -> None:
    metric = find_metric("judge-error-score")
    assert drop(None, 0.5, metric) is None
    assert drop(0.5, None, metric) is None
    assert drop(1.0, 0.25, metric) == 0.75
