"""CAPO: the loss is the formula, epsilon stays with its sample, kappa 1 is GRPO, a failure is no score."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from radflow.errors import ConfigError, RunError
from radflow.training.capo import CAPOTrainer
from tests.conftest import REPOSITORY
from tests.integration.capo_case import arguments, check_rows, letter_reward, rows, tiny_policy, watch

CRITICAL = torch.tensor([True, False, False, True, True, False])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("capo")


def make(
    folder: Path, kind: type[GRPOTrainer] = CAPOTrainer, reward: Any = letter_reward, **settings: Any
) -> Any:
    ours = {key: settings.pop(key) for key in ("kappa", "criticality", "max_failures") if key in settings}
    policy = tiny_policy(folder / "model")
    return kind(
        model=policy.model,
        processing_class=policy.processor,
        reward_funcs=reward,
        args=arguments(folder, **settings),
        train_dataset=rows(),
        **({"peft_config": settings.pop("peft_config")} if "peft_config" in settings else {}),
        **ours,
    )


def batch(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Six completions of different length whose old log-probabilities lie around the new ones."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([7, 3, 5, 1, 7, 6])
    mask = (torch.arange(7) < lengths[:, None]).long()
    factor = torch.where(CRITICAL, 0.25, 1.0).unsqueeze(1)
    return {
        "prompt_ids": torch.randint(10, 250, (6, 4), generator=generator),
        "prompt_mask": torch.ones(6, 4, dtype=torch.long),
        "completion_ids": torch.randint(10, 250, (6, 7), generator=generator),
        "completion_mask": mask,
        "advantages": torch.tensor([1.0, -0.7, 0.4, -1.2, 0.9, -0.3], dtype=dtype),
        "old_per_token_logps": -5.7 + 0.3 * torch.randn(6, 7, generator=generator, dtype=dtype),
        "ref_per_token_logps": -5.7 + 0.3 * torch.randn(6, 7, generator=generator, dtype=dtype),
        "num_items_in_batch": mask.sum(),
        "is_critical": CRITICAL,
        "clip_factor": factor,
    }


def logps_by_hand(model: Any, input_ids: Tensor, attention_mask: Tensor, keep: int) -> Tensor:
    logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -keep - 1 : -1]
    return logits.log_softmax(-1).gather(-1, input_ids[:, -keep:, None]).squeeze(-1)


def formula(
    logps: Tensor, inputs: dict[str, Tensor], *, beta: float, loss_type: str, level: str, high: float = 0.2
) -> Tensor:
    """METHOD's objective, sample by sample and token by token, with the sign of a loss."""
    sums, means, tokens = [], [], 0
    for row in range(len(logps)):
        factor = 0.25 if CRITICAL[row] else 1.0
        length = int(inputs["completion_mask"][row].sum())
        new, old = logps[row, :length], inputs["old_per_token_logps"][row, :length]
        ratio = (new - old).exp() if level == "token" else (new - old).mean().exp().expand(length)
        gain = inputs["advantages"][row]
        kept = torch.min(ratio * gain, ratio.clamp(1 - 0.2 * factor, 1 + high * factor) * gain)
        gap = inputs["ref_per_token_logps"][row, :length] - new
        total = (kept - beta * (gap.exp() - gap - 1)).sum()
        sums.append(total)
        means.append(total / length)
        tokens += length
    if loss_type == "grpo":
        return -torch.stack(means).mean()
    return -torch.stack(sums).sum() / {"bnpo": tokens, "dapo": tokens, "dr_grpo": 6 * 6}[loss_type]


