"""Run stages one after another in a run folder: skip the done, go on with the cut, refuse what differs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow.config import MADE_MODELS, RunConfig, settings_of
from radflow.errors import ConfigError, DataError, ModelError, RunError
from radflow.metrics.registry import find_metrics
from radflow.privacy.rules import load_rules
from radflow.processes import is_first, process_count
from radflow.rewards.scorers import check_settings
from radflow.run_dir import PROGRESS, RunDir, listing_hash, stage_identity
from radflow.stages import STAGES, Stage
from radflow.stages.failures import failures_explained
from radflow.terminal import announce_stage, progress_kept_in, set_manner
from radflow.training.trackers import require_trackers
from radflow.training.vllm_rollouts import require_vllm

NAME_OR_PATH = (
    "model.name", "explore.composite.encoder", "explore.ontology", "annotate.ontology", "reward.ontology",
    "reward.language_encoder", "evaluate.ontology",
)  # fmt: skip
"""Inputs that may be a name or a hub id instead of a path."""
TRAININGS = ("sft", "rft", "control")


def run_stages(
    config: RunConfig, folder: Path, *, names: Sequence[str] | None = None, redo: str | None = None
) -> None:
    """Bring a run folder up to date.

    Args:
        names: the stages to run, all of the config's by default; those that they read from must be done.
        redo: forget this stage, one of those that run, and all later ones. They are deleted when its turn
            comes: by then the earlier stages are up to date, and a mistake there has cost nothing.

    Raises:
        ConfigError: no such stage to redo, redoing it can't work, an unknown metric or reader, or a package
            that settings ask for (vLLM, a tracker) is missing.
        RunError: locked folder, other settings in it, missing input, full disk.
    """
    wanted = [stage for stage in STAGES if stage.name in (config.stages if names is None else names)]
    if redo is not None:
        _require_that_it_runs(redo, wanted, folder)
    require_known_names(config, [stage.name for stage in wanted])
    if "rft" in [stage.name for stage in wanted]:
        require_vllm(config.rft)
    if set(TRAININGS) & {stage.name for stage in wanted}:
        require_trackers(config.tracking)
    if process_count() > 1:
        _require_one_training(wanted)
    if not is_first():
        _follow(config, RunDir(folder), wanted[0])
        return
    with RunDir.open(folder) as run:
        for stage in wanted:
            with failures_explained(stage.name, run):
                _require_upstream(stage, config, run, wanted)
                if stage.name == redo:
                    _require_inputs(wanted[wanted.index(stage) :], config)
                    forget_from(run, redo)
                _bring_up_to_date(stage, config, run)


def require_known_names(config: RunConfig, stages: Sequence[str]) -> None:
    """What the last stages are told to use is known, before the first ones take hours.

    Raises:
        ConfigError: an unknown metric or reader, or rules of scrubbing that can't be used.
    """
    if config.judge.scrubs:
        load_rules(config.judge.scrub_rules)
    if "rft" in stages:
        check_settings(config.reward, config.judge)
    if "evaluate" in stages:
        find_metrics(config.evaluate.metrics)


def forget_from(run: RunDir, name: str) -> None:
    """Delete what a stage and all later ones wrote."""
    names = [stage.name for stage in STAGES]
    for stage in STAGES[names.index(name) :]:
        run.forget(stage.name, stage.files)


def _bring_up_to_date(stage: Stage, config: RunConfig, run: RunDir) -> None:
    identity = identity_of(stage, config, run)
    status = run.status(stage.name, identity, redo=f"add --redo {stage.name}")
    if status == "done":
        _agree(config, False)
        run.delete(stage.temporary)  # they are left when a kill falls between manifest and deletion
        announce_stage(stage.name, "skipped", f"[bold]{stage.name}[/] is done already, skipped")
        return
    goes_on = " (goes on where it was cut)" if status == "cut" else ""
    announce_stage(stage.name, "started", f"{stage.name}{goes_on}", goes_on=status == "cut")
    if status == "new":
        run.forget(stage.name, stage.files)
    elif run.manifest(stage.name) is not None:
        # It was finished and files are gone since: what a cut stage goes on from would hide that they are.
        run.delete(stage.temporary)
        run.unshare(stage.files)
    run.start(stage.name, identity)
    started = time.perf_counter()
    _agree(config, True)
    try:
        with progress_kept_in(run.path(PROGRESS), stage=stage.name):
            facts: dict[str, Any] = import_module(stage.module).run(config, run)
    except (ConfigError, DataError, ModelError):
        # The user will correct a setting, and the corrected command must not meet the wrong one's marker.
        # Files stay to be looked at (left_out.jsonl tells why); the next start, a new one, deletes them.
        if status == "new":
            run.forget(stage.name, files=(PROGRESS,))
        raise
    seconds = time.perf_counter() - started
    run.finish(
        stage.name,
        identity,
        outputs=stage.outputs,
        keeps=stage.keeps,
        facts=facts,
        wall_time_s=seconds,
        was_cut=status == "cut",
        config=config.model_dump(mode="json"),
    )
    run.delete(stage.temporary)
    told = f"[bold]{stage.name}[/] finished in {seconds:.0f} s"
    announce_stage(stage.name, "finished", told, seconds=round(seconds, 1))


def _require_one_training(wanted: Sequence[Stage]) -> None:
    """Of several processes' stages only trainings are meant: the others spread by themselves (engine.*)."""
    names = [stage.name for stage in wanted]
    if len(names) != 1 or names[0] not in TRAININGS:
        raise ConfigError(
            f"{process_count()} processes were launched for {', '.join(names)}: they train one stage only",
            next_step="Don't launch radflow, let radflow launch its trainings: "
            f'radflow run CONFIG --launch "accelerate launch --num_processes {process_count()}"',
        )


