"""Supervised fine-tuning of the model on the training reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radflow.config import RunConfig
from radflow.errors import DataError
from radflow.models.vlm import load_policy
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.base_models import base_model
from radflow.training.sft import train_sft


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl -> model-sft/ (whole model, or only the LoRA adapter), sft_history.jsonl"""
    studies = run.read(Study, "studies.jsonl")
    train = [study for study in studies if study.split == "train"]
    validation = [study for study in studies if study.split == "validation"]
    if not train:
        raise DataError("no training studies", where="studies.jsonl", next_step="Check data.split.")
    policy = load_policy(base_model(config, run, train), config.model)
    policy, facts = train_sft(
        policy,
        train=train,
        validation=validation,
        config=config.sft,
        model_config=config.model,
        image_root=run.root,
        checkpoints=run.path("checkpoints-sft"),
        logs=run.path("logs/sft"),
        tracking=config.tracking,
        history=run.path("sft_history.jsonl"),
        seed=config.seed,
    )
    policy.save(run.path("model-sft"))
    console.print(_outcome(facts))
    return facts


def _outcome(facts: Mapping[str, Any]) -> str:
    loss, gap = facts["best_validation_loss"], facts["image_gap"]
    text = f"{facts['steps']} steps, train loss {facts['train_loss']:.3f}"
    if loss is None:
        return text
    return (
        f"{text}, best validation loss {loss:.3f}, with other studies' images {loss + gap:.3f} ({gap:+.3f})"
    )
