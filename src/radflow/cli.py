"""The radflow command: a subcommand per stage, run, config, and what writes, reads and scores reports.

Results go to stdout, everything else to stderr. A user's mistake is one message, never a traceback.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from radflow import __version__
from radflow.cli_experiments import experiments
from radflow.cli_fit import fits
from radflow.cli_models import models
from radflow.cli_options import ConfigFile, Launch, OutFolder, Overrides, Redo
from radflow.cli_review import review_app
from radflow.cli_runs import runs
from radflow.cli_scores import scores
from radflow.cli_texts import texts
from radflow.config_file import load_config, show_config
from radflow.errors import RadflowError
from radflow.owner_only import private_files
from radflow.stopping import Ended, ended_like_interrupted
from radflow.terminal import console, emit, libraries_quiet, print_result, set_manner

app = typer.Typer(
    help="Teach vision-language models to write radiology reports. Research software, not a medical "
    "device.\n\n"
    "Options for every command stand before it: radflow --quiet run CONFIG.\n\n"
    "Example: radflow run configs/quickstart.yaml -o runs/first",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
config_app = typer.Typer(
    help="Show and check settings.\n\nExample: radflow config show rft", no_args_is_help=True
)
PANELS = (
    (runs, "Around a run"),
    (scores, "Score and compare"),
    (texts, "Read reports"),
    (models, "Use a trained model"),
    (review_app, "Ask people"),
    (experiments, "Research"),
    (fits, "Research"),
)
"""Groups of commands, each with its heading in the help; a run and its stages, below, come first."""
for part, panel in PANELS:
    for command in part.registered_commands:
        command.rich_help_panel = panel
    for group in part.registered_groups:
        group.rich_help_panel = panel
    app.add_typer(part)
app.add_typer(config_app, name="config", rich_help_panel="Around a run")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Messages, stages and progress as JSON lines on stdout.")
    ] = False,
) -> None:
    set_manner(quiet=quiet, as_json=as_json)
    if version:
        print_result(f"radflow {__version__}")
        raise typer.Exit


@app.command(rich_help_panel="A run and its stages")
def run(
    config: ConfigFile,
    out: OutFolder = None,
    overrides: Overrides = None,
    redo: Redo = None,
    launch: Launch = None,
) -> None:
    """Run all stages of the config, prepare to report. Finished ones are skipped, a cut one goes on.

    Example: radflow run configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, None, launch)


@app.command(rich_help_panel="A run and its stages")
def prepare(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Read the data source: studies.jsonl, left_out.jsonl, images/.

    Example: radflow prepare configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "prepare")


@app.command(rich_help_panel="A run and its stages")
def sft(
    config: ConfigFile,
    out: OutFolder = None,
    overrides: Overrides = None,
    redo: Redo = None,
    launch: Launch = None,
) -> None:
    """Fine-tune the model on the training reports: model-sft/.

    Example: radflow sft configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "sft", launch)


@app.command(rich_help_panel="A run and its stages")
def explore(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Find the training studies that the fine-tuned model is worst at: candidates.jsonl, hard.jsonl.

    Example: radflow explore configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "explore")


@app.command(rich_help_panel="A run and its stages")
def annotate(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Decide which of the selected studies are critical: criticality.jsonl.

    Example: radflow annotate configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "annotate")


@app.command(rich_help_panel="A run and its stages")
def rft(
    config: ConfigFile,
    out: OutFolder = None,
    overrides: Overrides = None,
    redo: Redo = None,
    launch: Launch = None,
) -> None:
    """Fine-tune on the selected studies with the hierarchical reward and CAPO: model-rft/.

    Example: radflow rft configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "rft", launch)


@app.command(rich_help_panel="A run and its stages")
def control(
    config: ConfigFile,
    out: OutFolder = None,
    overrides: Overrides = None,
    redo: Redo = None,
    launch: Launch = None,
) -> None:
    """Continue supervised fine-tuning for the time that RFT took, to compare with: model-control/.

    Example: radflow control configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "control", launch)


@app.command(rich_help_panel="A run and its stages")
def evaluate(
    config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None
) -> None:
    """Write and score reports of held-out studies: predictions.jsonl, scores.jsonl, summary.json.

    Example: radflow evaluate configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "evaluate")


@app.command(rich_help_panel="A run and its stages")
def report(config: ConfigFile, out: OutFolder = None, overrides: Overrides = None, redo: Redo = None) -> None:
    """Write the run's page of curves, metrics and cases: report.html.

    Example: radflow report configs/quickstart.yaml -o runs/first
    """
    _run_stages(config, out, overrides, redo, "report")


def _run_stages(
    config: Path,
    out: Path | None,
    overrides: list[str] | None,
    redo: str | None,
    stage: str | None,
    launch: str | None = None,
) -> None:
    settings = load_config(config, overrides=overrides or ())
    folder = out or Path("runs") / config.stem
    names = None if stage is None else (stage,)
    try:
        with ended_like_interrupted(), libraries_quiet():
            from radflow.cli_launch import run_launched
            from radflow.stages.pipeline import run_stages

            if launch is None:
                run_stages(settings, folder, names=names, redo=redo)
            else:
                command = [str(config), "-o", str(folder), *(f"--set={one}" for one in overrides or ())]
                run_launched(settings, folder, names=names, redo=redo, launcher=launch, arguments=command)
    except KeyboardInterrupt as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        console.print("\nstopped; what is done is kept. The same command goes on from here.")
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on another one ends what is left at once
        raise typer.Exit(143 if isinstance(stop, Ended) else 130) from None
    console.print(f"results in [bold]{folder}[/]")


@config_app.command("show")
def config_show(
    section: Annotated[str | None, typer.Argument(help="Only this section, e.g. rft or data.split.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Values of this config, not defaults.")] = None,
    overrides: Overrides = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
) -> None:
    """Print every setting with its value, its sentence and its bounds, as YAML that can be pasted.

    Example: radflow config show rft
    """
    if markdown:
        from radflow.config_page import settings_page

        print_result(settings_page().rstrip("\n"))
        return
    print_result(show_config(load_config(file, overrides=overrides or ()), section))


@config_app.command("check")
def config_check(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a config file: unknown keys and names, bounds, settings that contradict each other.

    Example: radflow config check configs/quickstart.yaml
    """
    from radflow.stages.pipeline import require_known_names

    settings = load_config(config, overrides=overrides or ())
    require_known_names(settings, settings.stages)
    print_result(f"{config}: ok")


def main() -> None:
    """Entry point: turns errors that a user can act on into one message and an exit code.

    All that a command writes is its user's alone.
    """
    try:
        with private_files():
            app()
    except RadflowError as error:
        if "--debug" in sys.argv:
            raise
        if console.as_json:
            told = {"what": error.what, "where": error.where, "next_step": error.next_step}
            emit({"event": "error", "kind": type(error).__name__, **told})
        set_manner()
        console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
