"""Teach a vision encoder to see before it has to write: predict the report's words.

A small transformer that learns to write learns the wording first; the image comes late or, within minutes
on a CPU, not at all (docs/results.md has the numbers). Predicting which words and word pairs a report holds
from the pooled image features needs no decoder and gives every image a dense signal. Only training reports
are used. A pretrained encoder stays as it is, and only the connector learns what of it counts.
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

BATCH = 16
MEASURED = 256
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
    pretrained: bool = False,
) -> float:
    """Train vision encoder and connector in place, or only the connector; the language model stays as it is.

    Args:
        epochs: passes over the studies.
        augment: move and recolour the images as SFT does.
        pretrained: encoder and language model are trained already: the encoder is frozen, the new connector
            is fitted to its features first, and writes on the scale of the language model's embeddings.

    Returns:
        Mean weighted binary cross-entropy over the last epoch.
    """
    targets = word_targets([target_text(study.report) for study in studies])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = WordHead(policy.model.config.text_config.hidden_size, targets).to(policy.device)
        if pretrained:
            fit_connector(policy, studies[:MEASURED], image_root=image_root)
    learning = [*policy.model.model.multi_modal_projector.parameters(), *head.parameters()]
    policy.model.model.vision_tower.requires_grad_(not pretrained)
    if not pretrained:
        learning = [*policy.model.model.vision_tower.parameters(), *learning]
    mean_loss = _learn(
        policy, head, learning, studies, targets,
        epochs=epochs, image_root=image_root, augment=augment, seed=seed,
    )  # fmt: skip
    spread = float(policy.model.get_input_embeddings().weight.detach().std()) if pretrained else 1.0
    standardise_connector(policy, studies[:MEASURED], image_root=image_root, spread=spread)
    return mean_loss


def _learn(
    policy: Policy,
    head: WordHead,
    learning: list[nn.Parameter],
    studies: Sequence[Study],
    targets: torch.Tensor,
    *,
    epochs: int,
    image_root: Path,
    augment: bool,
    seed: int,
) -> float:
    """Predict ``targets``, (studies, terms), for some epochs; returns the mean loss of the last."""
    generator = random.Random(seed)
    optimiser = torch.optim.AdamW(learning, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(studies) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    policy.model.train()
    mean_loss = float("nan")
    with progress_bar() as progress:
        task = progress.add_task("warm-up", total=steps, note="")
        for epoch in range(epochs):
            order = generator.sample(range(len(studies)), len(studies))
            total = 0.0
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                batch = [studies[row] for row in rows]
                pixels = _pixels(policy, batch, image_root, generator if augment else None)
                counts = [len(study.images) for study in batch]
                loss = head.loss(policy.model, pixels, targets[rows].to(policy.device), counts)
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


class WordHead(nn.Module):
    """A linear head on pooled image features that is thrown away after the warm-up.

    Three things make hundreds of steps enough (measured, docs/results.md): biases start at each word's
    frequency; features are standardised, because studies differ little beside what all radiographs share, and
    the connector keeps that scale afterwards; each word weighs by the inverse of its entropy, so that
    boilerplate doesn't drown the rare words that say something.
    """

    def __init__(self, width: int, targets: torch.Tensor) -> None:
        super().__init__()
        share = targets.mean(dim=0).clamp(1e-3, 1 - 1e-3)
        entropy = -(share * share.log() + (1 - share) * (1 - share).log())
        self.register_buffer("weight", 1 / entropy / (1 / entropy).mean())
        # A new connector writes values so small that the usual epsilon would swallow their spread.
        self.standardise = nn.BatchNorm1d(width, eps=1e-12, affine=False)
        self.standardise_pooled = nn.BatchNorm1d(2 * width, affine=False)
        self.words = nn.Linear(2 * width, len(share))
        self.words.bias.data = torch.logit(share)

    def loss(
        self, model: Any, pixels: torch.Tensor, targets: torch.Tensor, counts: Sequence[int]
    ) -> torch.Tensor:
        """Weighted binary cross-entropy of (studies, words) targets, from mean and maximum over the patches
        of all images of a study; ``counts`` says how many of the pixels' rows each has."""
        features = model.model.vision_tower(pixels).last_hidden_state
        projected = model.model.multi_modal_projector(features)
        patches = self.standardise(projected.flatten(0, 1)).view_as(projected)
        pooled = torch.cat([patches.mean(dim=1), patches.amax(dim=1)], dim=-1)
        if max(counts) > 1:
            mean, highest = patches.mean(dim=1).split(list(counts)), patches.amax(dim=1).split(list(counts))
            pooled = torch.cat(
                [
                    torch.stack([part.mean(dim=0) for part in mean]),
                    torch.stack([part.amax(dim=0) for part in highest]),
                ],
                dim=-1,
            )
        if len(pooled) > 1:  # one row has no spread to standardise by
            pooled = self.standardise_pooled(pooled)
        return nn.functional.binary_cross_entropy_with_logits(
            self.words(pooled), targets, weight=self.get_buffer("weight")
        )


def fit_connector(policy: Policy, studies: Sequence[Study], *, image_root: Path) -> None:
    """Draw the connector anew so that it reads standardised features: pretrained ones differ in scale by
    orders of magnitude, and the largest would decide all that it writes."""
    shown = _features(policy, studies, image_root)
    scale = shown.std(dim=0).clamp_min(1e-6).reciprocal()
    connector = policy.model.model.multi_modal_projector
    for layer in (connector.linear_1, connector.linear_2):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        connector.linear_1.weight.mul_(scale)
        connector.linear_1.bias.sub_(connector.linear_1.weight @ shown.mean(dim=0))


@torch.no_grad()
def standardise_connector(
    policy: Policy, studies: Sequence[Study], *, image_root: Path, spread: float = 1.0
) -> None:
    """Let the connector itself write features of mean 0 and the same deviation in each channel, as its head
    saw them."""
    connector = policy.model.model.multi_modal_projector
    shown = connector(_features(policy, studies, image_root))
    scale = spread * shown.std(dim=0).clamp_min(1e-12).reciprocal()
    connector.linear_2.weight.mul_(scale.unsqueeze(1))
    connector.linear_2.bias.sub_(shown.mean(dim=0)).mul_(scale)


@torch.no_grad()
def _features(policy: Policy, studies: Sequence[Study], image_root: Path) -> torch.Tensor:
    """(patches of all images, width) as the vision encoder writes them."""
    policy.model.eval()
    vision = policy.model.model.vision_tower
    batches = [
        vision(_pixels(policy, studies[at : at + BATCH], image_root, None)).last_hidden_state
        for at in range(0, len(studies), BATCH)
    ]
    return torch.cat(batches).flatten(0, 1)


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


def _pixels(
    policy: Policy, studies: Sequence[Study], root: Path, generator: random.Random | None
) -> torch.Tensor:
    """(images, 3, side, side) of all images of the studies, study by study."""
    images = [load_image(root / name) for study in studies for name in study.images]
    if generator is not None:
        images = [augment_image(image, generator) for image in images]
    inputs: Any = policy.processor.image_processor(images, return_tensors="pt")
    return inputs["pixel_values"].to(policy.device)  # type: ignore[no-any-return]
