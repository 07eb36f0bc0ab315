"""The radflow command: one subcommand per stage, plus run, config and tools for text files.

Results go to stdout, everything else to stderr. A user's mistake is one message, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from radflow import __version__
from radflow.config_file import load_config, show_config
from radflow.errors import ConfigError, RadflowError
from radflow.terminal import console, print_result, print_table

app = typer.Typer(
    help="Teach vision-language models to write radiology reports. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
config_app = typer.Typer(help="Show and check settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigFile = Annotated[Path, typer.Argument(help="YAML file with the settings of a run, see configs/.")]
OutFolder = Annotated[
    Path | None, typer.Option("-o", "--out", help="Run folder; default runs/NAME-OF-THE-CONFIG.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, e.g. --set rft.learning_rate=1e-5.")
]
Redo = Annotated[
    str | None, typer.Option(help="Delete what this stage and all later ones made, and run it again.")
]


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        print_result(f"radflow {__version__}")
        raise typer.Exit


@app.command()
def run(config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None) -> None:
    """Run all stages of the config, prepare to report. Finished ones are skipped, a cut one goes on.

    Example: radflow run configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, None)


@app.command()
def prepare(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Read the data source: studies.jsonl, left_out.jsonl, images/."""
    _run_stages(config, out, overrides, redo, "prepare")


@app.command()
def sft(config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None) -> None:
    """Fine-tune the model on the training reports: model-sft/."""
    _run_stages(config, out, overrides, redo, "sft")


@app.command()
def explore(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Find the training studies that the fine-tuned model is worst at: candidates.jsonl, hard.jsonl."""
    _run_stages(config, out, overrides, redo, "explore")


@app.command()
def annotate(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Decide which of the selected studies are critical: criticality.jsonl."""
    _run_stages(config, out, overrides, redo, "annotate")


@app.command()
def rft(config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None) -> None:
    """Fine-tune on the selected studies with the hierarchical reward and CAPO: model-rft/."""
    _run_stages(config, out, overrides, redo, "rft")


@app.command()
def control(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Continue supervised fine-tuning for the time that RFT took, to compare with: model-control/."""
    _run_stages(config, out, overrides, redo, "control")


@app.command()
def evaluate(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Write and score reports of held-out studies: predictions.jsonl, scores.jsonl, summary.json."""
    _run_stages(config, out, overrides, redo, "evaluate")


@app.command()
def report(config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None) -> None:
    """Write the run's page of curves, metrics and cases: report.html."""
    _run_stages(config, out, overrides, redo, "report")


def _run_stages(
    config: Path, out: Path | None, overrides: list[str] | None, redo: str | None, stage: str | None
) -> None:
    settings = load_config(config, overrides=overrides or ())
    folder = out or Path("runs") / config.stem
    # The libraries' own bars and notices would tear ours apart. Set before they are imported.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from radflow.stages.pipeline import run_stages

    try:
        run_stages(settings, folder, names=None if stage is None else (stage,), redo=redo)
    except KeyboardInterrupt:
        console.print("\nstopped; what is done is kept. The same command goes on from here.")
        raise typer.Exit(130) from None
    console.print(f"results in [bold]{folder}[/]")


@config_app.command("show")
def config_show(
    section: Annotated[str | None, typer.Argument(help="Only this section, e.g. rft or data.split.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Values of this config, not defaults.")] = None,
    overrides: Overrides = None,
) -> None:
    """Print every setting with its value, its sentence and its bounds, as YAML that can be pasted."""
    print_result(show_config(load_config(file, overrides=overrides or ()), section))


@config_app.command("check")
def config_check(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a config file: unknown keys, bounds, settings that contradict each other."""
    load_config(config, overrides=overrides or ())
    print_result(f"{config}: ok")


@app.command()
def sections(
    reports: Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a folder of .txt files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write.")],
    id_column: Annotated[str, typer.Option(help="Column with the report's id.")] = "id",
    report_column: Annotated[str, typer.Option(help="Column with the report's text.")] = "report",
    fallback: Annotated[
        str, typer.Option(help="none, or last_paragraph: what to do without either header.")
    ] = "none",
) -> None:
    """Cut reports into Findings, Impression and the rest; absent ones are null.

    Example: radflow sections reports.csv -o sections.jsonl --report-column text
    """
    from radflow.data.report_files import split_file

    settings = load_config(None, overrides=[f"data.sections.fallback={fallback}"])
    if settings.data.sections.fallback == "judge":
        raise ConfigError(
            "radflow sections asks no judge", next_step="Set data.sections.fallback: judge in a run's config."
        )
    counts = split_file(
        reports,
        out,
        id_column=id_column,
        report_column=report_column,
        fallback=settings.data.sections.of_parser,
    )
    console.print(
        f"{counts.reports} reports: {counts.with_findings} with findings, {counts.with_impression} with "
        f"impression, {counts.with_both} with both -> {out}"
    )


@app.command()
def label(
    reports: Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a folder of .txt files.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="labels.csv (a table) or labels.jsonl (all mentions).")
    ] = None,
    ontology: Annotated[
        str, typer.Option(help="chest-xray, carotid-ultrasound, or your own .yaml file.")
    ] = "chest-xray",
    extras: Annotated[
        bool, typer.Option("--all", help="Add the observations beyond the table's columns.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Print this report with its mentions marked, and why; needs no -o.")
    ] = None,
    id_column: Annotated[str, typer.Option(help="Column with the report's id.")] = "id",
    report_column: Annotated[str, typer.Option(help="Column with the report's text.")] = "report",
) -> None:
    """Label reports by rules: CheXpert's 14 columns (1, 0, -1, blank), or every mention with what decided it.

    Example: radflow label reports.csv -o labels.csv --report-column text
    """
    from radflow.clinical.label_file import explain_report, label_file
    from radflow.clinical.labeler import RuleLabeler

    if out is None and explain is None:
        raise ConfigError(
            "nothing to do without an output",
            next_step="Give -o labels.csv, -o labels.jsonl or --explain ID.",
        )
    labeler = RuleLabeler(ontology)
    if explain is not None:
        print_result(
            explain_report(reports, explain, labeler, id_column=id_column, report_column=report_column)
        )
    if out is not None:
        count = label_file(
            reports, out, labeler, id_column=id_column, report_column=report_column, extras=extras
        )
        console.print(f"{count} reports labelled -> {out}")


@app.command()
def score(
    reference: Annotated[
        Path, typer.Option(help="CSV, JSONL, Parquet, ReXrank's JSON, folder of .txt, a run's studies.jsonl.")
    ],
    prediction: Annotated[Path, typer.Option(help="The same kinds, or a run's predictions.jsonl.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for scores, summary and tables.")],
    metrics: Annotated[
        str, typer.Option(help="Names and presets (fast, clinical, all), with commas; see radflow metrics.")
    ] = "fast",
    sections: Annotated[
        str, typer.Option(help="Parts to score, with commas.")
    ] = "report,findings,impression",
    id_column: Annotated[
        str | None, typer.Option(help="Column of both files with the id; default: study_id, else id.")
    ] = None,
    reference_column: Annotated[str | None, typer.Option(help="Column with the reference reports.")] = None,
    prediction_column: Annotated[str | None, typer.Option(help="Column with the written reports.")] = None,
    system: Annotated[
        str | None, typer.Option(help="Who wrote the predictions; of several in one file, this one.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse files with unmatched ids.")] = False,
    rexrank: Annotated[
        Path | None, typer.Option(help="Also write the predictions as a ReXrank submission.")
    ] = None,
    samples: Annotated[int, typer.Option(min=100, help="Resamplings for the intervals.")] = 1000,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the resamplings.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
) -> None:
    """Score written reports against references: per study, as a set with intervals, and by section.

    Example: radflow score --reference truth.csv --prediction mine.csv -o scores
    """
    from radflow.metrics.score_files import score_to_terminal

    score_to_terminal(
        out,
        reference=(reference, id_column, reference_column),
        prediction=(prediction, id_column, prediction_column),
        metrics=metrics,
        sections=sections,
        options={
            "samples": samples,
            "confidence": confidence,
            "seed": seed,
            "workers": workers,
        },
        system=system,
        strict=strict,
        rexrank=rexrank,
    )


@app.command()
def metrics(
    name: Annotated[str | None, typer.Argument(help="Explain this one, with a worked example.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/metrics.md.")] = False,
) -> None:
    """List all metrics, or explain one with an example that is computed on the spot.

    Example: radflow metrics bleu-4
    """
    from radflow.metrics import explain

    if markdown:
        print_result(explain.markdown().rstrip("\n"))
    elif name is not None:
        print_result(explain.explain(name))
    else:
        print_table(explain.metrics_table())


@app.command()
def consistency(
    reports: Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a folder of .txt files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write: a verdict per report.")],
    backend: Annotated[
        str, typer.Option(help="labels (rules), judge (a language model), or both: rules, judge if unsure.")
    ] = "labels",
    ontology: Annotated[
        str, typer.Option(help="chest-xray, carotid-ultrasound, or your own .yaml file.")
    ] = "chest-xray",
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with judge settings; see docs/judges.md.")
    ] = None,
    overrides: Overrides = None,
    id_column: Annotated[str, typer.Option(help="Column with the report's id.")] = "id",
    report_column: Annotated[str, typer.Option(help="Column with the report's text.")] = "report",
) -> None:
    """Check whether each report's Impression follows from its Findings: verdict, problems, spans.

    Example: radflow consistency reports.csv -o consistency.jsonl --report-column text
    """
    from radflow.clinical.consistency_backends import consistency_backend
    from radflow.clinical.consistency_file import check_file

    settings = load_config(config, overrides=overrides or ()).judge
    checker, judge = consistency_backend(
        backend, ontology=ontology, judge=settings, cache=out.parent / "judge-cache"
    )
    counts = check_file(reports, out, checker, id_column=id_column, report_column=report_column)
    console.print(f"{counts} -> {out}", markup=False, soft_wrap=True)
    if judge is not None:
        console.print(f"judge: {judge.tally.summary(settings)}", markup=False, soft_wrap=True)


@app.command()
def reward(
    reference: Annotated[Path, typer.Option(help="References: CSV, JSONL, Parquet, or a folder of .txt.")],
    prediction: Annotated[Path, typer.Option(help="Generated reports, likewise; ids must match.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="JSONL file for all terms of every report.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with the sections reward and judge.")
    ] = None,
    overrides: Overrides = None,
    id_column: Annotated[str, typer.Option(help="Column with the report's id.")] = "id",
    report_column: Annotated[str, typer.Option(help="Column with the report's text.")] = "report",
) -> None:
    """Score reports with the hierarchical reward: all terms, why some don't apply, and their means.

    Example: radflow reward --reference gold.csv --prediction mine.csv -o rewards.jsonl
    """
    from radflow.rewards.hierarchical import HierarchicalReward
    from radflow.rewards.reward_file import reward_files

    settings = load_config(config, overrides=overrides or ())
    scorer = HierarchicalReward(settings.reward, judge=settings.judge)
    columns = {"id_column": id_column, "report_column": report_column}
    table = reward_files(reference, prediction, out, scorer, **columns)
    print_result("\n".join(table.lines()))
    if out is not None:
        console.print(f"{len(table.totals) + table.undefined} reports scored -> {out}")


@app.command()
def criticality(
    reports: Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a folder of .txt files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write.")],
    backend: Annotated[
        str, typer.Option(help="rules, or judge: the model that judge.* settings name.")
    ] = "rules",
    ontology: Annotated[
        str, typer.Option(help="chest-xray, carotid-ultrasound, or your own .yaml file.")
    ] = "chest-xray",
    level: Annotated[
        str,
        typer.Option(help="critical, or urgent: what counts too is what somebody must hear within hours."),
    ] = "critical",
    against: Annotated[
        Path | None,
        typer.Option(help="Table of human labels: prints precision, recall, false-positive rate."),
    ] = None,
    against_column: Annotated[str, typer.Option(help="Its column with 1 or 0.")] = "is_critical",
    id_column: Annotated[str, typer.Option(help="Column with the report's id.")] = "id",
    report_column: Annotated[str, typer.Option(help="Column with the report's text.")] = "report",
    config: Annotated[Path | None, typer.Option("--config", help="YAML file with judge.* settings.")] = None,
    overrides: Overrides = None,
) -> None:
    """Decide of each report whether somebody must be told at once, with confidence and reason.

    Example: radflow criticality reports.csv -o criticality.jsonl --against labels.csv
    """
    from radflow.clinical.criticality import JudgeCriticality, RuleCriticality, levels_from
    from radflow.clinical.criticality_file import CriticalityJudge, decide_file, read_labels
    from radflow.metrics.triage import triage_rates

    judge: CriticalityJudge
    if backend == "rules":
        judge = RuleCriticality(ontology, levels=levels_from(level))
    elif backend == "judge":
        from radflow.clinical.judge import Judge

        settings = load_config(config, overrides=overrides or ())
        judge = JudgeCriticality(Judge(settings.judge, cache=out.parent / "judge-cache"))
    else:
        raise ConfigError(f"unknown backend {backend!r}", next_step="Known: rules, judge.")
    labels = None
    if against is not None:
        labels = read_labels(against, id_column=id_column, column=against_column)
    counts: Counter[bool | None] = Counter()
    pairs: list[tuple[bool, bool]] = []
    for report_id, verdict in decide_file(
        reports, out, judge, id_column=id_column, report_column=report_column
    ):
        counts[verdict] += 1
        if labels is not None and verdict is not None and report_id in labels:
            pairs.append((labels[report_id], verdict))
    unknown = f", {counts[None]} without a verdict" if counts[None] else ""
    console.print(f"{counts.total()} reports: {counts[True]} critical{unknown} -> {out}")
    if isinstance(judge, JudgeCriticality):
        console.print(f"cost of the judge: {judge.judge.tally.summary(judge.judge.config)}")
    if labels is not None:
        rates = triage_rates(pairs)
        for name, rate in rates._asdict().items():
            print_result(f"{name.replace('_', ' ')}: {rate}")
        console.print(f"{len(pairs)} verdicts compared; {len(labels) - len(pairs)} labels have no verdict")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder with the first system's scores.jsonl.")],
    second: Annotated[
        Path | None, typer.Argument(help="Folder with the second system's; default: the same folder.")
    ] = None,
    system_a: Annotated[str | None, typer.Option(help="The first system; default: model.")] = None,
    system_b: Annotated[str | None, typer.Option(help="The second system; default: model.")] = None,
    shared_only: Annotated[
        bool, typer.Option("--shared-only", help="Leave out studies that only one of them has.")
    ] = False,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only this metric or pattern, e.g. 'report/*'; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for compare.json and .md; default: the first.")
    ] = None,
    samples: Annotated[int, typer.Option(min=100, help="Resamplings and random swaps.")] = 10_000,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamplings and swaps.")] = 0,
) -> None:
    """Compare two systems on the same studies: differences with intervals, paired tests, effect sizes.

    Example: radflow compare runs/rft runs/sft, or radflow compare runs/sft --system-b "nearest image"
    """
    from radflow.reporting.comparison import compare_folders, comparison_table, write_comparison

    compared = compare_folders(
        first,
        second or first,
        system_a=system_a,
        system_b=system_b,
        shared_only=shared_only,
        samples=samples,
        seed=seed,
        confidence=confidence,
        metrics=metrics or (),
    )
    files = write_comparison(compared, out or first)
    print_table(comparison_table(compared))
    console.print(f"all numbers: {files[0]}, table: {files[1]}")


def main() -> None:
    """Entry point: turns errors that a user can act on into one message and an exit code."""
    try:
        app()
    except RadflowError as error:
        if "--debug" in sys.argv:
            raise
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)
