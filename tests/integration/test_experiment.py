"""`radflow experiment` with real stages: killed at any moment it goes on; a real server judges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radflow.errors import JudgeError
from radflow.experiments.declaration import Request
from radflow.experiments.judge_agreement import JUDGE_AGREEMENT
from tests.integration.small import SMALL

PATIENCE_S = 900
ARMS = ("global", "hierarchical")


def start(folder: Path, config: Path) -> subprocess.Popen[bytes]:
    overrides = [part for setting in (*SMALL, "rft.steps=8") for part in ("--set", setting)]
    command = [
        sys.executable, "-m", "radflow", "experiment", "reward-ablation", str(config), "-o", str(folder),
        "--seeds", "3", "--arms", ",".join(ARMS), *overrides,
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output.decode()
    return output.decode()


def exists(*parts: str) -> Callable[[Path], bool]:
    return lambda folder: folder.joinpath("seed-3", *parts).exists()


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


MOMENTS = {
    "first arm's SFT": exists("global", "manifests", "sft.started.json"),
    "linking": exists("hierarchical", "images"),
    "second arm's RFT": exists("hierarchical", "manifests", "rft.started.json"),
    "second arm's evaluation": exists("hierarchical", "predictions.partial"),
}


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_killed_again_and_again_it_ends_with_all_arms_and_what_was_done_is_kept(tmp_path: Path) -> None:
    config, folder = tmp_path / "config.yaml", tmp_path / "out"
    config.write_text("seed: 0\n")
    made: dict[Path, int] = {}
    for moment, reached in MOMENTS.items():
        process = start(folder, config)
        deadline = time.monotonic() + PATIENCE_S
        while not reached(folder):
            assert process.poll() is None, f"it ended before {moment}"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for manifest in folder.glob("seed-3/*/manifests/*.json"):
            if not manifest.name.endswith(".started.json"):
                made.setdefault(manifest, manifest.stat().st_mtime_ns)
    output = finish(start(folder, config))
    for manifest, written in made.items():
        assert manifest.stat().st_mtime_ns == written, f"{manifest} was made again"
    found = results(folder)
    assert found["failures"] == []
    assert [arm["name"] for arm in found["arms"]] == ["start", *ARMS]
    assert "Arm minus hierarchical" in output
    sft = [folder / "seed-3" / arm / "model-sft" / "model.safetensors" for arm in ARMS]
    assert sft[0].stat().st_ino == sft[1].stat().st_ino, "one SFT model for all arms"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("manifests/*.json")}
    finish(start(folder, config))
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("manifests/*.json")}
    assert results(folder) == found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_real_server_is_compared_with_the_rules_or_said_to_be_useless(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So small a model hardly ever finishes a verdict: either answers and failures add up, or it says so."""
    monkeypatch.setenv("LLAMA_KEY", "sesame")
    config = tmp_path / "config.yaml"
    config.write_text("seed: 4\n")
    settings = (
        "data.phantoms.train=1", "data.phantoms.validation=1", "data.phantoms.test=12", "evaluate.limit=4",
        "data.phantoms.size=32", "engine.workers=1", f"judge.base_url={llama}", "judge.api_key_env=LLAMA_KEY",
        "judge.timeout_s=300", "judge.concurrency=1", "judge.retries=0", "judge.max_tokens=16",
        "judge.breaker_share=1.0",
    )  # fmt: skip
    said = ""
    try:
        JUDGE_AGREEMENT.run(Request(config=config, out=tmp_path / "out", overrides=settings))
    except JudgeError as error:
        said = str(error)
    if said:
        assert "the judge answered none of" in said
        return
    found = results(tmp_path / "out")
    reports = sum(found["cases"].values())
    assert found["agreement"]["all"][2] == reports - found["failed"]
    assert found["tally"]["answered"] == reports - found["failed"] > 0
    assert found["tally"]["prompt_tokens"] > found["tally"]["completion_tokens"] > 0
    assert found["seconds"]["language model"] > found["seconds"]["rules"] > 0
