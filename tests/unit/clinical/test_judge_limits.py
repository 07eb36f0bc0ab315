"""Budgets per minute, the breaker, Retry-After, and which URLs count as this machine."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from radflow.clinical.judge_client import Client, retry_after_s
from radflow.clinical.judge_limits import Breaker, Pace, SlidingBudget
from radflow.clinical.judge_tally import Tally
from radflow.config import JudgeConfig, RunConfig, is_loopback, settings_of
from radflow.errors import ConfigError, JudgeError


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 25)), min_size=1, max_size=60),
)
def test_no_window_of_a_minute_ever_holds_more_than_the_limit(
    limit: int, arrivals: list[tuple[float, int]]
) -> None:
    budget, now = SlidingBudget(limit), 0.0
    spent: list[tuple[float, int]] = []
    for gap, amount in arrivals:
        now += gap
        while (delay := budget.delay(amount, now)) > 0:
            now += delay
        budget.spend(amount, now)
        spent.append((now, min(amount, limit)))
    for start, _ in spent:
        assert sum(amount for when, amount in spent if start <= when < start + 60 - 1e-6) <= limit


def test_requests_wait_for_their_turn() -> None:
    async def run() -> list[float]:
        pace = Pace(requests_per_minute=5, tokens_per_minute=None, window_s=0.2)
        started = time.monotonic()
        times = []
        for _ in range(11):
            await pace.admit(1)
            times.append(time.monotonic() - started)
        return times

    times = asyncio.run(run())
    assert times[4] < 0.2 <= times[5]
    assert times[10] >= 0.4


def test_the_breaker_opens_at_its_share_and_not_before() -> None:
    breaker = Breaker(window=10, share=0.5)
    for _ in range(20):
        breaker.record(None)
    for _ in range(4):
        breaker.record("unavailable (HTTP 503)")
    with pytest.raises(JudgeError, match=r"failed 5 of the last 10 questions: 5 x unavailable"):
        breaker.record("unavailable (HTTP 503)")


def test_the_breaker_waits_for_a_full_window() -> None:
    breaker = Breaker(window=10, share=0.5)
    for _ in range(9):
        breaker.record("timeout")
    with pytest.raises(JudgeError, match="failed 10 of the last 10"):
        breaker.record("timeout")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("soon", None),
        ("", None),
        ("nan", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, now=10.0) == seconds


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:8000/v1", "https://127.8.9.1/v1"]
)
def test_this_machine_needs_no_leave(url: str) -> None:
    assert is_loopback(url)
    assert JudgeConfig(base_url=url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org/v1",
        "http://192.168.0.2:8000/v1",
        "http://0.0.0.0:8000/v1",
        "http://localhost.example.org/v1",
        "http://127.0.0.1.example.org/v1",
        "http://2130706433/v1",
        "http://[::ffff:8.8.8.8]/v1",
    ],
)
def test_another_machine_needs_leave(url: str) -> None:
    with pytest.raises(ValidationError, match="allow_remote"):
        JudgeConfig(base_url=url)
    assert JudgeConfig(base_url=url, allow_remote=True).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@example.org/v1",
        "http://user:secretword@127.0.0.1/v1",
        "http://example.org\\@127.0.0.1/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1/v1?key=secretword",
        "http://127.0.0.1/v1\n",
        "ftp://127.0.0.1/v1",
        "127.0.0.1:8080",
        "",
    ],
)
def test_urls_that_can_be_read_in_two_ways_are_refused_even_with_leave(url: str) -> None:
    with pytest.raises(ValidationError, match=r"judge\.base_url") as refused:
        JudgeConfig(base_url=url, allow_remote=True)
    assert "secretword" not in refused.value.errors()[0]["msg"]


def test_settings_that_skipped_their_check_are_refused_too() -> None:
    sneaked = JudgeConfig().model_copy(update={"base_url": "http://example.org/v1"})

    async def connect() -> Any:
        return Client(sneaked, Tally())

    with pytest.raises(ConfigError, match="allow_remote"):
        asyncio.run(connect())


def test_the_judge_decides_the_studies_only_where_it_is_asked() -> None:
    asked = RunConfig.model_validate({"data": {"sections": {"fallback": "judge"}}})
    assert settings_of(asked, "data")["judge"] == {"model": "local", "seed": 0}
    assert "judge" not in settings_of(RunConfig(), "data")
