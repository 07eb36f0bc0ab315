"""A measure of one system's stored scores: which rows it rests on, and how they sum up to a number"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from radflow.errors import ConfigError
from radflow.experiments.declaration import PRIOR_SHIFT
from radflow.jsonl import read_jsonl
from radflow.metrics.declaration import Vocabulary
from radflow.metrics.registry import METRICS, find_metric
from radflow.metrics.report_parts import PARTS
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import SumOf, Sums
from radflow.records import MetricRow, Part
from radflow.reporting.comparison import read_vocabulary

CRITICAL = "critical/"


@dataclass(frozen=True)
class Measured:
    """What a measure is made of.

    Attributes:
        key: as it was asked for: ``critical/report/hallucination-rate``.
        reads: names of the stored statistics, side by side.
    """

    key: str
    title: str
    part: Part
    only_critical: bool
    direction: Literal["higher", "lower"]
    reads: tuple[str, ...]
    sums: Sums


class Sample(NamedTuple):
    """The rows of one system's studies that have a score, sorted by study.

    Attributes:
        studies: study id and digest of the reference: equal ones are the same case.
        clusters: the patient, or the study where nobody knows.
        rows: (studies, columns) whose sums the measure's aggregate takes.
    """

    studies: tuple[tuple[str, str], ...]
    clusters: tuple[str, ...]
    rows: Matrix


def measure(key: str, vocabulary: Vocabulary) -> Measured | None:
    """The measure of this key; ``None`` where such examinations have no such metric.

    Raises:
        ConfigError: no such part or metric.
    """
    only_critical = key.startswith(CRITICAL)
    head, _, name = key.removeprefix(CRITICAL).partition("/")
    part = next((part for part in PARTS if part == head), None)
    if part is None or not (name == PRIOR_SHIFT or name in METRICS):
        raise ConfigError(f"no measure {key!r}", next_step="Say part/metric; `radflow metrics` lists them.")
    where = f"{part}, critical studies" if only_critical else part
    if name == PRIOR_SHIFT:
        sums = SumOf(PriorShift(len(vocabulary.columns)))
        title = f"label prior shift, {where}"
        return Measured(key, title, part, only_critical, "lower", ("rules-labels",), sums)
    metric = find_metric(name).bound(vocabulary)
    if metric is None:
        return None
    title = f"{metric.title}, {where}"
    return Measured(key, title, part, only_critical, metric.direction, metric.reads, metric.sums)


@dataclass(frozen=True)
class PriorShift:
    """How far the labels that a system asserts lie from how common they are: 0 to 1, lower is better.

    The mean over labels of |share of the studies in which it asserts one - share in which the references do|,
    from sums of the 0/1 columns of `sample`. Ours.
    """

    labels: int

    def __call__(self, sums: Matrix) -> Matrix:
        """(..., 2 * labels + 1) sums of references', predictions' labels and ones -> (...)."""
        expected, written = sums[..., : self.labels], sums[..., self.labels : -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.abs(written - expected).mean(axis=-1) / sums[..., -1])


def sample(rows: Sequence[MetricRow], of: Measured) -> Sample | None:
    """The measure's rows of one system; ``None`` where no study has a score."""
    mine = sorted(
        (row for row in rows if row.part == of.part and (row.is_critical or not of.only_critical)),
        key=lambda row: row.study_id,
    )
    mine = [row for row in mine if all(name in row.statistics for name in of.reads)]
    if not mine:
        return None
    stored = np.array(
        [[cell for name in of.reads for cell in row.statistics[name]] for row in mine], dtype=np.float64
    )
    if isinstance(of.sums, SumOf) and isinstance(of.sums.of, PriorShift):
        present = np.where(np.isnan(stored), np.nan, stored == 1)
        stored = np.concatenate([present, np.ones((len(mine), 1))], axis=1)
    keep = of.sums.scored(stored)
    if not keep.any():
        return None
    scored = [row for row, kept in zip(mine, keep, strict=True) if kept]
    return Sample(
        tuple((row.study_id, row.reference) for row in scored),
        tuple(row.patient_id or row.study_id for row in scored),
        of.sums.rows(stored[keep]),
    )


class SystemScores:
    """scores.jsonl of one run folder: the rows of a system, and what examination they are of."""

    def __init__(self, folder: Path) -> None:
        self.vocabulary = read_vocabulary((folder,))
        self._rows: dict[str, list[MetricRow]] = {}
        for row in read_jsonl(MetricRow, folder / "scores.jsonl"):
            self._rows.setdefault(row.system, []).append(row)

    def samples(self, system: str, keys: Sequence[str]) -> dict[str, Sample]:
        """Measure -> its rows, of the measures that this system has."""
        rows = self._rows.get(system, [])
        found = {}
        for key in keys:
            of = measure(key, self.vocabulary)
            if of is not None and (own := sample(rows, of)) is not None:
                found[key] = own
        return found
