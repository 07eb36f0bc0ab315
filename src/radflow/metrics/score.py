"""Score reports in one line: `radflow.score(reference=[...], prediction=[...])`

References and predictions are taken by keyword only: swapped, most metrics give another number without a
word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from radflow.config import EngineConfig
from radflow.data.report_pairs import Case
from radflow.data.sections import parse_report
from radflow.errors import DataError
from radflow.metrics.collected import Collected
from radflow.metrics.declaration import (
    DEFAULT_JUDGE,
    Accounting,
    Fitted,
    JudgeSettings,
    Metric,
    Pair,
    stored_matrix,
)
from radflow.metrics.registry import find_metric
from radflow.metrics.report_parts import PARTS, texts_of
from radflow.metrics.score_summary import Summary, summarise
from radflow.metrics.scoring import make_plan, open_scorer, score_cases
from radflow.records import Interval, LeftOut, MetricRow, Part, Report

Texts = Sequence[str | Report | None] | Mapping[str, str | Report | None]
"""Reports in order, or by study id; ``None`` and "" stand for none."""


@dataclass(frozen=True)
class Options:
    """How sets are summed up.

    Attributes:
        samples: resamplings of the bootstrap.
        confidence: coverage of the intervals.
        seed: of the resamplings.
        workers: processes; 0 takes all cores, 1 stays in this process.
        system: who wrote the predictions.
        judge: whom metrics ask that need a language model.
    """

    samples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    workers: int = 1
    system: str = "system"
    judge: JudgeSettings = DEFAULT_JUDGE


@dataclass(frozen=True)
class ScoreResult:
    """All metrics of a set of reports.

    Attributes:
        summary: values with intervals by part, of all and of critical studies, and of single labels.
        per_study: a row per study and part.
        excluded: by part, the studies that are not scored as their reference lacks it.
        not_run: metrics of a preset that this machine can't compute, with the reason.
        judge: what a judge was asked and what came of it, ``None`` where no metric needs one.
        not_judged: the studies that got no answer, which its metrics leave out.
    """

    summary: Summary
    per_study: list[MetricRow]
    excluded: dict[Part, list[str]]
    not_run: Mapping[str, str]
    judge: Mapping[str, object] | None = None
    not_judged: Sequence[LeftOut] = ()

    def __getitem__(self, name: str) -> Interval:
        """A metric of whole reports (or of the first part that was scored), with its interval."""
        return next(iter(self.summary.scores["all"].values()))[name]

    def rows(self) -> list[dict[str, object]]:
        """Flat rows for a data frame: study_id, part, is_critical, then a column per metric."""
        return [
            {"study_id": row.study_id, "part": row.part, "is_critical": row.is_critical, **row.values}
            for row in self.per_study
        ]


@dataclass
class Watched:
    """Cases, counted as they are read.

    Attributes:
        read: how many.
        excluded: by part, the ids of those whose reference lacks it.
    """

    cases: Iterable[Case]
    parts: Sequence[Part]
    read: int = 0
    excluded: dict[Part, list[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Case]:
        self.read, self.excluded = 0, {part: [] for part in self.parts}
        for case in self.cases:
            self.read += 1
            there = texts_of(case.reference)
            for part in self.parts:
                if part not in there:
                    self.excluded[part].append(case.study_id)
            yield case


def score(
    *,
    reference: Texts,
    prediction: Texts,
    metrics: str | Sequence[str] = "fast",
    sections: Sequence[Part] = PARTS,
    patients: Sequence[str | None] | None = None,
    options: Options = Options(),
) -> ScoreResult:
    """Score predictions against references, study by study and as a set.

    Args:
        reference, prediction: as many of one as of the other in the same order, or both by the same ids. An
            empty prediction gets the worst value; an empty reference is left out and listed.
        metrics: names and presets, see `radflow metrics`.
        sections: the parts that are compared.
        patients: the patient of each study, for intervals over patients.

    Raises:
        DataError: the two sides don't match, or nothing can be scored.
        ConfigError: unknown metric.
        ModelError: a metric asked for by name can't be computed on this machine.
        JudgeError: a metric asks a judge that can't be used at all.
    """
    plan = make_plan(metrics, sections, judge=options.judge)
    cases = Watched(_cases(reference, prediction, patients), plan.parts)
    collected, rows = Collected(plan.metrics, plan.parts), []
    for batch in score_cases(
        cases, plan, system=options.system, engine=EngineConfig(workers=options.workers), total=len(reference)
    ):
        collected.add(batch)
        rows += batch
    judge = plan.judge
    return ScoreResult(
        summary_of(collected, options),
        rows,
        cases.excluded,
        plan.not_run,
        judge.account() if judge else None,
        judge.not_scored if judge else (),
    )


def summary_of(collected: Collected, options: Options) -> Summary:
    """
    Raises:
        DataError: no study could be scored.
    """
    summary = summarise(collected, samples=options.samples, confidence=options.confidence, seed=options.seed)
    if not any(summary.studies["all"].values()):
        raise DataError("no study can be scored: no reference has any of the parts")
    return summary


def _cases(reference: Texts, prediction: Texts, patients: Sequence[str | None] | None) -> list[Case]:
    if isinstance(reference, str) or isinstance(prediction, str):
        raise DataError("reference and prediction are lists of reports, not one text")
    if isinstance(reference, Mapping) != isinstance(prediction, Mapping):
        raise DataError("reference and prediction must both be lists, or both be by id")
    if isinstance(reference, Mapping) and isinstance(prediction, Mapping):
        unmatched = sorted(set(reference) ^ set(prediction))
        if unmatched:
            raise DataError(f"{len(unmatched)} ids are in one of the two only, the first is {unmatched[0]!r}")
        ids = list(reference)
        pairs = [(reference[name], prediction[name]) for name in ids]
    else:
        if len(reference) != len(prediction):
            raise DataError(f"{len(reference)} references but {len(prediction)} predictions")
        ids = [str(place) for place in range(len(reference))]
        pairs = list(zip(reference, prediction, strict=True))
    people = patients or [None] * len(ids)
    if len(people) != len(ids):
        raise DataError(f"{len(ids)} references but {len(people)} patients")
    return [
        Case(name, person, _report(first), _report(second))
        for name, person, (first, second) in zip(ids, people, pairs, strict=True)
    ]


def _report(text: str | Report | None) -> Report:
    return text if isinstance(text, Report) else parse_report(text)


class LoadedMetric:
    """One metric, ready to be called again and again on texts as they are: no sections are read.

    Args:
        name: see `radflow metrics`.
        judge: whom it asks, if it needs a language model.

    Attributes:
        not_judged: how many pairs got no answer so far.

    Raises:
        ConfigError: unknown name.
        ModelError: it can't be computed on this machine.
    """

    def __init__(self, name: str, *, judge: JudgeSettings = DEFAULT_JUDGE) -> None:
        self.metric: Metric = find_metric(name)
        self._scorers = [open_scorer(name, judge=judge) for name in self.metric.scorers]

    @property
    def not_judged(self) -> int:
        return sum(len(scorer.not_scored) for scorer in self._scorers if isinstance(scorer, Accounting))

    def compute(self, *, references: Sequence[str], predictions: Sequence[str]) -> dict[str, float | None]:
        """{name: value of the set}, as in the package `evaluate`; ``None`` where it is undefined."""
        return {self.metric.name: self.metric.of_set(self._stored(references, predictions))}

    def per_study(self, *, references: Sequence[str], predictions: Sequence[str]) -> list[float | None]:
        """The value of each pair alone; ``None`` where it is undefined, as for an empty reference."""
        there = [place for place, text in enumerate(references) if text.strip()]
        values: list[float | None] = [None] * len(references)
        if there:
            stored = self._stored(references, predictions)
            for place, value in zip(there, self.metric.values(stored).tolist(), strict=True):
                values[place] = value if np.isfinite(value) else None
        return values

    def _stored(self, references: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
        if len(references) != len(predictions):
            raise DataError(f"{len(references)} references but {len(predictions)} predictions")
        pairs = [
            Pair(
                str(place), "report", reference, prediction, parse_report(reference), parse_report(prediction)
            )
            for place, (reference, prediction) in enumerate(zip(references, predictions, strict=True))
            if reference.strip()
        ]
        if not pairs:
            raise DataError("no reference holds any text")
        found: list[dict[str, tuple[float, ...]]] = [{} for _ in pairs]
        for scorer in self._scorers:
            if isinstance(scorer, Fitted):
                scorer.fit(pairs)
            for statistics, more in zip(found, scorer(pairs), strict=True):
                statistics.update(more)
        return stored_matrix(found, self.metric.reads)


def load_metric(name: str, *, judge: JudgeSettings = DEFAULT_JUDGE) -> LoadedMetric:
    """The metric of that name, to be called as `compute(references=..., predictions=...)`."""
    return LoadedMetric(name, judge=judge)
