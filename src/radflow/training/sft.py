"""Supervised fine-tuning on TRL's SFTTrainer: the loss falls on the report only, never on prompt or image.

What is ours here: the rows and their order (`report_rows`), checkpoints that come back (`checkpoints`), and
what the user sees.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl.trainer.sft_config import SFTConfig as TRLSFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from radflow.config import ModelConfig, SFTConfig, TrackingConfig
from radflow.errors import ModelError, RunError
from radflow.models.prompts import target_text
from radflow.models.vlm import Policy, parameter_counts, pick_device, set_trainable
from radflow.processes import process_count
from radflow.records import Study
from radflow.terminal import console, progress_bar
from radflow.training.checkpoints import CheckpointLoading, last_whole_checkpoint, step_of
from radflow.training.history import write_history
from radflow.training.report_rows import LengthGroupedSampler, NewEpoch, ReportRows, with_others_images
from radflow.training.together import first_one_first
from radflow.training.trackers import trackers, tracking_arguments

SMALL_VOCABULARY = 8192


class ReportSFTTrainer(CheckpointLoading, SFTTrainer):
    """TRL's SFTTrainer with rows of alike length in a batch and checkpoints that come back."""

    def __init__(self, *, lengths: Sequence[int], **arguments: Any) -> None:
        self.lengths = lengths
        super().__init__(**arguments)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return LengthGroupedSampler(self.lengths, self.args.train_batch_size, seed=self.args.seed)

    def _send_telemetry(self) -> None:
        """TRL would tell its makers which model is trained: nothing leaves this machine unasked."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss per report token.

        TRL's head computes logits in pieces and once more in the backward pass. That saves the memory of
        large vocabularies; a small one is faster without (a sixth of a step of the tiny model).
        """
        if self.accelerator.unwrap_model(model).config.get_text_config().vocab_size > SMALL_VOCABULARY:
            return super().compute_loss(  # type: ignore[no-untyped-call]
                model, inputs, return_outputs, num_items_in_batch
            )
        inputs["use_cache"] = False
        return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)

    def loss_on(self, rows: ReportRows) -> float:
        """Mean loss per report token, in nats, of the model as it is now; logs nothing."""
        loader = self.get_eval_dataloader(rows.as_dataset())
        output = self.evaluation_loop(loader, "loss", prediction_loss_only=True, metric_key_prefix="rows")
        return float((output.metrics or {})["rows_loss"])


