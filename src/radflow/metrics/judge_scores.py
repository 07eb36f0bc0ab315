"""Errors and matched findings of written reports, counted by a language model; asked for by name only

Categories in the style of ReXVal and GREEN, prompt and schema are ours: the numbers are neither's, and those
of two models, or of two versions of the prompt, can't be compared. A pair that the judge doesn't answer for
has no score: it is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from radflow.clinical.judge import Judge, Result
from radflow.clinical.judge_errors import CATEGORIES, ERRORS, ErrorVerdict, errors_question
from radflow.clinical.judge_questions import JudgeFailure
from radflow.metrics.declaration import DEFAULT_JUDGE, JudgeSettings, Metric, Pair, Statistics, declared
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import Mean, MeanOf
from radflow.records import LeftOut

STATISTIC = "judge-errors"
NOT_SCORED = float("nan")
SIGNIFICANT = tuple(range(2, 2 + len(CATEGORIES)))
INSIGNIFICANT = tuple(range(2 + len(CATEGORIES), 2 + 2 * len(CATEGORIES)))
"""Places of the counts by category, behind the score and the matched findings."""


class JudgeScores:
    """Statistics of the error-counting judge: all pairs of a call are asked at once, equal ones once.

    Args:
        judge: settings and folder of kept answers.

    Attributes:
        backend: model and version of the prompt.
        not_scored: the pairs that got no answer.

    Raises:
        JudgeError: from a call, when the judge can't be used at all. Answers so far are kept.
    """

    in_process = True

    def __init__(self, *, judge: JudgeSettings = DEFAULT_JUDGE) -> None:
        self.judge = Judge(judge.config, cache=judge.cache)
        self.backend = f"judge {judge.config.model}, {ERRORS.version}"
        self.not_scored: list[LeftOut] = []
        self._undecided = 0

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        written = [pair for pair in pairs if pair.prediction.strip()]
        answers = iter(
            list(
                self.judge.ask_all(
                    errors_question(pair.study_id, reference=pair.reference, candidate=pair.prediction)
                    for pair in written
                )
            )
        )
        return [
            {STATISTIC: self._counted(pair, next(answers)) if pair.prediction.strip() else _of_empty()}
            for pair in pairs
        ]

    def _counted(self, pair: Pair, result: Result[ErrorVerdict]) -> tuple[float, ...]:
        """(14,) score, matched findings, significant, insignificant errors by category; NaN unanswered."""
        if isinstance(result, JudgeFailure):
            detail = f"{pair.part}: {result.kind}, {result.message}"
            self.not_scored.append(LeftOut(study_id=pair.study_id, reason="judge_failed", detail=detail))
            return (NOT_SCORED,) * (2 + 2 * len(CATEGORIES))
        counts = result.verdict.counts()
        matched, significant = counts[0], sum(counts[1 : 1 + len(CATEGORIES)])
        self._undecided += not matched + significant
        score = matched / (matched + significant) if matched + significant else NOT_SCORED
        return (score, *map(float, counts))

    def account(self) -> dict[str, Any]:
        """Model, prompt, tally of the questions, and how many pairs have no score, by reason."""
        reasons = Counter((row.detail or "").partition(": ")[2].partition(",")[0] for row in self.not_scored)
        return {
            "model": self.judge.config.model,
            "prompt": ERRORS.version,
            **self.judge.tally.summary(self.judge.config),
            "not_scored": {**reasons, "nothing_matched_no_significant_error": self._undecided},
        }


def _of_empty() -> tuple[float, ...]:
    """What a missing text gets, unasked: no finding is matched; nobody has counted what is missing."""
    return (0.0, 0.0, *(NOT_SCORED,) * (2 * len(CATEGORIES)))


def significant_errors(stored: Matrix) -> Matrix:
    """(..., 14) as stored -> (...) significant errors of all categories."""
    return np.asarray(stored[..., SIGNIFICANT].sum(axis=-1))


def insignificant_errors(stored: Matrix) -> Matrix:
    """(..., 14) as stored -> (...) insignificant errors of all categories."""
    return np.asarray(stored[..., INSIGNIFICANT].sum(axis=-1))


_make = partial(
    Metric,
    family="judge",
    scorers=("radflow.metrics.judge_scores:JudgeScores",),
    reads=(STATISTIC,),
    inputs="the two texts; a question to the judge for each part",
    cost="what the model takes",
    identical="what the judge says; one that finds errors in a copy should not be asked",
    backend="the model of judge.model",
    citation="radflow; categories after ReXVal (Yu et al., Patterns 2023), score after GREEN (Ostmeier et "
    "al., EMNLP Findings 2024)",
)
_make_errors = partial(
    _make,
    direction="lower",
    high=None,
    empty="not scored: nobody has counted what is missing; read it beside judge-error-score",
)
METRICS = declared(
    [
        _make(
            name="judge-error-score",
            title="judge score",
            meaning="Mean over studies of matched findings / (matched findings + significant errors), as a "
            "language model counts them.",
            sums=Mean(0),
        ),
        _make(
            name="judge-matched-findings",
            title="judge matched",
            meaning="Mean number of findings that both texts report alike, as a language model counts them.",
            sums=Mean(1),
            high=None,
        ),
        _make_errors(
            name="judge-significant-errors",
            title="judge errors",
            meaning="Mean number of errors that could change what is done for the patient, as a language "
            "model counts them; of six categories too.",
            sums=MeanOf(significant_errors),
            per_label={name: Mean(place) for name, place in zip(CATEGORIES, SIGNIFICANT, strict=True)},
        ),
        _make_errors(
            name="judge-insignificant-errors",
            title="judge small errors",
            meaning="Mean number of errors that would change nothing for the patient, as a language model "
            "counts them; of six categories too.",
            sums=MeanOf(insignificant_errors),
            per_label={name: Mean(place) for name, place in zip(CATEGORIES, INSIGNIFICANT, strict=True)},
        ),
    ]
)
