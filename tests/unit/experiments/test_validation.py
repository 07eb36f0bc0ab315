"""Triage judges against labels, and rules against a language model: what is counted, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.judge_server import JudgeServer, Reply, completion, payload_of

from radflow.clinical.labeler import RuleLabeler
from radflow.data.sections import parse_report, report_from_fields
from radflow.errors import ConfigError, DataError, JudgeError, RunError
from radflow.experiments.criticality_validation import (
    CRITICALITY_VALIDATION,
    by_labels_alone,
    validated,
)
from radflow.experiments.declaration import Request
from radflow.experiments.judge_agreement import EXCHANGED, INTACT, JUDGE_AGREEMENT, cases_of
from radflow.experiments.prepared import prepared_studies
from radflow.jsonl import read_jsonl
from radflow.records import Study
from radflow.stages.pipeline import run_stages

SMALL = (
    "data.phantoms.train=2", "data.phantoms.validation=1", "data.phantoms.test=40", "data.phantoms.size=32",
    "engine.workers=1",
)  # fmt: skip


def request(folder: Path, *overrides: str, **options: Any) -> Request:
    folder.mkdir(exist_ok=True)
    config = folder / "config.yaml"
    config.write_text("seed: 4\n")
    return Request(config=config, out=folder / "out", overrides=(*SMALL, *overrides), **options)


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return found


def test_a_failed_verdict_counts_in_no_rate() -> None:
    labels = {"a": True, "b": True, "c": False, "d": False}
    found = validated("x", {"a": True, "b": None, "c": True, "d": False}, labels)
    assert (found.decided, found.failed) == (3, 1)
    assert (found.precision.hits, found.precision.of) == (1, 2)
    assert (found.recall.hits, found.recall.of) == (1, 1)
    assert (found.false_positive_rate.hits, found.false_positive_rate.of) == (1, 2)
    assert (found.missed, found.false_alarms) == ((), ("c",))


def test_labels_alone_know_neither_denial_nor_doubt_but_no_course_either() -> None:
    labeler = RuleLabeler("chest-xray")
    assert by_labels_alone("IMPRESSION: Right pneumothorax.", labeler)
    assert by_labels_alone("IMPRESSION: Unchanged chronic right pneumothorax.", labeler)
    assert not by_labels_alone("IMPRESSION: No pneumothorax.", labeler)
    assert not by_labels_alone("IMPRESSION: Possible pneumothorax.", labeler)


def test_phantoms_truth_is_the_worked_example(tmp_path: Path) -> None:
    CRITICALITY_VALIDATION.run(request(tmp_path, seeds=(4, 5)))
    found = results(tmp_path)
    assert found["labels"] == "the phantoms' truth"
    assert 60 < found["studies"] <= 80, "two seeds; some phantoms have no report"
    assert 0 < found["critical"] < found["studies"]
    assert [judge["judge"] for judge in found["judges"]] == [
        "rules, critical", "rules, critical or urgent", "labels alone",
    ]  # fmt: skip
    strict, wide = found["judges"][:2]
    assert set(strict["false_alarms"]) <= set(wide["false_alarms"]), "urgent adds alarms"


def test_human_labels_choose_the_studies(tmp_path: Path) -> None:
    studies = [study.study_id for study in prepared_studies("any", request(tmp_path / "x"), (4,))]
    labels = tmp_path / "labels.csv"
    cells = [f"{studies[0]},1", f"{studies[5]},0", f"{studies[6]},", "nobody,1"]
    labels.write_text("\n".join(["id,is_critical", *cells]) + "\n")
    CRITICALITY_VALIDATION.run(request(tmp_path, labels=labels))
    found = results(tmp_path)
    assert (found["studies"], found["critical"], found["unknown"]) == (2, 1, 2)
    assert found["labels"] == "people (labels.csv)"
    assert all(judge["decided"] == 2 for judge in found["judges"])
    labels.write_text("id,is_critical\nnobody,1\n")
    with pytest.raises(DataError, match="no label names a study"):
        CRITICALITY_VALIDATION.run(request(tmp_path, labels=labels))


def test_phantoms_are_the_same_whether_or_not_they_are_drawn(tmp_path: Path) -> None:
    """Their texts and truth are what the prepare stage of a run would write for the same seed."""
    asked = request(tmp_path)
    run_stages(asked.load(), tmp_path / "run", names=("prepare",))
    drawn = {row.study_id: row for row in read_jsonl(Study, tmp_path / "run" / "studies.jsonl")}
    written = {row.study_id: row for row in prepared_studies("any", asked, (4,))}
    assert drawn.keys() == written.keys()
    for name, row in written.items():
        assert (row.report, row.truth, row.split) == (
            drawn[name].report,
            drawn[name].truth,
            drawn[name].split,
        )


def test_real_studies_without_labels_say_what_is_missing(tmp_path: Path) -> None:
    rows = [{"id": f"s{n}", "report": "FINDINGS: Clear lungs. IMPRESSION: Normal."} for n in range(20)]
    Image.new("L", (40, 40)).save(tmp_path / "image.png")
    table = "".join(json.dumps(row | {"image": "image.png"}) + "\n" for row in rows)
    (tmp_path / "table.jsonl").write_text(table)
    overrides = ("data.source=table", f"data.root={tmp_path / 'table.jsonl'}")
    with pytest.raises(ConfigError, match="nobody knows"):
        CRITICALITY_VALIDATION.run(request(tmp_path, *overrides))
    with pytest.raises(ConfigError, match="the same studies for every seed"):
        CRITICALITY_VALIDATION.run(request(tmp_path, *overrides, seeds=(1, 2)))


def says(request: dict[str, Any], number: int) -> Reply:
    """Inconsistent where the Impression has an "e" too few; fails on every fifth question."""
    if number % 5 == 4:
        return completion(None, refusal="no")
    impression = payload_of(request)["impression"]
    problems = []
    verdict = "consistent" if impression.count("e") % 2 else "inconsistent"
    if verdict == "inconsistent":
        problems = [
            {"kind": "unsupported", "label": "x", "findings_quote": None, "impression_quote": impression[:8]}
        ]
    return completion(json.dumps({"problems": problems, "verdict": verdict}))


def test_exchanged_impressions_come_from_other_studies_and_every_study_is_asked_once() -> None:
    studies = [
        Study(
            study_id=f"s{n}",
            split="test",
            images=(),
            report=report_from_fields(findings=f"Findings {n}.", impression=f"Impression {n}."),
        )
        for n in range(11)
    ]
    cases = cases_of(studies, seed=1)
    assert (len(cases[INTACT]), len(cases[EXCHANGED])) == (5, 6)
    assert not cases[INTACT].keys() & cases[EXCHANGED].keys()
    for kind, reports in cases.items():
        for study, report in reports.items():
            same = (report.impression or "")[11:] == (report.findings or "")[9:]
            assert same == (kind == INTACT), study
            assert parse_report(report.text).impression == report.impression
    assert cases_of(studies, seed=1) == cases
    with pytest.raises(DataError, match="at least four"):
        cases_of(studies[:3], seed=1)


def test_agreement_counts_what_both_decided_and_what_it_cost(tmp_path: Path) -> None:
    with JudgeServer(says) as server:
        settings = (
            f"judge.base_url={server.url}", "judge.retries=0", "judge.breaker_share=1.0", "evaluate.limit=20",
            "judge.concurrency=1", "judge.prompt_price=10",
        )  # fmt: skip
        JUDGE_AGREEMENT.run(request(tmp_path, *settings))
    found = results(tmp_path)
    reports = sum(found["cases"].values())
    assert found["failed"] > 0
    total = found["agreement"]["all"]
    assert found["agreement"]["intact"][2] + found["agreement"]["exchanged"][2] == total[2]
    assert total[2] == reports - found["failed"]
    assert found["tally"]["prompt_tokens"] > 0
    assert found["tally"]["cost"] > 0
    page = (tmp_path / "out" / "experiment.md").read_text()
    assert "tokens a report" in page


def test_a_judge_that_answers_nothing_is_an_error(tmp_path: Path) -> None:
    with JudgeServer(lambda *_: completion(None, refusal="no")) as server:
        settings = (f"judge.base_url={server.url}", "judge.retries=0", "judge.breaker_window=1000")
        with pytest.raises(JudgeError, match="none of"):
            JUDGE_AGREEMENT.run(request(tmp_path, *settings))


def test_the_language_model_triages_only_where_annotate_names_it(tmp_path: Path) -> None:
    answer = completion(json.dumps({"reason": "seen", "is_critical": True, "confidence": 0.8}))
    with JudgeServer(lambda *_: answer) as server:
        settings = (f"judge.base_url={server.url}", "judge.model=scripted", "annotate.second_judge=judge")
        CRITICALITY_VALIDATION.run(request(tmp_path, *settings))
    judges = {judge["judge"]: judge for judge in results(tmp_path)["judges"]}
    found = judges["language model scripted"]
    assert found["recall"][0] == 1.0
    assert found["false_positive_rate"][0] == 1.0


def test_a_folder_holds_one_experiment(tmp_path: Path) -> None:
    CRITICALITY_VALIDATION.run(request(tmp_path))
    with pytest.raises(RunError, match="holds the experiment criticality-validation"):
        JUDGE_AGREEMENT.run(request(tmp_path))
