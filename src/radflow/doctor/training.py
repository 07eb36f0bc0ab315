"""Whether the trainings of a config can do what they are for: CAPO's clip can act, rows divide evenly"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from radflow.config import RFTConfig, RunConfig
from radflow.doctor.check import Check, ok, warning
from radflow.training.capo_checks import refuse_incompatible

SLOW = 3e-5
"""At this learning rate and below, no sample of a small model left its clip range (docs/capo.md)."""


def capo_checks(config: RunConfig) -> Iterator[Check]:
    """What RFT would refuse when it starts, hours later; and settings that leave CAPO idle.

    Raises:
        ConfigError: CAPO can't act under these settings.
    """
    rft = config.rft
    if "rft" not in config.stages:
        return
    if rft.algorithm == "grpo":
        yield ok("capo", "rft.algorithm is grpo, the control without CAPO's clip")
        return
    refuse_incompatible(_arguments(rft), _reward, kappa=rft.kappa)
    if rft.kappa == 1:
        remedy = "Set rft.kappa above 1, or say rft.algorithm: grpo."
        yield warning("capo", "rft.kappa is 1: critical samples are clipped like all others", remedy)
        return
    if config.model.is_made and rft.learning_rate <= SLOW:
        remedy = "Raise rft.learning_rate; rft_history.jsonl tells the clip fraction of every step."
        yield warning("capo", f"at learning rate {rft.learning_rate:g} a small model hardly moves", remedy)
    updates = rft.micro_batches_per_rollout / rft.gradient_accumulation
    yield ok(
        "capo",
        f"the clip can act: {updates:g} updates a rollout, {rft.epsilon:g} for normal and "
        f"{rft.epsilon / rft.kappa:g} for critical samples",
    )


def _reward(**_: object) -> list[float | None]:
    """Stands for the hierarchical reward, which is one function too."""
    return []


def _arguments(rft: RFTConfig) -> SimpleNamespace:
    """What of TRL's arguments the check reads."""
    return SimpleNamespace(
        loss_type=rft.loss_type,
        log_completions=False,
        disable_dropout=True,
        num_iterations=rft.num_iterations,
        steps_per_generation=rft.rollout_cuts,
        gradient_accumulation_steps=rft.gradient_accumulation,
    )
