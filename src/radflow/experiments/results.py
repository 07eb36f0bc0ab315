"""What all arms and seeds of an experiment came to: estimates, differences, trends, and what failed"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radflow import __version__
from radflow.errors import RunError
from radflow.experiments.declaration import Arm, Design
from radflow.experiments.measures import Sample, SystemScores, measure
from radflow.experiments.pooled import Contrast, Estimate, Side, contrast, estimate
from radflow.experiments.trends import History, mean_curve, trend_value
from radflow.metrics.declaration import CHEST, Vocabulary
from radflow.metrics.paired import holm
from radflow.records import Record
from radflow.reporting.run_files import read_rows
from radflow.reporting.scales import Point
from radflow.run_dir import RunDir

START = "start"
"""The SFT model that all arms begin with: a row of the tables, in no test."""


class Failure(Record):
    """An arm that has no result for a seed.

    Attributes:
        kind: class name of the error, or "unfinished".
        message: what is wrong; text of radflow's own errors only.
    """

    arm: str
    seed: int
    kind: str
    message: str


class Number(Record):
    """A trend of one arm: by seed, mean, and standard deviation over seeds."""

    per_seed: dict[int, float]
    mean: float
    spread: float | None


class ArmResult(Record):
    """One arm over all of its finished seeds.

    Attributes:
        estimates: measure -> value with interval.
        contrasts: measure -> difference to the baseline; empty for the baseline itself.
        curves: column of the history -> points, the mean over seeds.
    """

    name: str
    meaning: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    estimates: dict[str, Estimate]
    contrasts: dict[str, Contrast] = {}
    trends: dict[str, Number] = {}
    curves: dict[str, tuple[Point, ...]] = {}


class Results(Record):
    """All of an experiment.

    Attributes:
        titles: measure -> its words.
        directions: measure -> which is better.
    """

    experiment: str
    question: str
    command: str
    baseline: str
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    titles: dict[str, str]
    directions: dict[str, str]
    arms: tuple[ArmResult, ...]
    failures: tuple[Failure, ...]
    samples: int
    confidence: float
    radflow: str = __version__
    commits: tuple[str, ...] = ()


@dataclass
class _Read:
    """What the run folders of one arm hold, seed by seed."""

    samples: dict[str, dict[int, Sample]] = field(default_factory=dict)
    histories: dict[int, History] = field(default_factory=dict)
    facts: dict[int, dict[str, Any]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)


def collect(
    design: Design,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder_of: Mapping[tuple[int, str], Path],
    *,
    command: str,
    failures: Sequence[Failure],
    options: Side | None = None,
) -> Results:
    """Read every finished run and sum it up; an arm without a finished seed has no row.

    Args:
        folder_of: (seed, arm) -> run folder.
        failures: of this command; runs that it did not reach are added as unfinished.
    """
    options = options or Side()
    read, start, vocabulary, commits, unfinished = _read_runs(design, arms, seeds, folder_of)
    known = {(failure.seed, failure.arm) for failure in failures}
    missing = [*failures, *(each for each in unfinished if (each.seed, each.arm) not in known)]
    everything = {START: start, **read}
    measures = tuple(dict.fromkeys(_present(design, everything.values())))
    words = {key: own for key in measures if (own := measure(key, vocabulary)) is not None}
    rows = [
        _arm_result(design, arm, read[arm.name], read.get(design.baseline), words, options)
        for arm in arms
        if read[arm.name].seeds
    ]
    if start.seeds:
        first = Arm(START, "the SFT model, where all arms begin")
        rows = [_arm_result(design, first, start, None, words, options), *rows]
    return Results(
        experiment=design.name,
        question=design.question,
        command=command,
        baseline=design.baseline,
        seeds=tuple(seeds),
        measures=tuple(words),
        titles={key: own.title for key, own in words.items()},
        directions={key: own.direction for key, own in words.items()},
        arms=tuple(corrected(rows)),
        failures=tuple(missing),
        samples=options.samples,
        confidence=options.confidence,
        commits=tuple(sorted(commits)),
    )


def _read_runs(
    design: Design,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder_of: Mapping[tuple[int, str], Path],
) -> tuple[dict[str, _Read], _Read, Vocabulary, set[str], list[Failure]]:
    """Arm -> what its runs hold; the SFT model that all begin with; examination, commits, unfinished runs."""
    asked = [*design.measures, *design.instead.values()]
    read: dict[str, _Read] = {arm.name: _Read() for arm in arms}
    start, vocabulary, commits = _Read(), CHEST, set[str]()
    unfinished: list[Failure] = []
    for seed in seeds:
        for arm in arms:
            folder = folder_of[seed, arm.name]
            if not _is_evaluated(folder):
                why = "run the command again"
                unfinished.append(Failure(arm=arm.name, seed=seed, kind="unfinished", message=why))
                continue
            scores = SystemScores(folder)
            vocabulary = scores.vocabulary
            _add(read[arm.name], seed, folder, scores.samples(arm.system, asked))
            if seed not in start.seeds:
                _add(start, seed, folder, scores.samples("sft", asked), trained=False)
            commits |= _commits(folder)
    return read, start, vocabulary, commits, unfinished


def _is_evaluated(folder: Path) -> bool:
    run = RunDir(folder)
    try:
        return run.manifest("evaluate") is not None and not run.lost("evaluate")
    except RunError:
        return False


def _add(
    into: _Read, seed: int, folder: Path, samples: Mapping[str, Sample], *, trained: bool = True
) -> None:
    into.seeds.append(seed)
    for key, own in samples.items():
        into.samples.setdefault(key, {})[seed] = own
    if trained:
        history = folder / "rft_history.jsonl"
        into.histories[seed] = read_rows(history) if history.exists() else []
        into.facts[seed] = dict((RunDir(folder).manifest("rft") or {}).get("facts", {}))


def _commits(folder: Path) -> set[str]:
    manifests = (json.loads(path.read_bytes()) for path in (folder / "manifests").glob("*.json"))
    return {str(manifest["git_commit"]) for manifest in manifests if manifest.get("git_commit")}


def _present(design: Design, sides: Iterable[_Read]) -> Iterable[str]:
    """The measures that anything has; what stands in for the others."""
    have = {key for side in sides for key in side.samples}
    for key in design.measures:
        own = key if key in have else design.instead.get(key)
        if own in have:
            yield own


def _arm_result(
    design: Design,
    arm: Arm,
    own: _Read,
    baseline: _Read | None,
    words: Mapping[str, Any],
    options: Side,
) -> ArmResult:
    estimates = {
        key: estimate(own.samples[key], of.sums, options) for key, of in words.items() if key in own.samples
    }
    contrasts = {}
    if baseline is not None and arm.name != design.baseline:
        contrasts = {
            key: contrast(own.samples[key], baseline.samples[key], of.sums, options)
            for key, of in words.items()
            if key in own.samples and key in baseline.samples
        }
    trained = arm.system == "rft" and bool(own.histories)
    return ArmResult(
        name=arm.name,
        meaning=arm.meaning,
        settings=dict(arm.settings),
        seeds=tuple(own.seeds),
        estimates=estimates,
        contrasts=contrasts,
        trends=_trends(design, own) if trained else {},
        curves={key: mean_curve(list(own.histories.values()), key) for key in design.curves}
        if trained
        else {},
    )


def _trends(design: Design, own: _Read) -> dict[str, Number]:
    found = {}
    for trend in design.trends:
        values = {
            seed: value
            for seed, history in own.histories.items()
            if (value := trend_value(trend, history, own.facts[seed])) is not None
        }
        if values:
            found[trend.title] = number_of(values)
    return found


def number_of(values: Mapping[int, float]) -> Number:
    """Mean and spread of one value a seed."""
    mean = sum(values.values()) / len(values)
    squares = sum((value - mean) ** 2 for value in values.values())
    spread = (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else None
    return Number(per_seed=dict(values), mean=mean, spread=spread)


def corrected(rows: Sequence[ArmResult]) -> list[ArmResult]:
    """The same with Holm's correction over all arms and measures."""
    values = [found.p for row in rows for found in row.contrasts.values() if found.p is not None]
    after = iter(holm(values))
    return [
        row.model_copy(
            update={
                "contrasts": {
                    key: found if found.p is None else found.model_copy(update={"p_holm": next(after)})
                    for key, found in row.contrasts.items()
                }
            }
        )
        for row in rows
    ]
