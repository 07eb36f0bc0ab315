"""What a trainer logged over its steps: one JSON object a step beside the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from radflow.jsonl import write_text_atomically
from radflow.processes import is_first

KEPT = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm")


def history_rows(log: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A trainer's ``state.log_history`` as one row a step, in order, without what only times the training.

    A trainer logs training and validation loss of a step apart. The history comes from the trainer's state,
    which a checkpoint holds too: a resumed training has the steps before it once, and none twice.
    """
    rows: dict[int, dict[str, Any]] = {}
    for entry in log:
        if "loss" in entry or "eval_loss" in entry:
            row = rows.setdefault(int(entry["step"]), {})
            row.update({key: entry[key] for key in KEPT if key in entry})
    return [{"step": step, **rows[step]} for step in sorted(rows)]


def write_history(path: Path, log: Iterable[Mapping[str, Any]]) -> None:
    if not is_first():
        return
    write_text_atomically(path, "".join(json.dumps(row) + "\n" for row in history_rows(log)))
