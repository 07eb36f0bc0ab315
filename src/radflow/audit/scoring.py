"""Variants -> what every metric and every term of the reward says of them, and how much they drop"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from radflow.audit.bank import load_bank
from radflow.audit.texts import bodies_of, written
from radflow.audit.variants import KINDS, Variant, variants_of
from radflow.config import IN_PROCESS, EngineConfig, JudgeConfig, RewardConfig
from radflow.data.report_pairs import Case
from radflow.data.sections import parse_report
from radflow.engine import map_rows
from radflow.errors import RadflowError, RunError
from radflow.metrics.declaration import DEFAULT_JUDGE, JudgeSettings, Metric
from radflow.metrics.registry import find_metric
from radflow.metrics.scoring import Plan, make_plan, score_cases
from radflow.records import Record, Report, RewardScore, RowFailure
from radflow.registry import names_in
from radflow.rewards.hierarchical import LEARNED, TERMS, HierarchicalReward

REWARD = "reward"
ORIGINAL = "original"
DEFAULT_METRICS = (
    "sentence-bleu-2,sentence-bleu-4,rouge-l,sentence-chrf,meteor,bertscore-minilm,sembscore,"
    "rules-radeval-micro-14,rules-radeval-micro-5,chexbert-radeval-micro-14,hallucination-rate,omission-rate,"
    "laterality-error-rate,severity-error-rate,consistency-rate,lexicon-graph-partial,lexicon-graph-complete,"
    "radgraph-partial,radcliq-v1"
)
"""One metric of each sort; those that need a package or weights that this machine lacks are left out."""


class AuditRow(Record):
    """What was said of one variant, numbers only.

    Attributes:
        kind: what was done to the report; "original" for the report itself.
        count: how many errors, or harmless changes, it has.
        values: each metric and term; ``None`` where undefined or not applicable.
        drops: how much worse than the original, higher is worse; ``None`` where that can't be said.
    """

    study_id: str
    kind: str
    count: int
    is_harmless: bool
    values: dict[str, float | None]
    drops: dict[str, float | None]


class Study(NamedTuple):
    """A report to be audited, and what was made of it."""

    study_id: str
    reference: Report
    variants: tuple[Variant, ...]

    @property
    def texts(self) -> list[str]:
        """The original, then its variants."""
        return [self.reference.text, *(variant.text for variant in self.variants)]


class StudyMaker:
    """A report -> its variants; picklable."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, row: Study) -> Study:
        variants = variants_of(row.reference, load_bank(), seed=self.seed, study_id=row.study_id)
        return row._replace(variants=tuple(variants))


class RewardScorer:
    """A study -> the rewards of its original and its variants; picklable, a reward is opened per process."""

    def __init__(self, config: RewardConfig, judge: JudgeConfig | None, judge_cache: Path | None) -> None:
        self._settings = (config, judge, judge_cache)

    def __call__(self, row: Study) -> list[RewardScore]:
        texts = row.texts
        return self._reward.score(
            references=[row.reference] * len(texts), predictions=texts, study_ids=[row.study_id] * len(texts)
        )

    @cached_property
    def _reward(self) -> HierarchicalReward:
        config, judge, cache = self._settings
        return HierarchicalReward(config, judge=judge, judge_cache=cache)

    def __getstate__(self) -> dict[str, object]:
        return {"_settings": self._settings}


def as_written(report: Report) -> Report:
    """The report in the canonical form that all of its variants have."""
    return parse_report(written(bodies_of(report)))


def plan_of(names: str, judge: JudgeSettings = DEFAULT_JUDGE) -> Plan:
    """Metrics by name; of the default ones those that run here, and the reason for each that doesn't.

    What depends on the other reports of a set (CIDEr) is left out: a variant has no value of its own there.
    """
    is_default = names == DEFAULT_METRICS
    kept, not_run = [], {}
    for name in names_in(names):
        plan = make_plan("all" if name == "all" else [name], ["report"]) if not is_default else _attempt(name)
        if isinstance(plan, str):
            not_run[name] = plan
            continue
        not_run |= plan.not_run
        kept += [metric.name for metric in plan.metrics]
    for name in list(kept):
        if find_metric(name).corpus_dependent:
            kept.remove(name)
            not_run[name] = "its value depends on the other reports"
    plan = make_plan(kept, ["report"], judge=judge)
    return replace(plan, not_run=not_run)


