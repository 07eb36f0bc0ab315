"""The judge against a scripted server with real sockets: every row answered or typed, nothing leaked."""

from __future__ import annotations

import json
import logging
import pickle
import random
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY
from tests.judge_server import JudgeServer, Reply, Script, completion, payload_of
from tests.unit.clinical.judge_faults import (
    ANSWER,
    FAULTS,
    GOOD,
    RETRIES,
    STOPPED,
    Fault,
    always,
    at_first,
    table,
)

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import (
    CRITICALITY,
    Answer,
    JudgeFailure,
    Question,
    Task,
    consistency_question,
    criticality_question,
)
from radflow.clinical.judge_verdicts import CriticalityVerdict
from radflow.config import JudgeConfig
from radflow.errors import JudgeError

CANARY = "Zyxomorph nodule of Mrs Quibblethwaite"


def questions(count: int, start: int = 0) -> Iterator[Question[CriticalityVerdict]]:
    return (criticality_question(f"s{n}", report=f"report {n}") for n in range(start, start + count))


def settings(url: str, **more: Any) -> JudgeConfig:
    quick = {"retries": RETRIES, "timeout_s": 20.0, "backoff_s": 0.01, "backoff_max_s": 0.02}
    return JudgeConfig.model_validate({"base_url": url, **quick, **more})


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Judge]:
    def judge(server: JudgeServer, **more: Any) -> Judge:
        return Judge(settings(server.url, **more), cache=tmp_path / "cache")

    return judge


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_ends_as_the_table_says(fault: Fault, make: Callable[..., Judge]) -> None:
    with JudgeServer(fault.script) as server:
        judge = make(server, timeout_s=fault.timeout_s)
        if fault.outcome == STOPPED:
            with pytest.raises(JudgeError) as stopped:
                list(judge.ask_all(questions(1)))
            assert stopped.value.next_step
        else:
            (result,) = judge.ask_all(questions(1))
            if fault.outcome == "answer":
                assert isinstance(result, Answer)
                assert result.verdict == CriticalityVerdict.model_validate_json(GOOD)
            else:
                assert isinstance(result, JudgeFailure)
                assert (result.study_id, result.kind) == ("s0", fault.outcome)
                assert judge.tally.failures == {fault.outcome: 1}
        assert len(server.requests) == judge.tally.requests == fault.requests


def test_the_documented_table_is_what_the_tests_run() -> None:
    assert table() in (REPOSITORY / "docs" / "judges.md").read_text(encoding="utf-8")


def test_a_dead_server_is_unavailable(tmp_path: Path) -> None:
    with JudgeServer(always(ANSWER)) as server:
        url = server.url
    (result,) = Judge(settings(url), cache=tmp_path / "c").ask_all(questions(1))
    assert isinstance(result, JudgeFailure)
    assert result.kind == "unavailable"


def test_retry_after_holds_back_the_other_questions_too(make: Callable[..., Judge]) -> None:
    times: list[float] = []

    def script(request: dict[str, Any], number: int) -> Reply:
        times.append(time.monotonic())
        return Reply(status=429, headers={"retry-after": "0.5"}) if number == 0 else ANSWER

    with JudgeServer(script) as server:
        results = list(make(server, concurrency=1).ask_all(questions(3)))
    assert all(isinstance(result, Answer) for result in results)
    assert times[1] - times[0] >= 0.5


def test_answers_come_in_the_order_of_the_questions(make: Callable[..., Judge]) -> None:
    def script(request: dict[str, Any], number: int) -> Reply:
        return replace(ANSWER, delay_s=random.Random(number).uniform(0, 0.05))

    with JudgeServer(script) as server:
        results = list(make(server).ask_all(questions(100)))
    assert [result.study_id for result in results] == [f"s{n}" for n in range(100)]


def test_questions_are_drawn_as_needed_and_an_early_stop_ends_all_threads(make: Callable[..., Judge]) -> None:
    drawn = 0

    def counted() -> Iterator[Question[CriticalityVerdict]]:
        nonlocal drawn
        for item in questions(100_000):
            drawn += 1
            yield item

    with JudgeServer(always(ANSWER)) as server:
        results = make(server, concurrency=2).ask_all(counted())
        for _ in range(3):
            next(results)
        assert drawn < 100
        results.close()  # type: ignore[attr-defined]
    assert "radflow-judge" not in [thread.name for thread in threading.enumerate()]


