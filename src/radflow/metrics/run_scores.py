"""Reports that several systems wrote for the same studies -> rows of each system, every text scored once"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from radflow.config import IN_PROCESS, EngineConfig
from radflow.data.report_pairs import Case
from radflow.data.sections import parse_report
from radflow.metrics.collected import Collected
from radflow.metrics.score_summary import Differences, Summary, differences, summarise
from radflow.metrics.scoring import Plan, score_cases
from radflow.records import MetricRow, Study


@dataclass(frozen=True)
class Written:
    """A report that a system wrote for a study."""

    study: Study
    system: str
    text: str


def cases_of(written: Sequence[Written], critical: Mapping[str, bool]) -> list[Case]:
    """A case for each study and different text, those of a study one after the other.

    Args:
        critical: verdict of each study; one that isn't there is not decided.
    """
    by_study: dict[str, dict[str, list[str]]] = {}
    studies = {row.study.study_id: row.study for row in written}
    for row in written:
        by_study.setdefault(row.study.study_id, {}).setdefault(row.text, []).append(row.system)
    return [
        Case(
            study_id,
            studies[study_id].patient_id,
            studies[study_id].report,
            parse_report(text),
            systems=tuple(systems),
            is_critical=critical.get(study_id),
            truth=studies[study_id].truth,
        )
        for study_id, texts in by_study.items()
        for text, systems in texts.items()
    ]


class RunScores:
    """Scores of all systems of a run, batch by batch, and what they sum up to.

    Args:
        systems: in the order of the tables.
        samples, confidence, seed: of the intervals.
    """

    def __init__(
        self, plan: Plan, systems: Sequence[str], *, samples: int, confidence: float, seed: int
    ) -> None:
        self.plan = plan
        self.samples, self.confidence, self.seed = samples, confidence, seed
        self._collected = {system: Collected(plan.metrics, plan.parts) for system in systems}

    def score(self, cases: Sequence[Case], *, engine: EngineConfig = IN_PROCESS) -> Iterator[list[MetricRow]]:
        """Rows of all systems, study by study.

        Raises:
            RunError: a scorer failed on a case: a table without it would lie.
        """
        total = len(cases)
        for rows in score_cases(cases, self.plan, engine=engine, total=total, decides=False):
            for system, collected in self._collected.items():
                collected.add([row for row in rows if row.system == system])
            yield rows

    def summaries(self) -> dict[str, Summary]:
        """Of every system."""
        return {
            system: summarise(collected, samples=self.samples, confidence=self.confidence, seed=self.seed)
            for system, collected in self._collected.items()
        }

    def differences(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Differences]:
        """Paired differences, ``"a - b"`` -> all metrics, for the pairs that are there."""
        return {
            f"{first} - {second}": differences(
                self._collected[first],
                self._collected[second],
                samples=self.samples,
                confidence=self.confidence,
                seed=self.seed,
            )
            for first, second in pairs
            if first in self._collected and second in self._collected
        }
