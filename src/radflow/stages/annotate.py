"""Which of the selected studies are critical, decided once from their reference reports, before RFT"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from radflow.clinical.study_criticality import JudgeName, StudyCriticality
from radflow.config import AnnotateConfig, RunConfig
from radflow.errors import DataError, RunError
from radflow.jsonl import Appender, write_jsonl
from radflow.metrics.triage import agreement
from radflow.records import Criticality, RowFailure, SelectedStudy, Study
from radflow.run_dir import RunDir
from radflow.terminal import console

FLIPPED = "flipped for the noise experiment; it was: "


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, hard.jsonl -> criticality.jsonl, annotate_failures.jsonl (criticality_second.jsonl)"""
    studies = selected_studies(run)
    verdicts, failures, facts = _decide(
        config, run, studies, config.annotate.judge, "annotated.partial.jsonl"
    )
    if not verdicts:
        raise DataError(
            f"the judge decided none of the {len(studies)} selected studies",
            where="annotate.judge",
            next_step="See which kinds of failure: docs/judges.md; or set annotate.judge: rules.",
        )
    if config.annotate.second_judge is not None:
        second, failed, more = _decide(
            config, run, studies, config.annotate.second_judge, "annotated_second.partial.jsonl"
        )
        write_jsonl(run.path("criticality_second.jsonl"), second)
        failures += failed
        facts |= {"second": more, "agreement": _agreement(verdicts, second)}
    flipped = flips(verdicts, config.annotate, seed=config.seed)
    final = [_flip(row) if row.study_id in flipped else row for row in verdicts]
    write_jsonl(run.path("criticality.jsonl"), final)
    write_jsonl(run.path("annotate_failures.jsonl"), failures)
    facts |= {"flipped": len(flipped), "critical_after_flips": sum(row.is_critical for row in final)}
    console.print(_outcome(facts))
    return facts


def selected_studies(run: RunDir) -> list[Study]:
    """The selected training studies, in the order of their selection.

    Raises:
        RunError: the selection names a study that isn't there.
    """
    studies = {study.study_id: study for study in run.read(Study, "studies.jsonl")}
    chosen = [row.study_id for row in run.read(SelectedStudy, "hard.jsonl")]
    unknown = [study_id for study_id in chosen if study_id not in studies]
    if unknown:
        raise RunError(
            f"{len(unknown)} selected studies are unknown, the first is {unknown[0]}",
            where="hard.jsonl",
            next_step="Redo the selection: radflow run CONFIG --redo explore",
        )
    return [studies[study_id] for study_id in chosen]


def flips(verdicts: Sequence[Criticality], settings: AnnotateConfig, *, seed: int) -> frozenset[str]:
    """Ids of the verdicts that are turned round: seeded random shares; of n, round(rate * n)."""
    critical = {row.study_id for row in verdicts if row.is_critical}
    normal = {row.study_id for row in verdicts} - critical
    return (
        _drawn(critical | normal, settings.flip_rate, f"flip {seed}")
        | _drawn(normal, settings.false_positive_rate, f"false positives {seed}")
        | _drawn(critical, settings.false_negative_rate, f"false negatives {seed}")
    )


def _drawn(ids: Collection[str], rate: float, key: str) -> frozenset[str]:
    """A share of the ids; a higher rate draws those of a lower one, and more."""
    order = sorted(ids)
    random.Random(key).shuffle(order)
    return frozenset(order[: round(rate * len(order))])


def _flip(row: Criticality) -> Criticality:
    return row.model_copy(update={"is_critical": not row.is_critical, "reason": FLIPPED + row.reason})


def _decide(
    config: RunConfig, run: RunDir, studies: Sequence[Study], name: JudgeName, partial: str
) -> tuple[list[Criticality], list[RowFailure], dict[str, Any]]:
    """Verdicts in the studies' order, failures, and counts; rows that a cut run has decided stay."""
    failures: list[RowFailure] = []
    facts: dict[str, Any] = {"judge": name}
    judge = StudyCriticality(config, name, cache=run.root / "judge-cache")
    with Appender(run.path(partial), Criticality) as into:
        done = {row.study_id: row for row in into.rows}
        left = [study for study in studies if study.study_id not in done]
        for result in judge.decide_all(left):
            if isinstance(result, RowFailure):
                failures.append(result)
            else:
                into.append([result])
                done[result.study_id] = result
    if (tally := judge.tally()) is not None:
        facts["tally"] = tally
    verdicts = [done[study.study_id] for study in studies if study.study_id in done]
    facts |= {
        "studies": len(studies),
        "decided": len(verdicts),
        "critical": sum(row.is_critical for row in verdicts),
        "failed": len(failures),
    }
    return verdicts, failures, facts


def _agreement(first: Sequence[Criticality], second: Sequence[Criticality]) -> dict[str, Any]:
    other = {row.study_id: row.is_critical for row in second}
    pairs = [(row.is_critical, other[row.study_id]) for row in first if row.study_id in other]
    found = agreement(pairs)
    return found._asdict() | {
        "first_only": sum(one and not two for one, two in pairs),
        "second_only": sum(two and not one for one, two in pairs),
    }


def _outcome(facts: Mapping[str, Any]) -> str:
    text = f"{facts['critical']} of {facts['decided']} selected studies are critical ({facts['judge']})"
    if facts["failed"]:
        text += f"; {facts['failed']} not decided, listed in annotate_failures.jsonl"
    if "agreement" in facts:
        found = facts["agreement"]
        kappa = "undefined" if found["kappa"] is None else f"{found['kappa']:.3f}"
        text += f"; both judges agree on {found['raw']:.3f} of {found['pairs']}, kappa {kappa}"
    if facts["flipped"]:
        text += f"; {facts['flipped']} verdicts flipped, {facts['critical_after_flips']} critical then"
    return text
