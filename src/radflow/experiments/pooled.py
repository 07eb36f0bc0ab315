"""One measure over several seeds: mean, spread over seeds, interval that draws studies within seeds, paired p

A seed has its own training and, with phantoms, its own test studies: these are drawn seed by seed. Where
seeds share studies or patients, what they wrote for one is drawn together. The spread over seeds is stated
beside the interval, which takes the trained models as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from radflow.experiments.measures import Sample
from radflow.metrics.paired import bootstrap_difference, difference_of, paired_permutation, side_by_side
from radflow.metrics.resampling import Aggregate, Matrix, bootstrap_sums, cluster_sums
from radflow.metrics.statistics import interval_of_draws
from radflow.metrics.sums import Sums
from radflow.records import Record

Samples = Mapping[int, Sample]
"""Seed -> rows of one system and measure."""


class Estimate(Record):
    """A measure of one arm.

    Attributes:
        per_seed: its value on the studies of each seed; ``None`` where it is undefined (0 / 0).
        value, low, high: their mean, with the interval of drawn studies.
        spread: standard deviation over seeds (n - 1); ``None`` below two.
        studies: of all seeds together.
    """

    per_seed: dict[int, float | None]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    studies: int = 0


class Contrast(Estimate):
    """A measure of one arm minus the baseline's, on the same studies.

    Attributes:
        p: of the paired permutation test over the studies of all seeds, above 0; ``None`` without a value.
        p_holm: corrected for all arms and measures of the experiment.
    """

    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class OverSeeds:
    """The mean over seeds of a statistic, from sums in which each seed has columns of its own."""

    of: Aggregate
    seeds: int

    def __call__(self, sums: Matrix) -> Matrix:
        """(..., seeds * columns) sums -> (...) values."""
        columns = sums.shape[-1] // self.seeds
        own = [self.of(sums[..., place * columns : (place + 1) * columns]) for place in range(self.seeds)]
        return np.asarray(np.mean(own, axis=0))


@dataclass(frozen=True)
class Side:
    """What an interval is computed with.

    Attributes:
        samples: resamplings of the studies; the permutation test takes as many.
    """

    samples: int = 10_000
    confidence: float = 0.95
    seed: int = 0


def estimate(samples: Samples, sums: Sums, options: Side) -> Estimate:
    """A measure over the seeds in which it is defined."""
    values = {seed: _value(own, sums) for seed, own in samples.items()}
    used = {seed: own for seed, own in samples.items() if values[seed] is not None}
    if not used:
        return Estimate(per_seed=values)
    known = [value for value in values.values() if value is not None]
    rows, clusters, strata = _blocks(used)
    statistic = OverSeeds(sums.aggregate, len(used))
    draws, units = _draws(rows, clusters, strata, options)
    low, high = interval_of_draws(statistic(draws), confidence=options.confidence, units=units)
    return Estimate(
        per_seed=values,
        value=float(np.mean(known)),
        low=low,
        high=high,
        spread=_spread(known),
        studies=len(rows),
    )


def contrast(first: Samples, second: Samples, sums: Sums, options: Side) -> Contrast:
    """First minus second, on the studies that both have a score for, seed by seed."""
    pairs = {seed: shared(first[seed], second[seed]) for seed in first if seed in second}
    values = {seed: _difference(*pair, sums) for seed, pair in pairs.items()}
    used = [seed for seed, value in values.items() if value is not None]
    if not used:
        return Contrast(per_seed=values)
    known = [value for value in values.values() if value is not None]
    rows_a, clusters, strata = _blocks({seed: pairs[seed][0] for seed in used})
    rows_b, _, _ = _blocks({seed: pairs[seed][1] for seed in used})
    statistic = OverSeeds(sums.aggregate, len(used))
    drawn, units = _draws(side_by_side(rows_a, rows_b), clusters, strata, options)
    value = float(np.mean(known))
    draws = difference_of(drawn, statistic)
    found = bootstrap_difference(
        value, draws, confidence=options.confidence, units=units, studies=len(rows_a)
    )
    return Contrast(
        per_seed=values,
        value=value,
        low=found.low,
        high=found.high,
        spread=_spread(known),
        studies=len(rows_a),
        p=paired_permutation(
            rows_a, rows_b, statistic, samples=options.samples, seed=options.seed, clusters=clusters
        ),
    )


def shared(first: Sample, second: Sample) -> tuple[Sample, Sample]:
    """Both sides reduced to the cases that they share, in the same order."""
    both = set(first.studies) & set(second.studies)
    sides = []
    for own in (first, second):
        keep = [study in both for study in own.studies]
        sides.append(
            Sample(
                tuple(study for study, kept in zip(own.studies, keep, strict=True) if kept),
                tuple(name for name, kept in zip(own.clusters, keep, strict=True) if kept),
                own.rows[np.array(keep, dtype=bool)],
            )
        )
    return sides[0], sides[1]


def _value(own: Sample, sums: Sums) -> float | None:
    value = float(sums.aggregate(own.rows.sum(axis=0)))
    return value if np.isfinite(value) else None


def _difference(first: Sample, second: Sample, sums: Sums) -> float | None:
    values = _value(first, sums), _value(second, sums)
    return None if values[0] is None or values[1] is None else values[0] - values[1]


def _spread(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _blocks(samples: Samples) -> tuple[Matrix, list[str], list[int]]:
    """Rows of all seeds, (studies, seeds * columns) with zeros in other seeds' columns; clusters; strata.

    A stratum is a seed, or all seeds where any two share a cluster.
    """
    width = next(iter(samples.values())).rows.shape[1]
    blocks = []
    for place, own in enumerate(samples.values()):
        block = np.zeros((len(own.rows), len(samples) * width))
        block[:, place * width : (place + 1) * width] = own.rows
        blocks.append(block)
    clusters = [name for own in samples.values() for name in own.clusters]
    is_apart = len(set(clusters)) == sum(len(set(own.clusters)) for own in samples.values())
    strata = [place if is_apart else 0 for place, own in enumerate(samples.values()) for _ in own.rows]
    return np.concatenate(blocks), clusters, strata


def _draws(rows: Matrix, clusters: list[str], strata: list[int], options: Side) -> tuple[Matrix, int]:
    """(samples, columns) sums of resampled clusters, stratum by stratum; how many clusters there are."""
    total, units = np.zeros((options.samples, rows.shape[1])), 0
    places = np.array(strata)
    for stratum in sorted(set(strata)):
        mine = np.flatnonzero(places == stratum)
        own = cluster_sums(rows[mine], [clusters[place] for place in mine])
        total += bootstrap_sums(own, samples=options.samples, seed=options.seed + stratum)
        units += len(own)
    return total, units
