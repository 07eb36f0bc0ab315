"""Answers of all reviewers -> agreement, judges against people, preferences, errors, with intervals"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from radflow.clinical.judge_errors import CATEGORIES, ErrorCategory
from radflow.metrics.agreement import Agreed, agreed
from radflow.metrics.paired import paired_difference
from radflow.metrics.statistics import bootstrap_interval, mean_of_rows
from radflow.metrics.triage import Rate, TriageRates, triage_rates, wilson
from radflow.records import Difference, Interval
from radflow.review.answers import Answer, Key, Task
from radflow.review.questions import Material
from radflow.review.verdicts import Verdicts, consistency_verdicts, triage_verdicts

SAMPLES, CONFIDENCE = 1000, 0.95
FLAGGED: dict[Task, tuple[str, str]] = {
    "criticality": ("critical", "normal"),
    "consistency": ("inconsistent", "consistent"),
}
"""What a judge flags, and the other answer; "can't tell" is neither and left out of all rates."""


class AgreementRow(NamedTuple):
    """Two reviewers on the cases that both answered with more than "can't tell"."""

    task: Task
    first: str
    second: str
    agreed: Agreed


class JudgeRow(NamedTuple):
    """A judge against what most reviewers said, case by case."""

    task: Task
    judge: str
    rates: TriageRates
    agreed: Agreed


class Preference(NamedTuple):
    """How often which of two systems was preferred.

    Attributes:
        who: a reviewer, or "all": what most of them said of each case; ``divided`` are those without a most.
        share: of the cases with a winner those that ``first`` won.
        left: of single answers with a winner those that chose the left: far from .5, the side had a say.
    """

    who: str
    first: str
    second: str
    wins: tuple[int, int]
    equal: int
    both_bad: int
    divided: int
    share: Rate
    left: Rate


class ErrorCounts(NamedTuple):
    """Errors per report of a system; of a report that several counted, their mean.

    Attributes:
        by_category: mean number of significant and insignificant errors.
    """

    system: str
    reports: int
    significant: Interval | None
    insignificant: Interval | None
    by_category: dict[ErrorCategory, tuple[float, float]]


@dataclass(frozen=True)
class ReviewTable:
    """All that the answers show.

    Attributes:
        answered: reviewer -> task -> how many answers, and how many of them "can't tell".
        outdated: answers to texts that the run no longer has; in none of the numbers.
        fewer_errors: significant errors per report, first system less second, on the same studies.
        labels: study -> whether most reviewers call it critical; ``None`` where there is no most.
    """

    answered: dict[str, dict[Task, tuple[int, int]]]
    outdated: int
    agreement: tuple[AgreementRow, ...]
    judges: tuple[JudgeRow, ...]
    preferences: tuple[Preference, ...]
    errors: tuple[ErrorCounts, ...]
    fewer_errors: Difference | None
    labels: dict[str, bool | None]


def review_table(material: Material, answers: Iterable[Answer]) -> ReviewTable:
    """Sum up the last answers of all reviewers."""
    every = list(answers)
    kept = [answer for answer in every if material.still_holds(answer)]
    votes = {task: _consensus(kept, task) for task in FLAGGED}
    triage = triage_verdicts(material, [study for _, study, _ in votes["criticality"]])
    agreeing = consistency_verdicts(material, [(study, names[0]) for _, study, names in votes["consistency"]])
    return ReviewTable(
        answered=_answered(kept),
        outdated=len(every) - len(kept),
        agreement=tuple(_agreement(kept)),
        judges=(
            *_judges("criticality", {key[1]: vote for key, vote in votes["criticality"].items()}, triage),
            *_judges(
                "consistency",
                {(key[1], key[2][0]): vote for key, vote in votes["consistency"].items()},
                agreeing,
            ),
        ),
        preferences=tuple(_preferences([answer for answer in kept if answer.task == "comparison"])),
        errors=tuple(_errors(material, kept)),
        fewer_errors=_fewer_errors(material, kept),
        labels={
            key[1]: None if vote is None else vote == FLAGGED["criticality"][0]
            for key, vote in votes["criticality"].items()
        },
    )


def meaning(answer: Answer) -> str:
    """What was said, whichever side the reports stood on: of a comparison the better system's name."""
    if answer.task == "comparison" and answer.choice in ("left", "right"):
        return answer.systems[answer.choice == "right"]
    return answer.choice


def majority(votes: Sequence[str]) -> str | None:
    """The commonest vote; ``None`` without votes, or where two are as common."""
    ranked = Counter(votes).most_common(2)
    is_clear = len(ranked) == 1 or (len(ranked) == 2 and ranked[0][1] > ranked[1][1])
    return ranked[0][0] if is_clear else None


def _answered(answers: Iterable[Answer]) -> dict[str, dict[Task, tuple[int, int]]]:
    found: dict[str, dict[Task, tuple[int, int]]] = defaultdict(dict)
    for answer in answers:
        count, unsure = found[answer.reviewer].get(answer.task, (0, 0))
        found[answer.reviewer][answer.task] = (count + 1, unsure + (answer.choice == "unsure"))
    return dict(found)


