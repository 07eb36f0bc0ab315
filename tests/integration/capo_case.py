"""A CAPO training so small that tests can look into it: prompts that name their study, a counting reward.

Run as a script by torch's launcher, it checks in each process that every row kept its own clip range.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig

from radflow.config import ModelConfig, TinyConfig
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import Policy, load_policy
from radflow.training.capo import CAPOTrainer

TINY = TinyConfig(
    image_size=16, patch_size=8, hidden_size=16, vision_layers=1, language_layers=1, vocabulary=300,
    max_positions=128,
)  # fmt: skip
TEXTS = ["FINDINGS: clear lungs.", "IMPRESSION: no effusion of study 0 1 2 3 4 5 6 7 8 9."]


def tiny_policy(folder: Path) -> Policy:
    if not (folder / "config.json").exists():
        make_tiny_model(folder, TEXTS, TINY, seed=0)
    return load_policy(folder, ModelConfig(device="cpu"))


def is_critical(study: int) -> bool:
    return study % 3 == 0


def probability(study: int) -> float:
    return study / 10


def rows(studies: int = 8) -> Dataset:
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": f"study {number}"}],
                "study_id": f"s{number}",
                "is_critical": is_critical(number),
                "criticality": probability(number),
            }
            for number in range(studies)
        ]
    )


def letter_reward(completions: Sequence[Any], **_: Any) -> list[float | None]:
    """A number in [0, 1) from the characters: differs between completions, whatever they say."""
    return [sum(map(ord, text)) % 97 / 97 for text in (row[-1]["content"] for row in completions)]


def arguments(folder: Path, **more: Any) -> GRPOConfig:
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 8, "num_generations": 4, "num_iterations": 2, "max_steps": 4,
        "max_completion_length": 6, "beta": 0.0, "epsilon": 0.2, "loss_type": "grpo", "scale_rewards": "none",
        "importance_sampling_level": "token", "use_bias_correction_kl": False, "disable_dropout": True,
        "learning_rate": 1e-3, "bf16": False, "use_cpu": True, "report_to": [], "logging_steps": 1,
        "save_strategy": "no", "disable_tqdm": True, "activation_checkpointing": False, "seed": 1,
    }  # fmt: skip
    return GRPOConfig(output_dir=str(folder / "out"), **(settings | more))


class Watched(CAPOTrainer):
    """Writes down, for every row that reaches the loss, its study and the epsilon that it meets there."""

    def __init__(self, **given: Any) -> None:
        self.met: list[tuple[int, float]] = []
        super().__init__(**given)
        self.met.clear()

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, *rest: Any, **more: Any
    ):
        passed = super()._get_per_token_logps_and_entropies(model, input_ids, *rest, **more)
        if isinstance(self.epsilon_high, torch.Tensor):  # inside the loss
            for tokens, epsilon in zip(input_ids, self.epsilon_high.flatten().tolist(), strict=True):
                text = self.processing_class.tokenizer.decode(tokens)
                self.met.append((int(re.search(r"study ?(\d)", text)[1]), epsilon))
        return passed


def watch(folder: Path, **more: Any) -> Watched:
    """Train and return the trainer, which has seen what each row met."""
    policy = tiny_policy(folder / "model")
    criticality = more.pop("criticality", "binary")
    trainer = Watched(
        model=policy.model,
        processing_class=policy.processor,
        reward_funcs=letter_reward,
        args=arguments(folder, **more),
        train_dataset=rows(),
        criticality=criticality,
    )
    trainer.train()
    return trainer


def check_rows(trainer: Watched) -> None:
    assert {study for study, _ in trainer.met if is_critical(study)}
    assert {study for study, _ in trainer.met if not is_critical(study)}
    for study, epsilon in trainer.met:
        exponent = is_critical(study) if trainer.criticality == "binary" else probability(study)
        assert abs(epsilon - 0.2 * 4.0**-exponent) < 1e-7


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        trained = watch(Path(scratch), gradient_accumulation_steps=2)
        check_rows(trained)
        state = trained.accelerator.state
        print(f"process {state.process_index} of {state.num_processes}: {len(trained.met)} rows right")  # noqa: T201
    sys.exit(0)
