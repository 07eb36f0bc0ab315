"""How the numbers stored per study become the number of a set: means, functions of sums, ratios of sums"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.resampling import Aggregate, Matrix
from radflow.metrics.statistics import mean_of_rows

Mask = NDArray[np.bool_]


def complete(stored: Matrix) -> Mask:
    """(studies, numbers) -> (studies,), False where one of the numbers is NaN."""
    return np.asarray(~np.isnan(stored).any(axis=1))


class Sums(Protocol):
    """From what is stored to what is summed over studies, and from the sums to the metric."""

    def rows(self, stored: Matrix) -> Matrix:
        """(studies, numbers) as stored -> (studies, columns) whose sums `aggregate` takes; without NaN."""
        ...

    def aggregate(self, sums: Matrix) -> Matrix:
        """(..., columns) sums -> (...) values, NaN where undefined (0 / 0)."""
        ...

    def scored(self, stored: Matrix) -> Mask:
        """(studies, numbers) -> (studies,), False for those that have no score and are left out."""
        ...

    def key(self) -> Hashable:
        """Equal for metrics whose `rows` and `scored` are the same: these are drawn once."""
        ...

    @property
    def is_mean(self) -> bool:
        """Whether rows are (value, 1), or (0, 0) without a score, and the metric is the mean of values."""
        ...


class _OfValues(ABC):
    """What means over studies share; `values` gives a number for each study, NaN for one without score."""

    is_mean: ClassVar[bool] = True

    @abstractmethod
    def values(self, stored: Matrix) -> Matrix: ...

    def rows(self, stored: Matrix) -> Matrix:
        values = self.values(stored)
        return np.stack([np.nan_to_num(values), ~np.isnan(values)], axis=-1).astype(np.float64)

    def scored(self, stored: Matrix) -> Mask:
        return np.asarray(~np.isnan(self.values(stored)))

    def aggregate(self, sums: Matrix) -> Matrix:
        return mean_of_rows(sums)

    def key(self) -> Hashable:
        return self


@dataclass(frozen=True)
class Mean(_OfValues):
    """The mean over the studies that have a score, of one stored number."""

    column: int = 0

    def values(self, stored: Matrix) -> Matrix:
        return stored[:, self.column]


@dataclass(frozen=True)
class MeanOf(_OfValues):
    """The mean over studies of a number that is computed from those stored, (studies, k) -> (studies,)."""

    of: Aggregate

    def values(self, stored: Matrix) -> Matrix:
        return self.of(stored)


class _OfSums:
    """What functions of the sums of all stored numbers share."""

    is_mean: ClassVar[bool] = False

    def rows(self, stored: Matrix) -> Matrix:
        return np.nan_to_num(stored)

    def scored(self, stored: Matrix) -> Mask:
        return complete(stored)

    def key(self) -> Hashable:
        return _OfSums


@dataclass(frozen=True)
class SumOf(_OfSums):
    """A function of the sums of the stored numbers: what corpus scores are."""

    of: Aggregate

    def aggregate(self, sums: Matrix) -> Matrix:
        return self.of(sums)


@dataclass(frozen=True)
class Ratio(_OfSums):
    """One stored number summed over studies, divided by another one summed: NaN where that sum is 0."""

    over: int
    under: int

    def aggregate(self, sums: Matrix) -> Matrix:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums[..., self.over] / sums[..., self.under])


@dataclass(frozen=True)
class CountRatio(_OfSums):
    """A ratio of true positives, false positives and false negatives, stored name by name.

    Attributes:
        of: `precision`, `recall` or `f1`.
        places: the names that count; empty for all of them.
    """

    of: Aggregate
    places: tuple[int, ...] = ()

    def aggregate(self, sums: Matrix) -> Matrix:
        counts = sums.reshape(*sums.shape[:-1], -1, 3)
        chosen = counts[..., self.places, :] if self.places else counts
        return self.of(chosen.sum(axis=-2))


def precision(counts: Matrix) -> Matrix:
    """True positives / all asserted, from (..., 3) sums of (tp, fp, fn); NaN when nothing was asserted."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 1])


def recall(counts: Matrix) -> Matrix:
    """True positives / all true, from (..., 3) sums; NaN when nothing was true."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 2])


def f1(counts: Matrix) -> Matrix:
    """2 tp / (2 tp + fp + fn), from (..., 3) sums; NaN when nothing was true or asserted."""
    return _ratio(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])


def _ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator / denominator)
