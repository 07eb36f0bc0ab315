"""The history of a training: one row a step, none twice, nothing that only times it."""

from __future__ import annotations

import json
from pathlib import Path

from radflow.training.history import history_rows, write_history

LOG = [
    {"loss": 2.0, "learning_rate": 1e-3, "epoch": 0.1, "step": 10},
    {"eval_loss": 1.9, "eval_runtime": 3.0, "epoch": 0.1, "step": 10},
    {"loss": 1.0, "learning_rate": 5e-4, "epoch": 0.2, "step": 20},
    {"train_runtime": 9.0, "train_loss": 1.5, "epoch": 0.2, "step": 20},
]


def test_training_and_validation_loss_of_a_step_share_a_row() -> None:
    assert history_rows(LOG) == [
        {"step": 10, "loss": 2.0, "learning_rate": 1e-3, "epoch": 0.1, "eval_loss": 1.9},
        {"step": 20, "loss": 1.0, "learning_rate": 5e-4, "epoch": 0.2},
    ]


def test_a_step_logged_again_after_resuming_stands_once() -> None:
    again = [*LOG, {"loss": 0.9, "step": 20}]
    rows = history_rows(again)
    assert [row["step"] for row in rows] == [10, 20]
    assert rows[-1]["loss"] == 0.9


def test_the_file_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "sft_history.jsonl"
    path.write_text('{"step": 999}\n')
    write_history(path, LOG)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20]
