"""How well verdicts fit labels, and one judge another: rates with Wilson intervals, Cohen's kappa."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

Z_95 = 1.959964


class Rate(NamedTuple):
    """A share with its 95 % Wilson score interval (Wilson, JASA 1927); all ``None`` where ``of`` is 0."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    of: int

    def __str__(self) -> str:
        if self.value is None:
            return f"- ({self.hits} of {self.of})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.hits} of {self.of})"


def wilson(hits: int, of: int, *, z: float = Z_95) -> Rate:
    """``hits`` of ``of``, with the interval of ``z`` standard deviations."""
    if of == 0:
        return Rate(None, None, None, hits, of)
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half), hits, of)


class TriageRates(NamedTuple):
    """Of the flagged, how many rightly; of the critical, and of the others, how many are flagged."""

    precision: Rate
    recall: Rate
    false_positive_rate: Rate


def triage_rates(pairs: Iterable[tuple[bool, bool]]) -> TriageRates:
    """Rates of (reference, prediction) pairs."""
    count = Counter(pairs)
    hits, false_alarms = count[True, True], count[False, True]
    return TriageRates(
        precision=wilson(hits, hits + false_alarms),
        recall=wilson(hits, hits + count[True, False]),
        false_positive_rate=wilson(false_alarms, false_alarms + count[False, False]),
    )


class Agreement(NamedTuple):
    """Share of equal verdicts, and Cohen's kappa in [-1, 1]: agreement beyond that of independent judges.

    ``None`` without pairs; kappa also where both judges always say the same one thing (0 / 0).
    """

    raw: float | None
    kappa: float | None
    pairs: int


def agreement(pairs: Iterable[tuple[bool, bool]]) -> Agreement:
    """Agreement of two judges on the same cases (Cohen, Educ Psychol Meas 1960)."""
    count = Counter(pairs)
    total = count.total()
    if not total:
        return Agreement(None, None, 0)
    raw = (count[True, True] + count[False, False]) / total
    first = (count[True, True] + count[True, False]) / total
    second = (count[True, True] + count[False, True]) / total
    chance = first * second + (1 - first) * (1 - second)
    return Agreement(raw, (raw - chance) / (1 - chance) if chance < 1 else None, total)
