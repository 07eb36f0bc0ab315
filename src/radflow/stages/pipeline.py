"""Run stages one after another in a run folder: skip the done, go on with the cut, refuse what differs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow.config import RunConfig, settings_of
from radflow.errors import ConfigError, RunError
from radflow.run_dir import RunDir, listing_hash, stage_identity
from radflow.stages import STAGES, Stage
from radflow.terminal import console


def run_stages(
    config: RunConfig, folder: Path, *, names: Sequence[str] | None = None, redo: str | None = None
) -> None:
    """Bring a run folder up to date.

    Args:
        names: the stages to run, all by default; the stages that they read from must be done.
        redo: forget this stage and all later ones first.

    Raises:
        RunError: locked folder, other settings in it, missing input, full disk.
    """
    wanted = [stage for stage in STAGES if names is None or stage.name in names]
    with RunDir.open(folder) as run:
        if redo is not None:
            forget_from(run, redo)
        for stage in wanted:
            _bring_up_to_date(stage, config, run)


def forget_from(run: RunDir, name: str) -> None:
    """Delete what a stage and all later ones wrote."""
    names = [stage.name for stage in STAGES]
    if name not in names:
        raise ConfigError(f"no stage {name}", next_step=f"Stages: {', '.join(names)}")
    for stage in STAGES[names.index(name) :]:
        run.forget(stage.name, (*stage.outputs, *stage.scratch))


def _bring_up_to_date(stage: Stage, config: RunConfig, run: RunDir) -> None:
    inputs = {name: _made_hash(name, run, wanted_by=stage.name) for name in stage.reads}
    if "data" in stage.settings and config.data.root is not None:
        inputs["data.root"] = _data_hash(config.data.root, run, stage)
    identity = stage_identity(settings=settings_of(config, *stage.settings), seed=config.seed, inputs=inputs)
    status = run.status(stage.name, identity, redo=f"add --redo {stage.name}")
    if status == "done":
        console.print(f"[bold]{stage.name}[/] is done already, skipped")
        return
    console.rule(f"{stage.name}{' (goes on where it was cut)' if status == 'cut' else ''}", align="left")
    if status == "new":
        run.forget(stage.name, (*stage.outputs, *stage.scratch))
    run.start(stage.name, identity)
    started = time.perf_counter()
    try:
        facts: dict[str, Any] = import_module(stage.module).run(config, run)
    except OSError as error:
        raise RunError(
            f"stage {stage.name} could not write or read: {error.strerror or error}",
            where=str(error.filename or run.root),
            next_step="Free space or correct permissions, then run the same command: what is done is kept.",
        ) from error
    seconds = time.perf_counter() - started
    run.finish(
        stage.name,
        identity,
        outputs=stage.outputs,
        facts=facts,
        wall_time_s=seconds,
        config=config.model_dump(mode="json"),
    )
    for name in stage.scratch:
        if name.endswith(".partial.jsonl"):
            run.path(name).unlink(missing_ok=True)
        elif name.startswith("checkpoints-"):
            shutil.rmtree(run.path(name), ignore_errors=True)
    console.print(f"[bold]{stage.name}[/] finished in {seconds:.0f} s")


def _data_hash(root: Path, run: RunDir, stage: Stage) -> str:
    """Hash of the data set; the recorded one where it is gone, so that a finished stage is still skipped."""
    if root.exists():
        return listing_hash(root)
    manifest = run.manifest(stage.name)
    return str(manifest["identity"]["inputs"].get("data.root")) if manifest else "absent"


def _made_hash(name: str, run: RunDir, *, wanted_by: str) -> str:
    """Hash of an earlier stage's output, as its manifest recorded it."""
    maker = next(stage for stage in STAGES if name in stage.outputs)
    manifest = run.manifest(maker.name)
    if manifest is None:
        raise RunError(
            f"stage {wanted_by} needs {name}, which stage {maker.name} has not finished writing",
            where=str(run.root),
            next_step=f"Run it first: radflow {maker.name} CONFIG -o {run.root}, or all at once: radflow run",
        )
    return str(manifest["outputs"][name])
