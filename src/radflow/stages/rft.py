"""Reinforcement fine-tuning of the SFT model on the selected studies, with CAPO"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radflow.config import RunConfig
from radflow.errors import ConfigError
from radflow.models.vlm import Policy, load_policy, merged
from radflow.records import Criticality, SelectedStudy, Study
from radflow.rewards.hierarchical import HierarchicalReward
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.rft import learns_by_lora, train_rft
from radflow.training.rft_history import Row
from radflow.training.rollout_rows import RolloutRows, training_studies


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, hard.jsonl, criticality.jsonl, model-sft/ -> model-rft/, rft_history.jsonl"""
    studies = run.read(Study, "studies.jsonl")
    selected = run.read(SelectedStudy, "hard.jsonl")
    criticality = {row.study_id: row for row in run.read(Criticality, "criticality.jsonl")}
    train = training_studies(studies, selected, criticality)
    rows = RolloutRows(
        train,
        config.model,
        image_root=run.root,
        criticality=criticality,
        chosen_as={row.study_id: row.chosen_as for row in selected},
    )
    policy, facts, history = train_rft(
        sft_model(config, run),
        rows=rows,
        reward=HierarchicalReward(config.reward),
        validation=[study for study in studies if study.split == "validation"],
        config=config.rft,
        model_config=config.model,
        image_root=run.root,
        checkpoints=run.path("checkpoints-rft"),
        history=run.path("rft_history.jsonl"),
        logs=run.path("logs/rft"),
        seed=config.seed,
    )
    policy.save(run.path("model-rft"))
    return facts
