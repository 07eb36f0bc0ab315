"""Questions to a judge: a task (prompt, verdict, check) with a payload; how they become messages, and back.

The payload travels as JSON, so no report can close its own quotation, and the prompt calls it data. The
version of a task hashes all that shapes an answer: a changed prompt or schema never meets an old kept answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Generic, Literal, TypeVar

from pydantic import SerializeAsAny, ValidationError

from radflow.clinical.judge_verdicts import (
    ConsistencyVerdict,
    CriticalityVerdict,
    SectionsVerdict,
    check_consistency,
    check_sections,
)
from radflow.records import Record, RowFailure

V = TypeVar("V", bound=Record)
Message = dict[str, str]
FailureKind = Literal["timeout", "refused", "malformed", "unavailable"]

_THOUGHTS, _END_OF_THOUGHTS, _FENCE = "<think>", "</think>", "```"


def read_prompt(name: str) -> str:
    """The text of a prompt file that ships with radflow."""
    return (files("radflow.clinical") / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()


def accept(verdict: Record, payload: Mapping[str, str]) -> str | None:
    """The check of a task whose schema says everything."""
    return None


@dataclass(frozen=True)
class Task(Generic[V]):
    """One kind of question.

    Attributes:
        name: shown in versions and messages; letters, digits and ``_-`` only.
        prompt: the system message.
        verdict: the frozen record that an answer must fit; give no field a default (strict servers want all).
        check: what is wrong with a verdict on a payload, ``None`` if nothing; must not repeat the payload.
        length: how many times ``judge.max_tokens`` a verdict may take.
    """

    name: str
    prompt: str
    verdict: type[V]
    check: Callable[[V, Mapping[str, str]], str | None] = accept
    length: int = 1

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of one verdict, without the prose of docstrings."""
        schema: dict[str, Any] = _without_prose(self.verdict.model_json_schema())
        return schema

    @cached_property
    def group_schema(self) -> dict[str, Any]:
        """The JSON schema of the verdicts on several candidates."""
        own = dict(self.schema)
        definitions = own.pop("$defs", {})
        entry = _object({"candidate": {"type": "integer"}, "verdict": own})
        return _object({"verdicts": {"type": "array", "items": entry}}) | (
            {"$defs": definitions} if definitions else {}
        )

    @cached_property
    def field_names(self) -> frozenset[str]:
        """Names that a message may repeat: the schema's own, never a key that the model made up."""
        return frozenset(_property_names(self.schema))

    @cached_property
    def version(self) -> str:
        """``name@hash`` of the prompt, the repair prompt and the schema."""
        return f"{self.name}@{_hash(self.prompt, read_prompt('repair'), json.dumps(self.schema))}"

    @cached_property
    def group_version(self) -> str:
        """The version under which verdicts of group calls are kept: their prompt is another one."""
        parts = (self.prompt, read_prompt("group"), read_prompt("repair"), json.dumps(self.group_schema))
        return f"{self.name}-group@{_hash(*parts)}"


@dataclass(frozen=True, slots=True)
class Question(Generic[V]):
    """One text (or pair of texts) to be judged; `payload` may hold patient data, `study_id` never does."""

    study_id: str
    task: Task[V]
    payload: Mapping[str, str]


class Answer(Record, Generic[V]):
    """A verdict that passed its schema and its check.

    Attributes:
        judge: the model's name in the settings.
        prompt: version of the task that was asked.
        was_cached: whether it came from the cache.
    """

    study_id: str
    verdict: SerializeAsAny[V]
    judge: str
    prompt: str
    was_cached: bool


class JudgeFailure(RowFailure):
    """A question without an answer: not scored, never a verdict, never 0.

    Attributes:
        kind: timeout, refused (by the model, or the request by the server), malformed, or unavailable.
        message: what happened; holds no word of the report.
    """

    kind: FailureKind


class NoAnswerError(Exception):
    """A question that got no usable answer.

    Attributes:
        message: holds no word of question or answer.
        content: the unusable answer, for the repair; it is part of no message.
    """

    def __init__(self, kind: FailureKind, message: str, *, content: str = "") -> None:
        super().__init__(kind, message)
        self.kind: FailureKind = kind
        self.message = message
        self.content = content

    def __str__(self) -> str:
        return f"{self.kind} ({self.message})"


def answer_to(
    question: Question[V], verdict: V, judge: str, *, is_group: bool, was_cached: bool
) -> Answer[V]:
    """The answer that hands a verdict out."""
    return Answer(
        study_id=question.study_id,
        verdict=verdict,
        judge=judge,
        prompt=version_of(question.task, is_group=is_group),
        was_cached=was_cached,
    )


