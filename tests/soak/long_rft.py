"""Reinforce a tiny model for hours: memory, open files, what is remembered, time of a step, size on disk.

    python -m tests.soak.long_rft --minutes 120

A run of phantoms up to annotate, then RFT that would take days, stopped after the minutes as by Ctrl-C. It
is watched at every reward, once per generation batch; step times are those that the run's history logs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

from tests.integration.small import SMALL
from tests.soak.slopes import MIB, Watch, slope

LONG = (
    "rft.steps=1000000", "rft.validate_every=100", "rft.schedule=constant", "rft.learning_rate=1e-5",
    "reward.cache_size=512",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    folder = options.out or Path(mkdtemp(prefix="radflow-long-")) / "run"
    from radflow.config_file import load_config
    from radflow.stages.pipeline import run_stages

    config = load_config(None, overrides=[*SMALL, *LONG])
    run_stages(config, folder, names=("prepare", "sft", "explore", "annotate"))
    watch = Watch()
    until = time.monotonic() + 60 * options.minutes
    started = time.process_time()
    watch_rewards(watch, folder, until)
    with suppress(KeyboardInterrupt):
        run_stages(config, folder, names=("rft",))
    tell(folder, watch, time.process_time() - started)


def watch_rewards(watch: Watch, folder: Path, until: float) -> None:
    """Have the stage use a reward that looks at the process at each call, and ends the run in time."""
    from radflow.stages import rft

    class Watched(rft.HierarchicalReward):
        def __call__(self, *arguments: Any, **columns: Any) -> list[float | None]:
            rewards = super().__call__(*arguments, **columns)
            watch.look(rewards=len(watch.rows), remembered=remembered_by(self), disk_mib=size_of(folder))
            if time.monotonic() > until:
                raise KeyboardInterrupt
            return rewards

    rft.HierarchicalReward = Watched  # type: ignore[misc]


def remembered_by(reward: Any) -> int:
    """Texts whose reading the reward's scorers keep."""
    from radflow.metrics.remembered import Remembered

    scorers = vars(reward._opened).values() if reward._opened is not None else ()
    return sum(len(one._known) for one in scorers if isinstance(one, Remembered))


def size_of(folder: Path) -> float:
    sizes = []
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # a checkpoint that goes
            continue
    return sum(sizes) / MIB


def tell(folder: Path, watch: Watch, cpu_s: float) -> None:
    rows = [json.loads(line) for line in (folder / "rft_history.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "step_time" in row]
    minutes = watch.rows[-1]["seconds"] / 60
    took = f"{minutes:.1f} min ({cpu_s:.0f} s of processor)"
    out = [f"{took}, {steps[-1]['step']} steps, {len(watch.rows)} rewards"]
    out += watch.lines("seconds", 3600.0)
    out.append(quarters("step time, wall clock", [row["step_time"] for row in steps]))
    spent = watch.column("cpu_s")
    out.append(quarters("processor time between two rewards", [b - a for a, b in pairwise(spent)]))
    sys.stdout.write("\n".join(out) + "\n")


def quarters(name: str, times: Sequence[float]) -> str:
    """Medians of the run's quarters, in seconds: by the wall clock, other work on the machine shows, too."""
    size = max(1, len(times) // 4)
    medians = [median(times[at : at + size]) for at in range(0, 4 * size, size) if times[at:]]
    rise = slope(range(len(times)), times) * 1000
    return f"{name}: quarters {', '.join(f'{value:.3f}' for value in medians)} s; {rise:+.4f} s per 1000"


if __name__ == "__main__":
    main()
