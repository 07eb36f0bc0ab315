"""Stored rows -> every metric of the set with its interval, per part, for all studies and the critical ones

Nothing is scored again: rows are resampled and summed. Metrics that sum the same columns share the draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.declaration import Metric, Sums
from radflow.metrics.resampling import Matrix, bootstrap_sums, cluster_sums
from radflow.metrics.scoring import Plan
from radflow.metrics.statistics import interval_of_draws
from radflow.records import Interval, MetricRow, Part

COLUMNS = 64
"""Columns that are resampled together: what bounds memory, 100 MB at 200,000 studies."""

Intervals = dict[str, Interval]


@dataclass(frozen=True)
class Summary:
    """Every metric by part.

    Attributes:
        scores: subset ("all", "critical") -> part -> metric -> value with interval. A metric that is
            undefined over the subset is missing there.
        per_label: part -> metric -> label -> value with interval, of all studies.
        studies: subset -> part -> number of studies.
    """

    scores: dict[str, dict[Part, Intervals]]
    per_label: dict[Part, dict[str, Intervals]]
    studies: dict[str, dict[Part, int]]


class Collected:
    """The statistics of all rows as arrays, a few hundred bytes a row; fed batch by batch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._numbers: dict[Part, dict[str, list[NDArray[np.floating]]]] = {part: {} for part in plan.parts}
        self._patients: dict[Part, list[str | None]] = {part: [] for part in plan.parts}
        self._critical: dict[Part, list[bool]] = {part: [] for part in plan.parts}

    def add(self, rows: Sequence[MetricRow]) -> None:
        for part in self.plan.parts:
            mine = [row for row in rows if row.part == part]
            if not mine:
                continue
            self._patients[part] += [row.patient_id for row in mine]
            self._critical[part] += [bool(row.is_critical) for row in mine]
            for name in mine[0].statistics:
                block = np.array([row.statistics[name] for row in mine], dtype=np.float64)
                self._numbers[part].setdefault(name, []).append(_narrow(block))

    def stored(self, part: Part, reads: Sequence[str]) -> Matrix:
        """(studies, numbers) of the named statistics side by side."""
        blocks = [np.concatenate(self._numbers[part][name]) for name in reads]
        return np.concatenate(blocks, axis=1).astype(np.float64)

    def patients(self, part: Part) -> list[str | None] | None:
        """The patient of each study; ``None`` when no file names any."""
        known = self._patients[part]
        return known if any(patient is not None for patient in known) else None

    def critical(self, part: Part) -> NDArray[np.bool_]:
        return np.array(self._critical[part], dtype=bool)


def _narrow(block: Matrix) -> NDArray[np.floating]:
    """In half the memory where nothing is lost: counts and labels are whole numbers."""
    small = block.astype(np.float32)
    return small if np.array_equal(small, block, equal_nan=True) else block


def summarise(collected: Collected, *, samples: int, confidence: float, seed: int) -> Summary:
    """All metrics with percentile bootstrap intervals; patients are drawn where they are known."""
    scores: dict[str, dict[Part, Intervals]] = {"all": {}, "critical": {}}
    studies: dict[str, dict[Part, int]] = {"all": {}, "critical": {}}
    per_label: dict[Part, dict[str, Intervals]] = {}
    for part in collected.plan.parts:
        metrics = collected.plan.of_part(part)
        critical = collected.critical(part)
        subsets = {"all": np.ones(len(critical), dtype=bool), "critical": critical}
        for subset, mask in subsets.items():
            studies[subset][part] = int(mask.sum())
            if not mask.any():
                continue
            wanted = {(metric.name, ""): (metric, metric.sums) for metric in metrics}
            if subset == "all":
                wanted |= {
                    (metric.name, label): (metric, sums)
                    for metric in metrics
                    for label, sums in metric.per_label.items()
                }
            found = _intervals(collected, part, mask, wanted, samples, confidence, seed)
            scores[subset][part] = {name: value for (name, label), value in found.items() if not label}
            for (name, label), value in found.items():
                if label:
                    per_label.setdefault(part, {}).setdefault(name, {})[label] = value
    return Summary(scores, per_label, studies)


Wanted = Mapping[tuple[str, str], tuple[Metric, Sums]]


def _intervals(
    collected: Collected,
    part: Part,
    mask: NDArray[np.bool_],
    wanted: Wanted,
    samples: int,
    confidence: float,
    seed: int,
) -> dict[tuple[str, str], Interval]:
    patients = collected.patients(part)
    clusters = None if patients is None else [p for p, own in zip(patients, mask, strict=True) if own]
    shared: dict[Hashable, list[tuple[str, str]]] = {}
    for name, (metric, sums) in wanted.items():
        shared.setdefault((metric.reads, sums.key()), []).append(name)
    found: dict[tuple[str, str], Interval] = {}
    for group in _packed(collected, part, mask, wanted, shared):
        matrix = np.concatenate([rows for _, rows in group], axis=1)
        drawn = cluster_sums(matrix, clusters)
        draws = bootstrap_sums(drawn, samples=samples, seed=seed)
        total, start = matrix.sum(axis=0), 0
        for names, rows in group:
            stop = start + rows.shape[1]
            for name in names:
                sums = wanted[name][1]
                value = float(sums.aggregate(total[start:stop]))
                if not np.isfinite(value):
                    continue
                low, high = interval_of_draws(
                    sums.aggregate(draws[:, start:stop]), confidence=confidence, units=len(drawn)
                )
                found[name] = Interval(value=value, low=low, high=high, studies=len(rows))
            start = stop
    return {name: found[name] for name in wanted if name in found}


def _packed(
    collected: Collected,
    part: Part,
    mask: NDArray[np.bool_],
    wanted: Wanted,
    shared: Mapping[Hashable, list[tuple[str, str]]],
) -> Iterator[list[tuple[list[tuple[str, str]], Matrix]]]:
    """Rows of metrics with their names, as many as `COLUMNS` allow at a time."""
    group: list[tuple[list[tuple[str, str]], Matrix]] = []
    for names in shared.values():
        metric, sums = wanted[names[0]]
        rows = sums.rows(collected.stored(part, metric.reads)[mask])
        if group and sum(own.shape[1] for _, own in group) + rows.shape[1] > COLUMNS:
            yield group
            group = []
        group.append((names, rows))
    if group:
        yield group
