"""Commands that score reports: metrics, rewards, and two systems against each other"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from radflow.cli_options import IdColumn, JudgeFile, Overrides, ReportColumn, Reports, ScoringFile
from radflow.config_file import load_config
from radflow.terminal import console, print_result, print_table

scores = typer.Typer()


@scores.command()
def score(
    reference: Annotated[
        Path, typer.Option(help="CSV, JSONL, Parquet, ReXrank's JSON, folder of .txt, a run's studies.jsonl.")
    ],
    prediction: Annotated[Path, typer.Option(help="The same kinds, or a run's predictions.jsonl.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for scores, summary and tables.")],
    metrics: Annotated[
        str,
        typer.Option(help="Names and presets (fast, run, clinical, all), with commas; see radflow metrics."),
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
    config: JudgeFile = None,
    overrides: Overrides = None,
) -> None:
    """Score written reports against references: per study, as a set with intervals, and by section.

    Example: radflow score --reference truth.csv --prediction mine.csv -o scores
    """
    from radflow.metrics.declaration import JudgeSettings
    from radflow.metrics.score_files import score_to_terminal

    judge = load_config(config, overrides=overrides or ()).judge

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
            "judge": JudgeSettings(judge, out / "judge-cache"),
        },
        system=system,
        strict=strict,
        rexrank=rexrank,
    )


@scores.command()
def metrics(
    name: Annotated[str | None, typer.Argument(help="Explain this one, with a worked example.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/metrics.md.")] = False,
    config: JudgeFile = None,
    overrides: Overrides = None,
) -> None:
    """List all metrics, or explain one with an example that is computed on the spot.

    Example: radflow metrics bleu-4
    """
    from radflow.metrics import explain
    from radflow.metrics.declaration import JudgeSettings

    if markdown:
        print_result(explain.markdown().rstrip("\n"))
    elif name is not None:
        judge = load_config(config, overrides=overrides or ()).judge
        with TemporaryDirectory() as kept:
            print_result(explain.explain(name, judge=JudgeSettings(judge, Path(kept))))
    else:
        print_table(explain.metrics_table())


@scores.command()
def audit(
    reports: Reports,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for audit.html, .json and scores.jsonl.")],
    limit: Annotated[
        int, typer.Option(min=0, help="Reports that are drawn from the file; 0 takes all.")
    ] = 500,
    metrics: Annotated[
        str | None,
        typer.Option(help="Names and presets, with commas; default: one of each sort that runs here."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw, the changes and the intervals.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
    config: ScoringFile = None,
    overrides: Overrides = None,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """What do metrics and the reward see? Spoil reports in known ways and score them against themselves.

    Example: radflow audit reports.csv -o audit --limit 200
    """
    from radflow.audit.files import AuditOptions, audit_to_terminal
    from radflow.audit.scoring import DEFAULT_METRICS

    settings = load_config(config, overrides=overrides or ())
    options = AuditOptions(limit, metrics or DEFAULT_METRICS, seed, workers, id_column, report_column)
    audit_to_terminal(reports, out, options, reward=settings.reward, judge=settings.judge)


@scores.command()
def runs(
    folders: Annotated[list[Path], typer.Argument(help="Two or more run folders with an evaluation.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="HTML file to write.")],
) -> None:
    """Put several runs on one page: gains side by side, values, learning curves, settings that differ.

    Example: radflow runs runs/seed-0 runs/seed-1 runs/seed-2 -o runs.html
    """
    from radflow.reporting.runs_page import write_runs

    write_runs(folders, out)
    console.print(f"page: {out}", markup=False, soft_wrap=True)


@scores.command()
def compare(
    first: Annotated[
        Path, typer.Argument(help="Run folder, or one of radflow score, with the first system.")
    ],
    second: Annotated[
        Path | None, typer.Argument(help="Folder with the second system's; default: the same folder.")
    ] = None,
    system_a: Annotated[str | None, typer.Option(help="The first system; default: rft, else sft.")] = None,
    system_b: Annotated[
        str | None, typer.Option(help="The second; default: likewise, in one folder sft.")
    ] = None,
    shared_only: Annotated[
        bool, typer.Option("--shared-only", help="Leave out studies that only one of them has.")
    ] = False,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only this one, e.g. bleu-4 or 'report/*'; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for compare.json and .md; default: the first.")
    ] = None,
    samples: Annotated[int, typer.Option(min=100, help="Resamplings and random swaps.")] = 10_000,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamplings and swaps.")] = 0,
) -> None:
    """Compare two systems on the same studies: differences with intervals, paired tests, effect sizes.

    Example: radflow compare runs/first (its rft against its sft), or radflow compare runs/first runs/second
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
    console.print(f"all numbers: {files[0]}, table: {files[1]}", markup=False, soft_wrap=True)
