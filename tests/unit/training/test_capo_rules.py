"""CAPO's rules that need no model: what is refused before training, what is logged, when a run stops."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from radflow.errors import ConfigError, RunError
from radflow.records import RewardScore, RewardTerm
from radflow.training.capo import FAILURE_WINDOW, CAPOTrainer, DefinedReward
from radflow.training.capo_checks import CLIPPED_LOSSES, refuse_incompatible
from radflow.training.tally import Tally


def reward(**_: Any) -> list[float | None]:
    return []


async def awaited(**_: Any) -> list[float | None]:
    return []


def settings(**more: Any) -> Any:
    usual = {
        "loss_type": "grpo", "use_liger_kernel": False, "use_liger_loss": False, "log_completions": False,
        "disable_dropout": False, "num_iterations": 2, "steps_per_generation": 1,
        "gradient_accumulation_steps": 1,
    }  # fmt: skip
    return SimpleNamespace(**(usual | more))


def refused(given: Any = reward, *, kappa: float = 4.0, peft_config: Any = None, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_incompatible(settings(**more), given, kappa=kappa, peft_config=peft_config)
    assert caught.value.next_step
    return caught.value.where or ""


@pytest.mark.parametrize("loss_type", CLIPPED_LOSSES)
def test_losses_with_the_clip_are_let_through(loss_type: str) -> None:
    refuse_incompatible(settings(loss_type=loss_type), reward, kappa=4.0)


@pytest.mark.parametrize("given", [[reward], (reward,), "a-reward-model", nn.Linear(1, 1), awaited])
def test_a_reward_that_is_not_one_function_is_refused(given: Any) -> None:
    assert refused(given) == "reward_funcs"


@pytest.mark.parametrize("name", ["use_liger_kernel", "use_liger_loss"])
def test_either_liger_switch_is_refused_and_a_trl_without_them_is_not(name: str) -> None:
    assert name in refused(**{name: True})
    args = settings()
    delattr(args, name)
    refuse_incompatible(args, reward, kappa=4.0)


def test_completions_never_reach_a_log() -> None:
    assert refused(log_completions=True) == "log_completions"
    assert refused(log_completions=True, kappa=1.0) == "log_completions"


def test_dropout_is_refused_where_it_acts() -> None:
    adapter = SimpleNamespace(lora_dropout=0.1)
    assert refused(peft_config=adapter) == "lora_dropout"
    refuse_incompatible(settings(disable_dropout=True), reward, kappa=4.0, peft_config=adapter)
    refuse_incompatible(settings(), reward, kappa=4.0, peft_config=SimpleNamespace(lora_dropout=0.0))


@pytest.mark.parametrize(
    ("iterations", "steps", "accumulation", "acts"),
    [
        (1, 1, 1, False), (1, 2, 2, False), (1, 1, 2, False), (2, 1, 2, False), (2, 2, 4, False),
        (2, 1, 1, True), (1, 2, 1, True), (2, 2, 2, True), (1, 4, 2, True), (3, 1, 2, True),
    ],
)  # fmt: skip
def test_a_clip_that_can_never_act_is_refused_and_plain_grpo_is_not(
    iterations: int, steps: int, accumulation: int, acts: bool
) -> None:
    """It acts once a generation batch outlives an optimiser step."""
    counts = {
        "num_iterations": iterations, "steps_per_generation": steps,
        "gradient_accumulation_steps": accumulation,
    }  # fmt: skip
    refuse_incompatible(settings(**counts), reward, kappa=1.0)
    if acts:
        refuse_incompatible(settings(**counts), reward, kappa=4.0)
    else:
        assert "rft.num_iterations" in refused(**counts)


class Recorded:
    """A reward that keeps records; the second report's scorer fails."""

    def __init__(self) -> None:
        self.records: list[RewardScore] = []
        self.given: dict[str, Any] = {}

    def __call__(self, **columns: Any) -> list[float | None]:
        self.given = columns
        terms = [
            {"language": RewardTerm(value=0.5, weight=1), "impression": RewardTerm(value=None, weight=1)},
            {"language": RewardTerm(value=None, weight=1), "impression": RewardTerm(value=1.0, weight=1)},
            {"language": RewardTerm(value=0.25, weight=1), "impression": RewardTerm(value=0.0, weight=1)},
        ]
        totals = [0.5, None, 0.25]
        self.records = [
            RewardScore(study_id=str(place), total=total, terms=named)
            for place, (total, named) in enumerate(zip(totals, terms, strict=True))
        ]
        return totals


