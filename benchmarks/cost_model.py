"""What runs took beside what their work was counted as: python benchmarks/cost_model.py RUN [RUN]

Prints this machine's peaks, and for each stage of each finished run its operations a second as a share of
them. Were the counting right and the machine always alike, a stage's share would be the same in every run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from radflow.config import RunConfig
from radflow.doctor.shapes import model_shape
from radflow.jsonl import read_jsonl
from radflow.planning.bill import Hardware, measure_here
from radflow.planning.work import Counts, Work, stage_work
from radflow.records import Study

STAGES = ("sft", "explore", "rft", "evaluate")
SAMPLE = 500
"""Training reports whose tokens are counted."""


def stages_of(folder: Path, hardware: Hardware) -> list[tuple[str, ...]]:
    """Cells of each finished stage: run, stage, seconds, operations, and the shares of the peaks."""
    studies = list(read_jsonl(Study, folder / "studies.jsonl"))
    tokens = mean_tokens([study for study in studies if study.split == "train"], folder / "model-base")
    splits = [study.split for study in studies]
    counts = Counts(*(splits.count(name) for name in ("train", "validation", "test")), tokens)
    cells: list[tuple[str, ...]] = []
    for stage in STAGES:
        path = folder / "manifests" / f"{stage}.json"
        if not path.is_file():
            continue
        manifest = json.loads(path.read_text(encoding="utf-8"))
        config = as_it_went(RunConfig.model_validate(manifest["config"]), stage, manifest["facts"], counts)
        works = {work.stage: work for work in stage_work(config, model_shape(config), counts)}
        cells.append((folder.name, stage, *figures(works[stage], manifest["wall_time_s"], hardware)))
    return cells


def mean_tokens(studies: list[Study], model: Path) -> int:
    """Tokens of a mean reference, by the run's own tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    ids = tokenizer([study.report.text for study in studies[:SAMPLE]])["input_ids"]
    return round(sum(map(len, ids)) / len(ids))


def as_it_went(config: RunConfig, stage: str, facts: dict[str, Any], counts: Counts) -> RunConfig:
    """The config with the epochs that it came to before it stopped."""
    a_step = config.sft.batch_size * config.sft.gradient_accumulation
    epochs = facts["steps"] * a_step / counts.train if stage == "sft" else config.sft.epochs
    sft = config.sft.model_copy(update={"epochs": epochs})
    return config.model_copy(update={"sft": sft})


def figures(work: Work, seconds: float, hardware: Hardware) -> tuple[str, ...]:
    operations = work.pass_operations + work.written_operations
    return (
        f"{seconds:.0f}",
        f"{operations / 1e12:.1f}",
        f"{operations / seconds / hardware.operations:.3f}",
        f"{work.written_bytes / seconds / hardware.bandwidth:.3f}",
    )


def main() -> None:
    hardware = measure_here("cpu", torch.float32)
    threads, product = torch.get_num_threads(), hardware.operations / 1e9
    print(f"{threads} threads: {product:.0f} billion operations/s in a product of matrices,")
    print(f"{hardware.bandwidth / 1e9:.1f} GB/s in a copy")
    print("| run | stage | s | 10^12 operations | share of the product's | writing's share of the copy's |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for folder in map(Path, sys.argv[1:]):
        for row in stages_of(folder, hardware):
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
