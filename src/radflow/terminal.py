"""What people see in the terminal: one console on stderr, progress bars, tables. Results go to stdout."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)


def print_result(text: str) -> None:
    """Print a result on stdout, unformatted, so that it can be piped."""
    sys.stdout.write(text + "\n")


def progress_bar() -> Progress:
    """A bar with count, elapsed and remaining time, and a free ``note`` field (loss, tokens/s)."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=not console.is_terminal,
    )
