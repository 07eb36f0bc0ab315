"""A judge on another machine sees no identifier; what it says of scrubbed text fits the report itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.judge_server import JudgeServer, Reply, completion, payload_of

from radflow.clinical.consistency_judge import JudgeConsistency
from radflow.clinical.judge import Judge
from radflow.clinical.judge_errors import errors_question
from radflow.clinical.judge_questions import Answer, criticality_question
from radflow.clinical.judge_sections import split_reports
from radflow.config import JudgeConfig, RunConfig, settings_of
from radflow.data.sections import parse_report
from radflow.errors import ConfigError
from radflow.records import Consistency
from radflow.stages.pipeline import require_known_names

FINDINGS = "Compared to 3/4/2019, no effusion. Dr. Smith was called at 3:45 pm. Large left effusion."
IMPRESSION = "No effusion since March 4, 2019."
REPORT = f"FINDINGS: {FINDINGS}\nIMPRESSION: {IMPRESSION}"
BARE = "Compared to 3/4/2019 the lungs are clear. Dr. Smith was called at 3:45 pm. No disease since 3/4/2019."
IDENTIFIERS = ("2019", "Smith", "3:45", "March")


def answer(request: dict[str, Any], number: int) -> Reply:
    """Something that fits each question, quoted from what arrived."""
    payload = payload_of(request)
    name = request["response_format"]["json_schema"]["name"]
    quote = "[NAME] was called at [TIME]. Large left effusion."
    verdicts: dict[str, Any] = {
        "criticality": {"reason": "none", "is_critical": False, "confidence": 0.5},
        "consistency": {
            "problems": [{"kind": "contradicted", "label": "effusion", "findings_quote": f"Dr. {quote}",
                          "impression_quote": payload.get("impression")}],
            "verdict": "inconsistent",
        },
        "errors": {"errors": [], "matched": []},
        "sections": {"findings": "Compared to [DATE] the lungs are clear. Dr. [NAME] was called at [TIME].",
                     "impression": "No disease since [DATE]."},
    }  # fmt: skip
    return completion(json.dumps(verdicts[name]))


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with JudgeServer(answer) as running:
        yield running


@pytest.fixture
def is_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as another machine; requests still go to it."""
    for module in ("config_judge", "clinical.judge_client"):
        monkeypatch.setattr(f"radflow.{module}.is_loopback", lambda url: False)


def judge_of(server: JudgeServer, folder: Path, **more: Any) -> Judge:
    settings = {"base_url": server.url, "allow_remote": True, "retries": 0, **more}
    return Judge(JudgeConfig.model_validate(settings), cache=folder / "cache")


def sent(server: JudgeServer) -> str:
    return json.dumps(server.requests)


@pytest.mark.usefixtures("is_remote")
def test_no_question_takes_an_identifier_away(server: JudgeServer, tmp_path: Path) -> None:
    judge = judge_of(server, tmp_path)
    assert isinstance(next(iter(judge.ask_all([criticality_question("s1", report=REPORT)]))), Answer)
    list(JudgeConsistency(judge).check_all([("s1", parse_report(REPORT))]))
    list(split_reports([("s1", parse_report(BARE))], judge))
    list(judge.ask_all([errors_question("s1", reference=REPORT, candidate=REPORT)]))
    list(judge.ask_groups([[criticality_question("s1", report=f"{REPORT} {n}") for n in (1, 2)]]))
    assert len(server.requests) >= 5
    assert [word for word in IDENTIFIERS if word in sent(server)] == []
    kept = (tmp_path / "cache/answers.sqlite").read_bytes()
    assert [word for word in IDENTIFIERS if word.encode() in kept] == []


@pytest.mark.usefixtures("is_remote")
def test_what_was_hidden_is_counted_by_kind(server: JudgeServer, tmp_path: Path) -> None:
    judge = judge_of(server, tmp_path)
    list(judge.ask_all([criticality_question("s1", report=REPORT)]))
    assert judge.tally.summary(judge.config)["scrubbed"] == {"date": 2, "name": 1, "time": 1}
    assert "4 identifiers hidden" in judge.tally.line(judge.config)


@pytest.mark.usefixtures("is_remote")
def test_sections_and_spans_are_those_of_the_report_itself(server: JudgeServer, tmp_path: Path) -> None:
    judge = judge_of(server, tmp_path)
    ((_, split, failure),) = split_reports([("s1", parse_report(BARE))], judge)
    assert failure is None
    assert (split.text, split.impression) == (BARE, "No disease since 3/4/2019.")
    assert split.findings == BARE.removesuffix(" No disease since 3/4/2019.")
    (found,) = JudgeConsistency(judge).check_all([("s1", parse_report(REPORT))])
    assert isinstance(found, Consistency)
    (problem,) = found.problems
    assert problem.findings_span is not None
    assert problem.impression_span == (0, len(IMPRESSION))
    first, last = problem.findings_span
    assert FINDINGS[first:last] == "Dr. Smith was called at 3:45 pm. Large left effusion."


def test_a_judge_of_this_machine_sees_reports_as_they_are(server: JudgeServer, tmp_path: Path) -> None:
    judge = judge_of(server, tmp_path)
    list(judge.ask_all([criticality_question("s1", report=REPORT)]))
    assert payload_of(server.requests[0]) == {"report": REPORT}
    assert "scrubbed" not in judge.tally.summary(judge.config)


@pytest.mark.usefixtures("is_remote")
def test_scrubbing_can_be_switched_off_by_name_only(server: JudgeServer, tmp_path: Path) -> None:
    judge = judge_of(server, tmp_path, scrub=False)
    list(judge.ask_all([criticality_question("s1", report=REPORT)]))
    assert payload_of(server.requests[0]) == {"report": REPORT}


def test_results_remember_the_rules_only_where_they_count() -> None:
    def decided_by(**judge: Any) -> Any:
        config = RunConfig.model_validate({"judge": judge, "annotate": {"judge": "judge"}})
        return settings_of(config, "annotate")["judge"]

    away = {"base_url": "https://judge.example/v1", "allow_remote": True}
    assert decided_by() == decided_by(scrub=False) == {"model": "local", "seed": 0}
    assert decided_by(**away, scrub=False) == decided_by()
    assert decided_by(**away) == {**decided_by(), "scrub_rules": ["en", "de"]}


def test_unknown_rules_are_refused_before_the_first_stage() -> None:
    away = {"base_url": "https://judge.example/v1", "allow_remote": True, "scrub_rules": ["fr"]}
    config = RunConfig.model_validate({"judge": away})
    with pytest.raises(ConfigError, match="'fr'"):
        require_known_names(config, ["prepare"])