def test_known_answers_need_no_server(make: Callable[..., Judge], tmp_path: Path) -> None:
    with JudgeServer(always(ANSWER)) as server:
        first = list(make(server).ask_all(questions(5)))
    again = Judge(settings(server.url), cache=tmp_path / "cache")
    second = list(again.ask_all(questions(5)))
    assert [item.was_cached for item in second if isinstance(item, Answer)] == [True] * 5
    assert [item.verdict for item in second if isinstance(item, Answer)] == [
        item.verdict for item in first if isinstance(item, Answer)
    ]
    assert (again.tally.requests, again.tally.cached) == (0, 5)


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"seed": 1}, {"prompt": True}, {"schema": True}, {"report": True}]
)
def test_whatever_can_change_an_answer_asks_anew(change: dict[str, Any], make: Callable[..., Judge]) -> None:
    task: Task[Any] = CRITICALITY
    report = "report 0"
    with JudgeServer(always(ANSWER)) as server:
        list(make(server).ask_all(questions(1)))
        if change.pop("prompt", None):
            task = replace(task, prompt=task.prompt + " ")
        if change.pop("schema", None):
            task = replace(task, verdict=_stricter())
        if change.pop("report", None):
            report = "report 0 "
        list(make(server, **change).ask_all([Question("s0", task, {"report": report})]))
        assert len(server.requests) == 2


def _stricter() -> type[CriticalityVerdict]:
    from pydantic import Field

    class Stricter(CriticalityVerdict):
        confidence: float = Field(ge=0.5, le=1)

    return Stricter


def test_failures_are_not_kept(make: Callable[..., Judge]) -> None:
    with JudgeServer(at_first(completion(None, refusal="no"))) as server:
        assert isinstance(next(iter(make(server).ask_all(questions(1)))), JudgeFailure)
        assert isinstance(next(iter(make(server).ask_all(questions(1)))), Answer)


def test_equal_questions_are_asked_once(make: Callable[..., Judge]) -> None:
    with JudgeServer(always(replace(ANSWER, delay_s=0.05))) as server:
        same = (criticality_question(f"s{n}", report="the same") for n in range(20))
        results = list(make(server).ask_all(same))
        assert [result.study_id for result in results] == [f"s{n}" for n in range(20)]
        assert len(server.requests) == 1


def test_a_broken_judge_stops_the_run_early_and_keeps_its_answers(make: Callable[..., Judge]) -> None:
    with JudgeServer(at_first(*[ANSWER] * 10, *[Reply(status=500)] * 10_000)) as server:
        judge = make(server, breaker_window=20, breaker_share=0.5, concurrency=4, retries=0)
        with pytest.raises(
            JudgeError, match=r"failed 1\d of the last 20 questions: 1\d x unavailable \(HTTP 500\)"
        ):
            list(judge.ask_all(questions(10_000)))
        asked = len(server.requests)
        assert asked < 100
    assert sum(isinstance(item, Answer) for item in _known(judge, 10)) == 10


def _known(judge: Judge, count: int) -> list[Any]:
    return [judge._kept([item], False) and judge._kept([item], False)[0] for item in questions(count)]  # type: ignore[index]


