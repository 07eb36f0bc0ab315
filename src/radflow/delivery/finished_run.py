"""A run whose models are to be used: the settings it was made with, and which of its models is the best"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from radflow.config import RunConfig
from radflow.errors import ConfigError, RunError
from radflow.models.run_models import run_model
from radflow.models.vlm import Policy
from radflow.registry import nearest
from radflow.run_dir import RunDir

TRAINED = ("rft", "sft")
"""Stages that write a model, the best one first."""
TOLD = ("prepare", "sft", "explore", "annotate", "rft", "evaluate")


@dataclass(frozen=True)
class FinishedRun:
    """What a run folder says of itself.

    Attributes:
        run: the folder; only read.
        config: the settings of the stage that wrote the chosen model.
        system: that stage, "rft" or "sft".
        manifests: of the finished stages, by name.
    """

    run: RunDir
    config: RunConfig
    system: str
    manifests: Mapping[str, Mapping[str, Any]]

    @property
    def weights_hash(self) -> str:
        """Hash of the chosen model's files, as its stage has recorded it."""
        return str(self.manifests[self.system]["outputs"][f"model-{self.system}"])

    def load(self, **changes: str) -> Policy:
        """The chosen model, whole or as an adapter on the SFT model.

        Args:
            changes: settings of ``model`` that decide how it is loaded only: device, dtype, quantization.

        Raises:
            ModelError: nothing loadable there.
        """
        model = self.config.model.model_copy(update=changes)
        config = self.config.model_copy(update={"model": model})
        return run_model(config, self.run, f"model-{self.system}")


def open_finished(root: Path, wanted: str | None = None) -> FinishedRun:
    """Read a run folder.

    Args:
        wanted: "sft" or "rft"; ``None`` takes rft if the run has it.

    Raises:
        ConfigError: another name.
        RunError: no run folder, the stage isn't finished, or another version of radflow wrote it.
    """
    if wanted is not None and wanted not in TRAINED:
        hint = nearest(wanted, TRAINED)
        raise ConfigError(f"unknown model {wanted!r}", where="--model", next_step=f"{hint}Known: sft, rft.")
    run = RunDir(root)
    found = {stage: run.manifest(stage) for stage in TOLD}
    manifests = {stage: manifest for stage, manifest in found.items() if manifest is not None}
    candidates = TRAINED if wanted is None else (wanted,)
    system = next((stage for stage in candidates if stage in manifests), None)
    if system is None:
        raise RunError(
            f"no finished model {'or '.join(f'model-{stage} ' for stage in candidates)}in this folder",
            where=str(root),
            next_step="Give a run folder whose stage sft is done: radflow run CONFIG -o FOLDER",
        )
    if lost := [name for name in run.lost(system) if name.startswith("model-")]:
        raise RunError(f"the run has lost {', '.join(lost)}", where=str(root), next_step="Run it again.")
    try:
        config = RunConfig.model_validate(manifests[system]["config"])
    except (KeyError, ValidationError):
        raise RunError(
            "the run was made by another version of radflow, whose settings this one doesn't know",
            where=f"{root}/manifests/{system}.json",
            next_step="Use the version that its manifest names under versions.radflow.",
        ) from None
    return FinishedRun(run, config, system, manifests)
