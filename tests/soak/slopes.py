"""What a long run takes over time: samples of this process, and the straight line through them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil

MIB = 1 << 20


@dataclass
class Watch:
    """Samples of this process: seconds since its first, MiB of memory, open files, counts of one's own."""

    rows: list[dict[str, float]] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _process: psutil.Process = field(default_factory=psutil.Process)

    def look(self, **counts: float) -> dict[str, float]:
        row = {
            "seconds": time.monotonic() - self._started,
            "cpu_s": time.process_time(),
            "memory_mib": self._process.memory_info().rss / MIB,
            "files": float(self._process.num_fds()),
            "threads": float(self._process.num_threads()),
            **counts,
        }
        self.rows.append(row)
        return row

    def column(self, name: str) -> list[float]:
        return [row[name] for row in self.rows]

    def lines(self, per: str, unit: float, *, skip: float = 0.2) -> list[str]:
        """First, last and highest value of every column and its slope, the first fifth left out of the slope:
        caches fill and pools grow at the beginning.

        Args:
            per: the column that the slope is over, in units of ``unit``.
        """
        told = []
        for name in self.rows[0]:
            if name in (per, "seconds", "cpu_s"):
                continue
            values, places = self.column(name), self.column(per)
            start = int(len(values) * skip)
            rise = slope(places[start:], values[start:]) * unit
            told.append(
                f"{name:<12} {values[0]:10.1f} first {values[-1]:10.1f} last {max(values):10.1f} highest "
                f"{rise:+10.4f} per {unit:g} {per}"
            )
        return told


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the straight line of least squares; 0 where there is no line."""
    if len(x) < 2 or x[0] == x[-1]:
        return 0.0
    return float(np.polyfit(x, y, 1)[0])
