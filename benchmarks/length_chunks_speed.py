"""Forward and backward passes of an RFT step: completions in chunks of alike length beside all in one batch

Same model (the quickstart's, untrained), same completions (reports of phantoms), alternating rounds.
Usage: python benchmarks/length_chunks_speed.py [--rows 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.utils import logging as transformers_logging
from trl.trainer.grpo_config import GRPOConfig

from radflow.config import ModelConfig
from radflow.config_file import load_config
from radflow.data.phantoms.chest import make_chest_report
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import load_policy
from radflow.training.capo import CAPOTrainer
from radflow.training.length_chunks import CHUNK_ROWS

PROMPT = 24
"""Tokens of image and prompt, left of every completion."""


def reports(count: int) -> list[str]:
    rows = (make_chest_report(index, seed=0) for index in range(count))
    return [f"FINDINGS: {row.findings} IMPRESSION: {row.impression}" for row in rows]


def make_trainer(folder: Path, texts: list[str]) -> CAPOTrainer:
    config = load_config(Path(__file__).parent.parent / "configs" / "quickstart.yaml")
    make_tiny_model(folder / "model", texts, config.model.tiny, seed=0)
    policy = load_policy(folder / "model", ModelConfig(name="tiny"))
    return CAPOTrainer(
        model=policy.model,
        processing_class=policy.processor,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            output_dir=str(folder / "out"), per_device_train_batch_size=8, num_generations=8,
            num_iterations=2, beta=0.0, loss_type="grpo", scale_rewards="none",
            importance_sampling_level="token", use_bias_correction_kl=False,
            disable_dropout=True, bf16=False, use_cpu=True, report_to=[],
            activation_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": [{"role": "user", "content": "Write."}], "is_critical": False}]
        ),
    )  # fmt: skip


def batch(trainer: Any, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Token ids and mask (rows, PROMPT + longest), and the longest completion."""
    tokens = [trainer.processing_class.tokenizer(text)["input_ids"] for text in texts]
    longest = max(map(len, tokens))
    ids = torch.full((len(texts), PROMPT + longest), 10)
    mask = torch.zeros_like(ids)
    for row, of in enumerate(tokens):
        ids[row, PROMPT : PROMPT + len(of)] = torch.tensor(of)
        mask[row, : PROMPT + len(of)] = 1
    return ids, mask, longest


def seconds(trainer: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, chunk_rows: int | None) -> float:
    trainer.chunk_rows = chunk_rows
    trainer.model.zero_grad()
    started = time.process_time()
    logps = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, keep)[0]
    (logps * mask[:, -keep:]).sum().backward()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    transformers_logging.set_verbosity_error()
    texts = reports(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(Path(folder), reports(500))
        ids, mask, longest = batch(trainer, texts)
        mean = float(mask.sum()) / len(ids) - PROMPT
        print(f"{arguments.rows} completions of {mean:.0f} tokens in the mean, {longest} at most")
        seconds(trainer, ids, mask, longest, None)  # warm
        rounds = [
            [seconds(trainer, ids, mask, longest, rows) for rows in (None, CHUNK_ROWS)]
            for _ in range(arguments.rounds)
        ]
    whole, parted = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(after / before for before, after in rounds)
    print(f"whole:  {whole:.2f} s of processor time\nchunks: {parted:.2f} s")
    print(f"ratio:  {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
