"""From numbers to places on a drawing: round ticks, linear scales, short numbers, fewer points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Point = tuple[float, float]
Scale = Callable[[float], float]


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) that enclose ``low`` to ``high``.

    A range without width is widened, so that there are always two ticks at least.
    """
    if not high > low:
        margin = abs(low) * 0.1 or 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Rounded to the step's own digits: 3 * 0.1 is no label.
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def linear(domain: tuple[float, float], places: tuple[float, float]) -> Scale:
    """The straight map of a domain (its ends differ) onto places, rounded to a tenth of a pixel."""
    (low, high), (first, last) = domain, places
    return lambda value: round(first + (value - low) / (high - low) * (last - first), 1)


def short(value: float) -> str:
    """A number as people write it: 785, 0.254, 1.2e-05; never more than about four digits."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 10_000 and value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:.4g}"


def thinned(points: Sequence[Point], *, limit: int = 120) -> list[Point]:
    """About ``limit`` of the points at most, in order: both ends, lowest and highest of each stretch.

    A spike of one step is what a reader looks for, so means over stretches won't do.
    """
    if len(points) <= limit:
        return list(points)
    size = math.ceil(len(points) / (limit // 2))
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[index] for index in sorted(kept)]
