"""Numbers of one training from its history and its manifest, and curves averaged over seeds"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radflow.experiments.declaration import Trend
from radflow.reporting.history import points_of
from radflow.reporting.scales import Point

History = Sequence[Mapping[str, Any]]


def trend_value(trend: Trend, history: History, facts: Mapping[str, Any]) -> float | None:
    """The number; ``None`` where this training didn't log it.

    "learning" is the mean over all later validations of their distance from the first: an arm that rises
    sooner has more of it, though both end alike.
    """
    if trend.how == "fact":
        value = facts.get(trend.key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number and value is not None else None
    values = [value for _, value in points_of(history, trend.key)]
    if not values:
        return None
    if trend.how == "mean":
        return sum(values) / len(values)
    if trend.how == "end":
        last = values[-max(1, len(values) // 10) :]
        return sum(last) / len(last)
    if len(values) < 2:
        return None
    later = [value - values[0] for value in values[1:]]
    return max(later) if trend.how == "gain" else sum(later) / len(later)


def mean_curve(histories: Sequence[History], key: str) -> tuple[Point, ...]:
    """Mean over trainings of a column at each step, over the steps that all of them have."""
    curves = [dict(points_of(history, key)) for history in histories]
    curves = [curve for curve in curves if curve]
    if not curves:
        return ()
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return tuple((step, sum(curve[step] for curve in curves) / len(curves)) for step in steps)
