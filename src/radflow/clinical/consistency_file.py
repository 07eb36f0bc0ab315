"""A file of reports -> a verdict per report (JSONL): do Findings and Impression agree? In flat memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.consistency_judge import JudgeConsistency
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure
from radflow.config import JudgeConfig
from radflow.data.report_files import count_reports, json_line, read_parsed, require_suffix, whole_file
from radflow.errors import ConfigError
from radflow.records import Consistency, Report
from radflow.registry import nearest
from radflow.terminal import with_late_bar

BACKENDS = ("labels", "judge", "both")


class Checker(Protocol):
    """Decides about reports with their ids, in order; a failure stands in the place of its verdict."""

    def check_all(self, reports: Iterable[tuple[str, Report]]) -> Iterator[Consistency | JudgeFailure]: ...


class RulesForFiles:
    """The rules behind the interface of `Checker`."""

    def __init__(self, rules: LabelConsistency) -> None:
        self._rules = rules

    def check_all(self, reports: Iterable[tuple[str, Report]]) -> Iterator[Consistency]:
        return (self._rules.check(report) for _, report in reports)


def consistency_backend(
    name: str, *, ontology: str, judge: JudgeConfig, cache: Path
) -> tuple[Checker, Judge | None]:
    """The checker of this name, and the judge that it asks; ``None`` where it asks none.

    Raises:
        ConfigError: unknown name or ontology.
    """
    if name not in BACKENDS:
        raise ConfigError(
            f"unknown backend {name!r}", next_step=f"{nearest(name, BACKENDS)}Known: {', '.join(BACKENDS)}."
        )
    if name == "judge":
        client = Judge(judge, cache=cache)
        return JudgeConsistency(client), client
    rules = LabelConsistency(ontology)
    if name == "labels":
        return RulesForFiles(rules), None
    client = Judge(judge, cache=cache)
    return JudgeConsistency(client, rules=rules), client


@dataclass
class Counts:
    """How many reports got which verdict, how many problems of which kind there are, how many failures."""

    reports: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, result: Consistency | JudgeFailure) -> None:
        self.reports += 1
        if isinstance(result, JudgeFailure):
            self.failures[result.kind] += 1
            return
        self.verdicts[result.verdict] += 1
        self.kinds.update(problem.kind for problem in result.problems)

    def __str__(self) -> str:
        parts = [f"{self.reports} reports: {_listed(self.verdicts) or 'no verdict'}"]
        if self.kinds:
            parts.append(f"problems: {_listed(self.kinds)}")
        if self.failures:
            parts.append(f"without a verdict: {_listed(self.failures)}")
        return "; ".join(parts)


def check_file(
    source: Path,
    out: Path,
    checker: Checker,
    *,
    id_column: str = "id",
    report_column: str = "report",
    headers: Mapping[str, str] | None = None,
) -> Counts:
    """Write one row per report, in order: id, verdict, problems, source.

    A report that the judge failed on has verdict null, and the kind of failure and its message instead of
    problems. ``out`` appears complete or not at all.

    Raises:
        DataError: unreadable input, unwritable output, or an output that isn't .jsonl.
        JudgeError: the judge can't be used at all.
    """
    require_suffix(out, ".jsonl", what="verdicts", example="consistency.jsonl")
    counts = Counts()
    ids: deque[str] = deque()

    def total() -> int:
        return count_reports(source, id_column=id_column, report_column=report_column)

    def reports() -> Iterator[tuple[str, Report]]:
        rows = read_parsed(source, id_column=id_column, report_column=report_column, headers=headers)
        for report_id, report in with_late_bar(rows, "consistency", total=total):
            ids.append(report_id)
            yield report_id, report

    with whole_file(out, source=source) as write:
        for result in checker.check_all(reports()):
            write(json_line(row(ids.popleft(), result)))
            counts.add(result)
    return counts


def row(report_id: str, result: Consistency | JudgeFailure) -> dict[str, Any]:
    """What stands in the output for one report; holds no word of it."""
    if isinstance(result, JudgeFailure):
        failure = {"kind": result.kind, "message": result.message}
        return {"id": report_id, "verdict": None, "failure": failure}
    return {"id": report_id, **result.model_dump(mode="json")}


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.most_common())
