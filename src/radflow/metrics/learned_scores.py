"""The metric of a fitted reward: `learned-reward:FOLDER`, the score of `radflow reward fit` in that folder"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radflow.metrics.declaration import Metric, Pair, Statistics
from radflow.metrics.learned_features import canonical_text
from radflow.metrics.learned_model import LearnedReward, read_card
from radflow.metrics.sums import Mean

NAME = "learned-reward"
NOT_SCORED = float("nan")


class LearnedScores:
    """Statistics of a fitted reward, by what it reads with, whatever ontology other metrics read with."""

    def __init__(self, *, folder: str) -> None:
        self._reward = LearnedReward(folder)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        values = self._reward.score(
            reference=[canonical_text(pair.expected) for pair in pairs],
            prediction=[pair.written.text for pair in pairs],
        )
        return [{NAME: (NOT_SCORED if value is None else value,)} for value in values]


def learned_reward(folder: str) -> Metric:
    """The metric of the fitted reward in that folder.

    Raises:
        ModelError: no fitted reward there.
    """
    card = read_card(Path(folder))
    fitted = card.get("fitted") or {}
    return Metric(
        name=f"{NAME}:{folder}",
        title=f"learned reward ({Path(folder).name})",
        family="learned",
        meaning="Score of a model that was fitted on injected errors: 1 for the reference itself, lower the "
        "surer it is of errors.",
        scorers=(f"radflow.metrics.learned_scores:LearnedScores@{folder}",),
        reads=(NAME,),
        sums=Mean(0),
        sections=("report",),
        cost="3 ms",
        citation="radflow; docs/experiments/learned-reward.md",
        backend=f"{fitted.get('chosen', 'unknown')}, fitted on {fitted.get('sha256', 'unknown')}",
        inputs="both reports whole, headers included",
        empty="a low score",
        identical="the best value",
    )