class ProgressAndSafety(TrainerCallback):
    """Shows steps, loss and time left, keeps the history; stops a run whose loss is no longer a number."""

    def __init__(self, history: Path | None = None) -> None:
        self.history = history
        self.progress = progress_bar()
        self.loss = self.validation_loss = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.progress.start()
        self.task = self.progress.add_task("sft", total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.progress.update(self.task, completed=state.global_step, note=self.loss + self.validation_loss)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        if self.history is not None:
            write_history(self.history, state.log_history)
        for key in ("loss", "eval_loss"):
            if key in logs and not math.isfinite(logs[key]):
                raise RunError(
                    f"{key} is {logs[key]} at step {state.global_step}",
                    next_step="Lower sft.learning_rate (or sft.max_grad_norm) and run again with --redo sft.",
                )
        if "loss" in logs:
            self.loss = f"loss {logs['loss']:.3f}"
        if "eval_loss" in logs:
            self.validation_loss = f", validation {logs['eval_loss']:.3f}"
            console.print(f"step {state.global_step}/{state.max_steps}: {self.loss}{self.validation_loss}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.progress.stop()


def train_sft(
    policy: Policy,
    *,
    train: Sequence[Study],
    validation: Sequence[Study],
    config: SFTConfig,
    model_config: ModelConfig,
    image_root: Path,
    checkpoints: Path,
    logs: Path,
    seed: int,
    history: Path | None = None,
    tracking: TrackingConfig = TrackingConfig(),  # noqa: B008 (frozen)
) -> tuple[Policy, dict[str, Any]]:
    """Fine-tune, going on from the last whole checkpoint if there is one.

    Args:
        validation: studies whose loss decides early stopping and the best checkpoint; may be empty.
        checkpoints: folder of the trainer's checkpoints.
        logs: folder of TensorBoard events.
        history: file for losses and learning rate, one JSON object a logged step.
        tracking: who else gets what is logged.

    Returns:
        The policy at its best validation loss (the last step without validation), and facts for the manifest.
        Among them ``image_gap``: by how much the validation loss rises, in nats per token, when the reports
        stand beside other studies' images. Near 0, the model writes without looking.

    Raises:
        RunError: the loss is no longer a number.
    """
    peft_config = set_trainable(policy.model, model_config)
    rows = ReportRows(train, model_config, image_root=image_root, augment=config.augment, seed=seed)
    held_out = ReportRows(validation, model_config, image_root=image_root, augment=False, seed=seed)
    progress = ProgressAndSafety(history)
    trainer = _make_trainer(
        model=policy.model,
        args=_arguments(
            config,
            model_config,
            studies=len(train),
            validates=bool(validation),
            autocast=model_config.bf16_autocast or policy.model.dtype == torch.bfloat16,
            checkpoints=checkpoints,
            seed=seed,
            tracking=tracking_arguments(tracking, run_name=f"{image_root.resolve().name}-{logs.name}"),
        ),
        train_dataset=rows.as_dataset(),
        eval_dataset=held_out.as_dataset() if validation else None,
        processing_class=policy.processor,
        peft_config=peft_config,
        callbacks=[progress, NewEpoch(rows), *trackers(tracking, folder=logs)],
        lengths=[len(target_text(study.report)) for study in train],
    )
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    if validation and config.patience:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=config.patience))
    with first_one_first():
        resumed_from = last_whole_checkpoint(checkpoints)
    started = time.perf_counter()
    try:
        result = trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    finally:
        progress.progress.stop()
    if history is not None:
        write_history(history, trainer.state.log_history)
    best_loss = trainer.state.best_metric
    others = ReportRows(
        with_others_images(validation), model_config, image_root=image_root, augment=False, seed=seed
    )
    last_loss = next(entry["loss"] for entry in reversed(trainer.state.log_history) if "loss" in entry)
    model: Any = trainer.model
    return Policy(model, policy.processor), {
        **parameter_counts(model),
        "train_studies": len(train),
        "validation_studies": len(validation),
        "steps": result.global_step,
        "resumed_from_step": step_of(resumed_from) if resumed_from else None,
        "train_loss": round(last_loss, 4),
        "best_validation_loss": best_loss,
        "image_gap": None if best_loss is None else round(trainer.loss_on(others) - best_loss, 4),
        "seconds": round(time.perf_counter() - started, 1),
        "gpu_peak_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
    }


def _make_trainer(**arguments: Any) -> ReportSFTTrainer:
    """The trainer, with what learns in float32.

    In bfloat16 an update of 1e-4 on a weight of 0.05 rounds to nothing; the forward pass is autocast instead.

    Raises:
        ModelError: the LoRA target matches no layer.
    """
    try:
        trainer = ReportSFTTrainer(**arguments)
    except ValueError as error:
        if "target modules" not in str(error).lower() and "target_modules" not in str(error):
            raise
        raise ModelError(
            "the LoRA target matches no layer of the model",
            where="model.lora.target",
            next_step="Use all-linear, or a regular expression of module names.",
        ) from None
    model: Any = trainer.model
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return trainer


def _arguments(
    config: SFTConfig,
    model: ModelConfig,
    *,
    studies: int,
    validates: bool,
    autocast: bool,
    checkpoints: Path,
    seed: int,
    tracking: Mapping[str, Any],
) -> TRLSFTConfig:
    together = config.batch_size * process_count()
    steps_per_epoch = math.ceil(math.ceil(studies / together) / config.gradient_accumulation)
    total = max(1, math.ceil(steps_per_epoch * config.epochs))
    every = max(1, total // config.evaluations)
    return TRLSFTConfig(
        output_dir=str(checkpoints),
        max_steps=total,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=round(config.warmup_fraction * total),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        activation_checkpointing=config.gradient_checkpointing,
        completion_only_loss=True,
        loss_type="nll",
        max_length=None,  # truncation could cut image tokens away from their pixels
        bf16=autocast,
        use_cpu=pick_device(model.device) == "cpu",
        eval_strategy="steps" if validates else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=validates,
        metric_for_best_model="eval_loss" if validates else None,
        greater_is_better=False,
        logging_steps=max(1, min(10, total // 20)),
        logging_nan_inf_filter=False,  # a loss of NaN must be seen, not smoothed away
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=True,  # else a resumed run forgets its patience
        remove_unused_columns=False,
        **tracking,
        seed=seed,
        data_seed=seed,
    )
