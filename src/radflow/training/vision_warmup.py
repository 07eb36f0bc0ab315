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

from radflow.config import ModelConfig
from radflow.models.generation import encode_prompts
from radflow.models.prompts import target_text
from radflow.models.vlm import Policy
from radflow.records import Study
from radflow.terminal import console, progress_bar
from radflow.training.augment import augment_image

BATCH = 16
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
MIN_SHARE, MAX_SHARE = 0.01, 0.9
WORD = re.compile(r"[a-z]+")


def warm_up_vision(
    policy: Policy,
    studies: Sequence[Study],
    config: ModelConfig,
    *,
    epochs: int,
    image_root: Path,
    augment: bool,
    seed: int,
) -> tuple[float, float]:
    """Train the whole model in place to predict words from its image features and its last prompt state.

    Args:
        epochs: passes over the studies.
        augment: move and recolour the images as SFT does.

    Returns:
        Mean weighted binary cross-entropies of both heads over the last epoch.
    """
    targets = word_targets([target_text(study.report) for study in studies])
    width = policy.model.config.text_config.hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = WordHeads(width, targets).to(policy.device)
    inputs = _Inputs(policy, config, image_root, random.Random(seed) if augment else None)
    order = random.Random(seed)
    return _train(policy, heads, inputs, studies, targets, epochs, order)


class WordHeads(nn.Module):
    """Two linear heads that are thrown away after the warm-up: what is seen, and what is about to be said.

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
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.seen = self._head(2 * width, share)
        self.said = self._head(width, share)

    @staticmethod
    def _head(width: int, share: torch.Tensor) -> nn.Sequential:
        linear = nn.Linear(width, len(share))
        linear.bias.data = torch.logit(share)
        return nn.Sequential(nn.BatchNorm1d(width, affine=False), linear)

    def losses(self, model: Any, inputs: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first head makes the encoder see, the second makes the language model look at what it sees."""
        is_image = inputs["input_ids"] == model.config.image_token_id
        features = model.model.vision_tower(inputs["pixel_values"]).last_hidden_state
        projected = model.model.multi_modal_projector(features)
        patches = self.standardise(projected.flatten(0, 1)).view_as(projected)
        embedded = model.get_input_embeddings()(inputs["input_ids"])
        embedded = embedded.masked_scatter(is_image.unsqueeze(-1), patches)
        states = model.model.language_model(
            inputs_embeds=embedded, attention_mask=inputs["attention_mask"]
        ).last_hidden_state
        seen = self.seen(torch.cat([patches.mean(dim=1), patches.amax(dim=1)], dim=-1))
        said = self.said(states[:, -1])
        return self._entropy(seen, targets), self._entropy(said, targets)

    @torch.no_grad()
    def fold_into(self, connector: Any) -> None:
        """Let the connector itself write standardised features, now that the heads go."""
        variance, mean = self.standardise.running_var, self.standardise.running_mean
        assert variance is not None
        assert mean is not None  # both are kept unless BatchNorm is told otherwise
        scale = (variance + self.standardise.eps).rsqrt()
        last = connector.linear_2
        last.weight.mul_(scale.unsqueeze(1))
        last.bias.sub_(mean).mul_(scale)

    def _entropy(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weight = self.get_buffer("weight")
        return nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=weight)


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


class _Inputs:
    """Prompt inputs of studies, of each only the first image."""

    def __init__(
        self, policy: Policy, config: ModelConfig, root: Path, generator: random.Random | None
    ) -> None:
        self.policy, self.config, self.root = policy, config, root
        self.transform = (lambda image: augment_image(image, generator)) if generator else None

    def __call__(self, studies: Sequence[Study]) -> Any:
        first = [study.model_copy(update={"images": study.images[:1]}) for study in studies]
        return encode_prompts(self.policy, first, self.config, image_root=self.root, transform=self.transform)


def _train(
    policy: Policy,
    heads: WordHeads,
    inputs: _Inputs,
    studies: Sequence[Study],
    targets: torch.Tensor,
    epochs: int,
    generator: random.Random,
) -> tuple[float, float]:
    learning = [*policy.model.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(learning, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(studies) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    policy.model.train()
    seen_loss = said_loss = float("nan")
    with progress_bar() as progress:
        task = progress.add_task("warm-up", total=steps, note="")
        for epoch in range(epochs):
            order = generator.sample(range(len(studies)), len(studies))
            total = torch.zeros(2)
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                if len(rows) == 1:
                    continue  # one row has no spread to standardise by
                batch = inputs([studies[row] for row in rows])
                seen, said = heads.losses(policy.model, batch, targets[rows].to(policy.device))
                loss = seen + said
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learning, 1.0)
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
                total += torch.stack([seen, said]).detach().cpu() * len(rows)
                progress.update(task, advance=1, note=f"loss {loss.item():.4f}")
            seen_loss, said_loss = (total / len(studies)).tolist()
            console.print(
                f"vision warm-up, epoch {epoch + 1}/{epochs}: seen {seen_loss:.4f}, said {said_loss:.4f}"
            )
    heads.fold_into(policy.model.model.multi_modal_projector)
    return seen_loss, said_loss