@pytest.mark.parametrize(
    ("loss_type", "beta", "level", "high"),
    [
        ("grpo", 0.0, "token", 0.2), ("grpo", 0.04, "token", 0.2), ("bnpo", 0.0, "token", 0.2),
        ("dr_grpo", 0.0, "token", 0.2), ("dapo", 0.04, "token", 0.2), ("dapo", 0.0, "token", 0.28),
        ("grpo", 0.0, "sequence", 0.2), ("grpo", 0.02, "sequence", 0.28),
    ],
)  # fmt: skip
def test_loss_and_gradients_are_the_formula(
    folder: Path, loss_type: str, beta: float, level: str, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"loss_type": loss_type, "beta": beta, "importance_sampling_level": level}
    trainer = make(folder, **settings, epsilon_high=high)
    model, inputs = trainer.model.double(), batch()

    def plain_pass(model: Any, ids: Tensor, mask: Tensor, keep: int, **_: Any) -> tuple[Tensor, Tensor, None]:
        logps = logps_by_hand(model, ids, mask, keep)
        trainer._logps = logps.detach()
        return logps, torch.zeros_like(logps), None

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", plain_pass)
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(model, inputs)
    ours = torch.autograd.grad(loss, _learning(model))
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    options: dict[str, Any] = {"beta": beta, "loss_type": loss_type, "level": level, "high": high}
    wanted = formula(logps_by_hand(model, ids, mask, 7), inputs, **options)
    by_hand = torch.autograd.grad(wanted, _learning(model))
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-8)  # epsilon is float32
    for one, other in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    on_policy = {**inputs, "old_per_token_logps": trainer._logps}
    unclipped = formula(logps_by_hand(model, ids, mask, 7), on_policy, **options)
    assert abs(float(wanted - unclipped)) > 1e-3  # the batch has something to clip


def _learning(model: Any) -> list[Tensor]:
    return [p for name, p in model.named_parameters() if "vision" not in name and "projector" not in name]


def _gradients(trainer: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, dict(inputs))
    return loss.detach(), torch.autograd.grad(loss, _learning(trainer.model))


def _equal(one: tuple[Tensor, tuple[Tensor, ...]], other: tuple[Tensor, tuple[Tensor, ...]]) -> bool:
    return torch.equal(one[0], other[0]) and all(
        torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True)
    )


@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
def test_chunks_of_alike_length_change_nothing_but_the_padding(folder: Path, loss_type: str) -> None:
    inputs = batch(torch.float64)
    whole, parted = make(folder, loss_type=loss_type, beta=0.04), make(folder, loss_type=loss_type, beta=0.04)
    parted.chunk_rows = 2
    passes: list[tuple[int, int]] = []
    for trainer in (whole, parted):
        trainer.model.double()
        trainer.model.register_forward_pre_hook(
            lambda _, __, given: passes.append(tuple(given["input_ids"].shape)), with_kwargs=True
        )
    loss, gradients = _gradients(whole, inputs)
    ours, our_gradients = _gradients(parted, inputs)
    assert passes == [(6, 11), (2, 7), (2, 10), (2, 11)]  # prompts of 4, reports of 1 and 3, 5 and 6, 7 and 7
    mask = inputs["completion_mask"].bool()
    torch.testing.assert_close(parted._logps[mask], whole._logps[mask], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours, loss, rtol=1e-9, atol=1e-9)
    for one, other in zip(our_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)  # norms compute in float32


def test_rows_with_several_images_or_processes_are_not_parted(folder: Path) -> None:
    trainer = make(folder)
    trainer.chunk_rows = 2
    assert trainer._may_part(6, {"num_images": [1] * 6, "pixel_values": torch.zeros(6, 3, 2, 2)})
    assert not trainer._may_part(2, {})
    assert not trainer._may_part(6, {"num_images": [2] * 6, "pixel_values": torch.zeros(12, 3, 2, 2)})
    assert not trainer._may_part(6, {"num_images": [1] * 6, "image_grid_thw": torch.ones(6, 3)})
    trainer.chunk_rows = None
    assert not trainer._may_part(6, {})


