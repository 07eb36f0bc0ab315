"""The judge with real processes and a real model server: kills, a shared cache, schemas, a stage."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.clinical.judge import Judge
from radflow.clinical.judge_errors import errors_question
from radflow.clinical.judge_questions import (
    Answer,
    JudgeFailure,
    Question,
    Task,
    consistency_question,
    criticality_question,
)
from radflow.config import JudgeConfig, RunConfig
from radflow.errors import JudgeError
from radflow.jsonl import read_jsonl
from radflow.metrics.declaration import JudgeSettings
from radflow.metrics.score import Options, score
from radflow.records import LeftOut, Record, Study
from radflow.stages.pipeline import run_stages
from tests.conftest import REPOSITORY
from tests.judge_server import JudgeServer, Reply, completion, payload_of

ASK = """
import sys
from pathlib import Path
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import Answer, criticality_question
from radflow.config import JudgeConfig

url, folder, count, start = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
judge = Judge(JudgeConfig(base_url=url, concurrency=8), cache=folder)
order = [*range(start, count), *range(start)]
for result in judge.ask_all(criticality_question(f"s{n}", report=f"r{n}") for n in order):
    assert isinstance(result, Answer)
    print(result.study_id, flush=True)
"""


@contextmanager
def logging_server(log: Path) -> Iterator[str]:
    """The scripted server as a process that outlives its clients; `log` gets one report a line."""
    script = REPOSITORY / "tests" / "judge_server.py"
    command = [sys.executable, str(script), "--latency", "0.02", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def client(url: str, cache: Path, count: int, start: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASK, url, str(cache), str(count), str(start)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kept(cache: Path) -> int:
    with sqlite3.connect(cache / "answers.sqlite") as connection:
        return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])


def test_after_a_kill_no_answered_question_is_asked_again(tmp_path: Path) -> None:
    log, cache, count = tmp_path / "log", tmp_path / "cache", 600
    with logging_server(log) as url:
        first = client(url, cache, count)
        while not log.exists() or log.read_text().count("\n") < 200:
            assert first.poll() is None
            time.sleep(0.005)
        os.kill(first.pid, signal.SIGKILL)
        handed_out = first.communicate()[0].split("\n")[:-1]
        answered = kept(cache)
        asked_before = log.read_text().split()
        assert 0 < len(handed_out) <= answered <= len(asked_before) < count
        second = client(url, cache, count)
        assert second.communicate()[0].split() == [f"s{number}" for number in range(count)]
        asked_after = log.read_text().split()[len(asked_before) :]
    assert len(asked_after) == count - answered
    assert {f"r{name[1:]}" for name in handed_out}.isdisjoint(asked_after)


def test_many_processes_share_one_cache(tmp_path: Path) -> None:
    log, cache, count = tmp_path / "log", tmp_path / "cache", 120
    with logging_server(log) as url:
        clients = [client(url, cache, count, start=40 * number) for number in range(3)]
        assert [len(process.communicate()[0].split()) for process in clients] == [count] * 3
        assert [process.returncode for process in clients] == [0] * 3
        assert kept(cache) == count
        before = log.read_text().count("\n")
        assert client(url, cache, count).wait() == 0
        assert log.read_text().count("\n") == before


@pytest.mark.parametrize("copies_exactly", [True, False])
def test_prepare_asks_the_judge_for_sections(tmp_path: Path, copies_exactly: bool) -> None:
    text = "The heart is normal. No effusion.\nNo acute disease."
    findings = "The heart is normal. No effusion." if copies_exactly else "The heart is fine."
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "image.png")
    reports = ["FINDINGS: Clear."] * 4 + [text] * 3
    rows = [{"id": f"s{n}", "image": "image.png", "report": report} for n, report in enumerate(reports)]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    verdict = {"findings": findings, "impression": "No acute disease."}
    with JudgeServer(lambda *_: completion(json.dumps(verdict))) as server:
        config = RunConfig.model_validate(
            {
                "data": {
                    "source": "table",
                    "root": str(tmp_path / "table.jsonl"),
                    "sections": {"fallback": "judge"},
                    "split": {"validation": 0.25, "test": 0.25},
                },
                "judge": {"base_url": server.url},
                "engine": {"workers": 1},
            }
        )
        run_stages(config, tmp_path / "run", names=("prepare",))
        assert {payload_of(request)["text"] for request in server.requests} == {text}
    studies = {study.study_id: study for study in read_jsonl(Study, tmp_path / "run" / "studies.jsonl")}
    left_out = list(read_jsonl(LeftOut, tmp_path / "run" / "left_out.jsonl"))
    assert studies["s0"].report.findings_found_by == "header"
    if copies_exactly:
        assert [studies[f"s{n}"].report.findings for n in (4, 5, 6)] == [findings] * 3
        assert studies["s4"].report.impression_found_by == "judge"
        assert not left_out
    else:
        assert list(studies) == ["s0", "s1", "s2", "s3"]
        assert [item.reason for item in left_out] == ["no_sections"] * 3
        assert left_out[0].detail == "judge: malformed, findings does not stand verbatim in the text"


class Tiny(Record):
    """So small that a model of 135 million parameters, which knows nothing, gives one."""

    is_critical: bool


TINY: Task[Tiny] = Task("tiny", "Is the report critical?", Tiny)


def tiny_questions(count: int) -> list[Question[Tiny]]:
    return [
        Question(f"s{number}", TINY, {"report": f"Clear lungs, case {number}."}) for number in range(count)
    ]


def llama_config(url: str, **more: Any) -> JudgeConfig:
    quick = {"timeout_s": 300, "max_tokens": 24, "concurrency": 1, "retries": 0, "api_key_env": "LLAMA_KEY"}
    return JudgeConfig.model_validate({"base_url": url, **quick, **more})


@pytest.mark.slow
def test_a_real_server_enforces_the_schema(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    judge = Judge(llama_config(llama), cache=tmp_path / "c")
    results = list(judge.ask_all(tiny_questions(2)))
    assert [type(result) for result in results] == [Answer, Answer]
    assert (judge.tally.requests, judge.tally.repairs, judge.tally.unmetered) == (2, 0, 0)
    assert judge.tally.prompt_tokens > judge.tally.completion_tokens > 0
    again = Judge(llama_config(llama), cache=tmp_path / "c")
    assert [result.verdict for result in again.ask_all(tiny_questions(2)) if isinstance(result, Answer)] == [
        result.verdict for result in results if isinstance(result, Answer)
    ]
    grouped = judge.judge_group(tiny_questions(2))  # the model may misnumber them: typed all the same
    assert all(isinstance(result, Answer) or result.kind == "malformed" for result in grouped)


@pytest.mark.slow
def test_a_real_server_takes_every_schema_of_ours(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    questions: list[Question[Any]] = [
        consistency_question("s0", findings="Clear.", impression="Clear."),
        criticality_question("s1", report="Clear."),
        errors_question("s2", reference="Clear.", candidate="Clear."),
    ]
    results = list(Judge(llama_config(llama, max_tokens=8), cache=tmp_path / "c").ask_all(questions))
    assert [result.kind for result in results[:2] if isinstance(result, JudgeFailure)] == ["malformed"] * 2
    assert isinstance(results[2], Answer) or results[2].kind == "malformed"  # two empty lists are short


@pytest.mark.slow
def test_errors_counted_by_a_real_server_are_scores_or_typed_never_0_for_a_failure(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    texts = ["Small left effusion.", "No pneumothorax.", ""]
    asked = JudgeSettings(llama_config(llama, max_tokens=16), tmp_path / "c")
    result = score(
        reference=["Small left effusion. No pneumothorax."] * 3,
        prediction=texts,
        metrics="judge-error-score",
        sections=["report"],
        options=Options(samples=100, judge=asked),
    )
    assert result.judge is not None
    failed = {row.study_id for row in result.not_judged}
    assert result.judge["answered"] == 2 - len(failed)
    for row in result.per_study:
        value = row.values["judge-error-score"]
        assert value is None if row.study_id in failed else value is None or 0 <= value <= 1
    assert result.per_study[2].values["judge-error-score"] == 0


@pytest.mark.slow
def test_a_real_server_s_refusals_are_typed(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(llama_config(llama), cache=tmp_path / "c")
    with pytest.raises(JudgeError, match="HTTP 401"):
        list(judge.ask_all(tiny_questions(1)))
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    (result,) = judge.ask_all([Question("s0", TINY, {"report": "Clear lungs. " * 2000})])
    assert isinstance(result, JudgeFailure)
    assert (result.kind, result.message) == ("refused", "HTTP 400")


@pytest.mark.slow
def test_a_real_server_that_ignores_the_schema_fails_typed_after_one_repair(
    llama: str, tmp_path: Path
) -> None:
    def without_schema(request: dict[str, Any], number: int) -> Reply:
        body = {
            key: value for key, value in request.items() if key not in ("headers", "line", "response_format")
        }
        head = {"Content-Type": "application/json", "Authorization": "Bearer sesame"}
        forwarded = urllib.request.Request(f"{llama}/chat/completions", json.dumps(body).encode(), head)
        with urllib.request.urlopen(forwarded) as response:
            return Reply(body=response.read())

    with JudgeServer(without_schema) as server:
        (result,) = Judge(llama_config(server.url), cache=tmp_path / "c").ask_all(tiny_questions(1))
        assert len(server.requests) == 2
    assert isinstance(result, JudgeFailure)
    assert result.kind == "malformed"
