"""`radflow audit`: a file of reports -> audit.json, scores.jsonl, audit.html, heat_map.svg: numbers only"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from radflow import __version__
from radflow.audit.page import drawn_heat_map, render_audit
from radflow.audit.result import Audit, audit_of, conclusions, detection_of
from radflow.audit.scoring import ORIGINAL, AuditRow, RewardScorer, Study, as_written, audited, plan_of
from radflow.audit.texts import bodies_of
from radflow.audit.variants import ERRORS, KINDS
from radflow.config import EngineConfig, JudgeConfig, RewardConfig
from radflow.data.report_files import read_parsed, whole_file
from radflow.data.report_pairs import ReportFile
from radflow.errors import DataError
from radflow.jsonl import write_json, write_text_atomically
from radflow.metrics.declaration import JudgeSettings
from radflow.metrics.score_files import file_facts
from radflow.metrics.scoring import Plan
from radflow.reporting.heat_map import heat_map_file
from radflow.terminal import console, print_result, print_table


@dataclass(frozen=True)
class AuditOptions:
    """How a file is audited.

    Attributes:
        limit: reports that are drawn from it; 0 takes all.
        metrics: names, with commas.
        seed: of the draw, the changes and the resamplings.
        workers: processes; 0 takes all cores.
    """

    limit: int
    metrics: str
    seed: int
    workers: int = 0
    id_column: str = "id"
    report_column: str = "report"


class Drawn(NamedTuple):
    """Reports to audit; ``left_out`` counts those of the file without both sections."""

    studies: list[Study]
    read: int
    left_out: int


def draw_reports(path: Path, options: AuditOptions) -> Drawn:
    """A seeded draw of the reports with Findings and Impression, in the order of the file.

    A file in which none has both is audited on what its reports have.

    Raises:
        DataError: unreadable, or no report says anything.
    """
    whole: list[Study] = []
    partial: list[Study] = []
    rows = read_parsed(path, id_column=options.id_column, report_column=options.report_column)
    read = 0
    for study_id, report in rows:
        read += 1
        if bodies := bodies_of(report):
            (whole if len(bodies) == 2 else partial).append(Study(study_id, as_written(report), ()))
    usable = whole or partial
    if not usable:
        raise DataError(
            "no report has Findings or Impression",
            where=str(path),
            next_step="Their headers are needed; radflow sections shows what is found.",
        )
    count = min(options.limit or len(usable), len(usable))
    places = sorted(Random(options.seed).sample(range(len(usable)), count))
    return Drawn([usable[place] for place in places], read, read - len(usable))


def audit_file(
    path: Path, out: Path, options: AuditOptions, *, reward: RewardConfig, judge: JudgeConfig | None
) -> tuple[Audit, Plan]:
    """Audit a file into a folder; each file appears complete or not at all.

    Raises:
        DataError: unreadable reports, none that could be changed, unwritable folder.
        ConfigError, ModelError: unknown metric, or one asked for by name that can't be computed here.
        RunError: a scorer failed.
    """
    plan = plan_of(options.metrics, JudgeSettings(judge or JudgeConfig(), out / "judge-cache"))
    drawn = draw_reports(path, options)
    scorer = RewardScorer(reward, judge, out / "judge-cache")
    rows: list[AuditRow] = []
    engine = EngineConfig(workers=options.workers)
    with whole_file(out / "scores.jsonl", source=path) as write:
        for row in audited(drawn.studies, plan, scorer, seed=options.seed, engine=engine):
            write((row.model_dump_json() + "\n").encode())
            if row.kind != ORIGINAL:
                rows.append(row)
        if {row.is_harmless for row in rows} != {True, False}:
            raise DataError(
                "the reports leave no room for errors and harmless changes: there is nothing to compare",
                where=str(path),
                next_step="Give more reports, or longer ones, with Findings and Impression.",
            )
    audit = audit_of(rows, seed=options.seed)
    facts = _provenance(path, drawn, options, plan, reward)
    write_json(out / "audit.json", {**facts, "conclusions": conclusions(audit), **audit.model_dump()})
    shown = {name: str(value) for name, value in facts.items() if not isinstance(value, dict)}
    name = f"{audit.reports} reports of {path.name}"
    write_text_atomically(out / "audit.html", render_audit(audit, name=name, provenance=shown))
    write_text_atomically(out / "heat_map.svg", heat_map_file(drawn_heat_map(audit)))
    return audit, plan


def _provenance(
    path: Path, drawn: Drawn, options: AuditOptions, plan: Plan, reward: RewardConfig
) -> dict[str, Any]:
    facts = file_facts(ReportFile(path, "reference"))
    return {
        "radflow": __version__,
        "python": platform.python_version(),
        "file": facts["file"],
        "sha256": facts["sha256"],
        "reports in the file": drawn.read,
        "left out, a section is missing": drawn.left_out,
        "limit": options.limit,
        "seed": options.seed,
        "reward": reward.model_dump(mode="json"),
        "metrics": {metric.name: metric.described() for metric in plan.metrics},
        "not_run": dict(plan.not_run),
    }


def audit_to_terminal(
    path: Path, out: Path, options: AuditOptions, *, reward: RewardConfig, judge: JudgeConfig | None
) -> None:
    """`audit_file`, with its heat map and conclusions on stdout; what was not run is said on stderr."""
    audit, plan = audit_file(path, out, options, reward=reward, judge=judge)
    for name, reason in plan.not_run.items():
        console.print(f"[yellow]not run: {escape(name)}[/] ({escape(reason)})")
    print_table(terminal_table(audit))
    for line in conclusions(audit):
        print_result(line)
    console.print(
        f"all numbers: {out / 'audit.json'}, page: {out / 'audit.html'}", markup=False, soft_wrap=True
    )


def terminal_table(audit: Audit) -> Table:
    """Detection of single errors in percent."""
    table = Table(
        title=f"{audit.reports} reports: % of single errors noticed, at {audit.rate:.0%} false alarms",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 0, 0, 1),
    )
    table.add_column("metric or term", overflow="fold")
    for kind in ERRORS:
        table.add_column(KINDS[kind].title.replace(" ", "\n"), justify="right")
    for name, result in audit.terms.items():
        found = [detection_of(result, kind) for kind in ERRORS]
        table.add_row(name, *("-" if one is None else f"{100 * one.value:.0f}" for one in found))
    return table