def test_trl_sees_0_for_an_undefined_reward_and_the_trainer_knows_which() -> None:
    own = Recorded()
    wrapped = DefinedReward(own)
    assert wrapped.terms == []
    assert wrapped(completions=["a", "b", "c"], log_metric=print) == [0.5, 0.0, 0.25]
    assert own.given == {"completions": ["a", "b", "c"]}, "its own means would hide the strata"
    assert wrapped.values == [0.5, None, 0.25]
    assert wrapped.terms[1] == {"language": None, "impression": 1.0}
    before = wrapped.seconds
    assert before > 0
    wrapped(completions=[])
    assert wrapped.seconds > before
    assert DefinedReward(reward).terms == []


def test_rewards_and_terms_are_logged_by_stratum_and_by_why_a_study_was_chosen() -> None:
    wrapped = DefinedReward(Recorded())
    wrapped(completions=["a", "b", "c"])
    trainer: Any = SimpleNamespace(_reward=wrapped, tally=Tally())
    rows = [{"is_critical": True}, {"is_critical": False, "chosen_as": "anchor"}, {"is_critical": False}]
    CAPOTrainer._tally_rewards(trainer, rows)
    assert trainer.tally.means() == {
        "all/applies_impression": 2 / 3, "all/applies_language": 2 / 3, "all/reward": 0.375,
        "all/reward_impression": 0.5, "all/reward_language": 0.375, "all/undefined": 1 / 3,
        "anchor/applies_impression": 1, "anchor/applies_language": 0, "anchor/reward_impression": 1,
        "anchor/undefined": 1,
        "critical/applies_impression": 0, "critical/applies_language": 1, "critical/reward": 0.5,
        "critical/reward_language": 0.5, "critical/undefined": 0,
        "normal/applies_impression": 1, "normal/applies_language": 0.5, "normal/reward": 0.25,
        "normal/reward_impression": 0.5, "normal/reward_language": 0.25, "normal/undefined": 0.5,
    }  # fmt: skip


def counting(max_failures: float) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(global_step=7),
        max_failures=max_failures,
        _recent_failures=deque(maxlen=FAILURE_WINDOW),
    )


def test_a_run_stops_above_the_share_of_failures_and_not_at_it() -> None:
    trainer = counting(0.25)
    CAPOTrainer._stop_at_too_many_failures(trainer, 2, 8)
    with pytest.raises(RunError, match="5 of the last 16 rewards are undefined") as caught:
        CAPOTrainer._stop_at_too_many_failures(trainer, 3, 8)
    assert caught.value.where == "step 7"


def test_failures_of_more_than_ten_batches_ago_are_forgotten() -> None:
    trainer = counting(1.0)
    for failed in (0, 4, *[0] * 9):
        CAPOTrainer._stop_at_too_many_failures(trainer, failed, 8)
    trainer.max_failures = 0.0
    CAPOTrainer._stop_at_too_many_failures(trainer, 0, 8)


@pytest.mark.parametrize(
    ("steps", "accumulation", "iterations", "is_vllm", "reuses"),
    [(1, 1, 2, False, True), (4, 4, 2, False, True), (2, 1, 2, False, False), (1, 1, 1, False, False),
     (1, 1, 2, True, False)],
)  # fmt: skip
def test_the_first_pass_is_the_old_policy_where_it_sees_the_whole_batch(
    steps: int, accumulation: int, iterations: int, is_vllm: bool, reuses: bool
) -> None:
    args = SimpleNamespace(steps_per_generation=steps, gradient_accumulation_steps=accumulation)
    trainer = SimpleNamespace(args=args, num_iterations=iterations, use_vllm=is_vllm)
    assert CAPOTrainer.reuses_first_pass.fget(trainer) is reuses  # type: ignore[attr-defined]