@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
def test_kappa_one_is_grpo_to_the_bit(folder: Path, loss_type: str) -> None:
    inputs = batch(torch.float32)
    inputs["clip_factor"] = torch.ones(6, 1)
    grpo = _gradients(make(folder, GRPOTrainer, loss_type=loss_type, beta=0.04), inputs)
    capo = make(folder, kappa=1.0, loss_type=loss_type, beta=0.04)
    assert torch.equal(capo.clip_factors([{"is_critical": True}]), torch.ones(1, 1))
    assert _equal(_gradients(capo, inputs), grpo)
    assert not _equal(_gradients(make(folder, loss_type=loss_type, beta=0.04), batch(torch.float32)), grpo)


def test_on_policy_capo_is_grpo(folder: Path) -> None:
    """Without older log-probabilities the ratio is 1 and the clip range of no sample matters."""
    inputs = {key: value for key, value in batch(torch.float32).items() if key != "old_per_token_logps"}
    assert _equal(_gradients(make(folder), inputs), _gradients(make(folder, GRPOTrainer), inputs))


def test_a_whole_training_with_kappa_one_is_grpo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CAPOTrainer, "reuses_first_pass", False)
    trained = []
    for kind, more in ((GRPOTrainer, {}), (CAPOTrainer, {"kappa": 1.0})):
        trainer = make(folder, kind, **more)
        trainer.train()
        trained.append(trainer)
    for one, other in zip(*(trainer.model.parameters() for trainer in trained), strict=True):
        assert torch.equal(one, other)


def test_the_first_pass_serves_as_old_log_probabilities(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TRL computes in a pass of its own is what the first pass finds: losses agree to rounding."""
    losses = []
    for reuses in (True, False):
        monkeypatch.setattr(CAPOTrainer, "reuses_first_pass", reuses)
        trainer = make(folder)
        trainer.train()
        losses.append([row["loss"] for row in trainer.state.log_history if "loss" in row])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert any(abs(loss) > 1e-4 for loss in losses[0])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 1, "steps_per_generation": 2, "num_iterations": 1},
        {"criticality": "graded", "gradient_accumulation_steps": 2},
    ],
)
def test_epsilon_stays_with_its_sample(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Rows are shuffled, cut into micro-batches and used again; the prompt's tokens tell whose they are."""
    trainer = watch(tmp_path, max_steps=4, **settings)
    assert len(trainer.met) == 4 * 8 * settings.get("gradient_accumulation_steps", 1)
    check_rows(trainer)


@pytest.mark.slow
def test_epsilon_stays_with_its_sample_in_two_processes() -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "tests/integration/capo_case.py"]
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert [f"process {number} of 2" in done.stdout for number in (0, 1)] == [True, True]


def scored(folder: Path, rewards: list[float | None], **settings: Any) -> Tensor:
    """Advantages of two groups of four with these rewards."""
    trainer = make(folder, reward=lambda **_: rewards, **settings)
    trainer.model.train()
    studies = [trainer.train_dataset[number] for number in (0, 1) for _ in range(4)]
    return trainer._generate_and_score_completions(studies)["advantages"]


@pytest.mark.parametrize("scale", ["none", "group"])
def test_a_failed_score_is_its_own_row_s_alone(folder: Path, scale: str) -> None:
    rewards = [1.0, None, 0.25, 0.5, 0.1, 0.2, 0.3, 0.8]
    advantages = scored(folder, rewards, scale_rewards=scale)
    assert advantages[1] == 0
    for group in ([0, 2, 3], [4, 5, 6, 7]):
        values = torch.tensor([rewards[row] for row in group])
        spread = values.std() + 1e-4 if scale == "group" else 1.0
        torch.testing.assert_close(advantages[group], (values - values.mean()) / spread)


def test_a_group_without_any_score_learns_nothing(folder: Path) -> None:
    advantages = scored(folder, [None] * 4 + [0.1, 0.2, 0.3, 0.8], max_failures=0.5)
    assert advantages[:4].tolist() == [0] * 4
    assert (advantages[4:] != 0).all()


