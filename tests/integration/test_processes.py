"""Several processes train one model together, as one process would: the first keeps the run folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from radflow.cli_launch import run_launched
from radflow.config import JudgeConfig, RunConfig
from radflow.config_file import load_config
from radflow.errors import ConfigError
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training import together
from tests.integration.small import SMALL

CONFIGS = Path(__file__).parents[2] / "configs"
ALIKE = ("sft.augment=false", "model.lora.dropout=0")
# On CPUs accelerate's own launcher starts several processes by MPI only; torch's is what it uses for GPUs.
LAUNCH = f"{sys.executable} -m torch.distributed.run --standalone --nproc_per_node 2"


def launch(config: RunConfig, folder: Path, stage: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Two processes of one thread each."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [
        sys.executable,
        "-m",
        "radflow",
        stage,
        str(file),
        "-o",
        str(folder),
        "--launch",
        LAUNCH,
        *more,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "sft_history.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.slow
def test_two_processes_learn_as_one_that_accumulates_twice(tmp_path: Path) -> None:
    one = load_config(None, overrides=[*SMALL, *ALIKE, "sft.batch_size=4", "sft.gradient_accumulation=2"])
    two = load_config(None, overrides=[*SMALL, *ALIKE, "sft.batch_size=4", "sft.gradient_accumulation=1"])
    run_stages(one, tmp_path / "one", names=("prepare",))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    run_stages(one, tmp_path / "one", names=("sft",))
    done = launch(two, tmp_path / "two", "sft")
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    facts = RunDir(tmp_path / "two").manifest("sft")["facts"]  # type: ignore[index]
    assert facts["steps"] == RunDir(tmp_path / "one").manifest("sft")["facts"]["steps"]  # type: ignore[index]
    assert done.stderr.count("vision warm-up, epoch 1") == 1  # the second process is quiet and waits
    again = launch(two, tmp_path / "two", "sft")
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("done already, skipped") == 1
    assert len(list((tmp_path / "two" / "logs" / "sft").iterdir())) == 1


@pytest.mark.slow
def test_two_processes_reinforce_together(small_run: Path, small_config: RunConfig, tmp_path: Path) -> None:
    """Greedy validation of the SFT model is shared out, and is what one process finds."""
    folder = tmp_path / "run"
    shutil.copytree(small_run, folder)
    alone = [json.loads(line) for line in (folder / "rft_history.jsonl").read_text().splitlines()]
    done = launch(small_config, folder, "run", "--redo", "rft")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in (folder / "rft_history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [row["step"] for row in alone]
    assert rows[0] == pytest.approx(alone[0])
    assert (folder / "model-rft" / "model.safetensors").is_file()
    assert done.stderr.count("step 0/4: validation reward") == 1
    assert (folder / "summary.json").is_file()  # the stages after it follow in the command's own process


def test_a_launcher_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = load_config(None, overrides=SMALL)
    with pytest.raises(ConfigError, match="no-such-launcher can't be started"):
        run_launched(
            config, tmp_path, names=("sft",), redo=None, launcher="no-such-launcher -n 2", arguments=[]
        )


def test_only_a_training_is_launched_in_several_processes(
    small_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for names in (("prepare",), ("sft", "explore"), None):
        with pytest.raises(ConfigError, match="2 processes were launched for") as caught:
            run_stages(small_config, tmp_path / "run", names=names)
        assert '--launch "accelerate launch --num_processes 2"' in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_processes_share_the_judges_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = JudgeConfig(concurrency=16, requests_per_minute=100)
    monkeypatch.setenv("WORLD_SIZE", "3")
    shared = together.share_of_judge(judge)
    assert (shared.concurrency, shared.requests_per_minute, shared.tokens_per_minute) == (5, 33, None)
    monkeypatch.setenv("WORLD_SIZE", "17")
    with pytest.raises(ConfigError, match=r"judge\.concurrency: 16"):
        together.share_of_judge(judge)


@pytest.mark.parametrize("file", sorted((CONFIGS / "accelerate").glob("*.yaml")), ids=lambda file: file.stem)
def test_accelerate_reads_the_shipped_configs(file: Path) -> None:
    """Its own parser and the checks of its launcher, without a process started."""
    config = load_config_from_file(str(file))
    assert config.num_processes > 1
    arguments = launch_command_parser().parse_args(["--config_file", str(file), "-m", "radflow", "sft"])
    arguments, defaults, _ = _validate_launch_command(arguments)
    assert (arguments.multi_gpu, arguments.use_deepspeed) == (file.stem == "ddp", file.stem == "zero2")
    assert arguments.module
    assert defaults is config or defaults.num_processes == config.num_processes
