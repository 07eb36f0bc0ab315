"""Commands that fit: a reward on injected errors, an expert model on labelled reports"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radflow.cli_options import IdColumn, OntologyName, Overrides, ReportColumn, Reports, ScoringFile
from radflow.config_file import load_config
from radflow.registry import names_in
from radflow.terminal import console, print_result

fits = typer.Typer()
reward_app = typer.Typer(rich_markup_mode="rich")
fits.add_typer(reward_app, name="reward")
labeler_app = typer.Typer(
    help="Fit an expert model on labelled reports.\n\nExample: radflow labeler fit labelled.csv -o mine",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
fits.add_typer(labeler_app, name="labeler")


@reward_app.callback(invoke_without_command=True)
def reward(
    context: typer.Context,
    reference: Annotated[
        Path | None, typer.Option(help="References: CSV, JSONL, Parquet, or a folder of .txt.")
    ] = None,
    prediction: Annotated[
        Path | None, typer.Option(help="Generated reports, likewise; ids must match.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="JSONL file for all terms of every report.")
    ] = None,
    config: ScoringFile = None,
    overrides: Overrides = None,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """Score reports with the hierarchical reward: all terms, why some don't apply, and their means.

    Example: radflow reward --reference gold.csv --prediction mine.csv -o rewards.jsonl
    """
    if context.invoked_subcommand is not None:
        if reference or prediction or out or config or overrides:
            context.fail(f"Options stand behind {context.invoked_subcommand}, not before it.")
        return
    for value, option in ((reference, "--reference"), (prediction, "--prediction")):
        if value is None:
            context.fail(f"Missing option '{option}'.")
    assert reference is not None
    assert prediction is not None
    from radflow.rewards.hierarchical import HierarchicalReward
    from radflow.rewards.reward_file import reward_files

    settings = load_config(config, overrides=overrides or ())
    scorer = HierarchicalReward(settings.reward, judge=settings.judge)
    columns = {"id_column": id_column, "report_column": report_column}
    table = reward_files(reference, prediction, out, scorer, **columns)
    print_result("\n".join(table.lines()))
    if out is not None:
        console.print(f"{len(table.totals) + table.undefined} reports scored -> {out}")


@reward_app.command("fit")
def fit_reward(
    reports: Reports,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for model.json, metrics.json, fit.html.")],
    limit: Annotated[
        int, typer.Option(min=0, help="Reports to fit on; 0 takes all that aren't held out.")
    ] = 1000,
    held_out: Annotated[
        int,
        typer.Option(
            min=0, help="Reports kept for the test: those that radflow audit --limit N draws with this seed."
        ),
    ] = 500,
    kinds: Annotated[
        str, typer.Option(help="Kinds of error to learn from, with commas; default: all of the audit.")
    ] = "",
    leave_out: Annotated[
        str, typer.Option(help="Kinds of error that the fit must not see, with commas.")
    ] = "",
    features: Annotated[
        str, typer.Option(help="Groups, with commas; words reads without an ontology.")
    ] = "words,graph,statements,consistency,phrases",
    models: Annotated[str, typer.Option(help="Candidates, with commas.")] = "logistic,ordinal,boosting",
    ontology: OntologyName = "chest-xray",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws, the errors and the fit.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """Fit a reward on reports with known injected errors; use it as reward.learned or learned-reward:FOLDER.

    Example: radflow reward fit reports.csv -o learned --leave-out location
    """
    from radflow.fitting.reward_choice import candidates_of
    from radflow.fitting.reward_files import fit_reward, groups_named, write_fit
    from radflow.fitting.reward_rows import FitOptions, kinds_wanted

    options = FitOptions(
        limit=limit,
        held_out=held_out,
        kinds=kinds_wanted(kinds, leave_out),
        groups=groups_named(features),
        ontology=ontology,
        seed=seed,
        workers=workers,
        id_column=id_column,
        report_column=report_column,
    )
    fitted = fit_reward(reports, options, candidates_of(models))
    write_fit(out, fitted)
    for line in fitted.lines():
        print_result(line)
    console.print(f"model: {out / 'model.json'}, page: {out / 'fit.html'}", markup=False, soft_wrap=True)


@labeler_app.callback()
def labeler() -> None:
    """Fit an expert model on labelled reports."""


@labeler_app.command("fit")
def fit_labeler(
    labelled: Annotated[
        Path, typer.Argument(help="Table with a report and labels a row: 1, 0, -1 (uncertain) or blank.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for labeler.json, weights.safetensors, metrics.json.")
    ],
    labels: Annotated[
        Path | None, typer.Option(help="Table with the labels by id, where they stand in another file.")
    ] = None,
    columns: Annotated[str, typer.Option(help="Columns to learn, with commas; default: all.")] = "",
    leave_out: Annotated[str, typer.Option(help="Columns not to learn, with commas.")] = "",
    features: Annotated[
        str, typer.Option(help="words, characters, rules (needs --ontology), sentence-vectors; with commas.")
    ] = "words,characters",
    ontology: Annotated[
        str | None, typer.Option(help="What rules read with, a name or your .yaml; for the feature rules.")
    ] = None,
    negations: Annotated[
        str, typer.Option(help="Words that deny what follows, in the reports' language, with commas.")
    ] = "",
    constants: Annotated[
        bool, typer.Option("--constants", help="Keep columns of which all reports say the same.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """Fit an expert model on labelled reports; its folder goes wherever a labeler is named.

    Example: radflow labeler fit labelled.csv -o knees, then radflow label new.csv -o l.csv --labeler ./knees
    """
    from radflow.fitting.labeler_files import FitFiles, fit_labeler_files, text_settings
    from radflow.fitting.labeler_fit import LabelerOptions

    files = FitFiles(
        reports=labelled,
        labels=labels,
        out=out,
        columns=_named(columns),
        left_out=_named(leave_out),
        id_column=id_column,
        report_column=report_column,
    )
    text = text_settings(_named(features), ontology=ontology, negations=_named(negations))
    options = LabelerOptions(text=text, constants=constants, seed=seed)
    for line in fit_labeler_files(files, options):
        print_result(line)
    console.print(f"labeler: {out}", markup=False, soft_wrap=True)


def _named(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names_in(text)))
