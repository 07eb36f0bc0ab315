"""The hierarchical reward for callers other than TRL: verl, ms-swift, and metric suites with refs and hyps

TRL takes `HierarchicalReward` as it is. None of these imports the library it is for. A reward that is
undefined (a judge failed) stays undefined: None where the caller knows that, else an error; never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from radflow.config import RewardConfig
from radflow.data.sections import parse_report
from radflow.errors import JudgeError
from radflow.rewards.hierarchical import HierarchicalReward, mean_terms


@lru_cache(maxsize=1)
def default_reward() -> HierarchicalReward:
    """One reward with default settings per process, so that its memory is shared."""
    return HierarchicalReward(RewardConfig())


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: HierarchicalReward | None = None,
) -> float:
    """verl's custom reward function: custom_reward_function.path is this file, .name is compute_score.

    Args:
        data_source: not looked at.
        solution_str: the generated report.
        ground_truth: text of the reference report.
        extra_info: ``study_id``, if the data set has one.
        reward: other settings than the default ones; bind them with functools.partial.

    Raises:
        JudgeError: the judge failed on this report. verl has no undefined reward, and 0 would be a verdict.
    """
    study_id = str((extra_info or {}).get("study_id", data_source))
    total = (reward or default_reward())(
        [None], [solution_str], reference=[ground_truth], study_id=[study_id]
    )[0]
    if total is None:
        raise JudgeError(
            "a reward is undefined because a scorer failed",
            where=study_id,
            next_step="Use reward.consistency_backend: labels, or a trainer that leaves such rows out (TRL).",
        )
    return total


class SwiftReward:
    """An outcome reward for ms-swift: in a plug-in file, ``orms["radflow"] = SwiftReward``.

    Args:
        args: the training arguments that newer versions hand over; not looked at.
        reward: other settings than the default ones.
    """

    def __init__(self, args: Any = None, *, reward: HierarchicalReward | None = None) -> None:
        self._reward = reward or default_reward()

    def __call__(
        self,
        completions: Sequence[str],
        solution: Sequence[str],
        *,
        study_id: Sequence[str] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """A reward per completion, ``None`` where undefined; ``solution`` holds the references' texts."""
        return self._reward(completions, completions, reference=solution, study_id=study_id)


def score_texts(
    *, refs: Sequence[str], hyps: Sequence[str], reward: HierarchicalReward | None = None
) -> dict[str, float]:
    """Means over a test set under the names of metric suites, for RadEval-style callers.

    Returns:
        ``radflow_reward`` and ``radflow_TERM`` where they apply to any pair, each a mean over the pairs that
        it applies to, and ``radflow_failed``, the share of pairs whose reward is undefined.
    """
    records = (reward or default_reward()).score(
        references=[parse_report(text) for text in refs],
        predictions=hyps,
        study_ids=[f"row {number}" for number in range(len(refs))],
    )
    means = {f"radflow_{name}": value for name, value in mean_terms(records).items()}
    totals = [record.total for record in records if record.total is not None]
    return {"radflow_reward": sum(totals) / len(totals), **means} if totals else means