def version_of(task: Task[Any], *, is_group: bool) -> str:
    return task.group_version if is_group else task.version


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _without_prose(value)
            for key, value in schema.items()
            if not (key in ("title", "description") and isinstance(value, str))
        }
    return [_without_prose(item) for item in schema] if isinstance(schema, list) else schema


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from _property_names(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _property_names(item)


@lru_cache(maxsize=64)
def _system(prompt: str, schema: str) -> str:
    return f"{prompt}\n\nAnswer with nothing but one JSON object that fits this JSON schema:\n{schema}"


def messages_for(questions: Sequence[Question[V]], *, is_group: bool) -> list[Message]:
    """Chat messages for one question, or for several candidates of the same task in one call."""
    task = questions[0].task
    if not is_group:
        system = _system(task.prompt, json.dumps(task.schema))
        value: dict[str, Any] = dict(questions[0].payload)
    else:
        system = _system(f"{task.prompt}\n\n{read_prompt('group')}", json.dumps(task.group_schema))
        candidates = [{"candidate": number, **item.payload} for number, item in enumerate(questions, 1)]
        value = {"candidates": candidates}
    # lone surrogates, left behind by broken decoders, can't be sent
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


def repair_messages(messages: Sequence[Message], content: str, complaint: str) -> list[Message]:
    """The conversation that asks once more after an unusable answer; without one it starts afresh."""
    if not content:
        return list(messages)
    request = f"{read_prompt('repair')}\nProblem: {complaint}."
    return [*messages, {"role": "assistant", "content": content}, {"role": "user", "content": request}]


def read_answer(content: str, questions: Sequence[Question[V]], *, is_group: bool) -> list[V | str]:
    """For each question its verdict, or what is wrong with the answer to it."""
    value = _json_in(content)
    if value is None:
        return ["the answer is not JSON"] * len(questions)
    if not is_group:
        return [read_verdict(value, questions[0])]
    entries = value.get("verdicts") if isinstance(value, dict) else None
    found: dict[Any, Any] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("candidate"), int):
            number = entry["candidate"]
            found[number] = None if number in found else entry.get("verdict")  # two verdicts are none
    return [
        "no single verdict on this candidate"
        if found.get(number) is None
        else read_verdict(found[number], item)
        for number, item in enumerate(questions, 1)
    ]


def read_verdict(value: Any, question: Question[V]) -> V | str:
    """The verdict that a decoded JSON value holds, or what is wrong with it."""
    try:
        verdict = question.task.verdict.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:  # its own text repeats the input
        return f"the answer does not fit the schema ({_first_mistake(error, question.task.field_names)})"
    except RecursionError:
        return "the answer is nested too deep"
    return checked(verdict, question)


def checked(verdict: V, question: Question[V]) -> V | str:
    """The verdict, or what its task's check says against it."""
    try:
        return question.task.check(verdict, question.payload) or verdict
    except Exception as error:  # noqa: BLE001 (somebody's own check; the text of its error may hold a report)
        return f"the check of {question.task.name} failed ({type(error).__name__})"


def _first_mistake(error: ValidationError, names: frozenset[str]) -> str:
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    place = ".".join(str(part) if isinstance(part, int) or part in names else "?" for part in first["loc"])
    return f"{place or 'answer'}: {first['type']}"


def _json_in(content: str) -> Any:
    """The JSON value of an answer; a code fence around it and thoughts before it are taken off."""
    text = content.strip()
    if text.startswith(_THOUGHTS):
        _, end, answer = text.partition(_END_OF_THOUGHTS)
        text = answer.strip() if end else text
    if text.startswith(_FENCE) and text.endswith(_FENCE) and len(text) >= 2 * len(_FENCE):
        text = text[len(_FENCE) : -len(_FENCE)].removeprefix("json").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


CONSISTENCY = Task("consistency", read_prompt("consistency"), ConsistencyVerdict, check_consistency)
CRITICALITY = Task("criticality", read_prompt("criticality"), CriticalityVerdict)
SECTIONS = Task("sections", read_prompt("sections"), SectionsVerdict, check_sections)


def consistency_question(study_id: str, *, findings: str, impression: str) -> Question[ConsistencyVerdict]:
    """Do these two sections of one report agree?"""
    return Question(study_id, CONSISTENCY, {"findings": findings, "impression": impression})


def criticality_question(study_id: str, *, report: str) -> Question[CriticalityVerdict]:
    """Does this report hold something that somebody must be told about at once?"""
    return Question(study_id, CRITICALITY, {"report": report})


def sections_question(study_id: str, *, text: str) -> Question[SectionsVerdict]:
    """Where are Findings and Impression in this report without headers?"""
    return Question(study_id, SECTIONS, {"text": text})
