"""Files of a run folder -> where the run is: stages, progress, losses, rewards, clip; nothing is written

What a run is writing at this moment may be torn or gone when it is read: that counts as not there yet.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from radflow.errors import RunError
from radflow.run_dir import LOCK, PROGRESS

StageState = Literal["done", "running", "cut", "waiting"]
HISTORIES = {"sft": "sft_history.jsonl", "rft": "rft_history.jsonl", "control": "control_history.jsonl"}
FRESH_S = 120.0
"""A run of another machine that wrote its progress so lately is taken to be running."""

Row = dict[str, float]


@dataclass(frozen=True)
class StageLine:
    """One stage.

    Attributes:
        seconds: wall time of a finished one.
    """

    name: str
    state: StageState
    seconds: float | None = None


@dataclass(frozen=True)
class RunState:
    """A run at one moment.

    Attributes:
        stages: in order; those that its config leaves out are missing.
        process: who works in it, ``None`` when nobody does.
        progress: the bar of the stage under way or cut: task, completed, total, seconds_left, note.
        histories: stage -> rows logged so far.
        signatures: what went wrong by the finished RFT's own account.
    """

    folder: Path
    stages: tuple[StageLine, ...]
    process: str | None
    progress: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, list[Row]] = field(default_factory=dict)
    signatures: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Nobody works in it: it is finished, or cut."""
        return self.process is None

    @property
    def is_finished(self) -> bool:
        return all(stage.state == "done" for stage in self.stages)


def read_state(folder: Path, stages: Sequence[str]) -> RunState:
    """Look at a run.

    Args:
        stages: all that there are, in order.

    Raises:
        RunError: no such folder, or no run in it.
    """
    if not (folder / "manifests").is_dir() and not (folder / LOCK).is_file():
        raise RunError("no run is here", where=str(folder), next_step="Give the folder after -o.")
    manifests = {name: _read_json(folder / "manifests" / f"{name}.json") for name in stages}
    begun = {name for name in stages if (folder / "manifests" / f"{name}.started.json").is_file()}
    progress = _read_json(folder / PROGRESS) or {}
    process = _working_process(folder, progress)
    asked = _stages_of_config(manifests) or [name for name in stages if name != "control"]
    lines = tuple(
        StageLine(name, _state(name, manifests, begun, process), _seconds(manifests[name]))
        for name in stages
        if name in asked or manifests[name] or name in begun
    )
    facts = (manifests.get("rft") or {}).get("facts", {})
    return RunState(
        folder=folder,
        stages=lines,
        process=process,
        progress=progress,
        histories={
            name: rows
            for name, file in HISTORIES.items()
            if name in stages and (rows := read_history(folder / file))
        },
        signatures=tuple(f"{sign['name']}: {sign['sign']}" for sign in facts.get("signatures", ())),
    )


def _state(name: str, manifests: Mapping[str, Any], begun: set[str], process: str | None) -> StageState:
    if manifests[name]:
        return "done"
    if name in begun:
        return "running" if process else "cut"
    return "waiting"


def _seconds(manifest: Mapping[str, Any] | None) -> float | None:
    return float(manifest["wall_time_s"]) if manifest and "wall_time_s" in manifest else None


def _stages_of_config(manifests: Mapping[str, Any]) -> list[str]:
    """The stages that the run was told to do, by the last finished one's record."""
    configs = [manifest["config"] for manifest in manifests.values() if manifest and "config" in manifest]
    return list(configs[-1].get("stages", ())) if configs else []


def _working_process(folder: Path, progress: Mapping[str, Any]) -> str | None:
    """The process that the lock names, if it lives; of another machine only the age of its trace tells."""
    try:
        text = (folder / LOCK).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    number, _, machine = text.partition(" on ")
    if not number.isdigit():
        return None
    if machine and machine != platform.node():
        is_fresh = time.time() - float(progress.get("updated", 0)) < FRESH_S
        return text if is_fresh else None
    return text if _lives(int(number)) else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_history(path: Path) -> list[Row]:
    """Rows logged so far; a torn last line is left out."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
    rows: list[Row] = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
