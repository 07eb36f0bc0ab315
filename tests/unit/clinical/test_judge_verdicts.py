"""What counts as a verdict: checks beyond the schema, groups of candidates, verbatim sections."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.judge_server import JudgeServer, Reply, Script, completion, payload_of

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import (
    CONSISTENCY,
    CRITICALITY,
    SECTIONS,
    Answer,
    JudgeFailure,
    Question,
    Task,
    _json_in,
    consistency_question,
    criticality_question,
    messages_for,
    read_answer,
    sections_question,
)
from radflow.clinical.judge_sections import split_reports, with_sections
from radflow.clinical.judge_verdicts import SectionsVerdict, find_verbatim, section_spans
from radflow.config import JudgeConfig
from radflow.data.sections import parse_report

FINDINGS = "There is a small left pleural effusion. No pneumothorax."
IMPRESSION = "Right pleural effusion."
BARE = "The heart is normal. No pneumothorax is seen.\nStable chest."


def judge_of(server: JudgeServer, folder: Path) -> Judge:
    return Judge(JudgeConfig(base_url=server.url, retries=0), cache=folder / "cache")


def problem(**change: Any) -> dict[str, Any]:
    right = {
        "kind": "side_or_severity_conflict",
        "label": "pleural_effusion",
        "findings_quote": "small left  pleural effusion",
        "impression_quote": "right pleural effusion",
    }
    return right | change


def consistency(*problems: dict[str, Any], verdict: str = "inconsistent") -> Any:
    question = consistency_question("s", findings=FINDINGS, impression=IMPRESSION)
    content = json.dumps({"problems": problems, "verdict": verdict})
    return read_answer(content, [question], is_group=False)[0]


def test_a_supported_problem_is_a_verdict() -> None:
    assert consistency(problem()).problems[0].kind == "side_or_severity_conflict"
    assert consistency(verdict="consistent").verdict == "consistent"


@pytest.mark.parametrize(
    "wrong",
    [
        consistency(problem(), verdict="consistent"),
        consistency(),
        consistency(problem(findings_quote="large left effusion")),
        consistency(problem(impression_quote=None)),
        consistency(problem(findings_quote=" ")),
        consistency(problem(kind="contradicted", findings_quote=None)),
        consistency(problem(kind="unsupported", impression_quote=None)),
        consistency(problem(kind="critical_omitted", findings_quote=None)),
        consistency(problem(kind="strange")),
        consistency(problem(label=" ")),
        consistency(problem(extra=1)),
    ],
)
def test_an_unsupported_or_contradictory_verdict_is_none(wrong: Any) -> None:
    assert isinstance(wrong, str)
    assert "effusion" not in wrong


@pytest.mark.parametrize(
    ("kind", "without"), [("unsupported", "findings_quote"), ("critical_omitted", "impression_quote")]
)
def test_the_side_that_says_nothing_needs_no_quote(kind: str, without: str) -> None:
    assert not isinstance(consistency(problem(kind=kind, **{without: None})), str)


@pytest.mark.parametrize("confidence", ["1.01", "-0.1", "NaN", '"high"', "null", "true"])
def test_confidence_is_a_number_from_0_to_1(confidence: str) -> None:
    content = f'{{"reason": "x", "is_critical": true, "confidence": {confidence}}}'
    assert isinstance(read_answer(content, [criticality_question("s", report="r")], is_group=False)[0], str)


def test_a_reason_of_several_lines_becomes_one() -> None:
    content = json.dumps({"reason": "tension\n pneumothorax ", "is_critical": True, "confidence": 1})
    verdict: Any = read_answer(content, [criticality_question("s", report="r")], is_group=False)[0]
    assert verdict.reason == "tension pneumothorax"


@pytest.mark.parametrize("task", [CONSISTENCY, CRITICALITY, SECTIONS], ids=lambda task: task.name)
def test_schemas_fit_strict_servers(task: Task[Any]) -> None:
    def objects(schema: Any) -> list[dict[str, Any]]:
        if isinstance(schema, list):
            return [found for item in schema for found in objects(item)]
        if not isinstance(schema, dict):
            return []
        own = [schema] if schema.get("type") == "object" else []
        return own + [found for value in schema.values() for found in objects(value)]

    for schema in (task.schema, task.group_schema):
        for item in objects(schema):
            assert item["additionalProperties"] is False
            assert item["required"] == list(item["properties"])


@given(st.text(), st.text())
def test_no_report_can_leave_its_place_in_the_prompt(findings: str, impression: str) -> None:
    question = consistency_question("s", findings=findings, impression=impression)
    system, user = messages_for([question], is_group=False)
    assert json.loads(user["content"]) == {"findings": findings, "impression": impression}
    assert system["content"] == messages_for([consistency_question("t", findings="", impression="")],
                                             is_group=False)[0]["content"]  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "impression", "is_right"),
    [
        ("The heart is normal. No pneumothorax is seen.", "Stable chest.", True),
        ("The heart is\nnormal.  No pneumothorax is seen.", None, True),
        (None, None, True),
        ("The heart is normal. No pneumothorax seen.", None, False),  # a word left out
        ("the heart is normal.", None, False),  # corrected
        ("pneumothorax is seen.", None, False),  # meaning turned round
        ("The heart is", None, False),  # cut off
        ("The heart is normal. No pneumothorax is seen.", "No pneumothorax is seen.\nStable chest.", False),
        ("Invented.", "Stable chest.", False),
    ],
)
def test_sections_must_stand_verbatim(findings: str | None, impression: str | None, is_right: bool) -> None:
    spans = section_spans(SectionsVerdict(findings=findings, impression=impression), BARE)
    assert isinstance(spans, dict) is is_right


@given(st.text(alphabet="ab. \n", max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_what_is_found_verbatim_stands_there(text: str, start: int, end: int) -> None:
    quote = text[start:end]
    found = find_verbatim(quote, text)
    if quote.split():
        assert found is not None
        assert text[slice(*found)].split() == quote.split()
    else:
        assert found is None


def test_sections_of_the_judge_are_cut_from_the_report_itself() -> None:
    report = parse_report(BARE)
    verdict = SectionsVerdict(
        findings="The heart is  normal. No pneumothorax\nis seen.", impression="Stable chest."
    )
    split = with_sections(report, verdict)
    assert (split.findings, split.impression) == (BARE[:45], "Stable chest.")
    assert (split.findings_found_by, split.impression_found_by) == ("judge", "judge")
    assert split.text == BARE


def test_the_judge_is_asked_only_where_the_rules_find_nothing_and_failures_change_nothing(
    tmp_path: Path,
) -> None:
    def script(request: dict[str, Any], number: int) -> Reply:
        if payload_of(request)["text"] == BARE:
            return completion(json.dumps({"findings": BARE[:45], "impression": None}))
        return completion(json.dumps({"findings": "Invented.", "impression": None}))

    texts = ["FINDINGS: Clear.", BARE, "IMPRESSION: Normal.", "Other text.", "", "FINDINGS: Clear."]
    rows = [(str(number), parse_report(text)) for number, text in enumerate(texts)]
    with JudgeServer(script) as server:
        results = list(split_reports(rows, judge_of(server, tmp_path)))
        assert len(server.requests) == 3  # one right, one wrong twice
    assert [study_id for study_id, _, _ in results] == ["0", "1", "2", "3", "4", "5"]
    assert results[1][1].findings == BARE[:45]
    assert [report for _, report, _ in results if report.text != BARE] == [
        report for _, report in rows if report.text != BARE
    ]
    assert [failure and failure.kind for _, _, failure in results] == [None] * 3 + ["malformed", None, None]


def group(*reports: str) -> list[Question[Any]]:
    return [criticality_question(f"s{number}", report=report) for number, report in enumerate(reports)]


def entry(candidate: int, confidence: float = 0.5) -> dict[str, Any]:
    verdict = {"reason": "r", "is_critical": False, "confidence": confidence}
    return {"candidate": candidate, "verdict": verdict}


def entries(*rows: dict[str, Any]) -> Reply:
    return completion(json.dumps({"verdicts": rows}))


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., tuple[list[Any], JudgeServer]]:
    def ask(script: Script, questions: list[Question[Any]]) -> tuple[list[Any], JudgeServer]:
        with JudgeServer(script) as server:
            return judge_of(server, tmp_path).judge_group(questions), server

    return ask


def test_one_call_judges_a_group_in_any_order(ask: Any) -> None:
    results, server = ask(lambda *_: entries(entry(2, 0.2), entry(1, 0.1)), group("a", "b"))
    assert [result.verdict.confidence for result in results] == [0.1, 0.2]
    assert [item["report"] for item in payload_of(server.requests[0])["candidates"]] == ["a", "b"]


def test_a_failed_candidate_leaves_the_rest_of_its_group(ask: Any) -> None:
    results, server = ask(lambda *_: entries(entry(1), entry(2, 7.0)), group("a", "b", "c"))
    assert [type(result) for result in results] == [Answer, JudgeFailure, JudgeFailure]
    assert {result.kind for result in results[1:]} == {"malformed"}
    assert len(server.requests) == 2  # one repair call


def test_a_candidate_with_two_verdicts_has_none(ask: Any) -> None:
    results, _ = ask(lambda *_: entries(entry(1, 0.1), entry(1, 0.9), entry(2)), group("a", "b"))
    assert [type(result) for result in results] == [JudgeFailure, Answer]


def test_of_a_known_group_only_the_new_are_asked(ask: Any) -> None:
    ask(lambda *_: entries(entry(1), entry(2)), group("a", "b"))
    results, server = ask(lambda *_: entries(entry(1)), group("a", "c", "b", "c"))
    assert all(isinstance(result, Answer) for result in results)
    assert [item["report"] for item in payload_of(server.requests[0])["candidates"]] == ["c"]


def test_an_empty_group_has_no_results(ask: Any) -> None:
    assert ask(lambda *_: entries(), [])[0] == []


def test_a_group_of_two_tasks_is_refused(ask: Any) -> None:
    with pytest.raises(ValueError, match="share their task"):
        ask(lambda *_: entries(), [*group("a"), sections_question("s", text="t")])


LETTERS = st.text(alphabet="ab .\n\t\xa0", max_size=12)


@given(LETTERS, LETTERS)
def test_a_quote_is_found_where_its_words_stand_in_order(quote: str, text: str) -> None:
    """As a pattern with white space between the words finds it, which takes time with the square."""
    words = quote.split()
    match = re.search(r"\s+".join(map(re.escape, words)), text) if words else None
    assert find_verbatim(quote, text) == (match.span() if match else None)


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 1}',
        '  \n{"a": 1} \n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}```  ',
        '<think>so {"a": 2} it is</think>\n{"a": 1}',
        ' <think>hm</think> ```json {"a": 1} ```',
        '<think></think>```{"a": 1}```',
    ],
)
def test_thoughts_and_fences_are_taken_off(content: str) -> None:
    assert _json_in(content) == {"a": 1}


@pytest.mark.parametrize("content", ["``````", "```json```", "````", "<think>", "</think>{}", "{} ```", ""])
def test_what_is_left_of_thoughts_and_fences_may_be_nothing(content: str) -> None:
    assert _json_in(content) is None
