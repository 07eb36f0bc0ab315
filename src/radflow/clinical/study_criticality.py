"""Which studies are critical, as the settings of `annotate` decide it: by rules, or by a language model"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from radflow.clinical.criticality import JudgeCriticality, RuleCriticality
from radflow.clinical.judge import Judge
from radflow.config import IN_PROCESS, RunConfig
from radflow.engine import map_rows
from radflow.records import Criticality, RowFailure, Study

JudgeName = Literal["rules", "judge"]
PARALLEL_FROM = 5000
"""Studies from which several processes of the rule judge gain more than their start costs."""


class StudyCriticality:
    """One of the two judges, ready to decide studies from their reference reports.

    Args:
        cache: folder in which answers of a language model are kept.
    """

    def __init__(self, config: RunConfig, name: JudgeName, *, cache: Path) -> None:
        self._config = config
        self._judge = Judge(config.judge, cache=cache) if name == "judge" else None

    def decide_all(self, studies: Sequence[Study]) -> Iterator[Criticality | RowFailure]:
        """A verdict or a failure for each study, in order.

        Raises:
            JudgeError: the model's server refuses everything, or too many of the last questions failed.
        """
        if self._judge is None:
            settings = self._config.annotate
            rules = DecideStudy(RuleCriticality(settings.ontology, levels=settings.levels))
            yield from map_rows(
                rules,
                studies,
                engine=self._config.engine if len(studies) >= PARALLEL_FROM else IN_PROCESS,
                label="criticality",
                total=len(studies),
            )
            return
        reports = ((study.study_id, study.report) for study in studies)
        yield from JudgeCriticality(self._judge).decide_all(reports, total=len(studies))

    def tally(self) -> dict[str, Any] | None:
        """What a language model was asked and what that cost; ``None`` for rules."""
        return None if self._judge is None else self._judge.tally.summary(self._config.judge)


class DecideStudy:
    """The rule judge on the reference report of a study; picklable."""

    def __init__(self, rules: RuleCriticality) -> None:
        self.rules = rules

    def __call__(self, study: Study) -> Criticality:
        return self.rules.decide(study.study_id, study.report)
