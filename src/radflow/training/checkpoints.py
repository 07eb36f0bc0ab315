"""Checkpoints that really come back: which one is whole, and its weights into a model of any family."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForImageTextToText, Trainer


class CheckpointLoading(Trainer):
    """A Trainer, to be named left of TRL's, that loads plain models by their current names.

    save_pretrained writes some families (LLaVA) under older weight names, and the Trainer loads checkpoints
    by plain name, not strictly: a resumed run would start from the first weights, and the best checkpoint
    would never be taken, with no error (transformers 5.23).
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self._is_plain_model():
            self._load_weights(resume_from_checkpoint)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if self._is_plain_model():
            self._load_weights(str(self.state.best_model_checkpoint))
        else:
            super()._load_best_model()

    def _is_plain_model(self) -> bool:
        """Adapters, FSDP and DeepSpeed have loaders of their own, which keep names as they are."""
        return not (isinstance(self.model, PeftModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _load_weights(self, checkpoint: str) -> None:
        model: Any = self.model
        saved = AutoModelForImageTextToText.from_pretrained(
            checkpoint, dtype=model.dtype, use_safetensors=True, trust_remote_code=False
        )
        model.load_state_dict(saved.state_dict())


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; half-written ones are deleted.

    The trainer writes trainer_state.json last, so its absence marks a checkpoint that was cut.
    """
    whole: list[Path] = []
    for checkpoint in folder.glob("checkpoint-*"):
        if _is_json(checkpoint / "trainer_state.json"):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: str | Path) -> int:
    """The step that a checkpoint is named after."""
    return int(Path(checkpoint).name.removeprefix("checkpoint-"))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True
