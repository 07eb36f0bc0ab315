"""Commands around a run: is this machine ready for it"""

from __future__ import annotations

import json
import os
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
    from radflow.doctor.check import refused
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
    has_problem = any(check.state == "problem" for check in checks)
    if as_json:
        found = {"ok": not has_problem, "checks": [check.as_dict() for check in checks]}
        print_result(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print_table(table_of(checks))
    if has_problem:
        raise typer.Exit(1)