def _agree(config: RunConfig, begins: bool | None) -> bool:
    """Whether the stage begins, as the first process has found; the others ask with ``None``."""
    if process_count() == 1:
        return bool(begins)
    from radflow.training.together import agree, join  # they import torch

    join(device=config.model.device)
    return agree(begins)


def _follow(config: RunConfig, run: RunDir, stage: Stage) -> None:
    """Train along with the first process, which keeps the folder; this one writes and says nothing."""
    set_manner(quiet=True)
    if _agree(config, None):
        import_module(stage.module).run(config, run)


def identity_of(stage: Stage, config: RunConfig, run: RunDir, *, recorded: bool = False) -> dict[str, Any]:
    """What decides the stage's result. Its upstream stages must be done.

    Args:
        recorded: take what lies outside of the run folder as the stage's own record has it.
    """
    known = {name: value for name, value in run.recorded_inputs(stage.name).items() if name in stage.inputs}
    outside = known if recorded else _outside_hashes(stage, config, known)
    inputs = {**{name: _made_hash(name, run) for name in stage.reads_in(config)}, **outside}
    return stage_identity(settings=settings_of(config, *stage.settings), seed=config.seed, inputs=inputs)


def _outside_hashes(stage: Stage, config: RunConfig, known: Mapping[str, str]) -> dict[str, str]:
    """Setting -> hash of what it names; the known one where that is gone: what is done is still skipped."""
    paths = _inputs(stage, config)
    hashes = {
        name: listing_hash(path) if path.exists() else known.get(name, "absent")
        for name, path in paths.items()
    }
    return {**{name: value for name, value in known.items() if name not in paths}, **hashes}


def _inputs(stage: Stage, config: RunConfig) -> dict[str, Path]:
    """Setting -> path outside of the run folder, of those that are set."""
    values = {name: reduce(getattr, name.split("."), config) for name in stage.inputs}
    paths = {name: Path(str(value)) for name, value in values.items() if value is not None}
    return {name: path for name, path in paths.items() if name not in NAME_OR_PATH or _is_local(str(path))}


def _is_local(model: str) -> bool:
    """Whether a model's name is a folder; absolute ones are (config resolves them), be they there or not."""
    return Path(model).is_absolute() or (model not in MADE_MODELS and Path(model).is_dir())


def _made_hash(name: str, run: RunDir) -> str:
    """Hash of an earlier stage's output, as its manifest recorded it."""
    manifest = run.manifest(_maker(name).name)
    assert manifest is not None, "upstream stages are done"
    return str(manifest["outputs"][name])


def _maker(name: str) -> Stage:
    return next(stage for stage in STAGES if name in (*stage.outputs, *stage.keeps))


def _upstream(stage: Stage, config: RunConfig) -> list[Stage]:
    """The stages whose outputs it reads, and theirs, in order."""
    direct = [_maker(name) for name in stage.reads_in(config)]
    found = {maker.name for first in direct for maker in (first, *_upstream(first, config))}
    return [other for other in STAGES if other.name in found]


def _require_upstream(stage: Stage, config: RunConfig, run: RunDir, wanted: Sequence[Stage]) -> None:
    """Earlier stages are done, whole, and were made with the settings that this config gives."""
    for maker in _upstream(stage, config):
        if run.manifest(maker.name) is None:
            needed = next(
                (name for name in stage.reads_in(config) if name in maker.outputs), maker.outputs[0]
            )
            raise RunError(
                f"stage {stage.name} needs {needed}, which stage {maker.name} has not finished writing",
                where=str(run.root),
                next_step=f"Run it first: radflow {maker.name} CONFIG -o {run.root}, "
                "or all at once: radflow run",
            )
        redo = f"--redo {maker.name}"
        redo = f"add {redo}" if maker in wanted else f"radflow run CONFIG -o {run.root} {redo}"
        if run.status(maker.name, identity_of(maker, config, run, recorded=True), redo=redo) != "done":
            raise RunError(
                f"stage {stage.name} needs {', '.join(run.lost(maker.name))}, which is gone from the folder",
                where=str(run.root),
                next_step=f"Write it again: radflow {maker.name} CONFIG -o {run.root}",
            )


def _require_that_it_runs(redo: str, wanted: Sequence[Stage], folder: Path) -> None:
    names = [stage.name for stage in STAGES]
    if redo not in names:
        raise ConfigError(f"no stage {redo}", next_step=f"Stages: {', '.join(names)}")
    if redo not in [stage.name for stage in wanted]:
        raise ConfigError(
            f"--redo {redo} would delete what this command does not make again; nothing was deleted",
            next_step=f"To redo it and all later stages: radflow run CONFIG -o {folder} --redo {redo}",
        )


def _require_inputs(stages: Sequence[Stage], config: RunConfig) -> None:
    """What stages are made from is there: to be checked before deleting what was made from it."""
    for stage in stages:
        for name, path in _inputs(stage, config).items():
            if not path.exists():
                raise ConfigError(
                    f"stage {stage.name} can't be redone: {name} does not exist; nothing was deleted",
                    where=str(path),
                    next_step=f"Correct {name}, then run the same command.",
                )
