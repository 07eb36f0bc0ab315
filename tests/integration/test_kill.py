"""Kill -9 in every stage, run the same command again: the same files as an uninterrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.small import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PATIENCE_S = 900
"""A busy machine is no failure; the run takes half a minute on an idle one."""
LARGER = (
    "data.phantoms.train=160", "data.phantoms.test=40", "engine.workers=2", "model.tiny.warmup_epochs=1",
    "sft.epochs=1", "sft.evaluations=5", "explore.composite.encoder=rouge-l", "rft.steps=8",
    "evaluate.generation.batch_size=2", "evaluate.generation.max_new_tokens=48",
)  # fmt: skip


def _start(folder: Path, config: Path, *options: str) -> subprocess.Popen[bytes]:
    overrides = [part for setting in (*SMALL, *LARGER) for part in ("--set", setting)]
    command = [sys.executable, "-m", "radflow", "run", str(config), "-o", str(folder), *overrides, *options]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads on busy cores wait for each other, spinning
    return subprocess.Popen(
        command, env=one_thread, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


SAME = (
    "studies.jsonl", "left_out.jsonl", "sft_history.jsonl", "candidates.jsonl", "hard.jsonl",
    "unscored.jsonl", "criticality.jsonl", "predictions.jsonl", "scores.jsonl", "summary.json",
)  # fmt: skip
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "prepare": lambda folder: _lines(folder / "prepared.partial.jsonl") > 60,
    "sft": lambda folder: (folder / "checkpoints-sft" / "checkpoint-8" / "trainer_state.json").exists(),
    "exploration": lambda folder: _lines(folder / "generated.partial.jsonl") >= 30,
    "composite": lambda folder: _lines(folder / "candidates.jsonl") >= 64,
    "generation": lambda folder: _lines(folder / "predictions.partial" / "sft.jsonl") >= 6,
    "scoring": lambda folder: _lines(folder / "predictions.jsonl") >= 40,  # complete at once
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
    _finish(_start(folder, config))
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
        _kill_when(_start(folder, config), moment, partial(is_reached, folder))
        cut = STAGE_OF.get(moment, moment)
        assert not (folder / "manifests" / f"{cut}.json").exists(), f"{moment} was over when it was cut"
    _finish(_start(folder, config))
    assert json.loads((folder / "manifests" / "sft.json").read_text())["facts"]["resumed_from_step"] >= 8
    for name in SAME:
        assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    images = sorted(path.relative_to(folder) for path in (folder / "images").rglob("*.png"))
    assert images == sorted(
        path.relative_to(uninterrupted) for path in (uninterrupted / "images").rglob("*.png")
    )
    assert not list(folder.rglob("*.tmp")), "temporary files are left"


def test_a_killed_reinforcement_goes_on_to_its_last_step(
    uninterrupted: Path, config: Path, tmp_path: Path
) -> None:
    """Rollouts are made afresh after a checkpoint: the rest is as good, not the same."""
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted, folder)  # what stands before the stage would only cost time
    checkpoint = folder / "checkpoints-rft" / "checkpoint-4" / "trainer_state.json"
    process = _start(folder, config, "--redo", "rft")
    manifest = folder / "manifests" / "rft.json"
    _kill_when(process, "rft", lambda: not manifest.exists() and checkpoint.exists())
    _finish(_start(folder, config))
    assert json.loads(manifest.read_text())["facts"]["steps"] == 8
