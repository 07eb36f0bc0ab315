"""The models of a run by their folders: the SFT model as a whole, and what later stages made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel

from radflow.config import RunConfig
from radflow.models.vlm import ADAPTER_FILE, Policy, load_policy
from radflow.run_dir import RunDir

SFT_FOLDER = "model-sft"


def sft_model(config: RunConfig, run: RunDir) -> Policy:
    """The SFT model as one whole, its adapter merged: what later adapters stand on."""
    base = run.path("model-base") if config.model.is_made else config.model.name
    policy = load_policy(run.path(SFT_FOLDER), config.model, base=base)
    if not isinstance(policy.model, PeftModel):
        return policy
    return Policy(policy.model.merge_and_unload(), policy.processor)


def run_model(config: RunConfig, run: RunDir, folder: str) -> Policy:
    """The model that a stage wrote: ``model-sft``, or one that was made from it, whole or as an adapter.

    Raises:
        ModelError: nothing loadable there.
    """
    if folder == SFT_FOLDER:
        return sft_model(config, run)
    if not (run.path(folder) / ADAPTER_FILE).is_file():
        return load_policy(run.path(folder), config.model)
    policy = sft_model(config, run)
    model = PeftModel.from_pretrained(policy.model, str(run.path(folder)))
    return Policy(model.to(policy.device), policy.processor)


@dataclass(frozen=True)
class LoadRunModel:
    """`run_model`, when and where it is called: on a cluster in each process that writes."""

    config: RunConfig
    root: Path
    folder: str

    def __call__(self) -> Policy:
        return run_model(self.config, RunDir(self.root), self.folder)
