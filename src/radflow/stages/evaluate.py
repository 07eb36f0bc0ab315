"""Let the fine-tuned models write for held-out studies and score them, beside two baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from radflow.clinical.study_criticality import StudyCriticality
from radflow.config import GenerationConfig, RunConfig
from radflow.errors import DataError
from radflow.jsonl import Appender, write_json, write_jsonl
from radflow.metrics.declaration import JudgeSettings
from radflow.metrics.registry import find_metric
from radflow.metrics.report_parts import PARTS
from radflow.metrics.run_scores import RunScores, Written, cases_of
from radflow.metrics.score_summary import Differences, Summary
from radflow.metrics.scoring import Plan, make_plan
from radflow.models.baselines import most_frequent_report, nearest_image_reports
from radflow.models.generation import generate_reports
from radflow.models.run_models import LoadRunModel
from radflow.records import Candidate, Difference, Interval, Part, Prediction, RowFailure, Study
from radflow.run_dir import RunDir
from radflow.terminal import console

MODELS = {"sft": "sft", "sft continued": "control", "rft": "rft"}
"""Systems and the stages that write their models, in the order of the table."""
SHOWN: dict[tuple[Part, str], str] = {
    ("report", "bleu-4"): "BLEU-4",
    ("report", "rouge-l"): "ROUGE-L",
    ("report", "lexicon-graph-partial"): "graph\nF1",
    ("impression", "rules-label-f1"): "Impr.\nF1",
    ("report", "consistency-rate"): "consis-\ntent",
    ("report", "truth-f1"): "truth\nF1",
    ("report", "truth-side-f1"): "with\nside",
}
"""The metrics of the terminal's tables; all of them are in summary.json."""
COMPARED = (("rft", "sft"), ("rft", "sft continued"), ("sft continued", "sft"))

Number = Interval | Difference
Rows = Mapping[str, Mapping[str, Mapping[Part, Mapping[str, Number]]]]
"""Row of a table -> subset -> part -> metric."""


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
    _plan(config, run)  # what can't be scored is said before hours of writing; its models are let go of again
    critical, judged = _decide(config, run, held_out)
    predictions, facts = _write_reports(config, run, held_out)
    write_jsonl(run.path("predictions.jsonl"), predictions)
    by_id = {study.study_id: study for study in held_out}
    written = [Written(by_id[row.study_id], row.system, row.text) for row in predictions]
    if config.evaluate.baselines:
        train = [study for study in studies if study.split == "train"]
        written += _baselines(train, held_out, run)
    plan = _plan(config, run)
    scores = RunScores(
        plan,
        list(dict.fromkeys(row.system for row in written)),
        samples=config.evaluate.bootstrap_samples,
        confidence=config.evaluate.confidence,
        seed=config.seed,
    )
    batches = scores.score(cases_of(written, critical), engine=config.engine)
    write_jsonl(run.path("scores.jsonl"), (row for batch in batches for row in batch))
    summaries, compared = scores.summaries(), scores.differences(COMPARED)
    summary = {
        "split": config.evaluate.split,
        "studies": len(held_out),
        "critical_studies": sum(critical.values()),
        "criticality": judged,
        "unfinished_reports": {
            system: sum(row.system == system and not row.finished for row in predictions) for system in facts
        },
        "confidence": config.evaluate.confidence,
        **plan.described(),
        "systems": {
            system: {**found.as_json(), "studies": found.studies} for system, found in summaries.items()
        },
        "differences": {pair: found.as_json() for pair, found in compared.items()},
    }
    write_json(run.path("summary.json"), summary)
    _tell(config, run, plan, summaries, compared, studies=len(held_out))
    return {"generation": facts, "criticality": judged}


def _plan(config: RunConfig, run: RunDir) -> Plan:
    judge = JudgeSettings(config.judge, run.root / "judge-cache")
    return make_plan(config.evaluate.metrics, PARTS, ontology=config.evaluate.ontology, judge=judge)


def _decide(
    config: RunConfig, run: RunDir, studies: Sequence[Study]
) -> tuple[dict[str, bool], dict[str, Any]]:
    """Which of the studies annotate's judge calls critical; those it can't decide are counted."""
    judge = StudyCriticality(config, config.annotate.judge, cache=run.root / "judge-cache")
    verdicts = [result for result in judge.decide_all(studies) if not isinstance(result, RowFailure)]
    facts: dict[str, Any] = {
        "judge": config.annotate.judge,
        "levels": list(config.annotate.levels) if config.annotate.judge == "rules" else None,
        "undecided": len(studies) - len(verdicts),
    }
    if (tally := judge.tally()) is not None:
        facts["tally"] = tally
    return {verdict.study_id: verdict.is_critical for verdict in verdicts}, facts


def _tell(
    config: RunConfig,
    run: RunDir,
    plan: Plan,
    summaries: Mapping[str, Summary],
    compared: Mapping[str, Differences],
    *,
    studies: int,
) -> None:
    for name, reason in plan.not_run.items():
        console.print(f"[yellow]not run: {escape(name)}[/] ({escape(reason)})")
    if plan.judge and plan.judge.not_scored:
        console.print(f"[yellow]{len(plan.judge.not_scored)} texts have no score of the judge[/]")
    systems = {system: found.scores for system, found in summaries.items()}
    console.print(results_table(systems, studies=studies, split=config.evaluate.split))
    if compared:
        console.print(differences_table({pair: found.scores for pair, found in compared.items()}))
    console.print(f"all numbers: {run.path('summary.json')}")


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
    load = LoadRunModel(config, run.root, folder)
    partial_file = f"predictions.partial/{system.replace(' ', '-')}.jsonl"
    run.path(partial_file).parent.mkdir(exist_ok=True)
    with Appender(run.path(partial_file), Candidate) as into:
        facts = generate_reports(
            load,
            studies,
            config.model,
            decoding,
            image_root=run.root,
            into=into,
            seed=config.seed,
            engine=config.engine,
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


def results_table(systems: Rows, *, studies: int, split: str) -> Table:
    """Systems as rows, the main metrics as columns, each with its interval."""
    return _table(f"{studies} {split} studies, value and interval", "system", systems)


def differences_table(compared: Rows) -> Table:
    """Paired differences between systems, each with its interval; one that excludes 0 is bold."""
    return _table("differences on the same studies, value and interval", "", compared)


def _table(title: str, head: str, rows: Rows) -> Table:
    found = {
        row: {
            (part, name): value for part, metrics in scores["all"].items() for name, value in metrics.items()
        }
        for row, scores in rows.items()
    }
    keys = dict.fromkeys(key for numbers in found.values() for key in numbers)
    columns = [key for key in SHOWN if key in keys] or list(keys)[: len(SHOWN)]
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column(head)
    for key in columns:
        table.add_column(SHOWN.get(key, escape(find_metric(key[1]).title)), justify="right")
    for row, numbers in found.items():
        table.add_row(row, *(_cell(numbers[key]) if key in numbers else "-" for key in columns))
    return table


def _cell(number: Number) -> str:
    low, high = _short(number.low), _short(number.high)
    if isinstance(number, Interval):
        return f"{_short(number.value, 3)}\n{low}-{high}"
    value = f"{'+' if number.value > 0 else ''}{_short(number.value, 3)}\n{low}, {high}"
    return f"[bold]{value}[/]" if number.low > 0 or number.high < 0 else value


def _short(number: float, digits: int = 2) -> str:
    """.123, -.04"""
    return f"{number:.{digits}f}".replace("0.", ".", 1)
