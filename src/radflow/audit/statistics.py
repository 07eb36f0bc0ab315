"""How often errors are noticed at one rate of false alarms, and whether more errors cost more, with intervals

All functions take one term. Reports are drawn again for the intervals, each with all of its variants, and the
threshold is found anew in every draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.resampling import Matrix
from radflow.metrics.statistics import interval_of_draws
from radflow.records import Interval, Record

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Drops:
    """What one term says of the variants of one kind.

    Attributes:
        reports: (variants,) place of each variant's report in the list of reports.
        counts: (variants,) errors or changes in it.
        values: (variants,) drops, without NaN.
    """

    reports: NDArray[np.int64]
    counts: NDArray[np.int64]
    values: Numbers

    def with_count(self, count: int) -> Drops:
        keep = self.counts == count
        return Drops(self.reports[keep], self.counts[keep], self.values[keep])


class KindResult(Record):
    """What one term makes of one kind of change.

    Attributes:
        detection: by count, the share of variants whose drop exceeds the threshold.
        cost: by count, the mean drop.
        trend: of two variants of a report with different counts (the original has 0), how much more often the
            one with more errors is rated lower than higher: 1 always lower, 0 no relation.
        auc: how often a variant with one error drops more than a control, ties half.
    """

    detection: dict[int, Interval]
    cost: dict[int, Interval]
    trend: Interval | None
    auc: float | None


class TermResult(Record):
    """One metric or reward term.

    Attributes:
        threshold: the drop that is exceeded by at most the agreed share of the controls.
        false_alarms: the share of the controls that exceed it, kinds weighing alike.
        kinds: by name, errors and controls.
    """

    threshold: float
    false_alarms: float
    kinds: dict[str, KindResult]


def bootstrap_weights(reports: int, *, samples: int, seed: int) -> Matrix:
    """(1 + samples, reports) how often each report is drawn; in the first row each of them once."""
    drawn = np.random.default_rng(seed).multinomial(reports, np.full(reports, 1 / reports), size=samples)
    return np.concatenate([np.ones((1, reports)), drawn]).astype(np.float64)


def thresholds(controls: Sequence[Drops], weights: Matrix, rate: float) -> Matrix:
    """(draws,) the smallest drop among the controls that at most ``rate`` of them exceed; kinds weigh alike.

    Args:
        controls: of each harmless kind.
        weights: (draws, reports).
        rate: of false alarms, e.g. 0.05.

    Raises:
        ValueError: no control at all.
    """
    there = [drops for drops in controls if len(drops.values)]
    if not there:
        raise ValueError("no control")
    values = np.concatenate([drops.values for drops in there])
    shares = np.concatenate([np.full(len(drops.values), 1 / len(drops.values)) for drops in there])
    reports = np.concatenate([drops.reports for drops in there])
    order = np.argsort(values, kind="stable")
    levels, starts = np.unique(values[order], return_index=True)
    mass = np.add.reduceat((weights[:, reports] * shares)[:, order], starts, axis=1)
    total = mass.sum(axis=1, keepdims=True)
    above = total - np.cumsum(mass, axis=1)
    fits = above <= rate * total + 1e-9
    return np.asarray(levels[np.argmax(fits, axis=1)], dtype=np.float64)


def exceeding(drops: Drops, weights: Matrix, limits: Matrix) -> Matrix:
    """(draws,) share of the variants whose drop exceeds the limit of the draw; NaN where none was drawn."""
    mass = weights[:, drops.reports]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((mass * (drops.values > limits[:, None])).sum(axis=1) / mass.sum(axis=1))


def means(reports: NDArray[np.int64], values: Numbers, weights: Matrix) -> Matrix:
    """(draws,) weighted means; NaN where nothing was drawn."""
    mass = weights[:, reports]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((mass @ values) / mass.sum(axis=1))


def trends(drops: Drops) -> tuple[NDArray[np.int64], Numbers]:
    """Reports with at least two variants, and of each (pairs in order - pairs against it) / pairs.

    Pairs are two variants of the report with different counts, the original being one with count 0 and drop
    0; ties count as neither. This is Somers' D of the drop given the count; with every drop different it is
    Kendall's tau.
    """
    places, found = [], []
    for report in np.unique(drops.reports):
        mine = drops.reports == report
        if mine.sum() < 2:
            continue
        counts = np.concatenate([[0], drops.counts[mine]])
        values = np.concatenate([[0.0], drops.values[mine]])
        more = counts[:, None] > counts[None, :]
        signs = np.sign(values[:, None] - values[None, :])
        places.append(report)
        found.append(float(signs[more].mean()))
    return np.array(places, dtype=np.int64), np.array(found, dtype=np.float64)


def auc(errors: Numbers, controls: Sequence[Drops]) -> float | None:
    """How often a random error drops more than a random control (kinds alike), ties counting half."""
    there = [np.sort(drops.values) for drops in controls if len(drops.values)]
    if not len(errors) or not there:
        return None
    shares = []
    for values in there:
        below = np.searchsorted(values, errors, side="left")
        up_to = np.searchsorted(values, errors, side="right")
        shares.append(float(((below + up_to) / 2 / len(values)).mean()))
    return float(np.mean(shares))


def auc_draws(errors: Drops, controls: Sequence[Drops], weights: Matrix) -> Matrix:
    """(draws,) `auc` in each draw of the reports."""
    there = [drops for drops in controls if len(drops.values)]
    mine = weights[:, errors.reports]
    found = np.zeros(len(weights))
    for drops in there:
        gap = np.sign(errors.values[:, None] - drops.values[None, :])
        theirs = weights[:, drops.reports]
        with np.errstate(invalid="ignore", divide="ignore"):
            found += ((mine @ gap) * theirs).sum(axis=1) / (mine.sum(axis=1) * theirs.sum(axis=1))
    return np.asarray((found / len(there) + 1) / 2)


def term_result(
    kinds: Mapping[str, Drops],
    controls: Sequence[str],
    weights: Matrix,
    *,
    rate: float,
    confidence: float,
) -> TermResult | None:
    """Everything of one term; ``None`` where no control has a drop.

    Args:
        kinds: drops by kind, controls included.
        controls: which kinds are harmless.
        weights: of `bootstrap_weights`; the first row is what was measured.
    """
    harmless = [kinds[name] for name in controls if name in kinds and len(kinds[name].values)]
    if not harmless:
        return None
    limits = thresholds(harmless, weights, rate)
    alarms = float(np.mean([exceeding(drops, weights[:1], limits[:1])[0] for drops in harmless]))
    results = {
        name: _kind_result(drops, harmless, weights, limits, confidence)
        for name, drops in kinds.items()
        if len(drops.values)
    }
    return TermResult(threshold=float(limits[0]), false_alarms=alarms, kinds=results)


def _kind_result(
    drops: Drops, harmless: Sequence[Drops], weights: Matrix, limits: Matrix, confidence: float
) -> KindResult:
    detection, cost = {}, {}
    for count in sorted(set(drops.counts.tolist())):
        some = drops.with_count(count)
        units = len(np.unique(some.reports))
        detection[count] = drawn_interval(exceeding(some, weights, limits), confidence, units)
        cost[count] = drawn_interval(means(some.reports, some.values, weights), confidence, units)
    places, found = trends(drops)
    trend = drawn_interval(means(places, found, weights), confidence, len(places)) if len(places) else None
    return KindResult(
        detection=detection, cost=cost, trend=trend, auc=auc(drops.with_count(1).values, harmless)
    )


def difference(
    first: tuple[Drops, Matrix], second: tuple[Drops, Matrix], weights: Matrix, confidence: float
) -> Interval:
    """Detection by one term less detection by another, of the same variants, with a paired interval.

    Args:
        first, second: drops of one kind and the term's thresholds, (draws,).
    """
    draws = exceeding(first[0], weights, first[1]) - exceeding(second[0], weights, second[1])
    return drawn_interval(draws, confidence, len(np.unique(first[0].reports)))


def drawn_interval(draws: Matrix, confidence: float, units: int) -> Interval:
    """From (draws,) values of which the first is what was measured; those that are NaN are left out."""
    value = float(draws[0])
    others = draws[1:][np.isfinite(draws[1:])]
    if not len(others):
        return Interval(value=value, low=value, high=value, studies=units)
    low, high = interval_of_draws(others, confidence=confidence, units=units)
    return Interval(value=value, low=min(low, value), high=max(high, value), studies=units)
