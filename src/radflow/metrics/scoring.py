"""Cases -> rows of all metrics, part by part: each scorer runs once per pair, however many metrics it serves

What works per pair runs on all cores; what loads a model or sees the whole set runs in this process, in
batches.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from inspect import signature
from itertools import chain, groupby, islice
from typing import NamedTuple

from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.ontology_file import load_ontology
from radflow.config import IN_PROCESS, EngineConfig
from radflow.data.report_pairs import Case
from radflow.engine import map_rows
from radflow.errors import ConfigError, RadflowError, RunError
from radflow.metrics.declaration import (
    CHEST,
    DEFAULT_JUDGE,
    Accounting,
    Fitted,
    JudgeSettings,
    Metric,
    Pair,
    Scorer,
    Statistics,
    Vocabulary,
    as_maker,
    stored_matrix,
)
from radflow.metrics.registry import find_metrics
from radflow.metrics.report_parts import texts_of
from radflow.metrics.rule_findings import vocabulary_of
from radflow.records import MetricRow, Part, RowFailure
from radflow.registry import resolve

DIGITS = 12
"""Of a reference's digest that are kept."""
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
        vocabulary: the names of the examination.
        ontology: what rules read by: the vocabulary's, by name or path.
    """

    metrics: tuple[Metric, ...]
    parts: tuple[Part, ...]
    scorers: Mapping[str, Scorer]
    not_run: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = CHEST
    ontology: str = CHEST.ontology

    def described(self) -> dict[str, object]:
        """What a reader of the numbers has to know, for summary.json."""
        return {
            "vocabulary": self.vocabulary._asdict(),
            "metrics": {metric.name: metric.described() for metric in self.metrics},
            "not_run": dict(self.not_run),
            **({"judge": self.judge.account()} if self.judge is not None else {}),
        }

    @property
    def judge(self) -> Accounting | None:
        """The scorer that asks a language model, if a metric needs one."""
        return next((scorer for scorer in self.scorers.values() if isinstance(scorer, Accounting)), None)

    def of_part(self, part: Part) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if part in metric.sections)

    @property
    def pooled(self) -> tuple[str, ...]:
        """Scorers that work per pair."""
        named = dict.fromkeys(name for metric in self.metrics for name in metric.scorers)
        return tuple(name for name in named if name not in self.scorers)


def open_scorer(name: str, ontology: str = CHEST.ontology, judge: JudgeSettings = DEFAULT_JUDGE) -> Scorer:
    """The scorer that a "module:attribute" names; what it takes of ontology and judge it is given.

    "module:attribute@FOLDER" is one of a fitted model.

    Raises:
        ModelError: its package, program or weights are missing.
    """
    place, _, folder = name.partition("@")
    maker = as_maker(resolve("scorer", {place: place}, place))
    offered = {"ontology": ontology, "judge": judge, "folder": folder}
    return maker(**{name: offered[name] for name in signature(maker).parameters if name in offered})


def make_plan(
    names: str | Sequence[str],
    parts: Sequence[Part],
    *,
    ontology: str = CHEST.ontology,
    judge: JudgeSettings = DEFAULT_JUDGE,
) -> Plan:
    """Find the metrics and open what they need.

    Args:
        ontology: what rules read by, a shipped one by name or the path of your own .yaml.
        judge: whom metrics ask that need a language model; nobody is asked yet.

    Raises:
        ConfigError: unknown name, or a metric that was asked for by its own name is none of this ontology.
        ModelError: a metric that was asked for by its own name can't be computed here.
    """
    vocabulary = vocabulary_of(load_ontology(ontology))
    metrics, optional = find_metrics(names)
    opened: dict[str, Scorer] = {}
    missing: dict[str, str] = {}
    not_run: dict[str, str] = {}
    bound: list[Metric] = []
    for declared_one in metrics:
        metric = declared_one.bound(vocabulary)
        if metric is None:
            not_run[declared_one.name] = f"needs the 14 CheXpert classes, which {vocabulary.ontology} hasn't"
            if declared_one.name not in optional:
                raise ConfigError(
                    f"{declared_one.name} {not_run[declared_one.name]}",
                    next_step="Take rules-label-f1, or a preset, which leaves out what doesn't fit.",
                )
            continue
        bound.append(metric)
        for name in metric.scorers:
            if name in opened or name in missing:
                continue
            try:
                opened[name] = open_scorer(name, ontology, judge)
            except (RadflowError, ImportError) as error:
                missing[name] = error.what if isinstance(error, RadflowError) else str(error)
                if metric.name not in optional:
                    raise
        reasons = [missing[name] for name in metric.scorers if name in missing]
        if reasons:
            not_run[metric.name] = reasons[0]
    return Plan(
        metrics=tuple(_backed(metric, opened) for metric in bound if metric.name not in not_run),
        parts=tuple(parts),
        scorers={name: scorer for name, scorer in opened.items() if _stays_here(scorer)},
        not_run=not_run,
        vocabulary=vocabulary,
        ontology=ontology,
    )


def _backed(metric: Metric, opened: Mapping[str, Scorer]) -> Metric:
    """The metric with the name of whom it asks, where the settings decide that."""
    for name in metric.scorers:
        if isinstance(scorer := opened[name], Accounting):
            return replace(metric, backend=scorer.backend)
    return metric


def _stays_here(scorer: Scorer) -> bool:
    return bool(getattr(scorer, "in_process", False)) or isinstance(scorer, Fitted)


def pairs_of(case: Case, parts: Sequence[Part]) -> list[Pair]:
    """The parts that the reference has; what the prediction lacks of them is an empty text."""
    expected, written = texts_of(case.reference), texts_of(case.prediction)
    return [
        Pair(
            case.study_id,
            part,
            expected[part],
            written.get(part, ""),
            case.reference,
            case.prediction,
            case.truth,
        )
        for part in parts
        if part in expected
    ]


class Scored(NamedTuple):
    """The pairs of a case with what was found out so far, in the order of its parts.

    Attributes:
        references: digests of the texts that were compared with.
    """

    study_id: str
    is_critical: bool | None
    parts: list[Part]
    references: list[str]
    found: list[Statistics]


class CaseScorer:
    """Runs the pooled scorers, which are opened once per process, on the pairs of a case; picklable.

    Args:
        decides: whether rules decide which cases are critical; else it is what the case says.
    """

    def __init__(
        self, names: tuple[str, ...], parts: tuple[Part, ...], *, ontology: str, decides: bool
    ) -> None:
        self.names, self.parts, self.ontology, self.decides = names, parts, ontology, decides

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [open_scorer(name, self.ontology) for name in self.names]

    @cached_property
    def _criticality(self) -> RuleCriticality:
        return RuleCriticality(self.ontology)

    def __call__(self, case: Case) -> Scored:
        pairs = pairs_of(case, self.parts)
        is_critical = case.is_critical
        if self.decides:
            is_critical = self._criticality.decide(case.study_id, case.reference).is_critical
        found: list[Statistics] = [{} for _ in pairs]
        for scorer in self._scorers:
            for statistics, more in zip(found, scorer(pairs), strict=True):
                statistics.update(more)
        digests = [
            sha256(pair.reference.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS] for pair in pairs
        ]
        return Scored(case.study_id, is_critical, [pair.part for pair in pairs], digests, found)

    def __getstate__(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("names", "parts", "ontology", "decides")}


def score_cases(
    cases: Iterable[Case],
    plan: Plan,
    *,
    system: str = "system",
    engine: EngineConfig = IN_PROCESS,
    total: int | None = None,
    decides: bool = True,
) -> Iterator[list[MetricRow]]:
    """Rows of every case, batch by batch; a case whose reference has none of the parts gives no row.

    Args:
        cases: read more than once where a metric depends on the whole set (CIDEr), whose references count
            once however many cases a study has. Those of a study come one after the other.
        system: who wrote the reports of cases that don't say it.
        decides: whether rules decide which cases are critical; else it is what the cases say.

    Raises:
        RunError: a scorer failed on a case: a table without it would lie.
    """
    fitted = [scorer for scorer in plan.scorers.values() if isinstance(scorer, Fitted)]
    for scorer in fitted:
        first_of_study = (next(own) for _, own in groupby(cases, key=lambda case: case.study_id))
        scorer.fit(chain.from_iterable(pairs_of(case, plan.parts) for case in first_of_study))
    waiting: deque[Case] = deque()

    def remembered() -> Iterator[Case]:
        for case in cases:
            waiting.append(case)
            yield case

    scorer_of_case = CaseScorer(plan.pooled, plan.parts, ontology=plan.ontology, decides=decides)
    results = map_rows(scorer_of_case, remembered(), engine=engine, label="score", total=total)
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
    values = iter(_values([part for result in results for part in result.parts], found, plan))
    rows: list[MetricRow] = []
    for case, result in zip(cases, results, strict=True):
        of_case = [
            MetricRow(
                study_id=case.study_id,
                patient_id=case.patient_id,
                system=system,
                part=part,
                reference=reference,
                is_critical=result.is_critical,
                values=next(values),
                statistics={name: tuple(map(_or_none, numbers)) for name, numbers in statistics.items()},
            )
            for part, reference, statistics in zip(result.parts, result.references, result.found, strict=True)
        ]
        for each in case.systems or (system,):
            rows += [row.model_copy(update={"system": each}) for row in of_case]
    return rows


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
    return float(number) if math.isfinite(number) else None