def _attempt(name: str) -> Plan | str:
    try:
        return make_plan([name], ["report"])
    except RadflowError as error:
        return error.what
    except ImportError as error:
        return str(error)


def audited(
    studies: Sequence[Study],
    plan: Plan,
    reward: RewardScorer,
    *,
    seed: int,
    engine: EngineConfig = IN_PROCESS,
) -> Iterator[AuditRow]:
    """The original of each study, then its variants, with all values and drops, in order.

    Raises:
        RunError: a scorer failed on a study: a table without it would lie.
    """
    total = len(studies)
    made = [_checked(row) for row in map_rows(StudyMaker(seed), studies, label="variants", total=total)]
    rewards = map_rows(reward, made, engine=engine, label="reward", total=total)
    cases = (
        Case(row.study_id, None, row.reference, parse_report(text)) for row in made for text in row.texts
    )
    count = sum(len(row.texts) for row in made)
    metrics = _values(cases, plan, engine=engine, total=count)
    for row, found in zip(made, rewards, strict=True):
        scores = [{**of_reward(score), **next(metrics)} for score in _checked_rewards(found)]
        yield from _rows(row, scores, plan.metrics)


def _values(
    cases: Iterable[Case], plan: Plan, *, engine: EngineConfig, total: int
) -> Iterator[dict[str, float | None]]:
    if not plan.metrics:
        yield from ({} for _ in cases)
        return
    for batch in score_cases(cases, plan, system="audit", engine=engine, total=total, decides=False):
        yield from (row.values for row in batch)


def of_reward(score: RewardScore) -> dict[str, float | None]:
    """The reward and its terms by name."""
    terms = {f"{REWARD}/{name}": score.terms[name].value for name in (*TERMS, LEARNED) if name in score.terms}
    return {REWARD: score.total, **terms}


def _rows(
    study: Study, scores: Sequence[dict[str, float | None]], metrics: Sequence[Metric]
) -> Iterator[AuditRow]:
    by_name = {metric.name: metric for metric in metrics}
    original = scores[0]
    yield AuditRow(
        study_id=study.study_id, kind=ORIGINAL, count=0, is_harmless=True, values=original, drops={}
    )
    for variant, values in zip(study.variants, scores[1:], strict=True):
        yield AuditRow(
            study_id=study.study_id,
            kind=variant.kind,
            count=variant.times,
            is_harmless=KINDS[variant.kind].is_harmless,
            values=values,
            drops={name: drop(original[name], value, by_name.get(name)) for name, value in values.items()},
        )


def drop(original: float | None, value: float | None, metric: Metric | None) -> float | None:
    """How much worse a variant is rated than its original; negative where it is rated better.

    A metric that is undefined (0 / 0: F1 of two texts without a label) has nothing against the text: of the
    original it counts as the metric's best value, of the variant as no drop. ``None`` for the reward (no
    ``metric``), where an undefined value means that a term doesn't apply or a scorer failed, and for a metric
    of a judge, who may not have answered.
    """
    if (metric is None or metric.family == "judge") and (original is None or value is None):
        return None
    if metric is None:
        return None if original is None or value is None else round(original - value, 9)
    if value is None:
        return 0.0
    best = metric.best if original is None else original
    if best is None:
        return None
    return round(best - value if metric.direction == "higher" else value - best, 9)


def _checked(result: Study | RowFailure) -> Study:
    if isinstance(result, RowFailure):
        raise RunError(f"making variants failed: {result.kind}: {result.message}", where=result.study_id)
    return result


def _checked_rewards(result: list[RewardScore] | RowFailure) -> list[RewardScore]:
    if isinstance(result, RowFailure):
        raise RunError(f"the reward failed: {result.kind}: {result.message}", where=result.study_id)
    return result
