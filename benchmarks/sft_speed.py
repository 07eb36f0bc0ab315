"""SFT samples/s of our trainer against a plain PyTorch loop: same model, data, batches and collator, one run.

Rounds alternate, so that a noisy machine hits both alike. Usage: python benchmarks/sft_speed.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.models.prompts import target_text
from radflow.models.vlm import Policy, load_policy
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training.base_models import base_model
from radflow.training.report_rows import LengthGroupedSampler, ReportRows
from radflow.training.sft import train_sft

BATCH, STEPS = 16, 60


def plain_loop(policy: Policy, studies: list[Study], config: RunConfig, root: Path) -> float:
    """The least code that does the same work: AdamW, clipping, the loss that transformers computes."""
    rows = ReportRows(studies, config.model, image_root=root, augment=False, seed=0)
    dataset = rows.as_dataset()
    collate = DataCollatorForVisionLanguageModeling(policy.processor, completion_only_loss=True)
    lengths = [len(target_text(study.report)) for study in studies]
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=BATCH, collate_fn=collate, sampler=LengthGroupedSampler(lengths, BATCH, seed=0)
    )
    optimiser = torch.optim.AdamW(policy.model.parameters(), lr=1e-4, weight_decay=0.01)
    policy.model.train()
    started = time.perf_counter()
    for batch in loader:
        policy.model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return len(studies) / (time.perf_counter() - started)


def our_trainer(policy: Policy, studies: list[Study], config: RunConfig, root: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _, facts = train_sft(
            policy,
            train=studies,
            validation=[],
            config=config.sft,
            model_config=config.model,
            image_root=root,
            checkpoints=Path(folder) / "checkpoints",
            logs=Path(folder) / "logs",
            seed=0,
        )
    return len(studies) / facts["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    config = load_config(
        Path(__file__).parent.parent / "configs" / "quickstart.yaml",
        overrides=[
            f"data.phantoms.train={BATCH * STEPS}", "data.phantoms.validation=1", "data.phantoms.test=1",
            "sft.epochs=1", "sft.evaluations=1", f"sft.batch_size={BATCH}", "model.tiny.warmup_epochs=0",
        ],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        run_stages(config, root, names=("prepare",))
        run = RunDir(root)
        studies = [study for study in run.read(Study, "studies.jsonl") if study.split == "train"]
        base = base_model(config, run, studies)
        ours, plain = [], []
        for _ in range(rounds + 1):
            plain.append(plain_loop(load_policy(base, config.model), studies, config, root))
            ours.append(our_trainer(load_policy(base, config.model), studies, config, root))
    ratios = [a / b for a, b in zip(ours[1:], plain[1:], strict=True)]  # the first round warms up
    print(f"plain loop: {statistics.median(plain[1:]):7.1f} samples/s")
    print(f"radflow:    {statistics.median(ours[1:]):7.1f} samples/s, start-up and saving included")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"ratio: median {statistics.median(ratios):.2f} of {rounds}, from {spread}")


if __name__ == "__main__":
    main()