def _consensus(answers: Iterable[Answer], task: Task) -> dict[Key, str | None]:
    """Case -> what most reviewers said, of those who could tell."""
    votes: dict[Key, list[str]] = {}
    for answer in answers:
        if answer.task == task:
            votes.setdefault(answer.key, []).extend([] if answer.choice == "unsure" else [meaning(answer)])
    return {key: majority(said) for key, said in votes.items()}


def _agreement(answers: Sequence[Answer]) -> Iterable[AgreementRow]:
    """Each pair of reviewers on each task that both worked at."""
    said: dict[tuple[Task, tuple[str, ...]], dict[str, dict[Key, str]]] = {}
    for answer in answers:
        if answer.choice != "unsure" and answer.task != "errors":
            systems = answer.key[2] if answer.task == "comparison" else ()
            by_reviewer = said.setdefault((answer.task, systems), {})
            by_reviewer.setdefault(answer.reviewer, {})[answer.key] = meaning(answer)
    for (task, systems), by_reviewer in said.items():
        categories = FLAGGED.get(task, (*systems, "equal", "both_bad"))
        for first, second in combinations(sorted(by_reviewer), 2):
            shared = [key for key in by_reviewer[first] if key in by_reviewer[second]]
            pairs = [(by_reviewer[first][key], by_reviewer[second][key]) for key in shared]
            if pairs:
                yield AgreementRow(task, first, second, agreed(pairs, categories))


def _judges(task: Task, votes: Mapping[object, str | None], judges: Verdicts) -> Iterable[JudgeRow]:
    flagged, other = FLAGGED[task]
    for judge, verdicts in judges.items():
        pairs = [
            (vote == flagged, verdicts[case])
            for case, vote in votes.items()
            if vote is not None and case in verdicts
        ]
        if pairs:
            names = [tuple(flagged if one else other for one in pair) for pair in pairs]
            told = agreed([(one, two) for one, two in names], FLAGGED[task])
            yield JudgeRow(task, judge, triage_rates(pairs), told)


def _rank(system: str) -> tuple[bool, str]:
    """The model after reinforcement first, as everywhere else."""
    return system != "rft", system


def _preferences(answers: Sequence[Answer]) -> Iterable[Preference]:
    """Of each two systems: what most said, then each reviewer."""
    by_pair: dict[tuple[str, ...], list[Answer]] = {}
    for answer in answers:
        by_pair.setdefault(answer.key[2], []).append(answer)
    for pair, given in by_pair.items():
        first, second = sorted(pair, key=_rank)
        reviewers = list(dict.fromkeys(answer.reviewer for answer in given))
        groups = {"all": given} if len(reviewers) > 1 else {}
        groups |= {name: [answer for answer in given if answer.reviewer == name] for name in reviewers}
        for who, group in groups.items():
            said = Counter(_consensus(group, "comparison").values())
            sides = Counter(answer.choice for answer in group)
            yield Preference(
                who,
                first,
                second,
                wins=(said[first], said[second]),
                equal=said["equal"],
                both_bad=said["both_bad"],
                divided=said[None],
                share=wilson(said[first], said[first] + said[second]),
                left=wilson(sides["left"], sides["left"] + sides["right"]),
            )


def _counted(answers: Iterable[Answer]) -> dict[str, dict[str, np.ndarray]]:
    """System -> study -> (6, 2) errors of each category and weight, the mean over reviewers."""
    every: dict[str, dict[str, list[list[tuple[int, int]]]]] = {}
    for answer in answers:
        if answer.errors is not None:
            counts = [answer.errors.get(category, (0, 0)) for category in CATEGORIES]
            every.setdefault(answer.systems[0], {}).setdefault(answer.study_id, []).append(counts)
    return {
        system: {study: np.mean(np.array(counts, np.float64), axis=0) for study, counts in studies.items()}
        for system, studies in every.items()
    }


def _errors(material: Material, answers: Iterable[Answer]) -> Iterable[ErrorCounts]:
    for system, counts in sorted(_counted(answers).items(), key=lambda row: _rank(row[0])):
        patients = [material.studies[study].patient_id for study in counts]
        totals = np.array([each.sum(axis=0) for each in counts.values()])
        significant, insignificant = (
            bootstrap_interval(
                _with_ones(totals[:, weight]),
                mean_of_rows,
                samples=SAMPLES,
                confidence=CONFIDENCE,
                seed=material.seed,
                clusters=patients,
            )
            for weight in (0, 1)
        )
        means = np.mean(list(counts.values()), axis=0)
        by_category = {
            category: (float(row[0]), float(row[1])) for category, row in zip(CATEGORIES, means, strict=True)
        }
        yield ErrorCounts(system, len(counts), significant, insignificant, by_category)


def _fewer_errors(material: Material, answers: Iterable[Answer]) -> Difference | None:
    counts = _counted(answers)
    if len(counts) != 2:
        return None
    first, second = (counts[system] for system in sorted(counts, key=_rank))
    shared = [study for study in first if study in second]
    rows = [np.array([each[study].sum(axis=0)[0] for study in shared]) for each in (first, second)]
    return paired_difference(
        _with_ones(rows[0]),
        _with_ones(rows[1]),
        mean_of_rows,
        samples=SAMPLES,
        seed=material.seed,
        confidence=CONFIDENCE,
        clusters=[material.studies[study].patient_id for study in shared],
    )


def _with_ones(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)
