"""Which checkpoint a training goes on from: the newest whole one, whatever a kill or a power cut did."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from radflow.training.checkpoints import CheckpointLoading, last_whole_checkpoint


def checkpoint(folder: Path, step: int, *, best: int | None = None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"a": torch.zeros(300), "b": torch.ones(2, 2)}, path / "model.safetensors")
    torch.save({"state": torch.zeros(2000)}, path / "optimizer.pt")
    named = None if best is None else f"/elsewhere/checkpoint-{best}"
    (path / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": named}))
    return path


def last(folder: Path) -> str | None:
    found = last_whole_checkpoint(folder)
    return found.name if found else None


def test_the_newest_by_its_step(tmp_path: Path) -> None:
    assert last(tmp_path) is None
    for step in (2, 10, 4):
        checkpoint(tmp_path, step)
    assert last(tmp_path) == "checkpoint-10"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_one_that_lost_the_end_of_a_file_is_passed_over(tmp_path: Path, name: str, left: float) -> None:
    checkpoint(tmp_path, 2)
    newest = checkpoint(tmp_path, 4)
    os.truncate(newest / name, int(left * (newest / name).stat().st_size))
    assert last(tmp_path) == "checkpoint-2"
    assert not newest.exists()


def test_one_whose_best_is_gone_is_not_gone_on_from(tmp_path: Path) -> None:
    """The trainer would look for it in the end, after hours."""
    checkpoint(tmp_path, 2)
    checkpoint(tmp_path, 6, best=4)
    assert last(tmp_path) == "checkpoint-2"
    checkpoint(tmp_path, 4, best=4)
    assert last(tmp_path) == "checkpoint-6"


def test_a_clock_that_was_set_back_does_not_delete_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4):
        ahead = checkpoint(tmp_path, step)
        os.utime(ahead, (time.time() + 86_400 + step,) * 2)

    def save(trainer: Any, *_: Any) -> None:
        checkpoint(tmp_path, 6)
        rotate_checkpoints(str(tmp_path), save_total_limit=2, use_mtime=True)

    monkeypatch.setattr(Trainer, "_save_checkpoint", save)
    trainer = object.__new__(CheckpointLoading)
    trainer.args = type("Arguments", (), {"output_dir": str(tmp_path)})()
    trainer._save_checkpoint(None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
