"""The annotate stage on references of phantoms: both judges, failures, cuts, agreement, flips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.judge_server import JudgeServer, Reply, completion, payload_of

from radflow.config import RunConfig, settings_of
from radflow.data.phantoms.chest import make_chest_case
from radflow.data.sections import report_from_fields
from radflow.errors import DataError, RunError
from radflow.jsonl import read_jsonl, write_jsonl
from radflow.records import Criticality, RowFailure, SelectedStudy, Study
from radflow.run_dir import RunDir
from radflow.stages import annotate

STUDIES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """studies.jsonl and a selection of every other study, worst first."""
    studies = []
    for index in range(STUDIES):
        case = make_chest_case(index, seed=3)
        report = report_from_fields(findings=case.report.findings, impression=case.report.impression)
        row = Study(study_id=f"s{index}", split="train", images=(), report=report, truth=case.truth)
        studies.append(row)
    write_jsonl(tmp_path / "studies.jsonl", studies)
    chosen = [SelectedStudy(study_id=f"s{n}", chosen_as="hardest", composite=0.1) for n in CHOSEN]
    write_jsonl(tmp_path / "hard.jsonl", chosen)
    return tmp_path


CHOSEN = range(STUDIES - 1, 0, -2)


def decide(folder: Path, **sections: Any) -> tuple[list[Criticality], dict[str, Any]]:
    config = RunConfig.model_validate({"engine": {"workers": 1}, **sections})
    with RunDir.open(folder) as run:
        facts = annotate.run(config, run)
    return list(read_jsonl(Criticality, folder / "criticality.jsonl")), facts


def by_report(request: dict[str, Any], number: int) -> Reply:
    """Critical where the report names a pneumothorax, denied or not; refuses reports with a pacemaker."""
    text = payload_of(request)["report"].lower()
    if "pace" in text:
        return completion(None, refusal="no")
    verdict = {"reason": "seen", "is_critical": "pneumothorax" in text, "confidence": 0.8}
    return completion(json.dumps(verdict))


def judge_settings(server: JudgeServer) -> dict[str, Any]:
    return {"base_url": server.url, "model": "scripted", "retries": 0, "breaker_share": 1.0}


def test_selected_studies_in_their_order(folder: Path) -> None:
    rows, facts = decide(folder)
    assert [row.study_id for row in rows] == [f"s{n}" for n in CHOSEN]
    assert facts["studies"] == facts["decided"] == len(rows)
    assert 0 < facts["critical"] == sum(row.is_critical for row in rows) < len(rows)
    assert facts["failed"] == facts["flipped"] == 0
    assert not (folder / "criticality_second.jsonl").exists()


def test_levels_are_a_setting(folder: Path) -> None:
    _, few = decide(folder)
    (folder / "annotated.partial.jsonl").unlink()
    _, more = decide(folder, annotate={"levels": ("critical", "urgent")})
    assert more["critical"] > few["critical"]


def test_a_failed_judge_gives_no_verdict_and_is_listed(folder: Path) -> None:
    with JudgeServer(by_report) as server:
        rows, facts = decide(folder, annotate={"judge": "judge"}, judge=judge_settings(server))
    failures = list(read_jsonl(RowFailure, folder / "annotate_failures.jsonl"))
    assert failures, "phantoms with a pacemaker are refused"
    assert {row.kind for row in failures} == {"refused"}
    assert not {row.study_id for row in failures} & {row.study_id for row in rows}
    assert len(rows) + len(failures) == len(CHOSEN)
    assert facts["failed"] == len(failures)
    assert facts["tally"]["answered"] == len(rows)
    assert all(row.source.startswith("scripted criticality@") for row in rows)


def test_a_cut_run_asks_only_for_what_is_open(folder: Path) -> None:
    with JudgeServer(by_report) as server:
        settings = {"annotate": {"judge": "judge"}, "judge": judge_settings(server)}
        first, facts = decide(folder, **settings)
        asked = len(server.requests)
        lines = (folder / "annotated.partial.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "annotated.partial.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:9])  # killed here
        again, _ = decide(folder, **settings)
        assert len(server.requests) == asked + facts["failed"], "answers are kept, failures asked again"
    assert again == first


def test_agreement_of_two_judges(folder: Path) -> None:
    with JudgeServer(by_report) as server:
        both = {"judge": "rules", "second_judge": "judge"}
        rows, facts = decide(folder, annotate=both, judge=judge_settings(server))
    second = {row.study_id: row for row in read_jsonl(Criticality, folder / "criticality_second.jsonl")}
    pairs = [(row, second[row.study_id]) for row in rows if row.study_id in second]
    found = facts["agreement"]
    assert found["pairs"] == len(pairs) == facts["second"]["decided"]
    assert found["raw"] == sum(one.is_critical == two.is_critical for one, two in pairs) / len(pairs)
    assert found["second_only"] > 0, "a denied pneumothorax"
    assert {row.source for row in rows} == {"rules"}, "the second one decides nothing"


def test_flips_are_the_asked_share_and_seeded(folder: Path) -> None:
    plain, _ = decide(folder)
    flipped, facts = decide(folder, annotate={"flip_rate": 0.3})
    turned = [
        one.study_id for one, two in zip(plain, flipped, strict=True) if one.is_critical != two.is_critical
    ]
    assert len(turned) == facts["flipped"] == round(0.3 * len(plain))
    assert decide(folder, annotate={"flip_rate": 0.3})[0] == flipped
    assert decide(folder, annotate={"flip_rate": 0.3}, seed=1)[0] != flipped
    assert all(row.reason.startswith("flipped") for row in flipped if row.study_id in turned)


@pytest.mark.parametrize(("setting", "was"), [("false_positive_rate", False), ("false_negative_rate", True)])
def test_one_kind_of_error_leaves_the_other_verdicts_alone(folder: Path, setting: str, was: bool) -> None:
    levels = ("critical", "urgent")
    plain = {row.study_id: row.is_critical for row in decide(folder, annotate={"levels": levels})[0]}
    turned: dict[float, set[str]] = {}
    for rate in (0.2, 0.6, 1.0):
        noisy, facts = decide(folder, annotate={"levels": levels, setting: rate})
        turned[rate] = {row.study_id for row in noisy if row.is_critical != plain[row.study_id]}
        assert {plain[study] for study in turned[rate]} == {was}
        assert len(turned[rate]) == facts["flipped"] == round(rate * list(plain.values()).count(was))
    assert turned[0.2] < turned[0.6] < turned[1.0], "a higher rate errs where a lower one does, and more"


def test_errors_of_one_kind_beside_errors_of_both_are_refused() -> None:
    with pytest.raises(ValidationError, match="flip_rate"):
        RunConfig.model_validate({"annotate": {"flip_rate": 0.1, "false_negative_rate": 0.1}})


def test_a_triage_without_noise_keeps_the_fingerprint_of_runs_that_knew_none() -> None:
    settings = settings_of(RunConfig(), "annotate", "rft")
    assert not {"false_positive_rate", "false_negative_rate"} & settings["annotate"].keys()
    assert "epsilon_high" not in settings["rft"]
    noisy = RunConfig.model_validate({"annotate": {"false_negative_rate": 0.1}})
    assert settings_of(noisy, "annotate")["annotate"]["false_negative_rate"] == 0.1


def test_a_judge_that_decides_nothing_is_an_error(folder: Path) -> None:
    refuse = completion(None, refusal="no")
    with (
        JudgeServer(lambda request, number: refuse) as server,
        pytest.raises(DataError, match="none of the 20"),
    ):
        decide(folder, annotate={"judge": "judge"}, judge=judge_settings(server) | {"breaker_window": 1000})


def test_a_selection_of_unknown_studies_is_an_error(folder: Path) -> None:
    write_jsonl(folder / "hard.jsonl", [SelectedStudy(study_id="x", chosen_as="all", composite=None)])
    with pytest.raises(RunError, match="the first is x"):
        decide(folder)


def test_the_model_that_judges_decides_the_result() -> None:
    rules, asked = (
        settings_of(RunConfig.model_validate({"annotate": {"judge": name}}), "annotate")
        for name in ("rules", "judge")
    )
    assert "judge" not in rules
    assert asked["judge"] == {"model": "local", "seed": 0}
    with pytest.raises(ValidationError, match="name the other one"):
        RunConfig.model_validate({"annotate": {"judge": "rules", "second_judge": "rules"}})
