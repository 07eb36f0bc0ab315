"""One chat completion from an OpenAI-compatible server: limits, retries, and every failure typed.

Nothing that the server or a library says about a failure is passed on: servers echo prompts in their errors.
Redirects are not followed and, for a server on this machine, no proxy from the environment is used: either
could carry a report away from the host that the settings allow.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from radflow.clinical.judge_limits import Pace
from radflow.clinical.judge_questions import FailureKind, Message, NoAnswerError
from radflow.clinical.judge_tally import Tally
from radflow.config import JudgeConfig, is_loopback
from radflow.errors import ConfigError, JudgeError

RETRIED = {408, 409, 429}
HOPELESS = {401, 404, 405, 407}
"""Statuses that every other question would meet too: wrong key, wrong path or model, wrong kind of server."""


class _PassingError(NoAnswerError):
    """A failure that may pass: worth another try, after the server's own pause if it named one."""

    def __init__(self, kind: FailureKind, message: str, *, pause_s: float | None = None) -> None:
        super().__init__(kind, message)
        self.pause_s = pause_s


class _Spoken(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Spoken
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


@dataclass
class Client:
    """A connection pool to the judge's server; made, used and closed on one event loop."""

    config: JudgeConfig
    tally: Tally
    _http: httpx2.AsyncClient = field(init=False)
    _url: httpx2.URL = field(init=False)
    _pace: Pace = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        stays_here = is_loopback(self.config.base_url)
        if not (stays_here or self.config.allow_remote):  # settings made without validation end here
            raise ConfigError("judge.base_url is not on this machine and judge.allow_remote is false")
        key = os.environ.get(self.config.api_key_env) or "none"
        # The transport alone: openai's request and answer objects cost another millisecond a call.
        self._http = openai.DefaultAioHttpClient(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            follow_redirects=False,
            trust_env=not stays_here,
            verify=self.config.base_url.startswith("https:"),  # http needs no certificates: 0.1 s to load
            timeout=self.config.timeout_s,
            limits=httpx2.Limits(
                max_connections=self.config.concurrency, max_keepalive_connections=self.config.concurrency
            ),
        )
        self._url = httpx2.URL(self.config.base_url.rstrip("/") + "/chat/completions")
        self._pace = Pace(
            requests_per_minute=self.config.requests_per_minute,
            tokens_per_minute=self.config.tokens_per_minute,
        )
        self._slots = asyncio.Semaphore(self.config.concurrency)

    async def close(self) -> None:
        await self._http.aclose()

    async def complete(
        self, messages: Sequence[Message], *, name: str, schema: Mapping[str, Any], candidates: int = 1
    ) -> str:
        """The content of the answer.

        Args:
            name: what the schema is called, for servers that want a name.
            schema: JSON schema that the server is asked to enforce.
            candidates: verdicts that the answer holds, a long one for several; scales `max_tokens`.

        Raises:
            NoAnswerError: after all retries there is no content.
            JudgeError: no question can succeed.
        """
        max_tokens = self.config.max_tokens * candidates
        body = {
            "model": self.config.model,
            "messages": list(messages),
            "temperature": 0,
            "seed": self.config.seed,
            "max_tokens": max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": name, "strict": True, "schema": dict(schema)},
            },
        }
        tokens = sum(len(message["content"]) for message in messages) // 3 + max_tokens
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.config.retries + 1),
            retry=retry_if_exception_type(_PassingError),
            wait=self._pause,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                self.tally.retries += attempt.retry_state.attempt_number > 1
                return self._content(await self._post(body, tokens))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: what the server asked for, else exponential with full jitter."""
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, _PassingError) and failure.pause_s is not None:
            return failure.pause_s + random.uniform(0, 0.1 * failure.pause_s)
        longest = min(self.config.backoff_max_s, self.config.backoff_s * 2 ** (state.attempt_number - 1))
        return random.uniform(0, longest)

    async def _post(self, body: dict[str, Any], tokens: int) -> bytes:
        async with self._slots:
            await self._pace.admit(tokens)
            self.tally.requests += 1
            try:
                async with asyncio.timeout(self.config.timeout_s):  # httpx limits each read, not their sum
                    response = await self._http.post(self._url, content=json.dumps(body).encode())
            except (TimeoutError, httpx2.HTTPError) as error:
                failure = self._judge_error(error)
            else:
                if response.status_code == 200:
                    return response.content
                failure = self._judge_status(response.status_code, response.headers)
            raise failure  # not above: there the library's error, with the server's text, is its context

    def _judge_error(self, error: Exception) -> Exception:
        """What an error of the library means."""
        # the transport calls a refused connection a timeout of connecting
        if isinstance(error, httpx2.TransportError) and (
            not isinstance(error, httpx2.TimeoutException) or isinstance(error, httpx2.ConnectTimeout)
        ):
            return _PassingError("unavailable", "connection failed or was lost")
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return _PassingError("timeout", f"no answer in {self.config.timeout_s:g} s")
        return NoAnswerError("malformed", "response can't be read")

    def _judge_status(self, status: int, headers: Mapping[str, str]) -> Exception:
        """What an HTTP status means for this question, or for all of them."""
        if status in RETRIED or status >= 500:
            pause = retry_after_s(headers, now=time.time())
            if pause is not None and pause > self.config.retry_after_max_s:
                return JudgeError(
                    f"the judge's server answers HTTP {status} and asks to wait {pause:.0f} s",
                    where="judge",
                    next_step="Answers so far are kept: run the same command again then, or raise "
                    "judge.retry_after_max_s.",
                )
            if pause is not None:
                self._pace.hold(pause)
            return _PassingError(
                "timeout" if status == 408 else "unavailable", f"HTTP {status}", pause_s=pause
            )
        if status in HOPELESS or 300 <= status < 400:
            hints = {401: f"Put a valid key into the variable {self.config.api_key_env} (judge.api_key_env)."}
            return JudgeError(
                f"the judge's server refuses with HTTP {status}",
                where="judge.base_url",
                next_step=hints.get(status, "Check judge.base_url (it usually ends in /v1) and judge.model."),
            )
        return NoAnswerError("refused", f"HTTP {status}")

    def _content(self, payload: bytes) -> str:
        completion = _read_completion(payload)
        if completion is None:
            raise NoAnswerError("malformed", "response is not a chat completion")
        if completion.usage is None:
            self.tally.unmetered += 1
        else:
            self.tally.prompt_tokens += completion.usage.prompt_tokens
            self.tally.completion_tokens += completion.usage.completion_tokens
        if not completion.choices:
            raise NoAnswerError("malformed", "response holds no choice")
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise NoAnswerError("refused", "the model refused")
        if choice.finish_reason == "length":
            content = choice.message.content or ""
            raise NoAnswerError("malformed", "answer cut off at judge.max_tokens", content=content)
        if not choice.message.content:
            raise NoAnswerError("malformed", "answer is empty")
        return choice.message.content


def _read_completion(payload: bytes) -> _Completion | None:
    try:
        return _Completion.model_validate_json(payload)
    except ValidationError:
        return None


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date); ``None``: not readable."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if seconds == seconds else None
