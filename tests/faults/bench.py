"""A run folder to break, the command that meets the fault, and what a person then sees and still has."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from radflow import cli
from radflow.run_dir import content_hash
from radflow.stages import STAGES

STAGE = {stage.name: stage for stage in STAGES}
PATIENCE_S = 900
TIMED = ("rft_history.jsonl", "report.html")
"""What holds the time that things took, which no second run has."""
NAMES = [name for name in STAGE if name != "control"]


@dataclass(frozen=True)
class Seen:
    """One row of the table.

    Attributes:
        says: what the person reads, without the paths of this machine.
        exit: of the command that meets the fault.
        keeps: stages that are done, and what the unfinished one has written, before the second command.
        again: what the same command gives once the fault is gone.
    """

    says: str
    exit: int
    keeps: str
    again: str


@dataclass
class Bench:
    """One case's folders. Commands run in this process: loading torch anew for each would take minutes.
    Where something must happen to the process, they run apart.

    Attributes:
        whole: an undisturbed run of the same data and settings, to compare with; not to be changed.
        folder: the run folder to break; may not exist yet.
        data: the table and its images, where the case has a table.
        meets: what happens to the process of a command that runs apart.
        closing: what is open until the case is over.
    """

    whole: Path
    folder: Path
    config: Path
    settings: tuple[str, ...] = ()
    data: Path | None = None
    home: Path = field(default_factory=Path)

    meets: Callable[[subprocess.Popen[str], Bench], None] | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    def run(self, stage: str) -> tuple[int, str]:
        """Exit code and stderr of ``radflow run``, up to and with a stage."""
        upto = f"stages=[{','.join(NAMES[: NAMES.index(stage) + 1])}]"
        options = [part for setting in (*self.settings, upto) for part in ("--set", setting)]
        command = ["run", str(self.config), "-o", str(self.folder), *options]
        return run_command(command) if self.meets is None else self._run_apart(command)

    def _run_apart(self, command: Sequence[str]) -> tuple[int, str]:
        """The same in a process group of its own, which something happens to meanwhile."""
        assert self.meets is not None
        process = subprocess.Popen(
            [sys.executable, "-m", "radflow", *command],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=_hear_interrupts,
        )
        self.meets(process, self)
        _, told = process.communicate(timeout=PATIENCE_S)
        return process.returncode, told

    def take_over(self, *, before: str) -> None:
        """Make the run folder a copy of the whole run up to a stage."""
        shutil.copytree(self.whole, self.folder, symlinks=True)
        for name in NAMES[NAMES.index(before) :]:
            for file in (f"manifests/{name}.json", *STAGE[name].files):
                remove(self.folder / file)

    def kept(self, stage: str) -> str:
        """Stages that are done, and the files of the given one, with rows where it has such."""
        done = [name for name in NAMES if (self.folder / f"manifests/{name}.json").is_file()]
        parts = [describe(self.folder / name) for name in STAGE[stage].files if (self.folder / name).exists()]
        if stage in done:
            parts = []
        found = "; ".join(part for part in (", ".join(done), ", ".join(parts)) if part) or "nothing"
        return re.sub(r" \(\d+ rows?\)", "", found) if self.meets else found  # there it is chance, how many

    def compared(self, stage: str) -> str:
        """Whether all that the stages up to this one wrote is what the whole run has, byte for byte."""
        names = [name for one in NAMES[: NAMES.index(stage) + 1] for name in STAGE[one].outputs]
        other = [
            name
            for name in names
            if name not in TIMED
            and content_hash_or_none(self.folder / name) != content_hash_or_none(self.whole / name)
        ]
        return "the same files" if not other else f"other files: {', '.join(other)}"

    def cleaned(self, text: str) -> str:
        """A message without what differs from machine to machine."""
        for path, name in (
            (self.folder, "RUN"),
            (self.data, "DATA"),
            (self.config, "CONFIG"),
            (self.home, "HOME"),
        ):
            if path is not None:
                text = text.replace(str(path), name)
        text = re.sub(r"\(process \d+ on [^)]+\)", "(process 1234 on HOST)", text)
        text = re.sub(r"\b\d+ bytes instead of \d+", "N bytes instead of M", text)
        return " ".join(text.split())


def _hear_interrupts() -> None:
    """What runs in the background of a shell ignores Ctrl-C, and so do those that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


Fault = Callable[[Bench], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """One row of the table of faults.

    Attributes:
        stage: whose command meets the fault.
        fault: what happens, in words; with the stage it names the case.
        breaks: a context: entering it breaks something, leaving it mends that.
        shows: pattern of what to quote of a command that ends well.
        settings: of the run, beside those of the whole run.
        on: what is broken: a small table of images, or a copy of the small run.
        compares: whether the end is compared with the whole run, which had the same settings.
        is_dear: takes more than a few seconds: not run unless RADFLOW_FAULTS is all.
    """

    stage: str
    fault: str
    breaks: Fault
    shows: str = ""
    settings: tuple[str, ...] = ()
    on: str = "run"
    compares: bool = True
    is_dear: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.stage, self.fault


def observe(case: Case, bench: Bench) -> Seen:
    """Break, run, look; mend, run again, look."""
    with case.breaks(bench):
        code, text = bench.run(case.stage)
        says = quoted(case, bench.cleaned(text), code)
        try:
            keeps = bench.kept(case.stage)
        except PermissionError:  # that is the fault
            keeps = ""
    keeps = keeps or bench.kept(case.stage)
    again, more = bench.run(case.stage)
    if again:
        return Seen(says, code, keeps, error_in(bench.cleaned(more)))
    outcome = bench.compared(case.stage) if case.compares else "goes on to its end"
    skipped = f"{case.stage} is done already, skipped" in " ".join(more.split())
    return Seen(says, code, keeps, f"is done already; {outcome}" if skipped else outcome)


def quoted(case: Case, text: str, code: int) -> str:
    """The error, or what the case looks for in a command's messages."""
    if code == 0 or case.shows:
        found = re.findall(case.shows, text) if case.shows else []
        return "; ".join(found)
    return error_in(text)


def error_in(text: str) -> str:
    return text[text.find("error: ") :] if "error: " in text else text


def run_command(arguments: Sequence[str]) -> tuple[int, str]:
    """``radflow`` as its entry point runs it; an exception that it lets through is a failure of the test."""
    told = StringIO()
    before = signal.getsignal(signal.SIGINT)
    with patch.object(sys, "argv", ["radflow", *arguments]), redirect_stderr(told):
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            signal.signal(signal.SIGINT, before)  # a stopped command leaves it to the system
    return code, told.getvalue()


def describe(path: Path) -> str:
    """Name of a file, with its rows where it grows row by row, or of a folder with its checkpoints."""
    if path.suffix == ".jsonl" and path.is_file():
        rows = path.read_bytes().count(b"\n")
        return f"{path.name} ({rows} row{'s' * (rows != 1)})"
    checkpoints = sorted(entry.name for entry in path.glob("checkpoint-*")) if path.is_dir() else []
    return f"{path.name} ({', '.join(checkpoints)})" if checkpoints else path.name


def content_hash_or_none(path: Path) -> str | None:
    return content_hash(path) if path.exists() else None


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def nothing(bench: Bench) -> Iterator[None]:
    """No fault: for data that are only unusual."""
    yield
