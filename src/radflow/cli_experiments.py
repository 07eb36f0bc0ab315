"""`radflow experiment`: designed comparisons over seeds"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from radflow.cli_options import Overrides
from radflow.errors import ConfigError
from radflow.experiments import EXPERIMENTS
from radflow.experiments.declaration import Request
from radflow.registry import names_in, resolve
from radflow.terminal import console, libraries_quiet, print_table

experiments = typer.Typer()


@experiments.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="Which; without a name, all are listed.")] = None,
    config: Annotated[Path | None, typer.Argument(help="YAML file with the settings of a run.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; default runs/experiments/NAME.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="With commas: a whole run of every arm for each; default 0,1,2.")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="Only these arms, with commas.")] = None,
    overrides: Overrides = None,
    share: Annotated[
        list[Path] | None,
        typer.Option(help="Take finished stages from run folders below this one, where they fit."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table of human labels (id, is_critical), to validate a triage.")
    ] = None,
) -> None:
    """Run a designed comparison over seeds: table, tests, plots, page. What is done is kept and shared.

    Example: radflow experiment clip-ratio configs/experiments.yaml --seeds 21,22,23
    """
    if name is None:
        print_table(_listed())
        return
    found = resolve("experiment", EXPERIMENTS, name)
    if config is None:
        raise ConfigError(
            f"{name} needs a config",
            next_step=f"For example: radflow experiment {name} configs/experiments.yaml",
        )
    request = Request(
        config=config,
        out=out or Path("runs") / "experiments" / name,
        overrides=tuple(overrides or ()),
        seeds=_numbers(seeds),
        arms=tuple(names_in(arms or "")),
        share=tuple(share or ()),
        labels=labels,
    )
    try:
        with libraries_quiet():
            found.run(request)
    except KeyboardInterrupt:
        console.print("\nstopped; what is done is kept. The same command goes on from here.")
        raise typer.Exit(130) from None


def _listed() -> Table:
    table = Table(box=SIMPLE)
    table.add_column("experiment")
    table.add_column("question", overflow="fold")
    for name in EXPERIMENTS:
        table.add_row(name, resolve("experiment", EXPERIMENTS, name).question)
    return table


def _numbers(text: str | None) -> tuple[int, ...]:
    parts = names_in(text or "")
    if not all(part.isdigit() for part in parts) or len(set(parts)) < len(parts):
        raise ConfigError(
            f"--seeds {text} is not a list of different numbers", next_step="E.g. --seeds 0,1,2"
        )
    return tuple(map(int, parts))
