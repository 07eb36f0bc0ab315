"""What reinforcement fine-tuning logs: one JSON object an entry, shown while it runs, kept when it is cut"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radflow.errors import RunError
from radflow.jsonl import write_text_atomically
from radflow.processes import is_first
from radflow.terminal import console, progress_bar

Row = dict[str, float]


class History:
    """Rows of rft_history.jsonl: ``step`` and numbers, never text. Of several processes the first writes.

    Args:
        resumed_step: rows after it are dropped, since these steps are made again; ``None`` starts afresh.
    """

    def __init__(self, path: Path, *, resumed_step: int | None) -> None:
        self.path = path
        known = read_history(path) if resumed_step is not None and path.exists() else []
        self.rows = [row for row in known if row["step"] <= (resumed_step or 0)]
        if is_first():
            write_text_atomically(path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def append(self, row: Row) -> None:
        self.rows.append(row)
        if not is_first():
            return
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")


def read_history(path: Path) -> list[Row]:
    """Rows of a history; a torn last line of a killed run is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


class ShowAndKeep(TrainerCallback):
    """Writes the history, shows steps, reward, clip and time left; stops a run whose loss is no number."""

    def __init__(self, history: History, *, steps: int) -> None:
        self.history = history
        self.progress = progress_bar()
        self.steps = steps
        self.note = ""

    def keep_start(self, scores: Mapping[str, float]) -> None:
        """The SFT model's own validation, before the first step."""
        self._validated(0, {f"eval_{name}": value for name, value in scores.items()})

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress.start()
        self.task = self.progress.add_task("rft", total=self.steps, completed=state.global_step, note="")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress.update(self.task, completed=state.global_step, note=self.note)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "eval_reward" in numbers:
            self._validated(state.global_step, numbers)
        elif "loss" in numbers:
            self._stepped(state.global_step, numbers)

    def _stepped(self, step: int, numbers: Mapping[str, float]) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(numbers.get(name, 0.0)):
                raise RunError(
                    f"{name} is {numbers[name]} at step {step}",
                    next_step="Lower rft.learning_rate (or rft.max_grad_norm) and run again with --redo rft.",
                )
        self.history.append({"step": step, **_finite(numbers)})
        parts = [f"reward {numbers['all/reward']:.3f}"] if "all/reward" in numbers else []
        clips = [
            f"{stratum} {numbers[key]:.4f}"
            for stratum in ("critical", "normal")
            if (key := f"{stratum}/clip_fraction") in numbers
        ]
        self.note = ", ".join(parts + ([f"clipped {' '.join(clips)}"] if clips else []))

    def _validated(self, step: int, numbers: Mapping[str, float]) -> None:
        row = {name.replace("eval_", "validation_", 1): value for name, value in numbers.items()}
        self.history.append({"step": step, **_finite(row)})
        sampled = f", {self.note}" if self.note else ""
        console.print(f"step {step}/{self.steps}: validation reward {numbers['eval_reward']:.3f}{sampled}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.progress.stop()


def _finite(numbers: Mapping[str, float]) -> Row:
    """JSON has no NaN: a mean over nothing is left out."""
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
