"""Let the fine-tuned model write for held-out studies and score it, beside two baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from radflow.config import RunConfig
from radflow.engine import map_rows
from radflow.errors import DataError, RunError
from radflow.jsonl import Appender, write_json, write_jsonl
from radflow.metrics.report_scores import Written, score_report, summarise
from radflow.models.baselines import most_frequent_report, nearest_image_reports
from radflow.models.generation import generate_reports
from radflow.models.vlm import load_policy
from radflow.records import Candidate, Interval, RowFailure, Score, Study
from radflow.run_dir import RunDir
from radflow.terminal import console

SHOWN = {
    "report/bleu_1": "BLEU-1",
    "report/bleu_4": "BLEU-4",
    "report/rouge_l": "ROUGE-L",
    "findings/bleu_4": "Find.\nBLEU-4",
    "impression/bleu_4": "Impr.\nBLEU-4",
    "findings_truth/f1": "truth\nF1",
    "findings_truth_with_side/f1": "with\nside",
}
"""The metrics of the terminal's table; all of them are in summary.json."""


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, model-sft/ -> predictions.jsonl, scores.jsonl, summary.json"""
    studies = run.read(Study, "studies.jsonl")
    held_out = [study for study in studies if study.split == config.evaluate.split][: config.evaluate.limit]
    if not held_out:
        raise DataError(
            f"no studies in split {config.evaluate.split}",
            where="studies.jsonl",
            next_step="Check data.split.",
        )
    predictions, facts = _write_reports(config, run, held_out)
    written = [Written(study, "model", predictions[study.study_id].text) for study in held_out]
    if config.evaluate.baselines:
        train = [study for study in studies if study.split == "train"]
        written += _baselines(train, held_out, run)
    scores = _score(written, config)
    patients = {study.study_id: study.patient_id for study in held_out}
    summary = summarise(scores, config.evaluate, seed=config.seed, patients=patients)
    write_jsonl(run.path("scores.jsonl"), scores)
    write_json(
        run.path("summary.json"),
        {
            "split": config.evaluate.split,
            "studies": len(held_out),
            "unfinished_reports": sum(not row.finished for row in predictions.values()),
            "confidence": config.evaluate.confidence,
            "systems": {
                system: {name: interval.model_dump() for name, interval in metrics.items()}
                for system, metrics in summary.items()
            },
        },
    )
    console.print(results_table(summary, studies=len(held_out), split=config.evaluate.split))
    console.print(f"all numbers: {run.path('summary.json')}")
    return facts


def _write_reports(
    config: RunConfig, run: RunDir, studies: Sequence[Study]
) -> tuple[dict[str, Candidate], dict[str, Any]]:
    base = run.path("model-base") if config.model.name == "tiny" else config.model.name
    policy = load_policy(run.path("model-sft"), config.model, base=base)
    with Appender(run.path("predictions.jsonl"), Candidate) as into:
        facts = generate_reports(
            policy,
            studies,
            config.model,
            config.evaluate.generation,
            image_root=run.root,
            into=into,
            seed=config.seed,
        )
    candidates = {row.study_id: row for row in run.read(Candidate, "predictions.jsonl")}
    return candidates, facts.as_dict()


def _baselines(train: Sequence[Study], held_out: Sequence[Study], run: RunDir) -> list[Written]:
    frequent = most_frequent_report(train)
    nearest = nearest_image_reports(train, held_out, image_root=run.root)
    rows = [Written(study, "most frequent", frequent) for study in held_out]
    return rows + [
        Written(study, "nearest image", text) for study, text in zip(held_out, nearest, strict=True)
    ]


def _score(written: Sequence[Written], config: RunConfig) -> list[Score]:
    scores: list[Score] = []
    rows = map_rows(score_report, written, workers=config.engine.workers, label="score", total=len(written))
    for result in rows:
        if isinstance(result, RowFailure):
            # A failure here is a defect of radflow, and a table without the row would lie.
            raise RunError(f"scoring failed: {result.kind}: {result.message}", where=result.study_id)
        scores += result
    return scores


def results_table(summary: Mapping[str, Mapping[str, Interval]], *, studies: int, split: str) -> Table:
    """Systems as rows, the main metrics as columns, each with its interval."""
    names = [name for name in SHOWN if any(name in metrics for metrics in summary.values())]
    table = Table(
        title=f"{studies} {split} studies, value and interval",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 0, 0, 1),
    )
    table.add_column("system")
    for name in names:
        table.add_column(SHOWN[name], justify="right")
    for system, metrics in summary.items():
        cells = [_cell(metrics[name]) if name in metrics else "-" for name in names]
        table.add_row(system, *cells)
    return table


def _cell(interval: Interval) -> str:
    low, high = (f"{number:.2f}".removeprefix("0") for number in (interval.low, interval.high))
    return f"{interval.value:.3f}".removeprefix("0") + f"\n{low}-{high}"
