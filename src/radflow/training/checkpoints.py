"""Checkpoints that really come back: which one is whole, and its weights into a model of any family."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForImageTextToText, Trainer

from radflow.processes import is_first

STATE = "trainer_state.json"
IN_ZIP = (".pt", ".pth", ".bin")
"""What torch.save writes: an archive whose table of contents stands at its end."""


class CheckpointLoading(Trainer):
    """A Trainer, to be named left of TRL's, that loads plain models by their current names.

    save_pretrained writes some families (LLaVA) under older weight names, and the Trainer loads checkpoints
    by plain name, not strictly: a resumed run would start from the first weights, and the best checkpoint
    would never be taken, with no error (transformers 5.23).
    """

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        """Transformers deletes the checkpoints that are oldest by the clock: after one that was set back it
        would delete the newest. So those there get the times of their steps first."""
        if is_first():
            for checkpoint in Path(self.args.output_dir or ".").glob("checkpoint-*"):
                os.utime(checkpoint, (step_of(checkpoint),) * 2)
        super()._save_checkpoint(*arguments, **options)

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
    """The newest checkpoint that can be gone on from; broken ones are deleted.

    The trainer writes trainer_state.json last, so its absence marks a checkpoint that was cut. A power cut
    may also cost the ends of files that were written before it.
    """
    whole: list[Path] = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / STATE).is_file() and all(
            _is_whole(file) for file in checkpoint.rglob("*") if file.is_file()
        ):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return max((path for path in whole if _has_its_best(path)), key=step_of, default=None)


def step_of(checkpoint: str | Path) -> int:
    """The step that a checkpoint is named after."""
    return int(Path(checkpoint).name.removeprefix("checkpoint-"))


def _has_its_best(checkpoint: Path) -> bool:
    """Whether the checkpoint that was best by then, which the trainer takes in the end, is there too."""
    best = json.loads((checkpoint / STATE).read_bytes()).get("best_model_checkpoint")
    return best is None or (checkpoint.parent / Path(best).name).is_dir()


def _is_whole(file: Path) -> bool:
    """Whether nothing is missing at the file's end, as far as its kind tells; no weights are read."""
    if file.suffix == ".json":
        return _is_json(file)
    if file.suffix in IN_ZIP:
        return zipfile.is_zipfile(file)
    return file.suffix != ".safetensors" or _is_safetensors(file)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:  # neither JSON nor UTF-8
        return False
    return True


def _is_safetensors(path: Path) -> bool:
    """The header, whose length stands in the first 8 bytes, tells where the last tensor ends."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if not 0 < length <= path.stat().st_size:
            return False
        try:
            header = json.loads(handle.read(length))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + length + max(ends, default=0)
