"""Cases -> rows of all metrics, part by part: each scorer runs once per pair, however many metrics it serves

What works per pair runs on all cores; what loads a model or sees the whole set runs in this process, in
batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from radflow.clinical.criticality import RuleCriticality
from radflow.data.report_pairs import Case
from radflow.engine import map_rows
from radflow.errors import RadflowError, RunError
from radflow.metrics.declaration import Fitted, Metric, Pair, Scorer, Statistics, as_maker, stored_matrix
from radflow.metrics.registry import find_metrics
from radflow.metrics.report_scores import parts_of
from radflow.records import MetricRow, Part, Report, RowFailure
from radflow.registry import resolve

BATCH = 256
"""Cases that are given at a time to scorers in this process, and of which values are computed at once."""


@dataclass(frozen=True)
class Plan:
    """What is computed.

    Attributes:
        metrics: in the order of the tables.
        parts: of the reports.
        scorers: those that run in this process, by "module:attribute"; all others are opened where they run.
        not_run: metrics of a preset that this machine can't compute, with the reason.
    """

    metrics: tuple[Metric, ...]
    parts: tuple[Part, ...]
    scorers: Mapping[str, Scorer]
    not_run: Mapping[str, str]

    def of_part(self, part: Part) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if part in metric.sections)

    @property
    def pooled(self) -> tuple[str, ...]:
        """Scorers that work per pair."""
        named = dict.fromkeys(name for metric in self.metrics for name in metric.scorers)
        return tuple(name for name in named if name not in self.scorers)


def open_scorer(name: str) -> Scorer:
    """The scorer that a "module:attribute" names.

    Raises:
        ModelError: its package, program or weights are missing.
    """
    return as_maker(resolve("scorer", {name: name}, name))()


def make_plan(names: str | Sequence[str], parts: Sequence[Part]) -> Plan:
    """Find the metrics and open what they need.

    Raises:
        ConfigError: unknown name.
        ModelError: a metric that was asked for by its own name can't be computed here.
    """
    metrics, optional = find_metrics(names)
    opened: dict[str, Scorer] = {}
    missing: dict[str, str] = {}
    not_run: dict[str, str] = {}
    for metric in metrics:
        for name in metric.scorers:
            if name in opened or name in missing:
                continue
            try:
                opened[name] = open_scorer(name)
            except (RadflowError, ImportError) as error:
                missing[name] = error.what if isinstance(error, RadflowError) else str(error)
                if metric.name not in optional:
                    raise
        reasons = [missing[name] for name in metric.scorers if name in missing]
        if reasons:
            not_run[metric.name] = reasons[0]
    return Plan(
        metrics=tuple(metric for metric in metrics if metric.name not in not_run),
        parts=tuple(parts),
        scorers={name: scorer for name, scorer in opened.items() if _stays_here(scorer)},
        not_run=not_run,
    )


def _stays_here(scorer: Scorer) -> bool:
    return bool(getattr(scorer, "in_process", False)) or isinstance(scorer, Fitted)


def pairs_of(case: Case, parts: Sequence[Part]) -> list[Pair]:
    """The parts that the reference has; what the prediction lacks of them is an empty text."""
    expected, written = texts_of(case.reference), texts_of(case.prediction)
    return [
        Pair(case.study_id, part, expected[part], written.get(part, ""), case.reference, case.prediction)
        for part in parts
        if part in expected
    ]


def texts_of(report: Report) -> dict[Part, str]:
    """The texts that are compared, those that say nothing left out."""
    return {part: text for part, text in parts_of(report).items() if text.strip()}


def parts_there(case: Case, parts: Sequence[Part]) -> list[Part]:
    """The parts for which the case has a row: those that its reference has."""
    expected = texts_of(case.reference)
    return [part for part in parts if part in expected]


class Scored(NamedTuple):
    """The pairs of a case with what was found out so far, in the order of its parts."""

    study_id: str
    is_critical: bool
    found: list[Statistics]


class CaseScorer:
    """Runs the pooled scorers, which are opened once per process, on the pairs of a case; picklable."""

    def __init__(self, names: tuple[str, ...], parts: tuple[Part, ...]) -> None:
        self.names, self.parts = names, parts

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [open_scorer(name) for name in self.names]

    @cached_property
    def _criticality(self) -> RuleCriticality:
        return RuleCriticality()

    def __call__(self, case: Case) -> Scored:
        pairs = pairs_of(case, self.parts)
        verdict = self._criticality.decide(case.study_id, case.reference)
        found: list[Statistics] = [{} for _ in pairs]
        for scorer in self._scorers:
            for statistics, more in zip(found, scorer(pairs), strict=True):
                statistics.update(more)
        return Scored(case.study_id, verdict.is_critical, found)

    def __getstate__(self) -> dict[str, object]:
        return {"names": self.names, "parts": self.parts}


def score_cases(
    cases: Iterable[Case], plan: Plan, *, system: str, workers: int, total: int | None = None
) -> Iterator[list[MetricRow]]:
    """Rows of every case, batch by batch; a case whose reference has none of the parts gives no row.

    Args:
        cases: read more than once where a metric depends on the whole set (CIDEr).

    Raises:
        RunError: a scorer failed on a case: a table without it would lie.
    """
    fitted = [scorer for scorer in plan.scorers.values() if isinstance(scorer, Fitted)]
    for scorer in fitted:
        scorer.fit(chain.from_iterable(pairs_of(case, plan.parts) for case in cases))
    waiting: deque[Case] = deque()

    def remembered() -> Iterator[Case]:
        for case in cases:
            waiting.append(case)
            yield case

    results = map_rows(
        CaseScorer(plan.pooled, plan.parts), remembered(), workers=workers, label="score", total=total
    )
    while rows := [_checked(result) for result in islice(results, BATCH)]:
        yield _finish([waiting.popleft() for _ in rows], rows, plan, system)


def _checked(result: Scored | RowFailure) -> Scored:
    if isinstance(result, RowFailure):
        raise RunError(f"scoring failed: {result.kind}: {result.message}", where=result.study_id)
    return result


def _finish(cases: Sequence[Case], results: Sequence[Scored], plan: Plan, system: str) -> list[MetricRow]:
    pairs = [pair for case in cases for pair in pairs_of(case, plan.parts)] if plan.scorers else []
    found = [statistics for result in results for statistics in result.found]
    for scorer in plan.scorers.values():
        for statistics, more in zip(found, scorer(pairs), strict=True):
            statistics.update(more)
    owners = [
        (case, result, part)
        for case, result in zip(cases, results, strict=True)
        for part in parts_there(case, plan.parts)
    ]
    values = _values([part for _, _, part in owners], found, plan)
    return [
        MetricRow(
            study_id=case.study_id,
            patient_id=case.patient_id,
            system=system,
            part=part,
            is_critical=result.is_critical,
            values=value,
            statistics={name: tuple(map(_or_none, numbers)) for name, numbers in statistics.items()},
        )
        for (case, result, part), statistics, value in zip(owners, found, values, strict=True)
    ]


def _values(parts: Sequence[Part], found: Sequence[Statistics], plan: Plan) -> list[dict[str, float | None]]:
    """Each metric of each study alone."""
    values: list[dict[str, float | None]] = [{} for _ in found]
    for part in plan.parts:
        places = [place for place, own in enumerate(parts) if own == part]
        if not places:
            continue
        for metric in plan.of_part(part):
            stored = stored_matrix([found[place] for place in places], metric.reads)
            for place, value in zip(places, metric.values(stored).tolist(), strict=True):
                values[place][metric.name] = _or_none(value)
    return values


def _or_none(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
