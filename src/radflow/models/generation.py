"""Write reports for studies: batched, length-aware, resumable by row, in a fixed order.

The batches depend only on the studies and the settings, never on what is already done: a batch that was cut
is generated again whole, and a finished file has the same bytes as one written without interruption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from radflow.config import IN_PROCESS, EngineConfig, GenerationConfig, ModelConfig
from radflow.engine_ray import cluster_size, on_ray
from radflow.errors import RunError
from radflow.jsonl import Appender
from radflow.models.prompts import prompt_messages
from radflow.models.vlm import Policy
from radflow.records import Candidate, Study
from radflow.terminal import progress_bar


@dataclass(frozen=True)
class GenerationFacts:
    """What was generated in this process: reports, tokens (end tokens included), seconds."""

    reports: int
    tokens: int
    seconds: float

    def as_dict(self) -> dict[str, float | int]:
        rate = round(self.tokens / self.seconds, 1) if self.seconds else 0.0
        return {"reports": self.reports, "tokens": self.tokens, "tokens_per_s": rate}


def generate_reports(
    load: Callable[[], Policy],
    studies: Sequence[Study],
    model_config: ModelConfig,
    config: GenerationConfig,
    *,
    image_root: Path,
    into: Appender[Candidate],
    seed: int,
    engine: EngineConfig = IN_PROCESS,
) -> GenerationFacts:
    """Write one report per study into an append-only file; studies already in it are not written again.

    Args:
        load: gives the model, here once, or on a Ray cluster once in each process that writes; picklable.
        image_root: folder that the studies' image paths start from, on every node.
        into: open file of candidates.
        seed: with the batch's number it decides what is sampled; greedy decoding ignores it.
        engine: where it runs; all of its local processes are one here.
    """
    done = {row.study_id for row in into.rows}
    left = [
        batch
        for batch in enumerate(plan_batches(studies, model_config, config.batch_size))
        if not all(study.study_id in done for study in batch[1])
    ]
    writer = BatchWriter(load, model_config, config, image_root=image_root, seed=seed)
    written = _on_replicas(writer, left, engine) if engine.backend == "ray" else map(writer, left)
    reports = tokens = 0
    started = time.perf_counter()
    with progress_bar() as progress:
        to_write = sum(len(batch) for _, batch in left)
        task = progress.add_task("generate", total=len(studies), completed=len(studies) - to_write, note="")
        for candidates in written:
            into.append(row for row in candidates if row.study_id not in done)
            reports += len(candidates)
            tokens += sum(row.tokens for row in candidates)
            rate = tokens / (time.perf_counter() - started)
            progress.update(task, advance=len(candidates), note=f"{rate:.0f} tokens/s")
    return GenerationFacts(reports, tokens, time.perf_counter() - started)


class BatchWriter:
    """Write for a batch of studies, given with its number; the model is loaded when the first one is due."""

    def __init__(
        self,
        load: Callable[[], Policy],
        model_config: ModelConfig,
        config: GenerationConfig,
        *,
        image_root: Path,
        seed: int,
    ) -> None:
        self.load = load
        self.model_config, self.config = model_config, config
        self.image_root, self.seed = image_root, seed

    @cached_property
    def policy(self) -> Policy:
        return self.load()

    def __call__(self, batch: tuple[int, Sequence[Study]]) -> list[Candidate]:
        policy, (number, studies) = self.policy, batch
        torch.manual_seed(self.seed * 1_000_003 + number)
        return generate_batch(policy, studies, self.model_config, self.config, image_root=self.image_root)

    def each(self, batches: Sequence[tuple[int, Sequence[Study]]]) -> list[list[Candidate]]:
        """A batch is one row of a cluster's task."""
        return [self(batch) for batch in batches]


def _on_replicas(
    writer: BatchWriter, batches: Sequence[tuple[int, Sequence[Study]]], engine: EngineConfig
) -> Iterator[list[Candidate]]:
    """One copy of the model on each GPU of the cluster, or its processors shared out among as many as set."""
    cpus, gpus = cluster_size(engine)
    replicas = engine.replicas or gpus or 1
    takes = {"gpus": 1.0} if gpus else {"cpus": max(1, cpus // replicas)}
    return on_ray(writer.each, ([batch] for batch in batches), engine, at_once=replicas, **takes)


def plan_batches(studies: Sequence[Study], model_config: ModelConfig, batch_size: int) -> list[list[Study]]:
    """Studies with alike prompts (number of images, text length) share a batch, so that little is padded."""

    def prompt_size(study: Study) -> tuple[int, int, str]:
        text = prompt_messages(study, model_config)[0]["content"][-1]["text"]
        return len(study.images), len(text), study.study_id

    ordered = sorted(studies, key=prompt_size)
    return [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]


@torch.inference_mode()
def generate_batch(
    policy: Policy,
    studies: Sequence[Study],
    model_config: ModelConfig,
    config: GenerationConfig,
    *,
    image_root: Path,
) -> list[Candidate]:
    """One report for each of a few studies, in their order."""
    inputs = encode_prompts(policy, studies, model_config, image_root=image_root)
    sampling: dict[str, Any] = {"do_sample": False}
    if config.temperature > 0:
        sampling = {"do_sample": True, "temperature": config.temperature, "top_p": config.top_p, "top_k": 0}
    policy.model.eval()
    with torch.autocast(policy.device.type, torch.bfloat16, enabled=model_config.bf16_autocast):
        sequences = policy.model.generate(**inputs, max_new_tokens=config.max_new_tokens, **sampling)
    completions = sequences[:, inputs["input_ids"].shape[1] :].cpu()
    ends = end_tokens(policy)
    return [
        _candidate(policy, study, row.tolist(), ends) for study, row in zip(studies, completions, strict=True)
    ]


def encode_prompts(
    policy: Policy, studies: Sequence[Study], model_config: ModelConfig, *, image_root: Path
) -> Any:
    """Left-padded inputs of the prompts with their images, on the model's device."""
    prompts = [
        policy.processor.apply_chat_template(
            prompt_messages(study, model_config), add_generation_prompt=True, tokenize=False
        )
        for study in studies
    ]
    images = [[load_image(image_root / name) for name in study.images] for study in studies]
    inputs = policy.processor(
        text=prompts,
        images=images if any(images) else None,
        padding=True,
        padding_side="left",
        add_special_tokens=False,
        return_tensors="pt",
    )
    return inputs.to(policy.device)


def load_image(path: Path) -> Image.Image:
    """A prepared image as RGB.

    Raises:
        RunError: it is damaged.
        OSError: it can't be read.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError) as error:
        if getattr(error, "errno", None) is not None:  # Pillow's own have none
            raise
        raise RunError(
            "a prepared image is damaged",
            where=str(path),
            next_step="Delete the run's folder images and run the same command: stage prepare makes it "
            "again, and what is done stays.",
        ) from None


def end_tokens(policy: Policy) -> set[int]:
    """Tokens with which a report ends: of a turn, or of the text."""
    ends = policy.model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


def _candidate(policy: Policy, study: Study, tokens: list[int], ends: set[int]) -> Candidate:
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    kept = tokens if end is None else tokens[: end + 1]
    text = policy.processor.tokenizer.decode(kept, skip_special_tokens=True).strip()
    return Candidate(study_id=study.study_id, text=text, tokens=len(kept), finished=end is not None)