def test_failures_bring_no_report_into_a_log(
    folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[str] = []

    def failing(completions: Any, **_: Any) -> list[float | None]:
        written.extend(row[-1]["content"] for row in completions)
        return [None] * len(completions)

    trl_log = logging.getLogger("trl")
    trl_log.propagate, before = True, trl_log.propagate
    try:
        with caplog.at_level(logging.DEBUG), pytest.raises(RunError, match="undefined"):
            make(folder, reward=failing, max_failures=0.9).train()
    finally:
        trl_log.propagate = before
    shown = caplog.text + "".join(capsys.readouterr())
    texts = [text for text in written if len(text) > 4]
    assert texts
    assert not [text for text in texts if text in shown or repr(text)[1:-1] in shown]


def by_stratum(measures: dict[str, Tensor], mask: Tensor) -> dict[str, float]:
    """Mean of each measure over the tokens of critical and of normal samples, row by row."""
    found = {}
    for name, values in measures.items():
        for stratum, places in (("critical", [0, 3, 4]), ("normal", [1, 2, 5])):
            kept = torch.cat([values[row, : int(mask[row].sum())] for row in places])
            found[f"{stratum}/{name}"] = float(kept.double().mean())
    return found


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_what_is_logged_of_each_stratum_is_counted_token_by_token(folder: Path, level: str) -> None:
    trainer, inputs = make(folder, beta=0.04, importance_sampling_level=level, epsilon_high=0.28), batch()
    _gradients(trainer, inputs)
    logged, mask = trainer.tally.means(), inputs["completion_mask"]
    log_ratio = (trainer._logps - inputs["old_per_token_logps"]) * mask
    ratio = log_ratio.exp()
    if level == "sequence":
        ratio = (log_ratio.sum(1) / mask.sum(1)).exp()[:, None].expand(6, 7)
    low, high, gain = 0.2 * inputs["clip_factor"], 0.28 * inputs["clip_factor"], inputs["advantages"][:, None]
    gap = inputs["ref_per_token_logps"] - trainer._logps
    expected = by_stratum(
        {
            "clip_fraction": ((ratio < 1 - low) & (gain < 0)) | ((ratio > 1 + high) & (gain > 0)),
            "moved": log_ratio.exp() - 1 - log_ratio,
            "kl": gap.exp() - 1 - gap,
        },
        mask,
    )
    assert logged == pytest.approx(expected, abs=1e-5)
    assert 0 < logged["normal/clip_fraction"] < 1
    assert 0 < logged["critical/clip_fraction"] < 1
    assert trainer.tally.means() == {}
    assert (trainer.epsilon_low, trainer.epsilon_high) == (0.2, 0.28)  # as they were


def test_tokens_of_tools_are_not_the_policys(folder: Path) -> None:
    trainer, inputs = make(folder), batch(torch.float32)
    inputs["tool_mask"] = torch.ones(6, 7, dtype=torch.long)
    inputs["tool_mask"][:, 1:] = 0
    _gradients(trainer, inputs)
    first = (trainer._logps - inputs["old_per_token_logps"])[CRITICAL, 0]
    moved = (first.exp() - 1 - first).mean()
    assert trainer.tally.means()["critical/moved"] == pytest.approx(float(moved), abs=1e-5)


def test_the_self_test_leaves_no_trace(folder: Path) -> None:
    trainer = make(folder)
    assert trainer.tally.means() == {}
    assert not any(values for metrics in trainer._metrics.values() for values in metrics.values())
    assert "_get_per_token_logps_and_entropies" not in vars(trainer)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_too_many_failures_stop_the_run_and_few_do_not(folder: Path) -> None:
    def every_fourth(completions: Any, **_: Any) -> list[float | None]:
        return [None if row % 4 == 1 else row / 10 for row in range(len(completions))]

    with pytest.raises(RunError, match="2 of the last 8 rewards are undefined"):
        make(folder, reward=every_fourth, max_failures=0.2).train()
    trainer = make(folder, reward=every_fourth, max_failures=0.3)
    trainer.train()
    logged = [row["all/undefined"] for row in trainer.state.log_history if "all/undefined" in row]
    assert logged == [0.25, 0.25]


def test_strata_are_logged_apart(folder: Path) -> None:
    def by_stratum(is_critical: list[bool], **_: Any) -> list[float | None]:
        return [(2.0 if critical else 1.0) + row / 100 for row, critical in enumerate(is_critical)]

    trainer = make(folder, reward=by_stratum, learning_rate=3e-2, max_steps=12, epsilon=0.02)
    trainer.train()
    history = [row for row in trainer.state.log_history if "loss" in row]
    for row in history:
        assert row.get("critical/reward", 2.05) == pytest.approx(2.04, abs=0.05)
        assert row.get("normal/reward", 1.05) == pytest.approx(1.04, abs=0.05)
    first, later = history[0::2], history[1::2]
    names = ("critical/clip_fraction", "normal/clip_fraction")
    assert not any(row[name] for row in first for name in names if name in row)  # on-policy: nothing clips
    assert [any(row.get(name) for row in later) for name in names] == [True, True]
    for row in later:
        if set(names) & row.keys() == {"normal/clip_fraction"}:
            assert row["normal/clip_fraction"] == pytest.approx(row["clip_ratio/region_mean"], abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"loss_type": "sapo"}, "loss_type"),
        ({"loss_type": "vespo"}, "loss_type"),
        ({"loss_type": "cispo"}, "loss_type"),
        ({"log_completions": True}, "log_completions"),
        ({"num_iterations": 1}, "num_iterations"),
        (
            {"num_iterations": 2, "steps_per_generation": 1, "gradient_accumulation_steps": 2},
            "num_iterations",
        ),
    ],
)
def test_settings_under_which_capo_cannot_act_are_refused(
    folder: Path, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        make(folder, **settings)


def test_liger_is_refused(folder: Path) -> None:
    args = arguments(folder)
    args.use_liger_kernel = True
    policy = tiny_policy(folder / "model")
    with pytest.raises(ConfigError, match="use_liger_kernel"):
        CAPOTrainer(
            model=policy.model, processing_class=policy.processor, reward_funcs=letter_reward, args=args,
            train_dataset=rows(),
        )  # fmt: skip


@pytest.mark.parametrize("reward", [[letter_reward, letter_reward], "a-reward-model"])
def test_several_rewards_are_refused(folder: Path, reward: Any) -> None:
    with pytest.raises(ConfigError, match="reward_funcs"):
        make(folder, reward=reward)


def test_dropout_in_the_adapter_is_refused(folder: Path) -> None:
    policy = tiny_policy(folder / "model")
    with pytest.raises(ConfigError, match="lora_dropout"):
        CAPOTrainer(
            model=policy.model, processing_class=policy.processor, reward_funcs=letter_reward,
            args=arguments(folder, disable_dropout=False), train_dataset=rows(),
            peft_config=LoraConfig(lora_dropout=0.1, target_modules=["q_proj"]),
        )  # fmt: skip


def test_plain_grpo_may_be_on_policy(folder: Path) -> None:
    assert make(folder, kappa=1.0, num_iterations=1).kappa == 1


class IgnoresEpsilon(CAPOTrainer):
    """A subclass whose loss clips everybody alike."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        return super()._compute_loss(model, {**inputs, "clip_factor": torch.ones_like(inputs["clip_factor"])})


class NeverClips(CAPOTrainer):
    """A subclass whose loss has no clip."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        logps, *_ = self._get_per_token_logps_and_entropies(model)
        return -(logps.exp() * inputs["advantages"][:, None]).mean()


class OfAnotherVersion(CAPOTrainer):
    """A subclass whose loss asks for what TRL's other versions hand over."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        return inputs["entropy_quantile"]


def test_a_loss_that_cannot_be_computed_is_told_with_the_version_to_install(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"self-test failed .*KeyError: 'entropy_quantile'"):
        make(folder, OfAnotherVersion)


@pytest.mark.parametrize("kind", [IgnoresEpsilon, NeverClips])
def test_the_self_test_notices_a_loss_without_the_clip(folder: Path, kind: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="doesn't reach the loss"):
        make(folder, kind)
