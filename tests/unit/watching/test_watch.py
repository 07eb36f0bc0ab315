"""`radflow watch` tells where a run is from its files, whatever state these are in."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.conftest import REPOSITORY

from radflow.config_file import load_config
from radflow.errors import RunError
from radflow.run_dir import LOCK, PROGRESS
from radflow.stages import STAGES
from radflow.watching.state import read_state
from radflow.watching.view import course, view

NAMES = [stage.name for stage in STAGES]
DEAD = 2**22 + 1  # above Linux's largest process number


def make_run(folder: Path, *, done: tuple[str, ...] = (), begun: str = "", process: int = DEAD) -> Path:
    (folder / "manifests").mkdir(parents=True)
    config = {"stages": ["prepare", "sft", "explore", "annotate", "rft", "evaluate", "report"]}
    for name in done:
        manifest = {"config": config, "wall_time_s": 61.0, "facts": {}}
        (folder / "manifests" / f"{name}.json").write_text(json.dumps(manifest))
    if begun:
        (folder / "manifests" / f"{begun}.started.json").write_text("{}")
    (folder / LOCK).write_text(f"{process} on {platform.node()}")
    return folder


def shown(folder: Path) -> str:
    console = Console(width=160, file=open(os.devnull, "w"), record=True)  # noqa: SIM115, PTH123
    console.print(view(read_state(folder, NAMES)))
    return console.export_text()


def states(folder: Path) -> dict[str, str]:
    return {stage.name: stage.state for stage in read_state(folder, NAMES).stages}


def test_a_finished_a_running_and_a_cut_run_are_told_apart(tmp_path: Path) -> None:
    all_done = make_run(tmp_path / "a", done=tuple(name for name in NAMES if name != "control"))
    assert "finished" in shown(all_done)
    assert "1 min 01 s" in shown(all_done)
    assert "control" not in states(all_done)
    running = make_run(tmp_path / "b", done=("prepare",), begun="sft", process=os.getpid())
    assert states(running)["sft"] == "running"
    assert f"process {os.getpid()}" in shown(running)
    cut = make_run(tmp_path / "c", done=("prepare",), begun="sft")
    assert (states(cut)["sft"], states(cut)["rft"]) == ("cut", "waiting")
    assert "the same command goes on" in shown(cut)


def test_a_run_of_another_machine_is_judged_by_its_last_trace(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", done=("prepare",), begun="sft")
    (run / LOCK).write_text("12 on elsewhere")
    assert states(run)["sft"] == "cut"
    (run / PROGRESS).write_text(json.dumps({"updated": time.time() - 5}))
    assert states(run)["sft"] == "running"
    (run / PROGRESS).write_text(json.dumps({"updated": time.time() - 5000}))
    assert states(run)["sft"] == "cut"


CRITICAL, NORMAL = "critical/clip_fraction", "normal/clip_fraction"
HISTORY: list[dict[str, Any]] = [
    {"step": 0, "validation_reward": 2.5, "validation_label_f1": 0.8},
    {
        "step": 1,
        "loss": 0.0,
        "all/reward": 2.25,
        "critical/clip_fraction": 0.03,
        "normal/clip_fraction": 0.01,
    },
    {
        "step": 2,
        "loss": 0.0,
        "all/reward": 2.75,
        "critical/clip_fraction": 0.06,
        "normal/clip_fraction": 0.02,
    },
]


def test_losses_rewards_and_the_clip_of_each_stratum_are_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", done=("prepare", "sft"), begun="rft", process=os.getpid())
    (run / "sft_history.jsonl").write_text('{"step": 10, "loss": 1.5}\n{"step": 20, "eval_loss": 0.75}\n')
    (run / "rft_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in HISTORY) + '{"torn": ')
    progress = {"task": "rft", "completed": 2, "total": 60, "seconds_left": 185, "per_second": 0.25,
                "note": "reward 2.750"}  # fmt: skip
    (run / PROGRESS).write_text(json.dumps({"stage": "rft", **progress, "updated": time.time()}))
    text = shown(run)
    for told in ("2/60", "3 min 05 s left", "4.0 s each", "training loss", "1.500", "0.750", "2.750",
                 "from 2.250", "clipped, critical", "0.0600", "clipped, normal", "0.0200"):  # fmt: skip
        assert told in text, told


def test_signatures_are_shown_while_they_can_still_be_acted_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", done=("prepare", "sft"), begun="rft", process=os.getpid())
    rows = [{"step": step, "all/reward": 1.0, "all/reward_consistency": -1.0} for step in range(6)]
    (run / "rft_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "inconsistent-everywhere (so far)" in shown(run)


def test_half_written_files_are_not_there_yet(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", begun="prepare", process=os.getpid())
    (run / "manifests" / "sft.json").write_text('{"wall_time_s": 1')
    (run / PROGRESS).write_text("")
    assert states(run)["sft"] == "waiting"
    assert shown(run)


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        read_state(tmp_path, NAMES)


def test_a_course_rises_and_falls_with_its_values() -> None:
    assert course([0, 1, 2, 7]) == "▁▂▃█"
    assert course([1.0, 1.0]) == "▁▁"
    assert len(course(list(range(1000)))) == 32


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "radflow", *arguments]


@pytest.mark.slow
def test_a_run_is_followed_from_outside_and_left_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    counts = ("train=600", "validation=4", "test=4", "size=64")
    overrides = [word for count in counts for word in ("--set", f"data.phantoms.{count}")]
    config = str(REPOSITORY / "configs/quickstart.yaml")
    with subprocess.Popen(
        command("prepare", config, "-o", str(run), *overrides), stderr=subprocess.DEVNULL
    ) as process:
        seen: set[str] = set()
        bars: list[float] = []
        while process.poll() is None:
            if (run / "manifests").is_dir():
                state = read_state(run, NAMES)
                seen.add(state.stages[0].state)
                bars.append(float(state.progress.get("completed") or 0))
            time.sleep(0.1)
    assert process.returncode == 0
    assert "running" in seen
    assert bars == sorted(bars) or bars[-1] == 0  # it only grows, and goes when the stage is done
    assert max(bars) > 0
    assert not (run / PROGRESS).exists()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = subprocess.run(command("watch", str(run)), capture_output=True, text=True, check=True)
    assert "prepare" in done.stdout
    lines = subprocess.run(command("--json", "watch", str(run)), capture_output=True, text=True, check=True)
    told = json.loads(lines.stdout)
    assert told["stages"][0] == {"name": "prepare", "state": "done", "seconds": told["stages"][0]["seconds"]}
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert load_config(REPOSITORY / "configs/quickstart.yaml")
