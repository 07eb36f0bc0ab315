"""Commands around a run: write its config, is this machine ready for it, and follow it"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from radflow.cli_options import OutFolder, Overrides
from radflow.config_file import load_config
from radflow.errors import ConfigError
from radflow.terminal import console, print_result, print_table

runs = typer.Typer()


@runs.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file with the settings of a run; default: all defaults.")
    ] = None,
    out: OutFolder = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Can this machine run this config? Versions, device, memory, disk, data, weights, judge, CAPO.

    Exit code 1 when something would stop the run. Fetches nothing; a judge is asked two made-up sentences.

    Example: radflow doctor configs/quickstart.yaml
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the library is imported
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from radflow.doctor.check import ok, refused
    from radflow.doctor.examine import examine, table_of

    try:
        settings = load_config(config, overrides=overrides or ())
    except ConfigError as error:
        checks = [refused("config", error)]
    else:
        folder = out or Path("runs") / (config.stem if config else "first")
        with warnings.catch_warnings(), console.status("looking"):
            warnings.simplefilter("ignore")  # of libraries, for their developers
            checks = list(examine(settings, folder))
        if config is None:
            checks.insert(0, ok("config", "none named, all defaults are checked: radflow doctor CONFIG"))
    has_problem = any(check.state == "problem" for check in checks)
    if as_json or console.as_json:
        found = {"ok": not has_problem, "checks": [check.as_dict() for check in checks]}
        print_result(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print_table(table_of(checks))
    if has_problem:
        raise typer.Exit(1)


@runs.command()
def cost(
    config: Annotated[Path, typer.Argument(help="YAML file with the settings of a run.")],
    train: Annotated[
        int | None, typer.Option(min=1, help="Training studies; default: what data.* gives.")
    ] = None,
    validation: Annotated[int, typer.Option(min=0, help="Validation studies, beside --train.")] = 0,
    test: Annotated[int, typer.Option(min=0, help="Test studies, beside --train.")] = 0,
    report_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a mean report.")] = 100,
    hardware: Annotated[
        str, typer.Option(help="h100, a100, l40s, rtx4090, or this: measured here in seconds.")
    ] = "h100",
    reached: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="Share of its peak in passes; default 0.2.")
    ] = None,
    reached_writing: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="The same while writing; default 0.1.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Accelerators that share the work.")] = 1,
    cores: Annotated[int, typer.Option(min=1, help="Processor cores that read images and score.")] = 8,
    hour_price: Annotated[float, typer.Option(min=0, help="Money for an accelerator's hour.")] = 0.0,
    call_price: Annotated[float, typer.Option(min=0, help="Money for a judge's call.")] = 0.0,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the bill as JSON.")] = False,
) -> None:
    """What would this run cost? Hours, bottleneck, judge calls and money of each stage, by counting.

    A plan, not a promise: docs/scaling.md has the formulae, their assumptions and how runs compared.

    Example: radflow cost configs/mimic_cxr.yaml --train 222758 --validation 1808 --test 3269 --hour-price 2.5
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the library is imported
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from radflow.planning.bill import Prices
    from radflow.planning.plan import plan, studies_of, table_of

    settings = load_config(config, overrides=overrides or ())
    counts = studies_of(settings, train, validation, test, report_tokens)
    prices = Prices(hour=hour_price, call=call_price)
    with console.status("counting"):
        planned = plan(
            settings,
            counts,
            hardware=hardware,
            reached=reached,
            reached_writing=reached_writing,
            devices=devices,
            cores=cores,
            prices=prices,
        )
    if as_json or console.as_json:
        print_result(json.dumps(planned.as_dict(), indent=2))
    else:
        print_table(table_of(planned))


QUESTIONS = {
    "data": ("Data: phantoms, or a folder or table", "phantoms"),
    "modality": ("Modality: chest, carotid, or an ontology of your own (.yaml)", "chest"),
    "model": ("Model: tiny, efficientnet-smollm2, a model folder or a hub id", "tiny"),
    "judge": ("Judge: rules, or the URL of a language model on this machine", "rules"),
}


@runs.command()
def init(
    data: Annotated[
        str | None, typer.Option(help="phantoms, a table, or a folder of IU X-ray or MIMIC-CXR.")
    ] = None,
    modality: Annotated[str | None, typer.Option(help="chest, carotid, or an ontology (.yaml).")] = None,
    model: Annotated[
        str | None, typer.Option(help="tiny, efficientnet-smollm2, a model folder or a hub id.")
    ] = None,
    judge: Annotated[str | None, typer.Option(help="rules, or a URL: http://127.0.0.1:8080/v1.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("radflow.yaml"),
) -> None:
    """Write a commented config that runs: asks for data, modality, model and judge, or takes them as options.

    The folder's layout and a table's columns are recognised. Without a terminal, answers have defaults.

    Example: radflow init --data reports.csv --modality chest --model tiny --judge rules -o mine.yaml
    """
    from radflow.starting.answers import answers_from
    from radflow.starting.new_config import write_config

    if out.exists():
        raise ConfigError("the file is there already", where=str(out), next_step="Choose another with -o.")
    given = {"data": data, "modality": modality, "model": model, "judge": judge}
    answers = answers_from(**{name: _answer(name, value) for name, value in given.items()})
    write_config(answers, out)
    console.print(f"{answers.layout.found} -> {out}", markup=False, soft_wrap=True)
    console.print(f"next: radflow doctor {out}, then radflow run {out}", markup=False, soft_wrap=True)


def _answer(name: str, given: str | None) -> str:
    question, default = QUESTIONS[name]
    if given is not None:
        return given
    return str(typer.prompt(question, default=default, err=True)) if sys.stdin.isatty() else default


@runs.command()
def watch(
    run: Annotated[Path, typer.Argument(help="Run folder: of a run under way, cut or finished.")],
    once: Annotated[bool, typer.Option("--once", help="Print the state and end.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Follow a run: stage, step, time left, losses, reward, clip of critical and normal samples.

    Reads the run's files only, so that it disturbs nothing; ends when the run does.

    Example: radflow watch runs/first
    """
    from radflow.stages import STAGES
    from radflow.watching.follow import follow

    follow(run, [stage.name for stage in STAGES], once=once, every=every)


@runs.command()
def signatures(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/signatures.md.")] = False,
) -> None:
    """List the signs that a reinforcement fine-tuning goes wrong, with likely causes and remedies.

    Example: radflow signatures
    """
    from radflow.training.signature_page import shown_signatures, signatures_page

    if markdown:
        print_result(signatures_page().rstrip("\n"))
        return
    for one in shown_signatures():
        print_result(f"{one.name}: {one.cause}.\n    {one.remedy}.")