def test_requests_carry_what_makes_answers_repeatable(make: Callable[..., Judge]) -> None:
    with JudgeServer(always(ANSWER)) as server:
        list(make(server, seed=7, model="m", max_tokens=99).ask_all(questions(1)))
        (request,) = server.requests
    assert (request["temperature"], request["seed"], request["model"], request["max_tokens"]) == (
        0,
        7,
        "m",
        99,
    )
    schema = request["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["reason", "is_critical", "confidence"]
    assert schema["schema"]["additionalProperties"] is False


def test_the_key_comes_from_the_named_variable_only(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with JudgeServer(always(ANSWER)) as server:
        list(make(server).ask_all(questions(1)))
        list(make(server, api_key_env="MY_KEY").ask_all(questions(1, start=1)))
        keys = [request["headers"]["authorization"] for request in server.requests]
    assert keys == ["Bearer none", "Bearer sk-mine"]


def test_a_proxy_of_the_environment_never_sees_a_local_question(
    make: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer(always(ANSWER)) as proxy, JudgeServer(always(ANSWER)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        assert isinstance(next(iter(make(server).ask_all(questions(1)))), Answer)
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


def test_tokens_and_cost_count_unusable_answers_too(make: Callable[..., Judge]) -> None:
    with JudgeServer(at_first(completion("no JSON"))) as server:
        judge = make(server, prompt_price=1.0, completion_price=10.0)
        list(judge.ask_all(questions(2)))
    summary = judge.tally.summary(judge.config)
    assert (summary["requests"], summary["repairs"], summary["answered"]) == (3, 1, 2)
    assert (summary["prompt_tokens"], summary["completion_tokens"]) == (300, 30)
    assert summary["cost"] == pytest.approx((300 * 1 + 30 * 10) / 1e6)


def test_nothing_of_a_report_reaches_logs_errors_or_file_names(
    make: Callable[..., Judge],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Servers that echo the prompt in their errors and answers, at the most talkative log level."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    secrets = [*CANARY.split()[::3], CANARY]
    echo = json.dumps({"error": {"message": CANARY, "code": CANARY}}).encode()
    replies = [
        Reply(status=code, body=echo, headers={"x-echo": CANARY}) for code in (400, 401, 404, 429, 500)
    ]
    wrong = json.dumps({CANARY: CANARY, "is_critical": CANARY})
    replies += [completion(CANARY), completion(wrong), Reply(body=echo), completion(None, refusal=CANARY)]
    replies += [replace(completion(CANARY), cut_at=50), replace(completion(GOOD), delay_s=2)]
    quoting = {"kind": "unsupported", "label": CANARY, "findings_quote": CANARY, "impression_quote": CANARY}
    replies.append(completion(json.dumps({"problems": [quoting], "verdict": "inconsistent"})))
    for reply in replies:
        with JudgeServer(always(reply)) as server:
            asked = [
                criticality_question("s0", report=CANARY),
                consistency_question("s1", findings=f"{CANARY}.", impression="Normal."),
            ]
            try:
                shown += [repr(result) for result in make(server).ask_all(asked)]
            except JudgeError as error:
                shown.append(f"{error} {error!r} {error.__cause__} {error.__context__}")
    with JudgeServer(always(ANSWER)) as server:  # one answer that is kept
        list(make(server).ask_all([criticality_question("s0", report=CANARY)]))
    assert len(shown) >= len(replies)
    captured = capfd.readouterr()
    told = [*shown, *(record.getMessage() + str(record.exc_text) for record in caplog.records)]
    told += [captured.out, captured.err, *(str(path) for path in tmp_path.rglob("*"))]
    assert [text for text in told for secret in secrets if secret in text] == []


def test_the_cache_is_private(make: Callable[..., Judge], tmp_path: Path) -> None:
    with JudgeServer(always(ANSWER)) as server:
        list(make(server).ask_all(questions(1)))
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").iterdir()} == {0o600}


def test_a_damaged_cache_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "answers.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(JudgeError, match="move the folder away"):
        list(Judge(JudgeConfig(), cache=tmp_path / "c").ask_all(questions(1)))


def test_a_judge_can_travel_to_another_process(make: Callable[..., Judge]) -> None:
    with JudgeServer(always(ANSWER)) as server:
        judge = make(server)
        list(judge.ask_all(questions(3)))
    travelled = pickle.loads(pickle.dumps(judge))  # noqa: S301 (made in this line)
    assert sum(isinstance(result, Answer) for result in travelled.ask_all(questions(3))) == 3


def faulty(seed: int, share: float) -> Script:
    """Random faults of all passing kinds, by a seeded draw per request."""
    rng = random.Random(seed)
    bad = (
        Reply(status=429, headers={"retry-after": "0.01"}),
        Reply(status=500),
        Reply(status=503),
        replace(ANSWER, cut_at=10),
        replace(ANSWER, delay_s=1.0),
        completion("not JSON"),
        Reply(body=ANSWER.body[:-5]),
        completion(None, refusal="no"),
    )

    def script(request: dict[str, Any], number: int) -> Reply:
        return rng.choice(bad) if rng.random() < share else ANSWER

    return script


@pytest.mark.slow
def test_of_5000_questions_and_20_percent_faults_none_is_lost_and_none_doubled(tmp_path: Path) -> None:
    with JudgeServer(faulty(0, 0.2)) as server:
        judge = Judge(settings(server.url, retries=5, timeout_s=0.8, concurrency=32), cache=tmp_path / "c")
        results = list(judge.ask_all(questions(5000)))
        asked = [payload_of(request)["report"] for request in server.requests]
    assert [result.study_id for result in results] == [f"s{n}" for n in range(5000)]
    answered = sum(isinstance(result, Answer) for result in results)
    assert answered + judge.tally.failures.total() == 5000
    assert 4700 < answered < 5000  # refusals are final: 1 in 40 requests
    assert len(set(asked)) == 5000
    with JudgeServer(always(ANSWER)) as healthy:
        calm = settings(healthy.url, timeout_s=30)
        again = list(Judge(calm, cache=tmp_path / "c").ask_all(questions(5000)))
        asked_again = [payload_of(request)["report"] for request in healthy.requests]
    unanswered = [f"report {n}" for n, result in enumerate(results) if isinstance(result, JudgeFailure)]
    assert sorted(asked_again) == sorted(unanswered)
    assert all(isinstance(result, Answer) for result in again)
