"""`radflow score`: two files of reports -> scores.jsonl, summary.json, left_out.jsonl, table.md, table.tex"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.markup import escape

from radflow.config import EngineConfig
from radflow.data.report_files import whole_file
from radflow.data.report_pairs import MatchedReports, ReportFile
from radflow.data.rexrank import write_rexrank
from radflow.errors import ConfigError, DataError
from radflow.jsonl import write_json, write_jsonl, write_text_atomically
from radflow.metrics.collected import Collected
from radflow.metrics.report_parts import PARTS
from radflow.metrics.score import Options, Watched, summary_of
from radflow.metrics.score_summary import Summary
from radflow.metrics.score_tables import latex_table, markdown_table, terminal_table
from radflow.metrics.scoring import Plan, make_plan, score_cases
from radflow.records import LeftOut, Part
from radflow.registry import names_in
from radflow.terminal import console, print_table


class ScoredFiles(NamedTuple):
    """What was computed, for the terminal.

    Attributes:
        left_out: how many ids have no match or no reference text, by reason.
    """

    plan: Plan
    summary: Summary
    studies: int
    left_out: dict[str, int]


def score_files(
    out: Path,
    *,
    reference: ReportFile,
    prediction: ReportFile,
    metrics: str | Sequence[str],
    parts: Sequence[Part],
    options: Options,
    strict: bool = False,
    rexrank: Path | None = None,
) -> ScoredFiles:
    """Score one file against another into a folder; rows are written as they come, in flat memory.

    Args:
        strict: refuse files in which an id has no match.
        rexrank: also write the predictions in the leaderboard's format.

    Raises:
        DataError: no id in common, a mismatch in strict mode, or what reading finds.
        ConfigError, ModelError: as `scoring.make_plan`.
        JudgeError: a metric asks a judge that can't be used at all.
    """
    plan = make_plan(metrics, parts, judge=options.judge)
    matched = MatchedReports(reference=reference, prediction=prediction)
    cases, collected = Watched(matched, plan.parts), Collected(plan.metrics, plan.parts)
    engine = EngineConfig(workers=options.workers)
    with whole_file(out / "scores.jsonl", source=reference.path) as write:
        for batch in score_cases(cases, plan, system=options.system, engine=engine):
            write("".join(row.model_dump_json() + "\n" for row in batch).encode())
            collected.add(batch)
        if strict and matched.left_out:
            first = matched.left_out[0]
            raise DataError(
                f"{len(matched.left_out)} ids are in one of the two files only, the first is "
                f"{first.study_id!r} ({first.reason})",
                next_step="Complete the files, or leave --strict out to have them listed.",
            )
        summary = summary_of(collected, options)
    empty = [
        LeftOut(study_id=study_id, reason="empty_reference", detail=part)
        for part, ids in cases.excluded.items()
        for study_id in ids
    ]
    not_judged = plan.judge.not_scored if plan.judge else []
    write_jsonl(out / "left_out.jsonl", [*matched.left_out, *empty, *not_judged])
    left_out = Counter(row.reason for row in matched.left_out)
    write_json(
        out / "summary.json",
        {
            **_provenance(plan, reference, prediction, options),
            "studies": {"matched": cases.read, **dict(left_out)},
            "empty_reference": {part: len(ids) for part, ids in cases.excluded.items()},
            "scored": summary.studies,
            **summary.as_json(),
        },
    )
    write_text_atomically(out / "table.md", markdown_table(summary, plan.metrics))
    write_text_atomically(out / "table.tex", latex_table(summary, plan.metrics))
    if rexrank is not None:
        write_rexrank(
            rexrank,
            ((case.study_id, case.reference, case.prediction) for case in matched),
            source=prediction.path,
        )
    return ScoredFiles(plan, summary, cases.read, dict(left_out))


def _provenance(
    plan: Plan, reference: ReportFile, prediction: ReportFile, options: Options
) -> dict[str, Any]:
    from radflow import __version__

    return {
        "radflow": __version__,
        "python": platform.python_version(),
        "reference": file_facts(reference),
        "prediction": file_facts(prediction),
        "system": options.system,
        "bootstrap_samples": options.samples,
        "confidence": options.confidence,
        "seed": options.seed,
        **plan.described(),
    }


def file_facts(file: ReportFile) -> dict[str, str | None]:
    """Name and SHA-256 of the content; of a folder, of all names and contents in order."""
    digest = hashlib.sha256()
    files = sorted(file.path.glob("*.txt")) if file.path.is_dir() else [file.path]
    for path in files:
        if file.path.is_dir():
            digest.update(path.name.encode() + b"\0")
        with path.open("rb") as handle:
            while block := handle.read(2**20):
                digest.update(block)
    return {"file": file.path.name, "column": file.column, "sha256": digest.hexdigest()}


def score_to_terminal(
    out: Path,
    *,
    reference: tuple[Path, str | None, str | None],
    prediction: tuple[Path, str | None, str | None],
    metrics: str,
    sections: str,
    options: Mapping[str, Any],
    system: str | None,
    strict: bool,
    rexrank: Path | None,
) -> None:
    """`score_files`, and its table on stdout; what was left out is said on stderr.

    Args:
        reference, prediction: path, id column and text column, ``None`` for the usual ones.
        sections: parts, with commas.
    """
    scored = score_files(
        out,
        reference=ReportFile(reference[0], "reference", *reference[1:]),
        prediction=ReportFile(prediction[0], "prediction", *prediction[1:], system=system),
        metrics=metrics,
        parts=parse_parts(sections),
        options=Options(**options, system=system or "system"),
        strict=strict,
        rexrank=rexrank,
    )
    console.print(
        f"reference {reference[0].name}, prediction {prediction[0].name}: {scored.studies} studies matched"
    )
    for reason, count in scored.left_out.items():
        console.print(f"[yellow]{count} ids left out: {reason}[/] (listed in {out / 'left_out.jsonl'})")
    if (judge := scored.plan.judge) and judge.not_scored:
        console.print(
            f"[yellow]{len(judge.not_scored)} texts have no score of the judge[/] (listed in left_out.jsonl)"
        )
    for name, reason in scored.plan.not_run.items():
        console.print(f"[yellow]not run: {escape(name)}[/] ({escape(reason)})")
    print_table(terminal_table(scored.summary, scored.plan.metrics, title="value and interval"))
    console.print(f"everything, critical studies and single labels too: {out / 'summary.json'}")


def parse_parts(text: str) -> list[Part]:
    """
    Raises:
        ConfigError: one of the names is no part.
    """
    names = names_in(text)
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise ConfigError(
            f"{unknown[0]!r} is no section that can be scored" if unknown else "no section is named",
            next_step=f"Known: {', '.join(PARTS)}.",
        )
    return [part for part in PARTS if part in names]
