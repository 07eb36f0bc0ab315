"""Let the fine-tuned models write for held-out studies and score them, beside two baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from radflow.config import GenerationConfig, RunConfig
from radflow.engine import map_rows
from radflow.errors import DataError, RunError
from radflow.jsonl import Appender, write_json, write_jsonl
from radflow.metrics.clinical_scores import ClinicalReaders
from radflow.metrics.report_scores import Written, score_report
from radflow.metrics.summaries import differences, summarise
from radflow.models.baselines import most_frequent_report, nearest_image_reports
from radflow.models.generation import generate_reports
from radflow.models.run_models import run_model
from radflow.records import Candidate, Difference, Interval, Prediction, RowFailure, Score, Study
from radflow.run_dir import RunDir
from radflow.terminal import console

MODELS = {"sft": "sft", "sft continued": "control", "rft": "rft"}
"""Systems and the stages that write their models, in the order of the table."""
SHOWN = {
    "report/bleu_4": "BLEU-4",
    "report/rouge_l": "ROUGE-L",
    "report/graph_f1": "graph\nF1",
    "impression/label_f1": "Impr.\nF1",
    "consistent": "consis-\ntent",
    "findings_truth/f1": "truth\nF1",
    "findings_truth_with_side/f1": "with\nside",
}
"""The metrics of the terminal's tables; all of them are in summary.json."""
COMPARED = (("rft", "sft"), ("rft", "sft continued"), ("sft continued", "sft"))


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, model-*/ -> predictions.jsonl, scores.jsonl, summary.json"""
    studies = run.read(Study, "studies.jsonl")
    held_out = [study for study in studies if study.split == config.evaluate.split][: config.evaluate.limit]
    if not held_out:
        raise DataError(
            f"no studies in split {config.evaluate.split}",
            where="studies.jsonl",
            next_step="Check data.split.",
        )
    predictions, facts = _write_reports(config, run, held_out)
    write_jsonl(run.path("predictions.jsonl"), predictions)
    by_id = {study.study_id: study for study in held_out}
    written = [Written(by_id[row.study_id], row.system, row.text) for row in predictions]
    if config.evaluate.baselines:
        train = [study for study in studies if study.split == "train"]
        written += _baselines(train, held_out, run)
    scores = _score(written, config)
    write_jsonl(run.path("scores.jsonl"), scores)
    patients = {study.study_id: study.patient_id for study in held_out}
    systems = summarise(scores, config.evaluate, seed=config.seed, patients=patients)
    compared = differences(scores, COMPARED, config.evaluate, seed=config.seed, patients=patients)
    unfinished = {
        system: sum(row.system == system and not row.finished for row in predictions) for system in facts
    }
    summary = {
        "split": config.evaluate.split,
        "studies": len(held_out),
        "critical_studies": sum(score.is_critical for score in scores if _is_first(score, scores[0].system)),
        "unfinished_reports": unfinished,
        "confidence": config.evaluate.confidence,
        "systems": _dumped(systems),
        "differences": _dumped(compared),
    }
    write_json(run.path("summary.json"), summary)
    console.print(results_table(systems, studies=len(held_out), split=config.evaluate.split))
    if compared:
        console.print(differences_table(compared))
    console.print(f"all numbers: {run.path('summary.json')}")
    return {"generation": facts}


def _is_first(score: Score, system: str) -> bool:
    return score.system == system and score.part == "report"


def _dumped(table: Mapping[str, Mapping[str, Interval | Difference]]) -> dict[str, dict[str, Any]]:
    return {
        row: {name: value.model_dump() for name, value in metrics.items()} for row, metrics in table.items()
    }


def _write_reports(
    config: RunConfig, run: RunDir, studies: Sequence[Study]
) -> tuple[list[Prediction], dict[str, Any]]:
    """The reports of every model of this run, and what writing them took, by system."""
    predictions: list[Prediction] = []
    facts: dict[str, Any] = {}
    greedy = config.evaluate.generation
    decodings = {"": greedy}
    if config.evaluate.sampled:
        decodings[" (sampled)"] = greedy.model_copy(update={"temperature": 1.0, "top_p": 1.0})
    for name, stage in MODELS.items():
        if stage not in ("sft", *config.stages):
            continue  # what an earlier run left in the folder is not this run's
        for suffix, decoding in decodings.items():
            system = name + suffix
            rows, facts[system] = _write_as(system, f"model-{stage}", decoding, config, run, studies)
            predictions += rows
    return predictions, facts


def _write_as(
    system: str,
    folder: str,
    decoding: GenerationConfig,
    config: RunConfig,
    run: RunDir,
    studies: Sequence[Study],
) -> tuple[list[Prediction], dict[str, Any]]:
    policy = run_model(config, run, folder)
    partial_file = f"predictions.partial/{system.replace(' ', '-')}.jsonl"
    run.path(partial_file).parent.mkdir(exist_ok=True)
    with Appender(run.path(partial_file), Candidate) as into:
        facts = generate_reports(
            policy, studies, config.model, decoding, image_root=run.root, into=into, seed=config.seed
        )
    rows = [Prediction(system=system, **row.model_dump()) for row in run.read(Candidate, partial_file)]
    return rows, facts.as_dict()


def _baselines(train: Sequence[Study], held_out: Sequence[Study], run: RunDir) -> list[Written]:
    frequent = most_frequent_report(train)
    nearest = nearest_image_reports(train, held_out, image_root=run.root)
    rows = [Written(study, "most frequent", frequent) for study in held_out]
    return rows + [
        Written(study, "nearest image", text) for study, text in zip(held_out, nearest, strict=True)
    ]


def _score(written: Sequence[Written], config: RunConfig) -> list[Score]:
    scores: list[Score] = []
    function = partial(score_report, readers=ClinicalReaders(config.evaluate.ontology))
    rows = map_rows(function, written, workers=config.engine.workers, label="score", total=len(written))
    for result in rows:
        if isinstance(result, RowFailure):
            # A failure here is a defect of radflow, and a table without the row would lie.
            raise RunError(f"scoring failed: {result.kind}: {result.message}", where=result.study_id)
        scores += result
    return scores


def results_table(summary: Mapping[str, Mapping[str, Interval]], *, studies: int, split: str) -> Table:
    """Systems as rows, the main metrics as columns, each with its interval."""
    return _table(f"{studies} {split} studies, value and interval", "system", summary)


def differences_table(compared: Mapping[str, Mapping[str, Difference]]) -> Table:
    """Paired differences between systems, each with its interval; one that excludes 0 is bold."""
    return _table("differences on the same studies, value and interval", "", compared)


def _table(title: str, head: str, rows: Mapping[str, Mapping[str, Interval | Difference]]) -> Table:
    names = [name for name in SHOWN if any(name in metrics for metrics in rows.values())]
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column(head)
    for name in names:
        table.add_column(SHOWN[name], justify="right")
    for row, metrics in rows.items():
        table.add_row(row, *(_cell(metrics[name]) if name in metrics else "-" for name in names))
    return table


def _cell(number: Interval | Difference) -> str:
    low, high = _short(number.low), _short(number.high)
    if isinstance(number, Interval):
        return f"{_short(number.value, 3)}\n{low}-{high}"
    value = f"{'+' if number.value > 0 else ''}{_short(number.value, 3)}\n{low}, {high}"
    return f"[bold]{value}[/]" if number.low > 0 or number.high < 0 else value


def _short(number: float, digits: int = 2) -> str:
    """.123, -.04"""
    return f"{number:.{digits}f}".replace("0.", ".", 1)
