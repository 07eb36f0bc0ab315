"""SIGTERM ends a command as Ctrl-C does: one sentence, an exit code of its own, no training left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radflow import cli_launch
from radflow.cli import app
from radflow.stages import pipeline
from radflow.stopping import Ended, ended_like_interrupted, undisturbed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(pipeline, "run_stages", stopped)
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    try:
        result = CliRunner().invoke(app, ["run", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "run")])
    finally:
        for one, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(one, handler)
    assert result.exit_code == code
    assert "what is done is kept" in result.stderr


def test_sigterm_is_its_own_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Ended), ended_like_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_in_what_must_not_be_disturbed_counts_afterwards() -> None:
    done: list[str] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def work() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done == ["all of it"]
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
        with undisturbed():
            pass
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_launcher_is_asked_to_end_before_the_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed outright, it would leave its trainings behind."""
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    script += "print(1, flush=True); time.sleep(60)"
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    launcher.stdout.readline()
    wait, calls = launcher.wait, []

    def interrupted(timeout: float | None = None) -> int:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(timeout)

    monkeypatch.setattr(launcher, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cli_launch._ended(launcher)
    launcher.stdout.close()
    assert launcher.returncode == 7
