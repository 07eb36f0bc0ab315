"""Teach a randomly initialised vision encoder to see before it has to write: predict the report's words.

A small transformer that learns to write learns the wording first; the image comes late or, within minutes
on a CPU, not at all (docs/results.md has the numbers). Predicting which words and word pairs a report holds
from the pooled image features needs no decoder and gives every image a dense signal. Only training reports
are used.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from radflow.models.generation import load_image
from radflow.models.prompts import target_text
from radflow.models.vlm import Policy
from radflow.records import Study
from radflow.terminal import console, progress_bar
from radflow.training.augment import augment_image

BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
MIN_SHARE, MAX_SHARE = 0.01, 0.9
WORD = re.compile(r"[a-z]+")


def warm_up_vision(
    policy: Policy,
    studies: Sequence[Study],
    *,
    epochs: int,
    image_root: Path,
    augment: bool,
    seed: int,
) -> float:
    """Train vision encoder and connector in place; the language model is left as it is.

    Args:
        epochs: passes over the studies.
        augment: move and recolour the images as SFT does.

    Returns:
        Mean binary cross-entropy per word over the last epoch.
    """
    targets = word_targets([target_text(study.report) for study in studies])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = nn.Linear(2 * policy.model.config.text_config.hidden_size, targets.shape[1])
        return _train(policy, head.to(policy.device), studies, targets, epochs, image_root, augment, seed)


def word_targets(texts: Sequence[str]) -> torch.Tensor:
    """(texts, terms) of 0 and 1: words and neighbouring pairs that 1 to 90 % of the texts hold."""
    terms_of_text = [_terms(text) for text in texts]
    counts = Counter(term for terms in terms_of_text for term in terms)
    low, high = MIN_SHARE * len(texts), MAX_SHARE * len(texts)
    vocabulary = sorted(term for term, count in counts.items() if low <= count <= high) or sorted(counts)
    column = {term: place for place, term in enumerate(vocabulary)}
    targets = torch.zeros(len(texts), len(vocabulary))
    for row, terms in enumerate(terms_of_text):
        targets[row, [column[term] for term in terms if term in column]] = 1
    return targets


def _terms(text: str) -> set[str]:
    words = WORD.findall(text.lower())
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


def _train(
    policy: Policy,
    head: nn.Linear,
    studies: Sequence[Study],
    targets: torch.Tensor,
    epochs: int,
    image_root: Path,
    augment: bool,
    seed: int,
) -> float:
    vision: list[nn.Parameter] = [*policy.model.model.vision_tower.parameters()]
    learning = [*vision, *policy.model.model.multi_modal_projector.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(learning, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(studies) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    policy.model.train()
    generator = random.Random(seed)
    mean_loss = float("nan")
    with progress_bar() as progress:
        task = progress.add_task("warm-up", total=steps, note="")
        for epoch in range(epochs):
            order = generator.sample(range(len(studies)), len(studies))
            total = 0.0
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                pixels = _pixels(
                    policy, [studies[row] for row in rows], image_root, generator if augment else None
                )
                logits = head(_pooled(policy.model, pixels))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[rows].to(policy.device))
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learning, 1.0)
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
                total += loss.item() * len(rows)
                progress.update(task, advance=1, note=f"loss {loss.item():.4f}")
            mean_loss = total / len(studies)
            console.print(f"vision warm-up, epoch {epoch + 1}/{epochs}: loss {mean_loss:.4f}")
    return mean_loss


def _pixels(
    policy: Policy, studies: Sequence[Study], root: Path, generator: random.Random | None
) -> torch.Tensor:
    """(studies, 3, side, side) of each study's first image."""
    images = [load_image(root / study.images[0]) for study in studies]
    if generator is not None:
        images = [augment_image(image, generator) for image in images]
    inputs: Any = policy.processor.image_processor(images, return_tensors="pt")
    return inputs["pixel_values"].to(policy.device)  # type: ignore[no-any-return]


def _pooled(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """(batch, 2 * width): mean and maximum over patches of what the language model will be shown."""
    patches = model.model.vision_tower(pixels).last_hidden_state
    shown = model.model.multi_modal_projector(patches)
    return torch.cat([shown.mean(dim=1), shown.amax(dim=1)], dim=-1)
