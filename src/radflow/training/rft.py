"""Reinforcement fine-tuning with CAPO: set TRL up, validate on greedy reports, keep the best, resume"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import EarlyStoppingCallback, PrinterCallback, ProgressCallback
from trl.trainer.grpo_config import GRPOConfig

from radflow.config import ModelConfig, RFTConfig, TrackingConfig
from radflow.errors import DataError, RunError
from radflow.models.shared_vision import images_seen_once
from radflow.models.vlm import Policy, lora_adapter, parameter_counts, part_of, pick_device
from radflow.records import Study
from radflow.training.capo import CAPOTrainer, Reward
from radflow.training.checkpoints import last_whole_checkpoint, step_of
from radflow.training.length_chunks import CHUNK_ROWS
from radflow.training.rft_history import History, Row, ShowAndKeep
from radflow.training.rft_validation import Validation
from radflow.training.rollout_rows import RolloutRows
from radflow.training.together import first_one_first
from radflow.training.trackers import trackers, tracking_arguments
from radflow.training.vllm_rollouts import vllm_arguments


class ReportRFTTrainer(CAPOTrainer):
    """CAPO that validates with greedy reports instead of sampled losses, and pads less."""

    chunk_rows = CHUNK_ROWS

    def __init__(self, *, validation: Validation | None, policy: Policy, **arguments: Any) -> None:
        self.validation = validation
        self.policy = policy
        super().__init__(processing_class=policy.processor, **arguments)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """``eval_reward`` and its terms, the same in every process."""
        assert self.validation is not None
        model = self.accelerator.unwrap_model(self.model)
        scores = self.validation(Policy(model, self.policy.processor))
        metrics = {f"eval_{name}": value for name, value in scores.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train_rft(
    policy: Policy,
    *,
    rows: RolloutRows,
    reward: Reward,
    validation: Sequence[Study],
    config: RFTConfig,
    model_config: ModelConfig,
    image_root: Path,
    ontology: str,
    checkpoints: Path,
    history: Path,
    logs: Path,
    seed: int,
    tracking: TrackingConfig = TrackingConfig(),  # noqa: B008 (frozen)
) -> tuple[Policy, dict[str, Any], list[Row]]:
    """Fine-tune by reinforcement, going on from the last whole checkpoint if there is one.

    Args:
        policy: the whole SFT model, adapters merged.
        reward: TRL's reward function; see `CAPOTrainer`.
        validation: studies whose greedy reports' reward decides early stopping and the best checkpoint; may
            be empty.
        ontology: whose labels the validation's label F1 compares.
        checkpoints: folder of the trainer's checkpoints.
        history: file with a JSON object per log entry and validation.
        logs: folder of TensorBoard events.
        tracking: who else gets what is logged.

    Returns:
        The policy at its best validation reward (the last step without validation), adapters merged; facts
        for the manifest; the history.

    Raises:
        ConfigError: CAPO can't act under these settings.
        RunError: too many rewards are undefined, or the loss is no longer a number.
    """
    validates = bool(validation and config.validate_every)
    with first_one_first():
        resumed_from = last_whole_checkpoint(checkpoints)
    resumed_step = step_of(resumed_from) if resumed_from else None
    kept = History(history, resumed_step=resumed_step)
    show = ShowAndKeep(kept, steps=config.steps)
    held_out = None
    if validates:
        held_out = Validation(
            validation[: config.validation_studies],
            reward=reward,
            model=model_config,
            max_new_tokens=config.max_new_tokens,
            image_root=image_root,
            ontology=ontology,
        )
    peft_config = set_learning(policy, config, model_config)
    trainer = ReportRFTTrainer(
        validation=held_out,
        policy=policy,
        model=policy.model,
        reward_funcs=reward,
        args=_arguments(
            config,
            model_config,
            policy,
            validates=validates,
            to=checkpoints,
            seed=seed,
            tracking=tracking_arguments(tracking, run_name=f"{image_root.resolve().name}-{logs.name}"),
        ),
        kappa=config.kappa if config.algorithm == "capo" else 1.0,
        criticality=config.criticality,
        max_failures=config.max_failures,
        train_dataset=rows.as_dataset(),
        eval_dataset=rows.as_dataset() if validates else None,  # never read: evaluate is ours
        peft_config=peft_config,
        callbacks=[show, *trackers(tracking, folder=logs)],
    )
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    if validates and config.patience:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=config.patience))
    if trainer.validation and not resumed_from:
        show.keep_start(trainer.validation(policy))
    started = time.perf_counter()
    try:
        with images_seen_once(policy.model):
            result = trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    except RuntimeError as error:
        if "probability tensor" not in str(error):  # torch's sampling
            raise
        raise RunError(
            f"the policy's probabilities are no numbers any more after step {trainer.state.global_step}",
            next_step="Lower rft.learning_rate (or rft.max_grad_norm) and run again with --redo rft.",
        ) from None
    finally:
        show.progress.stop()
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    best = trainer.state.best_model_checkpoint
    facts = {
        **parameter_counts(model),
        "steps": result.global_step,
        "resumed_from_step": resumed_step,
        "best_step": step_of(best) if best else None,
        "best_validation_reward": trainer.state.best_metric,
        "seconds": round(time.perf_counter() - started, 1),
        "reward_seconds": round(trainer.reward_seconds, 2),
        "gpu_peak_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
    }
    if peft_config is not None:
        model = model.merge_and_unload()
    return Policy(model, policy.processor), facts, kept.rows


def set_learning(policy: Policy, config: RFTConfig, model_config: ModelConfig) -> LoraConfig | None:
    """Freeze vision and connector; the language model learns whole, or the returned adapter does.

    A whole model learns in float32: in bfloat16 an update of 1e-5 on a weight of 0.05 rounds to nothing.
    """
    if learns_by_lora(config, model_config):
        # Dropout would make the adapter, and with it the ratio of two passes, random.
        return lora_adapter(policy.model, model_config.lora, dropout=0.0)
    policy.model.float()
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_(part_of(name) == "language")
    return None


def learns_by_lora(config: RFTConfig, model_config: ModelConfig) -> bool:
    return config.language == "lora" or (config.language == "auto" and model_config.name != "tiny")


def _arguments(
    config: RFTConfig,
    model: ModelConfig,
    policy: Policy,
    *,
    validates: bool,
    to: Path,
    seed: int,
    tracking: Mapping[str, Any],
) -> GRPOConfig:
    """TRL's arguments; what decides the loss is said explicitly, since TRL's defaults change.

    Raises:
        ConfigError: vLLM is asked for and not installed.
        DataError: the processes don't divide a generation batch.
    """
    every = _save_steps(config, validates=validates)
    autocast = model.bf16_autocast or policy.model.dtype == torch.bfloat16
    return GRPOConfig(
        output_dir=str(to),
        max_steps=config.steps,
        per_device_train_batch_size=_micro_batch(config),
        per_device_eval_batch_size=config.group_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        steps_per_generation=config.rollout_cuts,
        num_iterations=config.num_iterations,
        num_generations=config.group_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=round(config.warmup_fraction * config.steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        activation_checkpointing=config.gradient_checkpointing,
        loss_type=config.loss_type,
        beta=config.beta,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        scale_rewards=config.scale_rewards,
        importance_sampling_level=config.importance_sampling_level,
        use_bias_correction_kl=False,  # METHOD.md's KL term is not weighted by the ratio
        disable_dropout=True,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=0,
        **vllm_arguments(config),
        max_completion_length=config.max_new_tokens,
        log_completions=False,
        bf16=autocast,
        use_cpu=pick_device(model.device) == "cpu",
        eval_strategy="steps" if validates else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=validates,
        metric_for_best_model="eval_reward" if validates else None,
        greater_is_better=True,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=True,
        **tracking,
        seed=seed,
        data_seed=seed,
    )


def _micro_batch(config: RFTConfig) -> int:
    processes = int(PartialState().num_processes)
    completions, cuts = config.prompts_per_step * config.group_size, config.rollout_cuts * processes
    if completions % cuts:
        raise DataError(
            f"{completions} completions (rft.prompts_per_step x rft.group_size) can't be cut into {cuts}: "
            f"{config.rollout_cuts} micro-batches in {processes} processes",
            where="rft.prompts_per_step",
            next_step="Set it to a multiple.",
        )
    return completions // cuts


def _save_steps(config: RFTConfig, *, validates: bool) -> int:
    """Steps between checkpoints: where a generation batch is used up, so that a resumed run goes on alike."""
    wanted = config.validate_every if validates else max(1, config.steps // 10)
    return -(-wanted // config.steps_per_rollout) * config.steps_per_rollout
