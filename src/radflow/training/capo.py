"""CAPO: GRPO whose clip range depends on how critical the sample's study is, on TRL's GRPOTrainer

    eps(x) = epsilon * kappa^(-c(x)),   c(x) in {0, 1}, or in [0, 1] when criticality is graded

What is ours: a factor per row that travels with the completions, set as tensors where TRL's loss reads its
scalars; logs per stratum; rewards that may be undefined. All else is TRL's, so kappa 1 is GRPO.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from accelerate.utils import gather
from torch import Tensor
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from radflow.errors import RunError
from radflow.training.capo_checks import refuse_incompatible, require_that_epsilon_reaches_the_loss
from radflow.training.checkpoints import CheckpointLoading
from radflow.training.image_counts import ARGUMENT, images_per_row
from radflow.training.length_chunks import LengthChunks
from radflow.training.tally import Tally

FAILURE_WINDOW = 10
STRATA = ("critical", "normal")
Reward = Callable[..., Sequence[float | None]]


class DefinedReward:
    """A reward function as TRL may see it: undefined rewards are 0 there and listed here.

    TRL prints the report of a completion whose reward is None into its log. It is told 0, and the trainer
    puts the NaN back in.

    Attributes:
        values: the last call's rewards.
        seconds: wall time of all calls in this process.
    """

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.__name__ = "total"
        self.values: list[float | None] = []
        self.seconds = 0.0

    def __call__(self, **columns: Any) -> list[float]:
        columns.pop("log_metric", None)  # a reward's own means; the trainer tallies them by stratum
        started = time.perf_counter()
        self.values = list(self.reward(**columns))
        self.seconds += time.perf_counter() - started
        return [0.0 if value is None else value for value in self.values]

    @property
    def terms(self) -> list[dict[str, float | None]]:
        """Value of each term, row by row, where the reward keeps records of its last call; else empty."""
        records = getattr(self.reward, "records", None) or ()
        return [{name: term.value for name, term in record.terms.items()} for record in records]


class CAPOTrainer(CheckpointLoading, LengthChunks, GRPOTrainer):
    """TRL's GRPOTrainer with CAPO's clip range.

    The data set needs the columns ``prompt``, ``is_critical`` (bool), with graded criticality ``criticality``
    (p in [0, 1]), and whatever the reward reads; ``chosen_as`` is logged apart where it is there.

    Args:
        reward_funcs: one reward function; a row may get None. Terms are logged when it keeps ``records``.
        kappa: how much narrower the clip range of critical samples is; 1 is GRPO.
        criticality: by the verdict, or by the probability.
        max_failures: share of undefined rewards, over the last ten generation batches, that stops the run.

    Raises:
        ConfigError: settings under which the clip range could never act, or would not reach the loss.
    """

    def __init__(
        self,
        *,
        reward_funcs: Reward,
        args: GRPOConfig,
        kappa: float = 4.0,
        criticality: Literal["binary", "graded"] = "binary",
        max_failures: float = 0.2,
        **arguments: Any,
    ) -> None:
        refuse_incompatible(args, reward_funcs, kappa=kappa, peft_config=arguments.get("peft_config"))
        self.kappa = kappa
        self.criticality = criticality
        self.max_failures = max_failures
        self.tally = Tally()
        self._reward = DefinedReward(reward_funcs)
        self._recent_failures: deque[tuple[int, int]] = deque(maxlen=FAILURE_WINDOW)
        self._leaves_out_next_pass = False
        self._logps: Tensor | None = None
        super().__init__(reward_funcs=self._reward, args=args, **arguments)  # type: ignore[arg-type]
        require_that_epsilon_reaches_the_loss(self)

    def _send_telemetry(self) -> None:
        """TRL would tell its makers which model is trained: nothing leaves this machine unasked."""

    def clip_factors(self, rows: Sequence[Mapping[str, Any]]) -> Tensor:
        """(rows, 1): what epsilon is multiplied with, in float32."""
        column = "is_critical" if self.criticality == "binary" else "criticality"
        exponents = torch.tensor([float(row[column]) for row in rows], dtype=torch.float64)
        return (self.kappa**-exponents).unsqueeze(1).to(self.accelerator.device, torch.float32)

    @property
    def is_training(self) -> bool:
        return bool(self.model.training)  # type: ignore[union-attr]

    @property
    def reward_seconds(self) -> float:
        """Wall time of the reward so far, in this process; validation's is not in it."""
        return self._reward.seconds

    @property
    def reuses_first_pass(self) -> bool:
        """Whether the first pass over a generation batch is the policy that wrote it.

        Then its log-probabilities are the old ones, and TRL's extra pass for them is saved.
        """
        args: Any = self.args
        return bool(
            args.steps_per_generation == args.gradient_accumulation_steps
            and self.num_iterations > 1
            and not self.use_vllm
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._leaves_out_next_pass = self.is_training and self.reuses_first_pass
        try:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        finally:
            self._leaves_out_next_pass = False
        output["clip_factor"] = self.clip_factors(inputs)
        critical = [bool(row["is_critical"]) for row in inputs]
        output["is_critical"] = torch.tensor(critical, device=self.accelerator.device)
        return output

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> tuple[Any, ...]:
        if self._leaves_out_next_pass:
            self._leaves_out_next_pass = False
            return None, None, None
        options.pop(ARGUMENT, None)  # of the processor; TRL's method doesn't know it
        model = arguments[0] if arguments else options["model"]
        with images_per_row(model, options.get("num_images")):
            passed: tuple[Any, ...] = super()._get_per_token_logps_and_entropies(*arguments, **options)
        self._logps = passed[0].detach()
        return passed

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        low, high = self.epsilon_low, self.epsilon_high
        factor = inputs["clip_factor"]
        self.epsilon_low, self.epsilon_high = low * factor, high * factor
        try:
            loss: Tensor = super()._compute_loss(model, inputs)  # type: ignore[no-untyped-call]
            self._tally_clip(inputs)
        finally:
            self.epsilon_low, self.epsilon_high = low, high
        if self.is_training and self.reuses_first_pass:
            inputs.setdefault("old_per_token_logps", self._logps)  # the buffered batch: later passes read it
        return loss

    @torch.no_grad()
    def _tally_clip(self, inputs: Mapping[str, Any]) -> None:
        """Clip fraction and movement of the policy, by stratum; epsilon is set to this batch's."""
        assert self._logps is not None
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        old = inputs.get("old_per_token_logps", self._logps)
        log_ratio = (self._logps - old).float() * mask
        moved = log_ratio.exp() - 1 - log_ratio
        if self.importance_sampling_level == "sequence":
            log_ratio = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        ratio, gain = log_ratio.exp(), inputs["advantages"].unsqueeze(1)
        too_low = (ratio < 1 - self.epsilon_low) & (gain < 0)
        too_high = (ratio > 1 + self.epsilon_high) & (gain > 0)
        measures = {"clip_fraction": (too_low | too_high).expand_as(moved), "moved": moved}
        if self.beta:
            to_reference = inputs["ref_per_token_logps"] - self._logps
            measures["kl"] = to_reference.exp() - to_reference - 1
        critical = inputs["is_critical"].unsqueeze(1)
        weights = torch.stack([mask * critical, mask * ~critical]).float()  # (strata, rows, tokens)
        values = torch.stack([value.float() for value in measures.values()])
        sums = torch.einsum("srt,mrt->sm", weights, values).tolist()
        counts = weights.sum(dim=(1, 2)).tolist()
        for stratum, row, count in zip(STRATA, sums, counts, strict=True):
            for name, total in zip(measures, row, strict=True):
                self.tally.add(f"{stratum}/{name}", total, count)

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *arguments: Any) -> Tensor:
        """(rows of all processes, 1): NaN where the reward is undefined, which TRL's group means skip."""
        rewards: Tensor = super()._calculate_rewards(inputs, *arguments)
        undefined = torch.tensor([value is None for value in self._reward.values], device=rewards.device)
        undefined = gather(undefined)
        rewards[undefined] = torch.nan
        self._tally_rewards(inputs)
        if self.is_training:
            self._stop_at_too_many_failures(int(undefined.sum()), len(undefined))
        return rewards

    def _tally_rewards(self, rows: Sequence[Mapping[str, Any]]) -> None:
        terms = self._reward.terms or [{} for _ in rows]
        for row, value, named in zip(rows, self._reward.values, terms, strict=True):
            groups = ["critical" if row["is_critical"] else "normal", "all"]
            if row.get("chosen_as"):
                groups.append(str(row["chosen_as"]))
            for group in groups:
                self.tally.add(f"{group}/undefined", value is None, 1)
                if value is not None:
                    self.tally.add(f"{group}/reward", value, 1)
                for name, term in named.items():
                    self.tally.add(f"{group}/applies_{name}", term is not None, 1)
                    if term is not None:
                        self.tally.add(f"{group}/reward_{name}", term, 1)

    def _stop_at_too_many_failures(self, failed: int, of: int) -> None:
        self._recent_failures.append((failed, of))
        failures, rewards = (sum(column) for column in zip(*self._recent_failures, strict=True))
        if failures > self.max_failures * rewards:
            raise RunError(
                f"{failures} of the last {rewards} rewards are undefined: the reward's scorer fails",
                where=f"step {self.state.global_step}",
                next_step="Check the judge (is its server up?) or rft.max_failures, then run the same "
                "command: it goes on from the last checkpoint.",
            )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's log entry, and what was tallied since the last one."""
        if self.is_training:
            for name, mean in self.tally.means().items():
                self._metrics["train"][name] = [mean]
        super().log(logs, start_time)
