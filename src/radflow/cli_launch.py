"""Stages one after another, the trainings among them started by a launcher, as several processes"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from radflow.config import RunConfig
from radflow.errors import ConfigError, RunError
from radflow.stages import STAGES
from radflow.stages.pipeline import TRAININGS, require_known_names, run_stages

PATIENCE_S = 30.0
"""How long a launcher may take to end its trainings."""


def run_launched(
    config: RunConfig,
    folder: Path,
    *,
    names: Sequence[str] | None,
    redo: str | None,
    launcher: str,
    arguments: Sequence[str],
) -> None:
    """Bring a run folder up to date as `run_stages` does, with trainings in processes of their own.

    Args:
        launcher: a command that takes ``-m radflow ...``, as a shell would read it.
        arguments: of each training's command: config, folder, overrides.

    Raises:
        ConfigError: no such command.
        RunError: a training ended with an error, which it has told itself.
    """
    wanted = [stage.name for stage in STAGES if stage.name in (config.stages if names is None else names)]
    require_known_names(config, wanted)
    if redo is not None and redo not in wanted:
        run_stages(config, folder, names=names, redo=redo)  # says what is wrong with it
    for name in wanted:
        forget = redo if redo == name else None
        if name in TRAININGS:
            again = [] if forget is None else ["--redo", forget]
            _start([*shlex.split(launcher), "-m", "radflow", name, *arguments, *again], stage=name)
        else:
            run_stages(config, folder, names=(name,), redo=forget)


def _start(command: Sequence[str], *, stage: str) -> None:
    try:
        code = _ended(subprocess.Popen(command))
    except OSError as error:
        raise ConfigError(
            f"{command[0]} can't be started: {error.strerror}",
            where="--launch",
            next_step='Give a command that takes -m MODULE, e.g. "accelerate launch --num_processes 4".',
        ) from None
    if code:
        raise RunError(
            f"stage {stage} ended with exit code {code}",
            next_step="Its own message stands above. The same command goes on from what is done.",
        )


def _ended(launcher: subprocess.Popen[bytes]) -> int:
    """The launcher's exit code; stopped itself, this process asks the launcher to end its trainings first."""
    try:
        return launcher.wait()
    except KeyboardInterrupt:
        launcher.terminate()
        try:
            launcher.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            launcher.kill()
        raise
