"""Whether the judge answers, whether its answers fit a schema, and whether its server enforces it

Made-up sentences are asked, never a report, and nothing is kept: the doctor must not fill the run's cache.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from radflow.clinical.judge import Judge
from radflow.clinical.judge_client import Client
from radflow.clinical.judge_questions import JudgeFailure, NoAnswerError, Question, Task
from radflow.clinical.judge_tally import Tally
from radflow.config import ASKS_JUDGE, JudgeConfig, RunConfig
from radflow.doctor.check import Check, ok, problem, refused, warning
from radflow.errors import JudgeError
from radflow.records import Record

READ_BY = {"data": "prepare", "annotate": "annotate", "reward": "rft", "evaluate": "evaluate"}
"""Section that may ask -> the stage that does."""
WORD = "fullstop"
REMEDIES = {
    "unavailable": "Start the server, or correct judge.base_url; docs/judges.md says how to set one up.",
    "timeout": "Raise judge.timeout_s, or lower judge.concurrency.",
    "refused": "Look at the server's log; its context may be too short for judge.max_tokens.",
    "malformed": "Use a server that enforces response_format (llama.cpp, vLLM), or a larger model.",
}


class _Normal(Record):
    is_normal: bool


NORMAL: Task[_Normal] = Task("doctor", "Does the sentence describe a normal finding?", _Normal)
ONLY_WORD = {
    "type": "object",
    "properties": {"word": {"type": "string", "enum": [WORD]}},
    "required": ["word"],
    "additionalProperties": False,
}


def asking_stages(config: RunConfig) -> list[str]:
    """Stages of the config that put questions to the judge."""
    return [
        READ_BY[section]
        for section, asks in ASKS_JUDGE.items()
        if READ_BY[section] in config.stages and asks(config)
    ]


def judge_checks(config: RunConfig) -> Iterator[Check]:
    """Ask two questions, if any stage would ask."""
    stages = asking_stages(config)
    if not stages:
        yield ok("judge", "no stage asks one")
        return
    settings = config.judge.model_copy(update={"retries": 0})
    try:
        answered = _answers(settings, stages)
    except JudgeError as error:
        yield refused("judge", error)
        return
    yield answered
    if answered.state == "ok":
        yield _enforces(settings)


def _answers(settings: JudgeConfig, stages: list[str]) -> Check:
    """One question through the same client as the run's: its retry after a bad answer included."""
    question = Question("doctor", NORMAL, {"sentence": "The lungs are clear."})
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        settings = settings.model_copy(update={"cache": None})
        judge = Judge(settings, cache=Path(folder))
        (result,) = judge.ask_all([question])
    seconds = time.perf_counter() - started
    where = f"{settings.model} at {settings.base_url}, for {', '.join(stages)}"
    if isinstance(result, JudgeFailure):
        return problem("judge", f"{where}: {result.kind}, {result.message}", REMEDIES[result.kind])
    if judge.tally.repairs:
        return warning(
            "judge", f"{where}: its first answer did not fit the schema, the repaired one did",
            REMEDIES["malformed"],
        )  # fmt: skip
    return ok("judge", f"{where} answered in {seconds:.1f} s, as its schema says")


def _enforces(settings: JudgeConfig) -> Check:
    """Ask for something else than the schema allows: a server that enforces it can't give that."""
    try:
        content = asyncio.run(_say_hello(settings))
    except (NoAnswerError, JudgeError):
        content = ""
    if _is_the_word(content):
        return ok("judge schema", "the server enforces the schema")
    return warning(
        "judge schema",
        "the server ignores response_format: only the model's goodwill keeps answers to their schema",
        "Expect repairs and unanswered questions. " + REMEDIES["malformed"],
    )


async def _say_hello(settings: JudgeConfig) -> str:
    client = Client(settings, Tally())
    try:
        messages = [{"role": "user", "content": "Answer with the single word hello and nothing else."}]
        return await client.complete(messages, name="doctor", schema=ONLY_WORD)
    finally:
        await client.close()


def _is_the_word(content: str) -> bool:
    try:
        value: Any = json.loads(content)
    except ValueError:
        return False
    return bool(value == {"word": WORD})
