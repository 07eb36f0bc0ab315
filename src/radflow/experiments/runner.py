"""Run every arm of a design with every seed, share what is the same, go on where it was cut, sum it up"""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radflow.config import RunConfig
from radflow.errors import RadflowError, RunError
from radflow.experiments.declaration import SEEDS, Arm, Design, Request
from radflow.experiments.pages import show, write_results
from radflow.experiments.results import Failure, collect
from radflow.experiments.sharing import run_folders, take_over
from radflow.jsonl import write_json
from radflow.run_dir import RunDir
from radflow.stages import STAGES
from radflow.stages.pipeline import forget_from, require_known_names, run_stages
from radflow.terminal import console

NOTE = "experiment.json"
TIMED = ("explore", "annotate", "rft")
"""The stages whose wall time stage control takes as its own budget."""


def run_design(design: Design, request: Request) -> None:
    """Bring all arms and seeds up to date, and write the results after each seed.

    Raises:
        ConfigError: unknown arm or metric, or settings that don't fit together, before anything runs.
        RunError: the folder holds another experiment or is in use; or, when all else is done, arms failed.
    """
    request.refuse("labels", why="no arm is compared with human labels.")
    seeds, arms = request.seeds or SEEDS, design.chosen(request.arms)
    configs = {(seed, arm.name): design.config_of(arm, seed, request) for seed in seeds for arm in arms}
    for config in configs.values():
        require_known_names(config, config.stages)
    folders = {(seed, name): request.out / f"seed-{seed}" / name for seed, name in configs}
    own = {folder.resolve() for folder in folders.values()}
    shared = [folder for folder in run_folders(request.share) if folder.resolve() not in own]
    command = request.command(design.name)
    failures: list[Failure] = []
    with RunDir.open(request.out):
        remember(design.name, request.out)
        for seed in seeds:
            donors = [folders[seed, arm.name] for arm in arms]
            for arm in arms:
                console.rule(f"[bold]{design.name}[/], seed {seed}, {arm.name}: {arm.meaning}", align="left")
                failure = _attempt(
                    configs[seed, arm.name], folders[seed, arm.name], arm, seed, donors + shared
                )
                failures += [] if failure is None else [failure]
            results = collect(design, arms, seeds, folders, command=command, failures=failures)
            page = write_results(design, results, request.out)
    show(page, request.out)
    if failures:
        raise RunError(
            f"{len(failures)} of {len(configs)} runs failed, the first: seed {failures[0].seed}, "
            f"{failures[0].arm}: {failures[0].message}",
            where=str(request.out),
            next_step="The others' results are written. The same command tries the failed ones again.",
        )


def remember(name: str, out: Path) -> None:
    """Note which experiment a folder is of.

    Raises:
        RunError: it is of another one.
    """
    path = out / NOTE
    known = json.loads(path.read_bytes())["experiment"] if path.exists() else name
    if known != name:
        raise RunError(
            f"this folder holds the experiment {known}", where=str(out), next_step="Choose another with -o."
        )
    write_json(path, {"experiment": name})


def _attempt(config: RunConfig, folder: Path, arm: Arm, seed: int, donors: Sequence[Path]) -> Failure | None:
    """Run one arm; what goes wrong is told and costs no other arm."""
    try:
        bring_up_to_date(config, folder, [donor for donor in donors if donor != folder])
    except RadflowError as error:
        failure = Failure(arm=arm.name, seed=seed, kind=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 (a message of another library could hold report text)
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"unexpected error in {Path(place.filename).name}:{place.lineno}"
        failure = Failure(arm=arm.name, seed=seed, kind=type(error).__name__, message=message)
    else:
        return None
    finally:
        gc.collect()  # the models of the last arm
    console.print(f"[bold red]{arm.name} failed:[/] ", end="")
    console.print(f"{failure.kind}: {failure.message}", markup=False, soft_wrap=True)
    return failure


def bring_up_to_date(config: RunConfig, folder: Path, donors: Sequence[Path]) -> None:
    """Run the stages of one arm in order; those that a donor has finished with the same result are linked."""
    times = "control" in config.stages and config.control.steps is None
    for stage in STAGES:
        if stage.name not in config.stages:
            continue
        if stage.name == "control" and times and (cut := _cut_stage(folder)):
            console.print(f"{cut} was cut, so that its time is not known: it runs again, for the control")
            with RunDir.open(folder) as run:
                forget_from(run, cut)
            bring_up_to_date(config, folder, donors)
            return
        source = take_over(stage, config, folder, donors, whole=times and stage.name in TIMED)
        if source is not None:
            console.print(f"[bold]{stage.name}[/] is taken over from {source.name}")
            continue
        run_stages(config, folder, names=(stage.name,))


def _cut_stage(folder: Path) -> str | None:
    """The first stage whose time counts for the control, and which was cut."""
    run = RunDir(folder)
    manifests: Mapping[str, Mapping[str, Any]] = {name: run.manifest(name) or {} for name in TIMED}
    return next((name for name, manifest in manifests.items() if manifest.get("was_cut", True)), None)
