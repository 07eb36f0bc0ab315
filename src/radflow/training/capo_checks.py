"""Before CAPO trains: settings under which its clip could not act are refused, and the clip is seen to act"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import trl
from torch import nn

from radflow.errors import ConfigError

CLIPPED_LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")


def refuse_incompatible(args: Any, reward: Any, *, kappa: float, peft_config: Any = None) -> None:
    """Look at TRL's arguments before a model is built.

    Args:
        args: TRL's GRPOConfig.
        kappa: 1 is plain GRPO, which may be on-policy.

    Raises:
        ConfigError: names the settings to change.
    """
    if isinstance(reward, (str, list, tuple, nn.Module)) or inspect.iscoroutinefunction(reward):
        raise ConfigError(
            "the reward must be one function that is called and returns",
            where="reward_funcs",
            next_step="TRL counts a None of one function among several as 0: add the terms up in one "
            "function that returns None for a row it can't score, as HierarchicalReward does.",
        )
    if args.loss_type not in CLIPPED_LOSSES:
        raise ConfigError(
            f"the loss {args.loss_type} doesn't clip at 1 - epsilon and 1 + epsilon, so CAPO can't act",
            where="rft.loss_type (loss_type)",
            next_step=f"Set it to one of {', '.join(CLIPPED_LOSSES)}; grpo is the paper's.",
        )
    if getattr(args, "use_liger_kernel", False) or getattr(args, "use_liger_loss", False):
        raise ConfigError(
            "Liger kernels may compute the loss by themselves, past CAPO's clip range",
            where="use_liger_kernel, use_liger_loss",
            next_step="Set them to False.",
        )
    if args.log_completions:
        raise ConfigError(
            "completions are report text, which must not reach a log",
            where="log_completions",
            next_step="Set it to False.",
        )
    if getattr(peft_config, "lora_dropout", 0) and not args.disable_dropout:
        raise ConfigError(
            "dropout makes the ratio of two passes random, and the clip with it",
            where="lora_dropout",
            next_step="Set it to 0, or disable_dropout to True.",
        )
    if kappa != 1:
        _refuse_inert(args)


def _refuse_inert(args: Any) -> None:
    """When a generation batch is used up within one optimiser step, the ratio is exactly 1 (METHOD.md)."""
    micro_batches = args.num_iterations * args.steps_per_generation
    if args.gradient_accumulation_steps % micro_batches == 0:
        raise ConfigError(
            f"every update is on-policy: num_iterations ({args.num_iterations}) x steps_per_generation "
            f"({args.steps_per_generation}) divides gradient_accumulation_steps "
            f"({args.gradient_accumulation_steps}), so the ratio is always 1 and CAPO's clip can never act",
            where="rft.num_iterations, rft.steps_per_generation, rft.gradient_accumulation",
            next_step="Set rft.num_iterations to 2 or more and leave rft.steps_per_generation null, or say "
            "rft.algorithm: grpo if that is what you want.",
        )


def require_that_epsilon_reaches_the_loss(trainer: Any) -> None:
    """Pass four made-up tokens through the trainer's own loss: two critical and two normal ones.

    Their ratios lie between the two clip ranges, above and below 1, so critical tokens must get no gradient
    and normal ones must. With kappa 1 there is one range and nothing to see.

    Raises:
        ConfigError: the loss did not clip so, or could not be computed.
    """
    if trainer.kappa == 1:
        return
    try:
        gradients = _gradients_of_made_up_tokens(trainer)
    except Exception as error:
        raise ConfigError(
            f"CAPO's self-test failed in the loss of trl {trl.__version__} ({type(error).__name__}: {error})",
            next_step="Install the trl version that constraints.txt names.",
        ) from error
    acts = [gradient != 0 for gradient in gradients]
    if acts != [False, True, False, True]:
        raise ConfigError(
            f"the clip range of each sample doesn't reach the loss (trl {trl.__version__}, "
            f"loss_type {trainer.loss_type}): critical tokens inside the normal range still learn",
            next_step="Install the trl version that constraints.txt names; if a subclass changes "
            "_compute_loss, it must read epsilon_low and epsilon_high there, which are tensors (batch, 1).",
        )


def _gradients_of_made_up_tokens(trainer: Any) -> list[float]:
    """Gradients of the log-probabilities of (critical, normal, critical, normal) tokens."""
    device = trainer.accelerator.device
    between = (1 + 1 / trainer.kappa) / 2
    up, down = 1 + between * trainer.epsilon_high, 1 - between * trainer.epsilon_low
    logps = torch.tensor([[up], [up], [down], [down]], device=device).log().requires_grad_()
    ones = torch.ones(4, 1, dtype=torch.long, device=device)
    critical = torch.tensor([True, False, True, False], device=device)
    inputs = {
        **dict.fromkeys(("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"), ones),
        "advantages": torch.tensor([1.0, 1.0, -1.0, -1.0], device=device),
        "old_per_token_logps": torch.zeros(4, 1, device=device),
        "ref_per_token_logps": logps.detach(),  # at the reference the KL term has no gradient
        "num_items_in_batch": torch.tensor(4, device=device),
        "is_critical": critical,
        "clip_factor": torch.where(critical, 1 / trainer.kappa, 1.0).unsqueeze(1),
    }

    def made_up_pass(*_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor, None]:
        trainer._logps = logps.detach()
        return logps, torch.zeros_like(logps), None

    accumulation = trainer.args.gradient_accumulation_steps
    trainer.current_gradient_accumulation_steps = accumulation  # the training loop sets it, later
    trainer._get_per_token_logps_and_entropies = made_up_pass
    try:
        trainer._compute_loss(trainer.model, inputs).backward()
    finally:
        del trainer._get_per_token_logps_and_entropies
        trainer.tally.means()
        for metrics in trainer._metrics.values():
            metrics.clear()
    assert logps.grad is not None
    return [float(gradient) for gradient in logps.grad.flatten()]
