"""Any metric as a reward function of TRL's trainers: `MetricReward("rouge-l")` in `reward_funcs`

Learning from one metric alone teaches its holes; radflow's own reward is a hierarchy of terms. This is for
comparisons, and for plain TRL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from radflow.data.sections import parse_report
from radflow.errors import ConfigError
from radflow.metrics.registry import find_metric
from radflow.metrics.report_parts import texts_of
from radflow.metrics.score import LoadedMetric
from radflow.records import Part

Completion = str | Sequence[Mapping[str, Any]]


class MetricReward:
    """Reward = the metric of the completion alone; of metrics where lower is better, its negative. Picklable.

    Args:
        name: see `radflow metrics`.
        part: what of the reports is compared. A completion that lacks it is an empty text.
        column: column of the data set that holds the reference reports.

    Raises:
        ConfigError: unknown name, or a metric whose value depends on the other studies of the batch.
    """

    def __init__(self, name: str, *, part: Part = "report", column: str = "reference") -> None:
        self.metric = find_metric(name)
        if self.metric.corpus_dependent or part not in self.metric.sections:
            reason = (
                "depends on the other references of its batch"
                if self.metric.corpus_dependent
                else f"isn't defined for the {part}"
            )
            raise ConfigError(f"{name} can't be a reward: it {reason}", next_step="Take another metric.")
        self.name, self.part, self.column = name, part, column
        self.__name__ = name  # TRL logs rewards by it

    def __call__(
        self, prompts: object = None, completions: Sequence[Completion] = (), **columns: Any
    ) -> list[float | None]:
        """A reward per completion; ``None`` where the reference lacks the part, or the metric is undefined.

        Raises:
            ConfigError: the data set lacks the reference column.
        """
        if self.column not in columns:
            raise ConfigError(
                f"the reward {self.name} needs a column {self.column!r} with reference reports",
                next_step="Add it to the data set, or name another with column=.",
            )
        references = [self._part(text or "") for text in columns[self.column]]
        predictions = [self._part(_text(completion)) for completion in completions]
        if not any(references):
            return [None] * len(references)
        values = self._loaded.per_study(references=references, predictions=predictions)
        sign = 1.0 if self.metric.direction == "higher" else -1.0
        return [None if value is None else sign * value for value in values]

    def _part(self, text: str) -> str:
        return texts_of(parse_report(text)).get(self.part, "")

    @cached_property
    def _loaded(self) -> LoadedMetric:
        return LoadedMetric(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.name, self.part, self.column)


def _rebuild(name: str, part: Part, column: str) -> MetricReward:
    return MetricReward(name, part=part, column=column)


def _text(completion: Completion) -> str:
    """The text of a completion, plain or conversational."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(piece.get("text", "")) for piece in content)
