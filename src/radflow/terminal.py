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

PIPED_WIDTH = 160
console = Console(stderr=True, highlight=False)


def print_result(text: str) -> None:
    """Print a result on stdout, unformatted, so that it can be piped."""
    sys.stdout.write(text + "\n")


def print_table(table: Table) -> None:
    """Print a table on stdout; piped, it is as wide as it needs to be."""
    is_terminal = sys.stdout.isatty()
    Console(file=sys.stdout, highlight=False, width=None if is_terminal else PIPED_WIDTH).print(table)


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
