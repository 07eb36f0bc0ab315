"""Stored rows as arrays: the columns that metrics are summed from, and draws of them that many metrics share

Nothing is scored again: rows are resampled and summed. Metrics that sum the same columns share them, and
metrics of the same studies share the draws, so that each number is what its test alone would give.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.declaration import Metric
from radflow.metrics.paired import side_by_side, swap_rows
from radflow.metrics.resampling import Matrix, bootstrap_sums, cluster_sums, swap_sums
from radflow.metrics.sums import Mask, Sums
from radflow.records import MetricRow, Part

COLUMNS = 64
"""Columns that are resampled together: what bounds memory, 100 MB at 200,000 studies."""

Name = tuple[str, str]
"""A metric, and the label that it is taken of: empty for all of them."""


class Collected:
    """The statistics of one system's rows as arrays, a few hundred bytes a row; fed batch by batch.

    Args:
        metrics: those that can be asked for.
        parts: of the reports, in order.
    """

    def __init__(self, metrics: Sequence[Metric], parts: Sequence[Part]) -> None:
        self.metrics, self.parts = tuple(metrics), tuple(parts)
        self._numbers: dict[Part, dict[str, list[NDArray[np.floating]]]] = {part: {} for part in parts}
        self._patients: dict[Part, list[str | None]] = {part: [] for part in parts}
        self._critical: dict[Part, list[bool]] = {part: [] for part in parts}

    def add(self, rows: Sequence[MetricRow]) -> None:
        for part in self.parts:
            mine = [row for row in rows if row.part == part]
            if not mine:
                continue
            self._patients[part] += [row.patient_id for row in mine]
            self._critical[part] += [bool(row.is_critical) for row in mine]
            for name in mine[0].statistics:
                block = np.array([row.statistics[name] for row in mine], dtype=np.float64)
                self._numbers[part].setdefault(name, []).append(_narrow(block))

    def of_part(self, part: Part) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if part in metric.sections)

    def stored(self, part: Part, reads: Sequence[str]) -> Matrix:
        """(studies, numbers) of the named statistics side by side."""
        blocks = [np.concatenate(self._numbers[part][name]) for name in reads]
        return np.concatenate(blocks, axis=1).astype(np.float64)

    def patients(self, part: Part) -> list[str | None] | None:
        """The patient of each study; ``None`` when nothing names any."""
        known = self._patients[part]
        return known if any(patient is not None for patient in known) else None

    def subsets(self, part: Part) -> dict[str, Mask]:
        """Which studies are in each: all of them, and the critical ones."""
        critical = np.array(self._critical[part], dtype=bool)
        return {"all": np.ones(len(critical), dtype=bool), "critical": critical}


def _narrow(block: Matrix) -> NDArray[np.floating]:
    """In half the memory where nothing is lost: counts and labels are whole numbers."""
    small = block.astype(np.float32)
    return small if np.array_equal(small, block, equal_nan=True) else block


class Columns(NamedTuple):
    """What some metrics of one part are summed from.

    Attributes:
        sums: how each is computed from the sums of the rows.
        rows: (studies, columns); of two systems side by side, (studies, 2 * columns).
        scored: (studies,), False for those that are left out.
    """

    sums: dict[Name, Sums]
    rows: Matrix
    scored: Mask


def columns_of(collected: Collected, part: Part, *, labels: bool) -> Iterator[Columns]:
    """The columns of every metric of the part; with ``labels``, of the same for single labels too."""
    shared: dict[tuple[tuple[str, ...], Hashable], dict[Name, Sums]] = {}
    for metric in collected.of_part(part):
        wanted = {"": metric.sums} | (metric.per_label if labels else {})
        for label, sums in wanted.items():
            shared.setdefault((metric.reads, sums.key()), {})[metric.name, label] = sums
    for (reads, _), members in shared.items():
        stored = collected.stored(part, reads)
        first = next(iter(members.values()))
        yield Columns(members, first.rows(stored), first.scored(stored))


def paired_columns(first: Collected, second: Collected, part: Part, *, labels: bool) -> Iterator[Columns]:
    """The columns of two systems side by side: of the studies that both have a score for.

    Args:
        first, second: of the same metrics and the same studies in the same order.
    """
    sides = (columns_of(collected, part, labels=labels) for collected in (first, second))
    for one, other in zip(*sides, strict=True):
        yield Columns(one.sums, side_by_side(one.rows, other.rows), one.scored & other.scored)


class Drawn(NamedTuple):
    """Columns of the studies that are scored, and resamplings of them.

    Attributes:
        sums: see `Columns`.
        rows: (studies, columns), without those that are left out.
        units: how many studies, or patients, were drawn each time.
        draws: (samples, columns) sums.
        swaps: of two systems, (samples, columns) what swapping them at random adds to the sums of the rows.
        is_exact: whether these are all the swaps that there are.
    """

    sums: dict[Name, Sums]
    rows: Matrix
    units: int
    draws: Matrix
    swaps: Matrix
    is_exact: bool


@dataclass(frozen=True)
class Drawing:
    """How columns are resampled.

    Attributes:
        samples: resamplings, and random swaps.
        patients: of each study; ``None`` draws studies.
        swaps: whether the columns are of two systems that are also swapped.
    """

    samples: int
    seed: int
    patients: Sequence[str | None] | None = None
    swaps: bool = False

    def of(self, columns: Iterable[Columns], subset: Mask) -> Iterator[Drawn]:
        """Resample columns of a subset of the studies; those without any scored study are left out."""
        waiting: dict[bytes, list[Columns]] = {}
        for each in columns:
            group = waiting.setdefault((each.scored & subset).tobytes(), [])
            if group and sum(own.rows.shape[1] for own in group) + each.rows.shape[1] > COLUMNS:
                yield from self._draw(group, subset)
                group.clear()
            group.append(each)
        for group in waiting.values():
            yield from self._draw(group, subset)

    def _draw(self, group: Sequence[Columns], subset: Mask) -> Iterator[Drawn]:
        mask = group[0].scored & subset
        if not mask.any():
            return
        clusters = None
        if self.patients is not None:
            clusters = [patient for patient, own in zip(self.patients, mask, strict=True) if own]
        rows = [own.rows[mask] for own in group]
        units = [cluster_sums(own, clusters) for own in rows]
        borders = np.cumsum([own.shape[1] for own in rows])[:-1]
        options = {"samples": self.samples, "seed": self.seed}
        draws = np.split(bootstrap_sums(np.hstack(units), **options), borders, axis=1)
        swaps, is_exact = [np.empty((0, 0))] * len(group), False
        if self.swaps:
            swapped, is_exact = swap_sums(np.hstack([swap_rows(own) for own in units]), **options)
            swaps = np.split(swapped, borders, axis=1)
        for own, mine, drawn, swap in zip(group, rows, draws, swaps, strict=True):
            yield Drawn(own.sums, mine, len(units[0]), drawn, swap, is_exact)
