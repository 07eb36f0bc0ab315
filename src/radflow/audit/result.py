"""All rows of an audit -> its result: every term and kind, the reward beside BLEU-2, conclusions"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from radflow.audit.scoring import REWARD, AuditRow
from radflow.audit.statistics import (
    Drops,
    KindResult,
    TermResult,
    auc_draws,
    bootstrap_weights,
    difference,
    drawn_interval,
    means,
    term_result,
    thresholds,
)
from radflow.audit.variants import CONTROLS, ERRORS, KINDS
from radflow.metrics.resampling import Matrix
from radflow.records import Interval, Record

RATE = 0.05
CONFIDENCE = 0.95
SAMPLES = 1000
BASELINE = "sentence-bleu-2"
"""What the hierarchical reward is held against: its own language term, alone."""
SEEN, UNSEEN = 0.8, 0.2
"""A kind is seen where the interval of its detection lies above the one, and unseen where below the other."""
FEW = 20
"""Fewer variants than this say too little for a conclusion."""


class Audit(Record):
    """What was found.

    Attributes:
        reports: how many were audited.
        variants: how many there are, by kind and count.
        terms: by name: the reward, its terms, the metrics.
        against: by error, detection by the reward less detection by BLEU-2, paired.
        ranking: by error, likewise, of the probability that one error drops more than one harmless change.
        margins: by error, how much more one of it costs the reward than the costliest harmless change, with
            one change each.
        costliest: the harmless change that costs the reward most.
    """

    reports: int
    rate: float
    confidence: float
    samples: int
    variants: dict[str, dict[int, int]]
    terms: dict[str, TermResult]
    against: dict[str, Interval]
    ranking: dict[str, Interval]
    margins: dict[str, Interval]
    costliest: str | None


def audit_of(
    rows: Sequence[AuditRow],
    *,
    seed: int,
    rate: float = RATE,
    confidence: float = CONFIDENCE,
    samples: int = SAMPLES,
) -> Audit:
    """Everything from the rows of all variants; those of the originals are not looked at."""
    places = {name: place for place, name in enumerate(dict.fromkeys(row.study_id for row in rows))}
    weights = bootstrap_weights(len(places), samples=samples, seed=seed)
    names = dict.fromkeys(name for row in rows for name in row.drops)
    by_kind: dict[str, list[AuditRow]] = {kind: [] for kind in KINDS}
    for row in rows:
        if row.kind in by_kind:
            by_kind[row.kind].append(row)
    drops = {name: {kind: drops_of(some, name, places) for kind, some in by_kind.items()} for name in names}
    found = {
        name: term_result(kinds, CONTROLS, weights, rate=rate, confidence=confidence)
        for name, kinds in drops.items()
    }
    costliest = _costliest(found.get(REWARD))
    is_compared = bool(found.get(REWARD) and found.get(BASELINE))
    return Audit(
        reports=len(places),
        rate=rate,
        confidence=confidence,
        samples=samples,
        variants={kind: _counts(some) for kind, some in by_kind.items()},
        terms={name: result for name, result in found.items() if result is not None},
        against=_against(drops, weights, rate, confidence)
        if found.get(REWARD) and found.get(BASELINE)
        else {},
        ranking=_ranking(drops, weights, confidence) if is_compared else {},
        margins=_margins(drops.get(REWARD, {}), costliest, weights, confidence),
        costliest=costliest,
    )


def drops_of(rows: Sequence[AuditRow], term: str, places: Mapping[str, int]) -> Drops:
    """What a term says of these variants; those of which it says nothing are left out."""
    some = [(places[row.study_id], row.count, row.drops[term]) for row in rows if row.drops[term] is not None]
    return Drops(
        reports=np.array([place for place, _, _ in some], dtype=np.int64),
        counts=np.array([count for _, count, _ in some], dtype=np.int64),
        values=np.array([value for _, _, value in some], dtype=np.float64),
    )


def _counts(rows: Sequence[AuditRow]) -> dict[int, int]:
    counts = [row.count for row in rows]
    return {count: counts.count(count) for count in sorted(set(counts))}


def _costliest(reward: TermResult | None) -> str | None:
    costs = {} if reward is None else {kind: cost_of(reward.kinds.get(kind)) for kind in CONTROLS}
    known = {kind: cost.value for kind, cost in costs.items() if cost is not None}
    return max(known, key=lambda kind: known[kind]) if known else None


def cost_of(result: KindResult | None) -> Interval | None:
    """Mean drop with one error or change."""
    return None if result is None else result.cost.get(1)


def detection_of(result: TermResult | None, kind: str) -> Interval | None:
    """Detection of one error."""
    if result is None or kind not in result.kinds:
        return None
    return result.kinds[kind].detection.get(1)


def _against(
    drops: Mapping[str, Mapping[str, Drops]], weights: Matrix, rate: float, confidence: float
) -> dict[str, Interval]:
    limits = {
        name: thresholds([drops[name][kind] for kind in CONTROLS], weights, rate)
        for name in (REWARD, BASELINE)
    }
    return {
        kind: difference(
            (drops[REWARD][kind].with_count(1), limits[REWARD]),
            (drops[BASELINE][kind].with_count(1), limits[BASELINE]),
            weights,
            confidence,
        )
        for kind in ERRORS
        if len(drops[REWARD][kind].with_count(1).values)
    }


def _ranking(
    drops: Mapping[str, Mapping[str, Drops]], weights: Matrix, confidence: float
) -> dict[str, Interval]:
    found = {}
    for kind in ERRORS:
        draws = []
        for name in (REWARD, BASELINE):
            errors = drops[name][kind].with_count(1)
            if len(errors.values):
                draws.append(auc_draws(errors, [drops[name][control] for control in CONTROLS], weights))
        if len(draws) == 2:
            units = len(np.unique(drops[REWARD][kind].reports))
            found[kind] = drawn_interval(draws[0] - draws[1], confidence, units)
    return found


def _margins(
    drops: Mapping[str, Drops], costliest: str | None, weights: Matrix, confidence: float
) -> dict[str, Interval]:
    if costliest is None:
        return {}
    control = drops[costliest].with_count(1)
    harmless = means(control.reports, control.values, weights)
    margins = {}
    for kind in ERRORS:
        some = drops[kind].with_count(1)
        if len(some.values):
            draws = means(some.reports, some.values, weights) - harmless
            margins[kind] = drawn_interval(draws, confidence, len(np.unique(some.reports)))
    return margins


def conclusions(audit: Audit) -> list[str]:
    """One line on each term, the reward first, and whether it holds what it should."""
    return [*reward_conclusions(audit), *(_of_term(name, result) for name, result in audit.terms.items())]


def reward_conclusions(audit: Audit) -> list[str]:
    """Does the reward notice each error more often than BLEU-2, and does harm cost more than no harm?"""
    lines = []
    for what, intervals in (
        ("notices one error", audit.against),
        ("ranks one error below a harmless change", audit.ranking),
    ):
        for head, kinds in (
            ("more often than BLEU-2", _where(intervals, lambda one: one.low > 0)),
            (
                "as often as BLEU-2, or no difference can be told",
                _where(intervals, lambda one: one.low <= 0 <= one.high),
            ),
            ("less often than BLEU-2", _where(intervals, lambda one: one.high < 0)),
        ):
            if kinds:
                lines.append(f"The reward {what} {head}: {_listed(kinds)}.")
    if audit.costliest is not None:
        title = KINDS[audit.costliest].title
        for head, kinds in (
            ("costs the reward less than one", _where(audit.margins, lambda one: one.low > 0)),
            (
                "can't be told by its cost from one",
                _where(audit.margins, lambda one: one.low <= 0 <= one.high),
            ),
            ("costs the reward more than one", _where(audit.margins, lambda one: one.high < 0)),
        ):
            if kinds:
                lines.append(f"One {title} {head} {_listed(kinds)}.")
    return lines


def _where(intervals: Mapping[str, Interval], holds: Callable[[Interval], bool]) -> list[str]:
    return [kind for kind, interval in intervals.items() if holds(interval)]


def _of_term(name: str, result: TermResult) -> str:
    seen, unseen = [], []
    for kind in ERRORS:
        found = detection_of(result, kind)
        if found is None or found.studies < FEW:
            continue
        if found.low > SEEN:
            seen.append(kind)
        elif found.high < UNSEEN:
            unseen.append(kind)
    parts = [
        f"sees {_listed(seen)}" if seen else "sees no kind of single error reliably",
        f"doesn't see {_listed(unseen)}" if unseen else "",
    ]
    return f"{name} {'; '.join(part for part in parts if part)}."


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(KINDS[kind].title for kind in kinds)
