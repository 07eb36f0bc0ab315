"""Show a run's state again and again until nobody works in it any more"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live

from radflow.terminal import PIPED_WIDTH, console, emit
from radflow.watching.state import RunState, read_state
from radflow.watching.view import view


def follow(folder: Path, stages: Sequence[str], *, once: bool, every: float) -> None:
    """Look at the run; the last look stays in the terminal.

    Args:
        once: look a single time.
        every: seconds between two looks.

    Raises:
        RunError: no run is there.
    """
    state = read_state(folder, stages)
    if console.as_json:
        _as_lines(state, stages, once=once, every=every)
        return
    screen = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if once or state.is_over or not screen.is_terminal:
        screen.print(view(state))
        return
    try:
        with Live(view(state), console=screen, auto_refresh=False) as live:
            while not state.is_over:
                time.sleep(every)
                state = read_state(folder, stages)
                live.update(view(state), refresh=True)
    except KeyboardInterrupt:  # the run itself goes on
        return


def _as_lines(state: RunState, stages: Sequence[str], *, once: bool, every: float) -> None:
    while True:
        last = {name: rows[-1] for name, rows in state.histories.items()}
        told = {"stages": [asdict(stage) for stage in state.stages], "process": state.process}
        emit({"event": "watch", **told, "progress": state.progress, "last": last})
        if once or state.is_over:
            return
        time.sleep(every)
        state = read_state(state.folder, stages)
