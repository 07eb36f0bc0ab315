"""Supervised fine-tuning of the model on the training reports."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radflow.config import RunConfig
from radflow.errors import DataError
from radflow.models.prompts import prompt_messages, target_text
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import load_policy
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.sft import train_sft
from radflow.training.vision_warmup import warm_up_vision


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl -> model-sft/ (whole model, or only the LoRA adapter)"""
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
        seed=config.seed,
    )
    policy.save(run.path("model-sft"))
    loss = facts["best_validation_loss"]
    console.print(f"{facts['steps']} steps, train loss {facts['train_loss']}, best validation loss {loss}")
    return facts


def base_model(config: RunConfig, run: RunDir, train: Sequence[Study]) -> str | Path:
    """Where the model to start from lies; the tiny one is made once, from the training studies."""
    if config.model.name != "tiny":
        return config.model.name
    folder = run.path("model-base")
    if not folder.is_dir():
        _make_tiny(run.path("model-base.unfinished"), config, run, train)
        run.path("model-base.unfinished").rename(folder)
    return folder


def _make_tiny(folder: Path, config: RunConfig, run: RunDir, train: Sequence[Study]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    texts = [target_text(study.report) for study in train]
    texts += [prompt_messages(study, config.model)[0]["content"][-1]["text"] for study in train]
    make_tiny_model(folder, texts, config.model.tiny, seed=config.seed)
    epochs = config.model.tiny.warmup_epochs
    if epochs:
        policy = load_policy(folder, config.model)
        warm_up_vision(
            policy,
            train,
            config.model,
            epochs=epochs,
            image_root=run.root,
            augment=config.sft.augment,
            seed=config.seed,
        )
        policy.save(folder)
