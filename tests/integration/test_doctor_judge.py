"""The doctor's look at a judge: a real llama.cpp server, and servers that misbehave."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.doctor.check import Check
from radflow.doctor.judge import WORD, asking_stages, judge_checks
from tests.judge_server import JudgeServer, Reply, completion


def config_for(url: str, *more: str) -> RunConfig:
    return load_config(None, overrides=["annotate.judge=judge", f"judge.base_url={url}", *more])


def look(url: str, *more: str) -> list[Check]:
    return list(judge_checks(config_for(url, "judge.max_tokens=32", *more)))


def states(checks: list[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.state) for check in checks]


@pytest.mark.slow
def test_a_real_server_is_reached_and_enforces_the_schema(
    llama: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    checks = look(llama, "judge.timeout_s=300", "judge.api_key_env=LLAMA_KEY")
    assert states(checks) == [("judge", "ok"), ("judge schema", "ok")], checks


def obedient(request: dict[str, Any], number: int) -> Reply:
    schema = request["response_format"]["json_schema"]["schema"]
    is_word = "word" in schema["properties"]
    return completion(json.dumps({"word": WORD} if is_word else {"is_normal": True}))


def test_an_obedient_server_passes_and_gets_no_report() -> None:
    with JudgeServer(obedient) as server:
        assert states(look(server.url)) == [("judge", "ok"), ("judge schema", "ok")]
        assert len(server.requests) == 2


def test_a_server_that_ignores_the_schema_is_told_though_its_model_behaves() -> None:
    def ignores(request: dict[str, Any], number: int) -> Reply:
        return completion('{"is_normal": true}' if number == 0 else "hello")

    with JudgeServer(ignores) as server:
        checks = look(server.url)
    assert states(checks) == [("judge", "ok"), ("judge schema", "warning")]
    assert "response_format" in checks[1].message


def test_an_answer_that_needs_a_repair_is_a_warning() -> None:
    replies = iter(("no JSON", '{"is_normal": true}', '{"word": "fullstop"}'))
    with JudgeServer(lambda *_: completion(next(replies))) as server:
        assert states(look(server.url)) == [("judge", "warning")]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (completion("I would say that it is normal."), "malformed"),
        (completion(None, refusal="no"), "refused"),
        (Reply(status=401), "HTTP 401"),
        (Reply(status=503), "HTTP 503"),
        (Reply(status=200, body=b"<html>"), "malformed"),
        (Reply(delay_s=5), "timeout"),
    ],
    ids=["prose", "refusal", "no key", "overloaded", "no completion", "slow"],
)
def test_a_misbehaving_server_is_a_problem_with_a_remedy(reply: Reply, told: str) -> None:
    with JudgeServer(lambda *_: reply) as server:
        (check,) = look(server.url, "judge.timeout_s=0.5")
    assert check.state == "problem"
    assert told in check.message
    assert check.remedy


def test_nobody_listening_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    (check,) = look(url)
    assert check.state == "problem"
    assert "judge.base_url" in check.remedy


def test_only_stages_that_run_ask() -> None:
    assert asking_stages(load_config(None)) == []
    url = "http://127.0.0.1:1/v1"
    assert asking_stages(config_for(url)) == ["annotate"]
    assert asking_stages(config_for(url, "stages=[prepare,sft]")) == []
    (check,) = judge_checks(config_for(url, "stages=[prepare,sft]"))
    assert check.state == "ok"
