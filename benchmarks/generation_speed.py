"""Generated tokens/s of `generate_reports` against one `generate` call per study, same model and studies.

Usage: python benchmarks/generation_speed.py [--model RUN/model-sft], a trained one for reports of real length
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from transformers.utils import logging as transformers_logging

from radflow.config_file import load_config
from radflow.jsonl import Appender
from radflow.models.generation import generate_batch, generate_reports
from radflow.models.vlm import load_policy
from radflow.records import Candidate, Study
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training.base_models import base_model

STUDIES = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model folder; default: a fresh tiny model")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    config = load_config(
        Path(__file__).parent.parent / "configs" / "quickstart.yaml",
        overrides=[f"data.phantoms.train={STUDIES}", "data.phantoms.validation=1", "data.phantoms.test=1"],
    )
    how = config.evaluate.generation
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        run_stages(config, root, names=("prepare",))
        studies = [s for s in RunDir(root).read(Study, "studies.jsonl") if s.split == "train"]
        policy = load_policy(arguments.model or base_model(config, RunDir(root), studies), config.model)
        batched, single = [], []
        for round_number in range(arguments.rounds):
            with Appender(Path(folder) / f"{round_number}.jsonl", Candidate) as into:
                facts = generate_reports(
                    lambda: policy, studies, config.model, how, image_root=root, into=into, seed=0
                )
            batched.append(facts.tokens / facts.seconds)
            started = time.perf_counter()
            rows = [
                generate_batch(policy, [study], config.model, how, image_root=root)[0] for study in studies
            ]
            single.append(sum(row.tokens for row in rows) / (time.perf_counter() - started))
    ratios = [a / b for a, b in zip(batched, single, strict=True)]
    print(f"one by one: {statistics.median(single):8.0f} tokens/s")
    print(f"radflow:    {statistics.median(batched):8.0f} tokens/s in batches of {how.batch_size}")
    print(f"ratio: median {statistics.median(ratios):.1f}, from {min(ratios):.1f} to {max(ratios):.1f}")


if __name__ == "__main__":
    main()
