"""What a metric declares of itself, and how the numbers stored per study become the number of a set"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from radflow.metrics.resampling import Aggregate, Matrix
from radflow.metrics.statistics import mean_of_rows
from radflow.records import Part, Report

PARTS: tuple[Part, ...] = ("report", "findings", "impression")
Statistics = dict[str, tuple[float, ...]]
"""What a scorer finds out about one pair, by name; NaN where nothing could be scored."""


class Pair(NamedTuple):
    """One part of a reference and of the report that a system wrote for the same study.

    Attributes:
        reference: never empty: a study whose reference lacks the part is left out and counted.
        prediction: empty where the written report lacks the part.
        expected, written: both reports whole, for metrics that need both sections of one.
    """

    study_id: str
    part: Part
    reference: str
    prediction: str
    expected: Report
    written: Report


class Scorer(Protocol):
    """Pairs -> the statistics of each, in their order. Made without arguments from `Metric.scorers`."""

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]: ...


@runtime_checkable
class Fitted(Protocol):
    """A scorer whose numbers depend on the whole set, which it has to see before it scores."""

    def fit(self, pairs: Iterable[Pair]) -> None: ...


class Sums(Protocol):
    """From what is stored to what is summed over studies, and from the sums to the metric."""

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, numbers) as stored -> (studies, columns) whose sums `aggregate` takes; without NaN."""
        ...

    def aggregate(self, sums: Matrix) -> Matrix:
        """(..., columns) sums -> (...) values, NaN where undefined (0 / 0)."""
        ...

    def key(self) -> Hashable:
        """Equal for metrics whose `rows` are the same: these are computed and resampled once."""
        ...


@dataclass(frozen=True)
class Mean:
    """The mean over the studies that have a score, of one stored number."""

    column: int = 0

    def rows(self, stored: Matrix) -> Matrix:
        values = stored[:, self.column]
        return np.stack([np.nan_to_num(values), ~np.isnan(values)], axis=-1).astype(np.float64)

    def aggregate(self, sums: Matrix) -> Matrix:
        return mean_of_rows(sums)

    def key(self) -> Hashable:
        return self


@dataclass(frozen=True)
class MeanOf:
    """The mean over studies of a number that is computed from those stored, (studies, k) -> (studies,)."""

    of: Aggregate

    def rows(self, stored: Matrix) -> Matrix:
        return Mean().rows(self.of(stored)[:, None])

    def aggregate(self, sums: Matrix) -> Matrix:
        return mean_of_rows(sums)

    def key(self) -> Hashable:
        return self


@dataclass(frozen=True)
class SumOf:
    """A function of the sums of the stored numbers: what corpus scores are."""

    of: Aggregate

    def rows(self, stored: Matrix) -> Matrix:
        return np.nan_to_num(stored)

    def aggregate(self, sums: Matrix) -> Matrix:
        return self.of(sums)

    def key(self) -> Hashable:
        return SumOf


@dataclass(frozen=True)
class Ratio:
    """One stored number summed over studies, divided by another one summed: NaN where that sum is 0."""

    over: int
    under: int

    def rows(self, stored: Matrix) -> Matrix:
        return np.nan_to_num(stored)

    def aggregate(self, sums: Matrix) -> Matrix:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums[..., self.over] / sums[..., self.under])

    def key(self) -> Hashable:
        return SumOf


REFERENCE = "The heart is mildly enlarged. Small left pleural effusion. No pneumothorax."
PREDICTION = "The heart is enlarged. Small right pleural effusion. There is no pneumothorax."
OTHER = "The lungs are clear. No pleural effusion."
EXAMPLE = ((REFERENCE, PREDICTION), (OTHER, OTHER))
"""References and predictions of a worked example, made up."""


@dataclass(frozen=True)
class Metric:
    """One metric: what it means, what it needs, and how it is computed from what is stored per study.

    Attributes:
        name: what `--metrics` takes; metrics that differ in backend or convention have different names.
        title: its head in tables.
        family: its page in the docs.
        meaning: one sentence.
        low, high: its range; ``None`` where it has no bound.
        direction: which is better.
        inputs: what of the reports it reads.
        empty: what a report that lacks the part gets.
        identical: what a text gets against itself, where that isn't the best value for every text.
        scorers: "module:attribute" of what finds the statistics; a scorer of several metrics runs once.
        reads: names of the statistics that it is computed from, side by side in this order.
        sums: how.
        sections: the parts that it is computed for.
        cost: a rough figure, in milliseconds a pair on one core.
        citation: who defined it.
        backend: what decides: a formula, an ontology, or a model by name.
        package: whose version is recorded.
        symmetric: whether reference and prediction can be exchanged without a change.
        corpus_dependent: whether a study's value depends on the other references of the set.
        per_label: the same metric of single labels.
        example: pairs for the worked example.
    """

    name: str
    title: str
    family: str
    meaning: str
    scorers: tuple[str, ...]
    reads: tuple[str, ...]
    sums: Sums
    cost: str
    citation: str
    low: float | None = 0.0
    high: float | None = 1.0
    direction: Literal["higher", "lower"] = "higher"
    inputs: str = "the two texts"
    empty: str = "the worst value"
    identical: str = ""
    sections: tuple[Part, ...] = PARTS
    backend: str = "radflow"
    package: str = "radflow"
    symmetric: bool = False
    corpus_dependent: bool = False
    per_label: dict[str, Sums] = field(default_factory=dict)
    example: tuple[tuple[str, str], ...] = EXAMPLE

    @property
    def version(self) -> str:
        """Version of the package whose behaviour the numbers depend on; "not installed" without it."""
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return f"{self.package} not installed"

    @property
    def worst(self) -> float | None:
        return self.low if self.direction == "higher" else self.high

    @property
    def best(self) -> float | None:
        return self.high if self.direction == "higher" else self.low

    @property
    def range_text(self) -> str:
        low, high = (
            "-inf" if self.low is None else f"{self.low:g}",
            "inf" if self.high is None else f"{self.high:g}",
        )
        return f"{low} to {high}, {self.direction} is better"

    def values(self, stored: Matrix) -> Matrix:
        """(studies, numbers) as stored, `reads` side by side -> (studies,) the metric of each study alone."""
        return self.sums.aggregate(self.sums.rows(stored))

    def of_set(self, stored: Matrix) -> float | None:
        """The metric of all these studies; ``None`` where it is undefined."""
        value = float(self.sums.aggregate(self.sums.rows(stored).sum(axis=0)))
        return value if np.isfinite(value) else None


def declared(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """By name."""
    return {metric.name: metric for metric in metrics}


def stored_matrix(rows: Sequence[Statistics], reads: Sequence[str]) -> Matrix:
    """Statistics of pairs -> (pairs, numbers), those of `reads` side by side."""
    blocks = [np.array([row[name] for row in rows], dtype=np.float64) for name in reads]
    return np.concatenate(blocks, axis=1) if len(blocks) > 1 else blocks[0]


Maker = Callable[[], Scorer]


def as_maker(found: object) -> Maker:
    """What a "module:attribute" of `Metric.scorers` stands for."""
    return cast(Maker, found)
