"""The audit end to end: what is scored, what a drop is, the command's files, and that no report leaves it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.rewards.own_reports import OWN_REPORTS

from radflow.audit.examples import EXAMPLE, examples
from radflow.audit.files import AuditOptions, audit_file, draw_reports
from radflow.audit.result import audit_of, conclusions
from radflow.audit.scoring import (
    ORIGINAL,
    AuditRow,
    RewardScorer,
    Study,
    as_written,
    audited,
    drop,
    plan_of,
)
from radflow.audit.variants import CONTROLS, ERRORS, KINDS
from radflow.cli import main
from radflow.config import RewardConfig
from radflow.errors import ConfigError, DataError
from radflow.jsonl import read_jsonl
from radflow.metrics.registry import find_metric

METRICS = "sentence-bleu-2,rules-radeval-micro-14,laterality-error-rate"
SECRET = "zebrafish"
"""A word that would give a report away."""


@pytest.fixture(scope="module")
def rows() -> list[AuditRow]:
    studies = [Study(pair.kind, as_written(pair.report), ()) for pair in OWN_REPORTS]
    scorer = RewardScorer(RewardConfig(), None, None)
    return list(audited(studies, plan_of(METRICS), scorer, seed=0))


def test_every_kind_of_error_and_control_is_scored_by_every_term(rows: list[AuditRow]) -> None:
    assert {row.kind for row in rows} == {ORIGINAL, *KINDS}
    names = {"reward", "reward/language", "reward/domain", "reward/consistency", "reward/impression"}
    for row in rows:
        assert row.values.keys() == names | set(METRICS.split(","))
        assert row.is_harmless == (row.kind in (*CONTROLS, ORIGINAL))


def test_an_original_is_scored_against_itself(rows: list[AuditRow]) -> None:
    originals = [row for row in rows if row.kind == ORIGINAL]
    assert len(originals) == len(OWN_REPORTS)
    assert all(row.values["sentence-bleu-2"] == pytest.approx(1.0) for row in originals)
    assert all(row.values["reward"] == pytest.approx(4.0) for row in originals)


def test_errors_cost_the_reward_and_order_and_case_do_not(rows: list[AuditRow]) -> None:
    for row in rows:
        cost = row.drops.get("reward")
        if row.kind in ERRORS:
            assert cost is not None
            assert cost > 0.0, row.kind
        elif row.kind in ("order", "spelling"):
            assert row.drops["reward/domain"] == pytest.approx(0.0)
            assert row.drops["reward/consistency"] == 0.0


def test_a_metric_of_sides_sees_sides_and_a_metric_of_words_does_not(rows: list[AuditRow]) -> None:
    audit = audit_of(rows, seed=0, samples=200)
    sides = {name: result.kinds["side_swap"].detection[1].value for name, result in audit.terms.items()}
    assert sides["laterality-error-rate"] > 0.8
    assert sides["sentence-bleu-2"] < 0.2
    assert audit.reports == len(OWN_REPORTS)
    assert audit.against.keys() == audit.ranking.keys() == audit.margins.keys() == set(ERRORS)
    assert all(line.endswith(".") for line in conclusions(audit))


@pytest.mark.parametrize(
    ("name", "original", "value", "expected"),
    [
        ("rouge-l", 1.0, 0.7, 0.3),
        ("laterality-error-rate", 0.0, 0.5, 0.5),  # lower is better
        ("rules-radeval-micro-14", None, 0.0, 1.0),  # nothing to compare in the original: the best value
        ("rules-radeval-micro-14", 1.0, None, 0.0),
        ("laterality-error-rate", None, None, 0.0),
    ],
)
def test_a_drop_is_positive_where_the_variant_is_rated_worse(
    name: str, original: float | None, value: float | None, expected: float
) -> None:
    assert drop(original, value, find_metric(name)) == pytest.approx(expected)


def test_a_term_of_the_reward_without_a_value_has_no_drop() -> None:
    assert drop(None, 1.0, None) is drop(1.0, None, None) is None
    assert drop(4.0, 1.0, None) == 3.0


def test_metrics_that_need_the_other_reports_are_left_out_and_unknown_ones_refused() -> None:
    plan = plan_of("rouge-l,cider")
    assert [metric.name for metric in plan.metrics] == ["rouge-l"]
    assert "other reports" in plan.not_run["cider"]
    with pytest.raises(ConfigError, match="unknown metric"):
        plan_of("rouge-l,blue-4")


def test_the_example_has_room_for_every_kind() -> None:
    made = examples()
    assert made.keys() == KINDS.keys()
    assert "-" not in made.values()
    assert SECRET not in EXAMPLE


def write_reports(path: Path, count: int = 20) -> None:
    lines = []
    for place in range(count):
        text = OWN_REPORTS[place % len(OWN_REPORTS)].reference
        lines.append(json.dumps({"id": f"r{place}", "report": f"{text} The {SECRET} is normal."}))
    lines.append(json.dumps({"id": "half", "report": "FINDINGS: Clear lungs."}))
    lines.append(json.dumps({"id": "empty", "report": None}))
    path.write_text("\n".join(lines), encoding="utf-8")


def test_a_draw_is_seeded_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    write_reports(tmp_path / "reports.jsonl")
    options = AuditOptions(limit=5, metrics=METRICS, seed=2)
    drawn = draw_reports(tmp_path / "reports.jsonl", options)
    assert (len(drawn.studies), drawn.read, drawn.left_out) == (5, 22, 2)
    assert drawn == draw_reports(tmp_path / "reports.jsonl", options)
    every = draw_reports(tmp_path / "reports.jsonl", AuditOptions(limit=0, metrics=METRICS, seed=2))
    assert [study.study_id for study in every.studies] == [f"r{place}" for place in range(20)]


def test_reports_without_sections_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").write_text('{"id": "a", "report": "clear"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no report has"):
        draw_reports(tmp_path / "reports.jsonl", AuditOptions(limit=0, metrics=METRICS, seed=0))


def test_reports_without_room_for_a_change_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("id,report\na,FINDINGS: x\n", encoding="utf-8")
    options = AuditOptions(limit=0, metrics="rouge-l", seed=0)
    with pytest.raises(DataError, match="nothing to compare"):
        audit_file(path, tmp_path / "out", options, reward=RewardConfig(), judge=None)
    assert not list((tmp_path / "out").glob("*"))


def test_the_command_writes_numbers_and_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path / "reports.jsonl")
    out = tmp_path / "audit"
    command = ["radflow", "audit", str(tmp_path / "reports.jsonl"), "-o", str(out), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--limit", "12", "--metrics", METRICS])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    shown = capsys.readouterr()
    assert "at 5% false alarms" in shown.out
    assert "sentence-bleu-2 sees" in shown.out
    found = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert (found["reports"], found["reports in the file"], found["seed"]) == (12, 22, 0)
    assert found["terms"].keys() >= {"reward", "reward/domain", "sentence-bleu-2"}
    rows = list(read_jsonl(AuditRow, out / "scores.jsonl"))
    assert len({row.study_id for row in rows}) == 12
    page = (out / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "negation flip" in page
    assert (out / "heat_map.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")
    for file in out.iterdir():
        assert SECRET not in file.read_text(encoding="utf-8"), file.name
    assert SECRET not in shown.out + shown.err


def test_other_settings_of_the_reward_are_audited_too() -> None:
    """`domain_level: statements` sees a side swap as a whole statement; the graph, as a word among many."""
    pair = next(pair for pair in OWN_REPORTS if pair.kind == "pneumothorax")
    costs = {}
    for level in ("partial_complete", "statements"):
        scorer = RewardScorer(RewardConfig(domain_level=level), None, None)
        study = Study("a", as_written(pair.report), ())
        found = audited([study], plan_of("rouge-l"), scorer, seed=0)
        costs[level] = {(row.kind, row.count): row.drops.get("reward/domain") for row in found}
    swaps = {level: found["side_swap", 1] for level, found in costs.items()}
    assert swaps["statements"] is not None
    assert swaps["partial_complete"] is not None
    assert swaps["statements"] > swaps["partial_complete"] > 0
