"""Random draws over studies: sums of resampled and of swapped rows, vectorised, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from radflow.errors import DataError

Matrix = NDArray[np.float64]
Aggregate = Callable[[Matrix], Matrix]
"""Maps (..., columns) sums of per-study rows to (...) values of a metric; NaN where it is undefined."""

CHUNK = 2**20
"""Draws held at a time; with their weights about 25 MB, whatever the number of studies and samples."""

EXACT_LIMIT = 2**16
"""All swaps of up to 16 studies are gone through, not drawn, where that many samples are asked for."""


def scored(rows: Matrix) -> NDArray[np.bool_]:
    """Which studies have a score: (studies, columns) -> (studies,), False where any column is NaN.

    Raises:
        DataError: a value is infinite, which no score is.
    """
    if np.isinf(rows).any():
        raise DataError("a score is infinite", next_step="Its metric has a defect: please report it.")
    return np.asarray(~np.isnan(rows).any(axis=1))


def cluster_sums(rows: Matrix, clusters: Sequence[Hashable | None] | None) -> Matrix:
    """Sum rows by cluster: (studies, columns) -> (clusters, columns), in order of first appearance.

    Drawing these sums is drawing clusters with all their studies, as metrics are functions of sums.

    Args:
        clusters: the patient of each study; ``None`` stands for one that isn't known, and the study alone.

    Raises:
        DataError: not one cluster per study.
    """
    if clusters is None:
        return rows
    if len(clusters) != len(rows):
        raise DataError(f"{len(rows)} studies but {len(clusters)} patients")
    places: dict[Hashable, int] = {}
    keys = [(True, number) if name is None else (False, name) for number, name in enumerate(clusters)]
    index = [places.setdefault(key, len(places)) for key in keys]
    sums = np.zeros((len(places), rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums


def bootstrap_sums(rows: Matrix, *, samples: int, seed: int) -> Matrix:
    """Column sums of resamplings of the rows with replacement: (units, columns) -> (samples, columns)."""
    units = len(rows)
    generator = np.random.default_rng(seed)
    sums = np.empty((samples, rows.shape[1]))
    for start, stop in _chunks(samples, units):
        drawn = generator.integers(units, size=(stop - start, units))
        drawn += np.arange(stop - start)[:, None] * units
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        sums[start:stop] = times.astype(np.float64) @ rows
    return sums


def swap_sums(rows: Matrix, *, samples: int, seed: int) -> tuple[Matrix, bool]:
    """Column sums of random halves of the rows, where each row is in or out with probability 1/2.

    With ``rows = b - a``, adding a sum to the sums of a, and taking it from those of b, swaps the two
    systems' scores of the rows that are in.

    Returns:
        (samples, columns) sums, and False; or (2 ** units, columns) sums of all subsets, and True, where
        these are not more than samples.
    """
    units = len(rows)
    if 2**units <= min(samples, EXACT_LIMIT):
        subsets = np.arange(2**units)[:, None] >> np.arange(units)
        return (subsets & 1).astype(np.float64) @ rows, True
    generator = np.random.default_rng([seed, 1])  # other draws than the bootstrap's
    sums = np.empty((samples, rows.shape[1]))
    for start, stop in _chunks(samples, units):
        octets = generator.integers(256, size=(stop - start, (units + 7) // 8), dtype=np.uint8)
        sums[start:stop] = np.unpackbits(octets, axis=1, count=units).astype(np.float64) @ rows
    return sums, False


def _chunks(samples: int, units: int) -> Iterator[tuple[int, int]]:
    size = max(1, CHUNK // max(1, units))
    return ((start, min(start + size, samples)) for start in range(0, samples, size))
