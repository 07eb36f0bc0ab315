"""What people and programs are told while a command works: bars and messages on stderr, results on stdout.

Three manners, chosen before the command: bars and messages; `--quiet`: errors only; `--json`: one JSON
object a line on stdout for every message, stage and progress, for programs that start radflow. A run also
keeps where it is in its folder (progress.json), for `radflow watch`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

PIPED_WIDTH = 160
SECONDS_BETWEEN = 1.0
"""Between two lines of progress, or two states of progress.json."""
LATE_S = 2.0
"""What is over sooner needs no bar."""


class Voice(Console):
    """The one console on stderr; as JSON it says the same on stdout, a line each.

    Attributes:
        as_json: whether programs listen.
    """

    as_json = False

    def print(self, *objects: Any, **options: Any) -> None:
        if not self.as_json:
            super().print(*objects, **options)
        elif text := _plain(objects, options):
            emit({"event": "message", "text": text})


def _plain(objects: tuple[Any, ...], options: dict[str, Any]) -> str:
    page = Console(file=StringIO(), width=PIPED_WIDTH, highlight=False)
    page.print(*objects, **options)
    assert isinstance(page.file, StringIO)
    return page.file.getvalue().strip()


# Not Jupyter's display, which prints, and would be redirected into a running bar and so into itself.
console = Voice(stderr=True, highlight=False, force_jupyter=False)


def set_manner(*, quiet: bool = False, as_json: bool = False) -> None:
    """Choose how the rest of this process talks; JSON goes before quiet."""
    console.as_json = as_json
    console.quiet = quiet and not as_json


def emit(event: dict[str, Any]) -> None:
    """One line of JSON for programs; holds numbers, names and ids, never text of reports."""
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Silence libraries, whose bars and notices would tear ours apart; enter before they are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # for their developers
        yield


def announce_stage(stage: str, state: str, text: str, **facts: Any) -> None:
    """A stage begins, ends or is skipped: a sentence for people, a line with its facts for programs."""
    if console.as_json:
        emit({"event": "stage", "stage": stage, "state": state, **facts})
    elif state == "started":
        console.rule(text, align="left")
    else:
        console.print(text)


def print_result(text: str) -> None:
    """Print a result on stdout, unformatted, so that it can be piped."""
    sys.stdout.write(text + "\n")


def print_table(table: Table) -> None:
    """Print a table on stdout; piped, it is as wide as it needs to be."""
    is_terminal = sys.stdout.isatty()
    Console(file=sys.stdout, highlight=False, width=None if is_terminal else PIPED_WIDTH).print(table)


class _Rate(ProgressColumn):
    """Rows a second, or seconds a row where that is the larger number."""

    def render(self, task: Task) -> Text:
        return Text(rate_text(task.finished_speed or task.speed))


def rate_text(per_second: float | None) -> str:
    """12.3/s, 4.1 s each; empty where nothing was measured yet."""
    if not per_second:
        return ""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"


class Bars(Progress):
    """Bars with count, elapsed and remaining time, throughput, and a free ``note`` field (loss, reward)."""

    shown = 0
    """How many are shown now: the terminal has room for one."""

    _last = float("-inf")

    def start(self) -> None:
        super().start()
        Bars.shown += 1

    def update(self, task_id: Any, **changes: Any) -> None:
        super().update(task_id, **changes)
        if (console.as_json or _followed) and time.monotonic() - self._last >= SECONDS_BETWEEN:
            self._last = time.monotonic()
            self._tell()

    def stop(self) -> None:
        if self.tasks and (console.as_json or _followed):
            self._tell()
        super().stop()
        Bars.shown = max(0, Bars.shown - 1)

    def _tell(self) -> None:
        state = _state_of(self.tasks[-1])
        if console.as_json:
            emit({"event": "progress", **state})
        if _followed:
            _keep(_followed[-1], state)


def _state_of(task: Task) -> dict[str, Any]:
    speed = task.finished_speed or task.speed
    return {
        "task": task.description,
        "completed": task.completed,
        "total": task.total,
        "per_second": None if speed is None else round(speed, 3),
        "seconds_left": None if task.time_remaining is None else round(task.time_remaining),
        "note": task.fields.get("note", ""),
    }


_followed: list[tuple[Path, str]] = []
"""Where progress is kept, and the stage that it is of; empty outside of runs."""


@contextmanager
def progress_kept_in(path: Path, *, stage: str) -> Iterator[None]:
    """Keep the state of the bars in a file while a stage works; it goes when the stage is done.

    After a kill it stays and tells how far the stage was.
    """
    _followed.append((path, stage))
    _keep((path, stage), {"task": stage, "completed": 0, "total": None, "note": ""})
    try:
        yield
        path.unlink(missing_ok=True)
    finally:
        _followed.pop()


def _keep(where: tuple[Path, str], state: dict[str, Any]) -> None:
    """Replace the file at once; a full disk must not stop the stage here, but where it writes results."""
    path, stage = where
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_text(json.dumps({"stage": stage, **state, "updated": time.time()}), encoding="utf-8")
        partial.replace(path)
    except OSError:
        return


def progress_bar() -> Bars:
    """A bar with count, elapsed and remaining time, throughput, and a free ``note`` field (loss, reward)."""
    return Bars(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        _Rate(),
        TextColumn("{task.fields[note]}"),
        console=console,
        # Into a file it would write nothing but an empty line.
        disable=console.quiet or console.as_json or not console.is_terminal,
    )


def with_late_bar(rows: Iterable[T], label: str, *, total: Callable[[], int | None]) -> Iterator[T]:
    """The rows, with a bar once they have taken two seconds; none beside another bar.

    Args:
        total: how many there are; asked only when the bar appears.
    """
    started, count = time.monotonic(), 0
    bars: Bars | None = None
    task: Any = None
    try:
        for row in rows:
            yield row
            count += 1
            if bars is None and not Bars.shown and time.monotonic() - started > LATE_S:
                bars = progress_bar()
                bars.start()
                task = bars.add_task(label, total=total(), completed=count, note="")
            elif bars is not None:
                bars.update(task, completed=count)
    finally:
        if bars is not None:
            bars.stop()
