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
from rich.table import Table

console = Console(stderr=True, highlight=False)


def print_result(text: str) -> None:
    """Print a result on stdout, unformatted, so that it can be piped."""
    sys.stdout.write(text + "\n")


def print_table(table: Table) -> None:
    """Print a table on stdout; where that is no terminal, wide enough not to wrap."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=240)
    out.print(table)


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
