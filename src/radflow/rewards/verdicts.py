"""What a judge says of the consistency of many reports at once: a verdict for each, or why there is none"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from radflow.clinical.judge import Judge, Result
from radflow.clinical.judge_questions import Answer, Question, consistency_question
from radflow.clinical.judge_verdicts import ConsistencyVerdict

Verdict = bool | str
"""Whether a report is consistent, or why the judge could not say."""


class Case(NamedTuple):
    """A report to be checked: ``group`` names the task that it is one of several answers to."""

    group: tuple[str, str]
    study_id: str
    findings: str
    impression: str


def ask_judge(judge: Judge, cases: Sequence[Case], *, in_groups: bool) -> list[Verdict]:
    """A verdict for each case, in order; all calls are under way together.

    Args:
        in_groups: ask for all cases of a group in one call, else for each apart.

    Raises:
        JudgeError: the judge can't be used at all.
    """
    groups: dict[object, list[int]] = {}
    for place, case in enumerate(cases):
        groups.setdefault(case.group if in_groups else place, []).append(place)
    batches = [[_question(cases[place]) for place in places] for places in groups.values()]
    answers: Iterable[list[Result[ConsistencyVerdict]]]
    if in_groups:
        answers = judge.ask_groups(batches)
    else:
        answers = ([answer] for answer in judge.ask_all(question for (question,) in batches))
    verdicts: list[Verdict] = [False] * len(cases)
    for places, results in zip(groups.values(), answers, strict=True):
        for place, result in zip(places, results, strict=True):
            verdicts[place] = _verdict(result)
    return verdicts


def _verdict(result: Result[ConsistencyVerdict]) -> Verdict:
    if isinstance(result, Answer):
        return result.verdict.verdict == "consistent"
    return f"the judge failed: {result.kind}"


def _question(case: Case) -> Question[ConsistencyVerdict]:
    return consistency_question(case.study_id, findings=case.findings, impression=case.impression)
