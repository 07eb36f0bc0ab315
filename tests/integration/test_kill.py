"""Kill -9 in every stage, run the same command again: the same files as an uninterrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.killing import count_lines, differing, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PATIENCE_S = 900
"""A busy machine is no failure; the run takes half a minute on an idle one."""
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "prepare": lambda folder: count_lines(folder / "prepared.partial.jsonl") > 60,
    "sft": lambda folder: (folder / "checkpoints-sft" / "checkpoint-8" / "trainer_state.json").exists(),
    "exploration": lambda folder: count_lines(folder / "generated.partial.jsonl") >= 30,
    "composite": lambda folder: count_lines(folder / "candidates.jsonl") >= 64,
    "generation": lambda folder: count_lines(folder / "predictions.partial" / "sft.jsonl") >= 6,
    "scoring": lambda folder: count_lines(folder / "predictions.jsonl") >= 40,  # complete at once
}
STAGE_OF = {
    "exploration": "explore", "composite": "explore", "generation": "evaluate", "scoring": "evaluate",
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "kill.yaml"
    path.write_text("seed: 3\n")
    return path


@pytest.fixture(scope="module")
def uninterrupted(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    _finish(start(folder, config))
    return folder


def _finish(process: subprocess.Popen[bytes]) -> None:
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output.decode()


def _kill_when(process: subprocess.Popen[bytes], moment: str, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_reached():
        assert process.poll() is None, f"the run ended before {moment} could be cut"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_killed_in_every_stage_ends_with_the_same_files(
    uninterrupted: Path, config: Path, tmp_path: Path
) -> None:
    """One run, killed again and again, each time a stage or half a stage later."""
    folder = tmp_path / "run"
    for moment, is_reached in MOMENTS.items():
        _kill_when(start(folder, config), moment, partial(is_reached, folder))
        cut = STAGE_OF.get(moment, moment)
        assert not (folder / "manifests" / f"{cut}.json").exists(), f"{moment} was over when it was cut"
    _finish(start(folder, config))
    assert json.loads((folder / "manifests" / "sft.json").read_text())["facts"]["resumed_from_step"] >= 8
    assert differing(folder, uninterrupted) == []
    assert not list(folder.rglob("*.tmp")), "temporary files are left"


def test_a_killed_reinforcement_goes_on_to_its_last_step(
    uninterrupted: Path, config: Path, tmp_path: Path
) -> None:
    """Rollouts are made afresh after a checkpoint: the rest is as good, not the same."""
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted, folder)  # what stands before the stage would only cost time
    checkpoint = folder / "checkpoints-rft" / "checkpoint-4" / "trainer_state.json"
    process = start(folder, config, "--redo", "rft")
    manifest = folder / "manifests" / "rft.json"
    _kill_when(process, "rft", lambda: not manifest.exists() and checkpoint.exists())
    _finish(start(folder, config))
    assert json.loads(manifest.read_text())["facts"]["steps"] == 8
