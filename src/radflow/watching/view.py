"""A run's state as lines of a terminal: its stages, the bar of the one under way, losses, rewards, clip"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from radflow.terminal import rate_text
from radflow.training.signatures import signatures
from radflow.watching.state import Row, RunState, StageLine

MARKS = {
    "done": "[green]done[/]",
    "running": "[bold]running[/]",
    "cut": "[yellow]cut[/]",
    "waiting": "[dim]-[/]",
}
LEVELS = "▁▂▃▄▅▆▇█"
WIDTH = 32


def view(state: RunState) -> RenderableType:
    """All that is known of the run."""
    parts: list[RenderableType] = [_head(state), _stages(state.stages)]
    if state.progress and not state.is_finished:
        parts.append(_progress(state))
    for stage, rows in state.histories.items():
        table = _numbers(rows)
        if table.row_count:
            parts += [Text(""), Text(stage, style="bold"), table]
    parts += [Text.from_markup(f"[yellow]{escape(line)}[/]") for line in _warnings(state)]
    return Group(*parts)


def _head(state: RunState) -> Text:
    if state.process:
        told = f"running, process {state.process}"
    elif state.is_finished:
        told = "finished"
    else:
        told = "cut: the same command goes on from here"
    return Text.from_markup(f"[bold]{escape(str(state.folder))}[/]  {escape(told)}")


def _stages(stages: Sequence[StageLine]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for stage in stages:
        seconds = "" if stage.seconds is None else _duration(stage.seconds)
        table.add_row(stage.name, MARKS[stage.state], seconds)
    return table


def _progress(state: RunState) -> RenderableType:
    now = state.progress
    total, completed = now.get("total"), now.get("completed") or 0
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=total, completed=completed, width=28) if total else Text("")
    left = now.get("seconds_left")
    row.add_row(
        str(now.get("task", "")),
        bar,
        f"{completed:.0f}/{total:.0f}" if total else f"{completed:.0f}",
        f"{_duration(left)} left" if left is not None and state.process else "",
        rate_text(now.get("per_second")),
        str(now.get("note", "")),
    )
    return row


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )


SHOWN = (
    ("loss", "training loss"),
    ("eval_loss", "validation loss"),
    ("all/reward", "sampled reward"),
    ("validation_reward", "validation reward"),
    ("validation_label_f1", "validation label F1"),
    ("critical/clip_fraction", "clipped, critical"),
    ("normal/clip_fraction", "clipped, normal"),
    ("critical/kl", "KL, critical"),
    ("normal/kl", "KL, normal"),
    ("all/undefined", "undefined rewards"),
)
"""Column of a history -> what it is called."""
OF_RFT_ONLY = "all/reward"


def _numbers(rows: Sequence[Row]) -> Table:
    """Each quantity with its last value, its first one and its course."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim", justify="right")
    table.add_column()
    is_rft = any(OF_RFT_ONLY in row for row in rows)
    for name, title in SHOWN:
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        if not values or (is_rft and name == "loss"):  # GRPO's loss says nothing: it is 0 on average
            continue
        table.add_row(title, _number(values[-1]), f"from {_number(values[0])}", course(values))
    if rows:
        table.add_row("step", f"{rows[-1].get('step', 0):.0f}", "", "")
    return table


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"


def course(values: Sequence[float]) -> str:
    """The values as a row of small bars, of at most WIDTH; each bar is the mean of its share."""
    count = min(WIDTH, len(values))
    cuts = [round(place * len(values) / count) for place in range(count + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(cuts)]
    low, high = min(means), max(means)
    if high == low:
        return LEVELS[0] * count
    return "".join(LEVELS[round((value - low) / (high - low) * (len(LEVELS) - 1))] for value in means)


def _warnings(state: RunState) -> Iterator[str]:
    """Failure signatures: of a finished RFT as it wrote them down, of one under way by what is logged."""
    yield from state.signatures
    finished: Any = next((stage for stage in state.stages if stage.name == "rft"), None)
    if finished is None or finished.state != "done":
        for sign in signatures(state.histories.get("rft", ()), capo=False):
            yield f"{sign.name} (so far): {sign.sign}"
