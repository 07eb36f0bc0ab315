"""Kill -9 in every stage, run the same command again: the same files as an uninterrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
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
    "rft": lambda folder: (folder / "checkpoints-rft" / "checkpoint-4" / "trainer_state.json").exists(),
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
    process = start(folder, config)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output.decode()
    return folder


@pytest.mark.parametrize("stage", MOMENTS)
def test_killed_run_ends_with_the_same_files(
    stage: str, uninterrupted: Path, config: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    redone = STAGE_OF.get(stage, stage)
    if redone == "prepare":
        process = start(folder, config)
    else:  # what stands before the stage is taken over: it would only cost time
        shutil.copytree(uninterrupted, folder)
        process = start(folder, config, "--redo", redone)
    deadline = time.monotonic() + PATIENCE_S
    while (folder / "manifests" / f"{redone}.json").exists() or not MOMENTS[stage](folder):
        assert process.poll() is None, f"the run ended before {stage} could be cut"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = start(folder, config)
    output, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, output.decode()
    if stage == "rft":  # rollouts are made afresh after a checkpoint: the rest is as good, not the same
        assert json.loads((folder / "manifests" / "rft.json").read_text())["facts"]["steps"] == 8
        return
    if stage == "sft":
        facts = json.loads((folder / "manifests" / "sft.json").read_text())["facts"]
        assert facts["resumed_from_step"] >= 8
    assert differing(folder, uninterrupted) == []
    assert not list(folder.rglob("*.tmp")), "temporary files are left"
