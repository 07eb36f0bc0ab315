"""Reinforcement fine-tuning of the SFT model on the selected studies, with CAPO"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radflow.config import RunConfig
from radflow.errors import ConfigError
from radflow.models.run_models import SFT_FOLDER, sft_model
from radflow.models.vlm import ADAPTER_FILE
from radflow.records import Criticality, RowFailure, SelectedStudy, Study
from radflow.rewards.hierarchical import HierarchicalReward
from radflow.rewards.scorers import asks_judge
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.rft import learns_by_lora, train_rft
from radflow.training.rft_history import Row
from radflow.training.rollout_rows import RolloutRows, training_studies
from radflow.training.signatures import signatures
from radflow.training.together import share_of_judge


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies, hard, criticality, annotate_failures (.jsonl), model-sft/ -> model-rft/, rft_history.jsonl"""
    require_reference(config, run)
    studies = run.read(Study, "studies.jsonl")
    selected = run.read(SelectedStudy, "hard.jsonl")
    criticality = {row.study_id: row for row in run.read(Criticality, "criticality.jsonl")}
    undecided = {row.study_id for row in run.read(RowFailure, "annotate_failures.jsonl")}
    train = training_studies(studies, selected, criticality, undecided=undecided)
    rows = RolloutRows(
        train,
        config.model,
        image_root=run.root,
        criticality=criticality,
        chosen_as={row.study_id: row.chosen_as for row in selected},
    )
    judge = share_of_judge(config.judge) if asks_judge(config.reward) else None
    reward = HierarchicalReward(config.reward, judge=judge, judge_cache=run.path("judge-cache"))
    policy, facts, history = train_rft(
        sft_model(config, run),
        rows=rows,
        reward=reward,
        validation=[study for study in studies if study.split == "validation"],
        config=config.rft,
        model_config=config.model,
        image_root=run.root,
        ontology=config.reward.ontology,
        checkpoints=run.path("checkpoints-rft"),
        history=run.path("rft_history.jsonl"),
        logs=run.path("logs/rft"),
        tracking=config.tracking,
        seed=config.seed,
    )
    policy.save(run.path("model-rft"))
    critical = sum(criticality[study.study_id].is_critical for study in train)
    found = signatures(history, capo=config.rft.algorithm == "capo")
    for line in (*outcome(history, facts), *(sign.message for sign in found)):
        console.print(line)
    return {
        **facts,
        "studies": len(train),
        "left_out_undecided": len(selected) - len(train),
        "critical_studies": critical,
        "judge": reward.judge_summary(),
        "signatures": [sign.as_dict() for sign in found],
    }


def require_reference(config: RunConfig, run: RunDir) -> None:
    """The KL term needs a reference: the model without RFT's adapter, or the SFT model on disk as a whole.

    Raises:
        ConfigError: there is neither.
    """
    is_adapter = (run.path(SFT_FOLDER) / ADAPTER_FILE).is_file()
    if config.rft.beta and is_adapter and not learns_by_lora(config.rft, config.model):
        raise ConfigError(
            "the KL term of a whole model needs the SFT model as a whole, and SFT has made an adapter",
            where="rft.beta, rft.language",
            next_step="Set rft.language to lora, or rft.beta to 0.",
        )


def outcome(history: Sequence[Row], facts: Mapping[str, Any]) -> list[str]:
    """What came of it, in a few lines: rewards from first to last, validation, clip fractions."""
    steps = [row for row in history if "all/reward" in row]
    tenth = max(1, len(steps) // 10)
    start, end = (_mean(part, "all/reward") for part in (steps[:tenth], steps[-tenth:]))
    lines = [
        f"{facts['steps']} steps, sampled reward {start:.3f} -> {end:.3f} (first and last tenth); "
        f"{facts['reward_seconds'] / max(facts['seconds'], 0.1):.1%} of the time was the reward's"
    ]
    validations = [row for row in history if "validation_reward" in row]
    if len(validations) > 1:
        best = max(validations[1:], key=lambda row: row["validation_reward"])
        lines.append(
            f"validation reward {validations[0]['validation_reward']:.3f} (SFT) -> "
            f"{best['validation_reward']:.3f} at step {best['step']}, which is kept"
        )
    # Not over `steps`: a rollout's rewards are logged at its first pass, in which nothing can clip.
    clips = {name: _mean(history, f"{name}/clip_fraction") for name in ("critical", "normal")}
    lines.append("clip fraction: " + ", ".join(f"{name} {value:.4f}" for name, value in clips.items()))
    return lines


def _mean(rows: Sequence[Row], name: str) -> float:
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else 0.0
