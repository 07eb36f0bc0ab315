"""Supervised fine-tuning of the model on the training reports."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoProcessor

from radflow.config import RunConfig
from radflow.errors import DataError, ModelError
from radflow.models.prompts import completion_messages, prompt_messages, target_text
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import load_policy
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.sft import train_sft
from radflow.training.vision_warmup import warm_up_vision


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
    _check_positions(folder, config, train)
    epochs = config.model.tiny.warmup_epochs
    if epochs:
        policy = load_policy(folder, config.model)
        warm_up_vision(
            policy,
            train,
            epochs=epochs,
            image_root=run.root,
            augment=config.sft.augment,
            seed=config.seed,
        )
        policy.save(folder)


def _check_positions(folder: Path, config: RunConfig, train: Sequence[Study]) -> None:
    """Refuse a model whose longest sequence is shorter than what it will be trained on."""
    processor = AutoProcessor.from_pretrained(folder)
    patches = (config.model.tiny.image_size // config.model.tiny.patch_size) ** 2
    longest = 0
    for study in train:
        messages = [*prompt_messages(study, config.model), *completion_messages(study.report)]
        text = processor.apply_chat_template(messages, tokenize=False)
        tokens = len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        longest = max(longest, tokens + len(study.images) * (patches - 1))
    if longest > config.model.tiny.max_positions:
        raise ModelError(
            f"the longest training sequence has {longest} tokens",
            where=f"model.tiny.max_positions is {config.model.tiny.max_positions}",
            next_step=f"Set model.tiny.max_positions to {longest} or more.",
        )
