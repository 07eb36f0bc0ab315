"""The model that fine-tuning starts from: a folder or hub id, or one that is made once in the run folder"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoProcessor

from radflow.config import RunConfig
from radflow.errors import ModelError
from radflow.models.efficientnet_smollm2 import make_efficientnet_smollm2
from radflow.models.prompts import completion_messages, prompt_messages, target_text
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import load_policy
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.training.together import first_one_first
from radflow.training.vision_warmup import warm_up_vision


def base_model(config: RunConfig, run: RunDir, train: Sequence[Study]) -> str | Path:
    """Where the model to start from lies; one that radflow makes is made once, from the training studies.

    Raises:
        ModelError: it can't be made: a package is missing, or it is too short for the studies.
    """
    if not config.model.is_made:
        return config.model.name
    folder = run.path("model-base")
    with first_one_first():
        if not folder.is_dir():
            unfinished = run.path("model-base.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _make(unfinished, config, run, train)
            unfinished.rename(folder)
    return folder


def _make(folder: Path, config: RunConfig, run: RunDir, train: Sequence[Study]) -> None:
    texts = [target_text(study.report) for study in train]
    texts += [prompt_messages(study, config.model)[0]["content"][-1]["text"] for study in train]
    parts = config.model.efficientnet_smollm2
    if config.model.name == "tiny":
        make_tiny_model(folder, texts, config.model.tiny, seed=config.seed)
        _check_positions(folder, config, train)
        epochs = config.model.tiny.warmup_epochs
    else:
        make_efficientnet_smollm2(folder, texts, parts, seed=config.seed)
        epochs = parts.warmup_epochs
    if epochs:
        # encoder and connector learn here, and bfloat16 is too coarse for that
        policy = load_policy(folder, config.model.model_copy(update={"dtype": "float32"}))
        warm_up_vision(
            policy,
            train,
            epochs=epochs,
            image_root=run.root,
            augment=config.sft.augment,
            seed=config.seed,
            pretrained=config.model.name != "tiny",
        )
        policy.save(folder)


def _check_positions(folder: Path, config: RunConfig, train: Sequence[Study]) -> None:
    """Refuse a model whose longest sequence is shorter than what it will be trained on."""
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
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
