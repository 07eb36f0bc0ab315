"""Evaluation: which studies are critical, what is refused before anything is written, what tables show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from radflow.config import EvaluateConfig, RunConfig
from radflow.data.sections import parse_report
from radflow.errors import ConfigError
from radflow.jsonl import write_jsonl
from radflow.metrics.report_parts import PARTS
from radflow.metrics.run_scores import RunScores, Written, cases_of
from radflow.metrics.scoring import make_plan
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.stages import evaluate

TEXTS = {
    "tension": "FINDINGS: Large right tension pneumothorax.\nIMPRESSION: Tension pneumothorax.",
    "edema": "FINDINGS: Moderate pulmonary edema.\nIMPRESSION: Moderate pulmonary edema.",
    "clear": "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease.",
}
STUDIES = [
    Study(study_id=name, split="test", images=("a.png",), report=parse_report(text))
    for name, text in TEXTS.items()
]


def run_folder(tmp_path: Path) -> RunDir:
    write_jsonl(tmp_path / "studies.jsonl", STUDIES)
    return RunDir(tmp_path)


def evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: RunConfig, text: str = TEXTS["clear"]
) -> dict[str, object]:
    """summary.json of a run whose only system writes this text for every study."""
    monkeypatch.setattr(evaluate, "_write_reports", lambda config, run, studies: ([], {}))
    monkeypatch.setattr(
        evaluate,
        "_baselines",
        lambda train, held_out, run: [Written(study, "sft", text) for study in held_out],
    )
    evaluate.run(config, run_folder(tmp_path))
    found: dict[str, object] = json.loads((tmp_path / "summary.json").read_text())
    return found


def small(**settings: object) -> RunConfig:
    return RunConfig.model_validate(
        {"engine": {"workers": 1}, "evaluate": {"bootstrap_samples": 100}} | settings
    )


def test_the_critical_subset_is_that_of_annotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = evaluated(tmp_path, monkeypatch, small())
    wide = evaluated(tmp_path, monkeypatch, small(annotate={"levels": ["critical", "urgent"]}))
    assert strict["critical_studies"] == 1
    assert wide["critical_studies"] == 2
    assert wide["systems"]["sft"]["studies"]["critical"]["report"] == 2  # type: ignore[index]
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert {row["study_id"] for row in rows if row["is_critical"]} == {"tension", "edema"}


def test_flipped_verdicts_change_the_training_and_not_its_judgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluated(tmp_path, monkeypatch, small(annotate={"flip_rate": 1.0}))["critical_studies"] == 1


def test_the_metrics_are_those_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"bootstrap_samples": 100, "metrics": ["chrf", "omission-rate"]}
    summary = evaluated(tmp_path, monkeypatch, small(evaluate=settings))
    report = summary["systems"]["sft"]["scores"]["all"]["report"]  # type: ignore[index]
    assert report.keys() == {"chrf", "omission-rate"}
    assert set(summary["metrics"]) == {"chrf", "omission-rate"}  # type: ignore[call-overload]


def test_an_unknown_metric_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("reports were written first")

    monkeypatch.setattr(evaluate, "_write_reports", never)
    with pytest.raises(ConfigError, match="Did you mean bleu-4"):
        evaluate.run(small(evaluate={"metrics": ["blue-4"]}), run_folder(tmp_path))


def test_the_default_needs_no_model_and_has_what_the_method_asks_for() -> None:
    plan = make_plan(EvaluateConfig().metrics, PARTS)
    assert plan.not_run == {}
    names = {metric.name for metric in plan.metrics}
    assert names > {
        "bleu-1", "bleu-4", "rouge-l", "cider", "lexicon-graph-simple", "lexicon-graph-complete",
        "rules-radeval-micro-5", "rules-radeval-macro-14", "consistency-rate", "contradicted-rate",
        "unsupported-rate", "critical-omitted-rate", "hallucination-rate", "omission-rate",
    }  # fmt: skip
    for part in PARTS:
        assert {"bleu-4", "lexicon-graph-partial", "omission-rate"} < {m.name for m in plan.of_part(part)}


def test_tables_show_the_main_metrics_and_others_where_those_are_missing() -> None:
    for metrics, heads in (("run", ("BLEU-4", "consis-")), ("chrf,rouge-1", ("chrF", "ROUGE-1"))):
        plan = make_plan(metrics, PARTS)
        scores = RunScores(plan, ["sft"], samples=100, confidence=0.95, seed=0)
        written = [Written(study, "sft", study.report.text) for study in STUDIES]
        assert list(scores.score(cases_of(written, {})))
        table = evaluate.results_table({"sft": scores.summaries()["sft"].scores}, studies=3, split="test")
        console = Console(width=200)
        with console.capture() as capture:
            console.print(table)
        shown = capture.get()
        assert all(head in shown for head in heads)
