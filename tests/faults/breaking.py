"""Faults of a run folder and of the machine: lost and torn files, disks, signals, judges, numbers."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from radflow import jsonl
from tests.faults.bench import PATIENCE_S, Bench, Fault, remove
from tests.integration.killing import count_lines
from tests.judge_server import JudgeServer, Reply, completion

BLOCK = 4096
NOBODY = 65534
NOT_CRITICAL = '{"reason": "none", "is_critical": false, "confidence": 0.5}'


def torn(name: str) -> Fault:
    """A power cut: a finished file lacks its last block (a small one, its last half). Mended as the message
    says: what is torn is deleted."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        cut_end(bench.folder / name)
        yield
        remove(bench.folder / name.split("/")[0])

    return breaks


def cut_end(path: Path) -> None:
    size = path.stat().st_size
    os.truncate(path, size - BLOCK if size > 2 * BLOCK else size // 2)


def lost(name: str) -> Fault:
    """A file or folder of the run folder is gone; mended as the message says: its whole folder goes."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        assert (bench.folder / name).exists()
        remove(bench.folder / name)
        yield
        remove(bench.folder / name.split("/")[0])

    return breaks


def stopped(stage: str, *, at_write: int, cut: str | None = None) -> Fault:
    """Ctrl-C at a write of the stage's growing file; with ``cut``, a power cut after it that costs this
    file's end."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        with interrupted(at_write):
            if cut is None:
                yield
                return
            code, _ = bench.run(stage)
        assert code == 130
        cut_end(bench.folder / cut)
        yield

    return breaks


@contextmanager
def interrupted(at_write: int) -> Iterator[None]:
    """Ctrl-C in place of the so manieth write to a growing file."""
    writes = 0
    write = jsonl._GrowingFile._write

    def counted(self: Any, lines: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == at_write:
            raise KeyboardInterrupt
        write(self, lines)

    with patch.object(jsonl._GrowingFile, "_write", counted):
        yield


@contextmanager
def full_disk(bench: Bench) -> Iterator[None]:
    """The run folder on a file system of its own with 8 KiB left; then there is room again."""
    with mounted(bench.folder):
        free = os.statvfs(bench.folder).f_bavail * BLOCK
        filler = bench.folder / ".filler"
        filler.write_bytes(b"\0" * (free - 2 * BLOCK))
        yield
        filler.unlink()
        bench_copy(bench)


@contextmanager
def read_only(bench: Bench) -> Iterator[None]:
    with mounted(bench.folder):
        subprocess.run(["mount", "-o", "remount,ro", str(bench.folder)], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", str(bench.folder)], check=True)
        bench_copy(bench)


def bench_copy(bench: Bench) -> None:
    """Leave what the mounted folder holds behind, as if it went on there."""
    copy = bench.folder.with_name("copied")
    shutil.copytree(bench.folder, copy)
    subprocess.run(["umount", "-l", str(bench.folder)], check=True)  # a log may still be open
    bench.folder.rmdir()
    copy.rename(bench.folder)


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """What a folder holds, on a small file system in memory; needs the right to mount."""
    aside = folder.with_name("aside")
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        if folder.is_mount():
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def permission_denied(bench: Bench) -> Iterator[None]:
    """The run folder is somebody else's: root, whom no mode stops, becomes nobody for the command."""
    was, config = bench.folder, bench.config
    with TemporaryDirectory() as home, ExitStack() as rights:
        Path(home).chmod(0o755)  # a test's own folder lies in one that is closed to others
        bench.config = Path(shutil.copy(config, home))
        bench.folder = Path(shutil.move(was, Path(home, "run")))
        bench.folder.chmod(0o500)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
            rights.callback(os.seteuid, 0)
        yield
        rights.close()
        bench.folder.chmod(0o700)
        bench.config, bench.folder = config, Path(shutil.move(bench.folder, was))


@contextmanager
def taken(bench: Bench) -> Iterator[None]:
    """Another run works in the folder."""
    with (bench.folder / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def judge_down_after(answers: int, content: str) -> Fault:
    """The judge's server answers so many questions, then no more; later it is up again."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        is_up = False

        def script(request: dict[str, Any], number: int) -> Reply:
            return completion(content) if is_up or number < answers else Reply(status=503)

        server = bench.closing.enter_context(JudgeServer(script))
        bench.settings += (f"judge.base_url={server.url}",)
        yield
        is_up = True

    return breaks


@contextmanager
def clock_set_back(bench: Bench) -> Iterator[None]:
    """Each look at the clock finds it a minute earlier, and what is there is dated a day ahead."""
    later = time.time() + 86_400
    for path in bench.folder.rglob("*"):
        os.utime(path, (later, later))
    now = [later]

    def clock() -> float:
        now[0] -= 60
        return now[0]

    with patch.object(time, "time", clock):
        yield


def weights_of_nan(name: str) -> Fault:
    """A model whose weights are no numbers, as a learning rate far too high leaves it."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        from safetensors.torch import load_file, save_file

        path = bench.folder / name / "model.safetensors"
        before = path.read_bytes()
        weights = load_file(path)
        save_file({key: value * float("nan") for key, value in weights.items()}, path, {"format": "pt"})
        yield
        path.write_bytes(before)

    return breaks


def damaged_manifest(stage: str) -> Fault:
    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        cut_end(bench.folder / f"manifests/{stage}.json")
        yield
        (bench.folder / f"manifests/{stage}.json").unlink()

    return breaks


@contextmanager
def loss_of_nan(bench: Bench) -> Iterator[None]:
    """The loss is no number from the first step on."""
    from radflow.training.sft import ReportSFTTrainer

    compute = ReportSFTTrainer.compute_loss

    def broken(self: Any, *arguments: Any, **options: Any) -> Any:
        return compute(self, *arguments, **options) * float("nan")

    with patch.object(ReportSFTTrainer, "compute_loss", broken):
        yield


def rewards_undefined(*, after: int) -> Fault:
    """The reward's scorer fails for every report, after so many calls: a judge that is down."""

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        from radflow.stages import rft

        calls = 0

        class Failing(rft.HierarchicalReward):
            def __call__(self, *arguments: Any, **columns: Any) -> list[float | None]:
                nonlocal calls
                calls += 1
                rewards = super().__call__(*arguments, **columns)
                return rewards if calls <= after else [None] * len(rewards)

        with patch.object(rft, "HierarchicalReward", Failing):
            yield

    return breaks


def happens(action: Callable[[subprocess.Popen[str]], None], *, rows: int = 4) -> Fault:
    """Something happens to the process of `prepare` when it has prepared so many studies."""

    def meets(process: subprocess.Popen[str], bench: Bench) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while count_lines(bench.folder / "prepared.partial.jsonl") < rows:
            assert process.poll() is None, "it was over before anything could happen"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        action(process)

    @contextmanager
    def breaks(bench: Bench) -> Iterator[None]:
        bench.settings += ("engine.workers=2",)
        bench.meets = meets
        yield
        bench.meets = None
        bench.settings = bench.settings[:-1]

    return breaks


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def interrupt_twice(process: subprocess.Popen[str]) -> None:
    """As a terminal does it: the whole group."""
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.02)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)


def kill_worker(process: subprocess.Popen[str]) -> None:
    """As the system does it when memory runs out."""
    workers = [
        one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())
    ]
    workers[0].kill()
