"""Every metric of a set with its interval, or of two sets with their difference, by part and subset"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from radflow.metrics.collected import Collected, Columns, Drawing, Drawn, columns_of, paired_columns
from radflow.metrics.paired import bootstrap_difference, difference_of
from radflow.metrics.statistics import interval_of_draws
from radflow.metrics.sums import Sums
from radflow.records import Difference, Interval, Part
from radflow.terminal import with_late_bar

V = TypeVar("V", Interval, Difference)


@dataclass(frozen=True)
class Table(Generic[V]):
    """Every metric by part.

    Attributes:
        scores: subset ("all", "critical") -> part -> metric -> value with interval. A metric that is
            undefined over the subset is missing there.
        per_label: part -> metric -> label -> value with interval, of all studies.
        studies: subset -> part -> number of studies.
    """

    scores: dict[str, dict[Part, dict[str, V]]]
    per_label: dict[Part, dict[str, dict[str, V]]]
    studies: dict[str, dict[Part, int]]

    def as_json(self) -> dict[str, Any]:
        """Of plain dictionaries."""
        return {
            "scores": {
                subset: {part: _dumped(found) for part, found in parts.items()}
                for subset, parts in self.scores.items()
            },
            "per_label": {
                part: {name: _dumped(labels) for name, labels in found.items()}
                for part, found in self.per_label.items()
            },
        }


Summary = Table[Interval]
Differences = Table[Difference]


def _dumped(found: dict[str, V]) -> dict[str, dict[str, Any]]:
    return {name: value.model_dump() for name, value in found.items()}


def summarise(collected: Collected, *, samples: int, confidence: float, seed: int) -> Summary:
    """All metrics with bootstrap intervals; patients are drawn where they are known."""

    def interval(sums: Sums, found: Drawn) -> Interval | None:
        value = float(sums.aggregate(found.rows.sum(axis=0)))
        if not np.isfinite(value):
            return None
        draws = sums.aggregate(found.draws)
        low, high = interval_of_draws(draws, confidence=confidence, units=found.units)
        return Interval(value=value, low=low, high=high, studies=len(found.rows))

    return _table(
        collected, lambda part, labels: columns_of(collected, part, labels=labels), interval, samples, seed
    )


def differences(
    first: Collected, second: Collected, *, samples: int, confidence: float, seed: int
) -> Differences:
    """Paired differences of all metrics, first minus second, of the same studies in the same order."""

    def difference(sums: Sums, found: Drawn) -> Difference | None:
        value = float(difference_of(found.rows.sum(axis=0), sums.aggregate))
        if not np.isfinite(value):
            return None
        draws = difference_of(found.draws, sums.aggregate)
        return bootstrap_difference(
            value, draws, confidence=confidence, units=found.units, studies=len(found.rows)
        )

    return _table(
        first,
        lambda part, labels: paired_columns(first, second, part, labels=labels),
        difference,
        samples,
        seed,
    )


def _table(
    collected: Collected,
    columns: Callable[[Part, bool], Iterator[Columns]],
    number: Callable[[Sums, Drawn], V | None],
    samples: int,
    seed: int,
) -> Table[V]:
    table: Table[V] = Table({}, {}, {})
    order = [metric.name for metric in collected.metrics]
    for part in with_late_bar(collected.parts, "intervals", total=lambda: len(collected.parts)):
        for subset, mask in collected.subsets(part).items():
            table.studies.setdefault(subset, {})[part] = int(mask.sum())
            scores = table.scores.setdefault(subset, {})
            if not mask.any():
                continue
            drawing = Drawing(samples, seed, collected.patients(part))
            found: dict[tuple[str, str], V] = {}
            for each in drawing.of(columns(part, subset == "all"), mask):
                for name, sums in each.sums.items():
                    if (value := number(sums, each)) is not None:
                        found[name] = value
            scores[part] = {name: found[name, ""] for name in order if (name, "") in found}
            for (metric, label), value in found.items():
                if label:
                    table.per_label.setdefault(part, {}).setdefault(metric, {})[label] = value
    return table
