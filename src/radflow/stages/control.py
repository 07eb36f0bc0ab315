"""The control of reinforcement fine-tuning: supervised fine-tuning continued for as long as RFT took."""

from __future__ import annotations

import math
from typing import Any

from radflow.config import RunConfig
from radflow.errors import RunError
from radflow.models.run_models import sft_model
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.sft import train_sft

TIMED = ("explore", "annotate", "rft")
"""The stages whose wall time together the control may spend."""


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, model-sft/ -> model-control/"""
    studies = run.read(Study, "studies.jsonl")
    train = [study for study in studies if study.split == "train"]
    steps = config.control.steps or steps_in_the_same_time(run)
    console.print(f"{steps} further steps of supervised fine-tuning")
    policy, facts = train_sft(
        sft_model(config, run),
        train=train,
        validation=[study for study in studies if study.split == "validation"],
        config=config.sft.model_copy(
            update={
                "epochs": _epochs(steps, len(train), config),
                "learning_rate": config.control.learning_rate or config.sft.learning_rate / 3,
            }
        ),
        model_config=config.model,
        image_root=run.root,
        checkpoints=run.path("checkpoints-control"),
        logs=run.path("logs/control"),
        tracking=config.tracking,
        history=run.path("control_history.jsonl"),
        seed=config.seed + 1,  # another order of the studies than the first fine-tuning's
    )
    policy.save(run.path("model-control"))
    return facts


def steps_in_the_same_time(run: RunDir) -> int:
    """Steps that fit into the wall time of the stages it stands beside, at the speed of the sft stage.

    Raises:
        RunError: a stage that it takes its time from hasn't run, or not in one go.
    """
    manifests = {name: run.manifest(name) for name in ("sft", *TIMED)}
    done = {name: manifest for name, manifest in manifests.items() if manifest is not None}
    for name in manifests:
        if name not in done:
            raise RunError(
                f"the control takes as long as explore, annotate and rft, and {name} has not run",
                where=str(run.root),
                next_step="Run all stages, or set control.steps.",
            )
    for name in TIMED:
        if done[name].get("was_cut", True):
            raise RunError(
                f"{name} was cut and went on (or an older radflow ran it): its time as a whole is not known",
                where=str(run.root),
                next_step="Set control.steps.",
            )
    budget_s = sum(float(done[name]["wall_time_s"]) for name in TIMED)
    sft = done["sft"]["facts"]
    timed_steps = int(sft["steps"]) - int(sft["resumed_from_step"] or 0)
    return max(1, math.floor(budget_s * timed_steps / float(sft["seconds"])))


def _epochs(steps: int, studies: int, config: RunConfig) -> float:
    """So many epochs that training takes this number of steps."""
    per_epoch = math.ceil(math.ceil(studies / config.sft.batch_size) / config.sft.gradient_accumulation)
    return (steps - 0.5) / per_epoch
