"""Who else gets what a training logs: TensorBoard, trackio, wandb, by the trainers' own callbacks

Numbers only: losses, rewards, settings. trackio keeps a database on this machine unless the environment names
another place, and wandb talks to a server: both need tracking.allow_remote then.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radflow.config import TrackingConfig
from radflow.errors import ConfigError
from radflow.processes import is_first

if TYPE_CHECKING:  # it takes seconds to import, and this module looks at configs too
    from transformers import TrainerCallback

REMOTE_TRACKIO = ("TRACKIO_SPACE_ID", "TRACKIO_BUCKET_ID", "TRACKIO_SERVER_URL")
"""Variables with which trackio sends what it gets to somewhere else."""


def trackers(config: TrackingConfig, *, folder: Path) -> list[TrainerCallback]:
    """The callbacks that a trainer needs for it; of several processes only the first has any.

    Args:
        folder: of TensorBoard's events.

    Raises:
        ConfigError: a package is missing, or trackio would send metrics away without leave.
    """
    require_trackers(config)
    made: list[TrainerCallback] = []
    if not is_first():
        return made
    for name in dict.fromkeys(config.report_to):
        if name == "tensorboard":
            made.append(_tensorboard(folder))
        else:
            made.append(_trackio() if name == "trackio" else _wandb(config))
    return made


def require_trackers(config: TrackingConfig) -> None:
    """Said before the first stage, not when a training begins.

    Raises:
        ConfigError: as `trackers`.
    """
    for name in config.report_to:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"the package {name} is not installed",
                where="tracking.report_to",
                next_step=f"pip install {name}, or leave it out of tracking.report_to.",
            )
    sent_by = [name for name in REMOTE_TRACKIO if os.environ.get(name)]
    if "trackio" in config.report_to and sent_by and not config.allow_remote:
        raise ConfigError(
            f"with {sent_by[0]} trackio sends metrics and settings to another machine",
            where="tracking.report_to",
            next_step=f"Unset {sent_by[0]}, or say tracking.allow_remote: true.",
        )


def tracking_arguments(config: TrackingConfig, *, run_name: str) -> dict[str, Any]:
    """What the trainer's arguments must say of it; the trainer makes no callbacks of its own."""
    told: dict[str, Any] = {"report_to": [], "run_name": run_name}
    if "trackio" in config.report_to:
        told |= {"project": config.project, "trackio_space_id": None, "trackio_static_space_id": False}
    return told


def _tensorboard(folder: Path) -> TrainerCallback:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(log_dir=str(folder)))


def _trackio() -> TrainerCallback:
    from transformers.integrations.integration_utils import TrackioCallback

    return TrackioCallback()


def _wandb(config: TrackingConfig) -> TrainerCallback:
    from transformers.integrations.integration_utils import WandbCallback

    os.environ.setdefault("WANDB_PROJECT", config.project)  # the callback reads it there
    os.environ["WANDB_LOG_MODEL"] = "false"  # weights learnt from reports stay, whatever the environment says
    return WandbCallback()
