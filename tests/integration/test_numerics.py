"""Losses are those of float64 references, degenerate groups make no NaN, equal runs are equal to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from radflow.training.vision_warmup import WordHead
from tests.integration.capo_case import tiny_policy, watch
from tests.integration.test_capo import _learning, batch, logps_by_hand, make, scored


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("numerics")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("together", [None, 40])
def test_sft_loss_and_its_gradient_are_those_of_float64(folder: Path, together: int | None) -> None:
    """The mean over report tokens; with gradient accumulation, the sum over those of all micro-batches."""
    model = tiny_policy(folder / "model").model
    ids = torch.randint(10, 250, (3, 9), generator=torch.Generator().manual_seed(5))
    labels = ids.clone()
    for row, prompt in enumerate((3, 6, 1)):
        labels[row, :prompt] = -100
    more = {} if together is None else {"num_items_in_batch": torch.tensor(together)}

    def shown(dtype: torch.dtype) -> tuple[float, np.ndarray, np.ndarray]:
        output = model.to(dtype)(input_ids=ids, labels=labels, **more)
        (gradient,) = torch.autograd.grad(output.loss, output.logits)
        return output.loss.item(), output.logits.detach().double().numpy(), gradient.double().numpy()

    loss, logits, gradient = shown(torch.float64)
    short, _, short_gradient = shown(torch.float32)
    targets = labels[:, 1:].numpy()
    counted = targets != -100
    of = counted.sum() if together is None else together
    picked = np.take_along_axis(log_softmax(logits[:, :-1]), np.maximum(targets, 0)[..., None], -1)[..., 0]
    expected = -(picked * counted).sum() / of
    by_hand = np.exp(log_softmax(logits))
    np.put_along_axis(
        by_hand[:, :-1],
        np.maximum(targets, 0)[..., None],
        np.take_along_axis(by_hand[:, :-1], np.maximum(targets, 0)[..., None], -1) - 1,
        -1,
    )
    by_hand[:, :-1] *= counted[..., None] / of
    by_hand[:, -1] = 0
    # Transformers computes the loss in float32 whatever the model's type is
    assert loss == pytest.approx(expected, rel=1e-6)
    assert short == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, by_hand, atol=1e-7)
    np.testing.assert_allclose(short_gradient, by_hand, atol=1e-6)


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [2, 1, 1]])
def test_warm_up_loss_is_that_of_float64(folder: Path, counts: list[int]) -> None:
    model = tiny_policy(folder / "model").model.double()
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64)
    targets = (torch.rand(len(counts), 6, generator=generator) < 0.4).double()
    targets[0] = 1 - targets[1]
    torch.manual_seed(0)
    head = WordHead(model.config.text_config.hidden_size, targets).double()
    ours = float(head.loss(model, pixels, targets, counts))

    with torch.no_grad():
        seen = model.model.vision_tower(pixels).last_hidden_state
        projected = model.model.multi_modal_projector(seen).numpy()
    flat = projected.reshape(-1, projected.shape[-1])
    patches = (projected - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-12)
    rows, first = [], 0
    for count in counts:
        own = patches[first : first + count]
        rows.append(np.concatenate([own.mean(1).mean(0), own.max(1).max(0)]))
        first += count
    pooled = np.stack(rows)
    pooled = (pooled - pooled.mean(0)) / np.sqrt(pooled.var(0) + 1e-5)
    logits = pooled @ head.words.weight.detach().numpy().T + head.words.bias.detach().numpy()
    share = np.clip(targets.numpy().mean(0), 1e-3, 1 - 1e-3)
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    weight = (1 / entropy) / (1 / entropy).mean()
    wanted = targets.numpy()
    cross = np.logaddexp(0, logits) - wanted * logits
    assert ours == pytest.approx(float((weight * cross).mean()), rel=1e-6)


def test_clip_fraction_and_movement_are_counted_token_by_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(folder, beta=0.04)
    model, inputs = trainer.model.double(), batch()

    def plain_pass(model: Any, ids: Tensor, mask: Tensor, keep: int, **_: Any) -> tuple[Tensor, Tensor, None]:
        logps = logps_by_hand(model, ids, mask, keep)
        trainer._logps = logps.detach()
        return logps, torch.zeros_like(logps), None

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", plain_pass)
    trainer.current_gradient_accumulation_steps = 1
    trainer.tally.means()
    trainer._compute_loss(model, inputs)
    told = trainer.tally.means()
    for stratum, wanted in (("critical", True), ("normal", False)):
        clipped, moved, apart, tokens = 0, 0.0, 0.0, 0
        for row in range(6):
            if bool(inputs["is_critical"][row]) is not wanted:
                continue
            epsilon, gain = (0.05 if wanted else 0.2), float(inputs["advantages"][row])
            for place in range(int(inputs["completion_mask"][row].sum())):
                change = float(trainer._logps[row, place] - inputs["old_per_token_logps"][row, place])
                gap = float(inputs["ref_per_token_logps"][row, place] - trainer._logps[row, place])
                ratio = np.exp(change)
                clipped += (ratio < 1 - epsilon and gain < 0) or (ratio > 1 + epsilon and gain > 0)
                moved += ratio - 1 - change
                apart += np.exp(gap) - 1 - gap
                tokens += 1
        assert told[f"{stratum}/clip_fraction"] == pytest.approx(clipped / tokens)
        assert told[f"{stratum}/moved"] == pytest.approx(moved / tokens, rel=1e-5)
        assert told[f"{stratum}/kl"] == pytest.approx(apart / tokens, rel=1e-5)
        assert clipped


GROUPS: dict[str, tuple[list[float | None], list[int]]] = {
    "all equal": ([0.5] * 4, [0, 1, 2, 3]),
    "equal after failures": ([0.5, None, 0.5, None], [0, 1, 2, 3]),
    "one left": ([None, None, 0.7, None], [0, 1, 2, 3]),
    "none left": ([None] * 4, [0, 1, 2, 3]),
    "two left": ([0.2, None, None, 0.8], [1, 2]),
}
"""Rewards of a group, and the rows that must learn nothing."""


@pytest.mark.parametrize("scale", ["none", "group", "batch"])
@pytest.mark.parametrize("name", GROUPS)
def test_degenerate_groups_make_no_nan(folder: Path, name: str, scale: str) -> None:
    rewards, idle = GROUPS[name]
    advantages = scored(folder, [*rewards, 0.1, 0.2, 0.3, 0.8], scale_rewards=scale, max_failures=1.0)
    assert torch.isfinite(advantages).all()
    assert advantages[idle].abs().max() < 1e-6
    assert (advantages[4:].abs() > 1e-3).any()


@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_a_batch_of_failures_makes_no_nan(folder: Path, scale: str) -> None:
    advantages = scored(folder, [None] * 8, scale_rewards=scale, max_failures=1.0)
    assert (advantages == 0).all()


@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_without_any_advantage_nothing_but_the_reference_pulls(folder: Path, beta: float) -> None:
    trainer = make(folder, beta=beta)
    inputs = {**batch(torch.float32), "advantages": torch.zeros(6)}
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, inputs)
    gradients = torch.autograd.grad(loss, _learning(trainer.model))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients) == bool(beta)


def test_equal_trainings_end_with_equal_weights(folder: Path, tmp_path: Path) -> None:
    """Same seed, same data, same processor: the same to the bit. Killed runs: test_kill.py."""
    one, other = (watch(tmp_path / "same") for _ in range(2))
    changed = watch(tmp_path / "same", seed=2)
    weights = [dict(trainer.model.named_parameters()) for trainer in (one, other, changed)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert not all(torch.equal(value, weights[2][name]) for name, value in weights[0].items())
