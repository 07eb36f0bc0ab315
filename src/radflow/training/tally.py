"""Sums between two log entries, by name: means that weigh every token and report alike, over all processes"""

from __future__ import annotations

from collections import defaultdict

from accelerate.utils import gather_object


class Tally:
    """Adds up what a process sees until `means` is asked for.

    Averaging the averages of batches would weigh a batch of three critical tokens like one of three thousand.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, name: str, total: float, count: float) -> None:
        """Add ``total`` over ``count`` items; a count of 0 leaves no trace."""
        if count:
            sums = self._sums[name]
            sums[0] += total
            sums[1] += count

    def means(self) -> dict[str, float]:
        """Mean of each name over all processes, which must all call; starts again from nothing."""
        together: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for sums in gather_object([dict(self._sums)]):
            for name, (total, count) in sums.items():
                together[name][0] += total
                together[name][1] += count
        self._sums.clear()
        return {name: total / count for name, (total, count) in sorted(together.items())}
