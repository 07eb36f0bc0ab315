"""Settings of the trainings: supervised and reinforcement fine-tuning, the control, and who follows them."""

from __future__ import annotations

from math import gcd
from typing import Literal

from pydantic import Field, model_validator

from radflow.config_types import Fraction, Positive, Section


class SFTConfig(Section):
    epochs: float = Field(10, gt=0, description="Passes over the training studies.")
    learning_rate: float = Field(1e-4, gt=0, lt=1, description="Peak learning rate of AdamW.")
    batch_size: Positive = Field(32, description="Studies in one forward pass on one device.")
    gradient_accumulation: Positive = Field(1, description="Forward passes to one optimiser step.")
    warmup_fraction: Fraction = Field(0.05, description="Share of the steps over which the rate rises.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Learning-rate schedule.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    evaluations: int = Field(
        10, ge=1, description="Validation losses (and checkpoints) over the training, at least."
    )
    patience: int = Field(3, ge=0, description="Stop after so many validations without gain; 0 never stops.")
    augment: bool = Field(
        False,
        description="Random shifts, scale, rotation and contrast of training images; never flips sides.",
    )
    gradient_checkpointing: bool = Field(False, description="Trade compute for memory in large models.")


class RFTConfig(Section):
    algorithm: Literal["capo", "grpo"] = Field("capo", description="CAPO, or plain GRPO as its control.")
    steps: Positive = Field(120, description="Optimiser steps.")
    prompts_per_step: Positive = Field(16, description="Studies in one generation batch.")
    group_size: int = Field(8, ge=2, description="Completions per study, G.")
    num_iterations: Positive = Field(2, description="Passes over each generation batch, mu.")
    gradient_accumulation: Positive = Field(
        1, description="Forward passes to one optimiser step; raise it when memory is short."
    )
    steps_per_generation: int | None = Field(
        None,
        ge=1,
        description="Micro-batches into which one generation batch is cut, prompts_per_step x group_size "
        "completions by processes; null equals gradient_accumulation.",
    )
    learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of AdamW.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Learning-rate schedule.")
    warmup_fraction: Fraction = Field(0.05, description="Share of the steps over which the rate rises.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    language: Literal["auto", "lora", "full"] = Field(
        "auto",
        description="How the language model learns (vision and connector are frozen); auto is lora on top of "
        "the merged SFT model, and full for tiny.",
    )
    epsilon: float = Field(0.2, gt=0, lt=1, description="Clip range of normal samples, eps_normal.")
    epsilon_high: float | None = Field(
        None,
        gt=0,
        lt=10,
        description="Upper end of the clip range, where it differs: ratios above 1 + epsilon_high are "
        "clipped (DAPO: 0.28 beside 0.2); null is epsilon. Divided by kappa likewise.",
    )
    kappa: float = Field(4.0, ge=1, description="Critical samples are clipped at epsilon / kappa.")
    criticality: Literal["binary", "graded"] = Field(
        "binary",
        description="Clip range of a sample: by its verdict, or epsilon x kappa^-p with p its probability of "
        "being critical.",
    )
    beta: float = Field(0.0, ge=0, description="Weight of the KL term against the SFT model.")
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = Field(
        "grpo",
        description="How token losses add up; grpo is the paper's: mean over a report's tokens, then over "
        "reports. Losses without this clip (sapo, vespo, cispo) are not offered.",
    )
    importance_sampling_level: Literal["token", "sequence"] = Field(
        "token", description="Ratio and clip of each token, or of the whole report (GSPO)."
    )
    scale_rewards: Literal["none", "group", "batch"] = Field(
        "none",
        description="What advantages are divided by: nothing, or the reward's standard deviation in the "
        "group or the batch; dividing favours groups in which rewards hardly differ.",
    )
    temperature: float = Field(1.0, gt=0, le=5, description="Sampling temperature of the completions.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus that completions are sampled from.")
    max_new_tokens: Positive = Field(160, description="Length limit of a completion, tokens.")
    vllm: Literal["none", "colocate", "server"] = Field(
        "none",
        description="Who samples the completions: this model itself, or vLLM in this process (colocate) or "
        "in a server of its own; vLLM needs its package and a GPU.",
    )
    vllm_gpu_memory: Fraction = Field(0.3, description="Share of a GPU's memory for a colocated vLLM.")
    vllm_port: int = Field(
        8000, ge=1, le=65535, description="Port of `trl vllm-serve --host 127.0.0.1` on this machine."
    )
    validate_every: int = Field(
        20, ge=0, description="Steps between two validations, at least; 0 never validates."
    )
    validation_studies: Positive = Field(200, description="Validation studies that are used, at most.")
    patience: int = Field(0, ge=0, description="Stop after so many validations without gain; 0 never stops.")
    max_failures: Fraction = Field(
        0.2, description="Share of undefined rewards in the last ten batches above which the run stops."
    )
    logging_steps: Positive = Field(1, description="Steps that one row of rft_history.jsonl sums up.")
    gradient_checkpointing: bool = Field(False, description="Trade compute for memory in large models.")

    @model_validator(mode="after")
    def _refuse_inert_clip(self) -> RFTConfig:
        """With one optimiser step per generation the ratio is exactly 1 and CAPO is GRPO (METHOD.md)."""
        if self.algorithm == "capo" and self.gradient_accumulation % self.micro_batches_per_rollout == 0:
            raise ValueError(
                f"num_iterations is {self.num_iterations} and steps_per_generation does not exceed "
                "gradient_accumulation, so every update is on-policy, the ratio is always 1 and CAPO's clip "
                "can never act. Set num_iterations to 2 or more and leave steps_per_generation null, or say "
                "algorithm: grpo if that is what you want"
            )
        return self

    @model_validator(mode="after")
    def _divide_evenly(self) -> RFTConfig:
        completions, cuts = self.prompts_per_step * self.group_size, self.rollout_cuts
        if completions % cuts:
            raise ValueError(
                f"prompts_per_step x group_size is {completions} completions, which {cuts} micro-batches "
                "(steps_per_generation, or gradient_accumulation) do not divide"
            )
        return self

    @property
    def rollout_cuts(self) -> int:
        """Micro-batches into which one generation batch is cut."""
        return self.steps_per_generation or self.gradient_accumulation

    @property
    def micro_batches_per_rollout(self) -> int:
        """Forward and backward passes until new completions are generated."""
        return self.rollout_cuts * self.num_iterations

    @property
    def steps_per_rollout(self) -> int:
        """The fewest optimiser steps after which a generation batch is used up: checkpoints fall there."""
        return self.micro_batches_per_rollout // gcd(
            self.micro_batches_per_rollout, self.gradient_accumulation
        )


class ControlConfig(Section):
    steps: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps; null takes as many as fit into the time that explore, "
        "annotate and rft took, by the speed of the first fine-tuning.",
    )
    learning_rate: float | None = Field(
        None, gt=0, lt=1, description="Peak learning rate; null is a third of sft.learning_rate."
    )


class TrackingConfig(Section):
    report_to: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = Field(
        ("tensorboard",),
        description="Who else gets what the trainings log: TensorBoard events in the run folder's logs/, "
        "trackio's database on this machine, or Weights & Biases, which sends it to a server.",
    )
    allow_remote: bool = Field(
        False,
        description="Let losses, rewards, settings, paths and the machine's name leave it; reports never do.",
    )
    project: str = Field("radflow", min_length=1, description="What trackio and wandb file the run under.")

    @model_validator(mode="after")
    def _keep_numbers_here(self) -> TrackingConfig:
        if "wandb" in self.report_to and not self.allow_remote:
            raise ValueError(
                "wandb sends metrics, settings, paths and the machine's name to a server; say "
                "tracking.allow_remote: true if they may leave, or take tensorboard or trackio"
            )
        return self
