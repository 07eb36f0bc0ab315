"""CAPO's step time and peak memory beside plain GRPOTrainer: same model, data, settings; alternating

The sharing of image features (models/shared_vision.py) is left out of both. What differs is ours: the
clip range per row, logs by stratum, and the first pass that serves as the old one. `--plain-passes` takes the
last away, so that only the cost of the clip and its logs is left.
Usage: python benchmarks/capo_speed.py [--rounds 5] [--steps 6] [--plain-passes]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.models.vlm import load_policy
from radflow.records import Criticality, Study
from radflow.rewards.hierarchical import HierarchicalReward
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training.capo import CAPOTrainer
from radflow.training.rft import set_learning
from radflow.training.rollout_rows import RolloutRows

PROMPTS, GROUP, TOKENS = 8, 8, 60


def train(kind: str, root: Path, config: RunConfig, steps: int) -> tuple[float, float]:
    """CPU seconds a step, and the peak memory of this process in MiB."""
    if kind == "capo, plain passes":
        CAPOTrainer.reuses_first_pass = False  # type: ignore[assignment, method-assign]
    run = RunDir(root)
    studies = [study for study in run.read(Study, "studies.jsonl") if study.split == "train"]
    verdicts = {
        study.study_id: Criticality(
            study_id=study.study_id, is_critical=number % 4 == 0, confidence=1.0, reason="every fourth"
        )
        for number, study in enumerate(studies)
    }
    rows = RolloutRows(studies, config.model, image_root=root, criticality=verdicts, chosen_as={})
    policy = load_policy(root / "model-base", config.model)
    set_learning(policy, config.rft, config.model)
    trainer: Any = (GRPOTrainer if kind == "grpo" else CAPOTrainer)(
        model=policy.model,
        processing_class=policy.processor,
        reward_funcs=HierarchicalReward(config.reward),
        args=GRPOConfig(
            output_dir=str(root / "out"), per_device_train_batch_size=PROMPTS * GROUP, num_generations=GROUP,
            num_iterations=2, max_steps=steps, max_completion_length=TOKENS, beta=0.0, loss_type="grpo",
            scale_rewards="none", use_bias_correction_kl=False, disable_dropout=True, bf16=False,
            use_cpu=True, activation_checkpointing=False, report_to=[], save_strategy="no", logging_steps=1,
            disable_tqdm=True, learning_rate=3e-5, seed=3,
        ),
        train_dataset=rows.as_dataset(),
    )  # fmt: skip
    started = time.process_time()
    trainer.train()
    seconds = (time.process_time() - started) / steps
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def quietly(arguments: tuple[str, Path, RunConfig, int]) -> tuple[float, float]:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return train(*arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--plain-passes", action="store_true")
    chosen = parser.parse_args()
    config = load_config(
        Path(__file__).parent.parent / "configs" / "quickstart.yaml",
        overrides=[
            "data.phantoms.train=64", "data.phantoms.validation=1", "data.phantoms.test=1",
            "model.tiny.warmup_epochs=0", "sft.epochs=1", "sft.evaluations=1",
        ],
    )  # fmt: skip
    ours = "capo, plain passes" if chosen.plain_passes else "capo"
    results: dict[str, list[tuple[float, float]]] = {"grpo": [], ours: []}
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        run_stages(config, root, names=("prepare", "sft"))
        for _ in range(chosen.rounds):
            for kind in results:  # a process of its own each: a peak of memory never falls again
                with spawn.Pool(1) as pool:
                    results[kind].append(pool.map(quietly, [(kind, root, config, chosen.steps)])[0])
    for kind, rows in results.items():
        seconds, memory = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{kind:<20} {seconds:6.2f} CPU s a step, peak {memory:6.0f} MiB")
    for place, what in enumerate(("step time", "peak memory")):
        ratios = [a[place] / b[place] for a, b in zip(results[ours], results["grpo"], strict=True)]
        print(f"{what} ratio: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
