"""The review's tables: in the terminal, table.json, table.md, and labels.csv of what people call critical"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from radflow import __version__
from radflow.clinical.judge_errors import CATEGORIES
from radflow.errors import RunError
from radflow.jsonl import write_json, write_text_atomically
from radflow.metrics.agreement import Agreed
from radflow.metrics.triage import Rate
from radflow.owner_only import make_private
from radflow.records import Interval
from radflow.reporting.view import Table as Cells
from radflow.review.answers import TASKS, all_answers
from radflow.review.questions import read_material
from radflow.review.table import ReviewTable, review_table
from radflow.review.wording import CATEGORY_NAMES, TITLES

NONE = "–"
AGREED = ("cases", "equal", "kappa", "AC1")


def table_of_run(root: Path, out: Path) -> list[Table]:
    """Sum up the answers of a run's reviewers, write the files, and give the tables for the terminal.

    Raises:
        RunError: nobody has answered anything, or the files can't be written.
    """
    answers = list(all_answers(root))
    if not answers:
        read_material(root)  # of a folder that is no run it says so
        raise RunError(
            "nobody has answered anything in this run",
            where=str(root / "review"),
            next_step=f"Start the pages: radflow review {root} --reviewer NAME",
        )
    found = review_table(read_material(root), answers)
    tables = cells(found)
    try:
        make_private(out)
        write_json(out / "table.json", as_json(found))
        write_text_atomically(out / "table.md", as_markdown(found))
        write_text_atomically(out / "labels.csv", labels_csv(found))
    except OSError as error:
        raise RunError(f"can't be written: {error.strerror}", where=str(out)) from None
    return [_terminal(table) for table in tables]


def cells(found: ReviewTable) -> list[Cells]:
    """The tables that have rows, as text."""
    every = (_answered(found), _agreement(found), _judges(found), _preferences(found), _errors(found))
    return [table for table in every if table.rows]


def _answered(found: ReviewTable) -> Cells:
    rows = tuple(
        (
            reviewer,
            *(f"{tasks[task][0]} ({tasks[task][1]})" if task in tasks else NONE for task in TASKS),
        )
        for reviewer, tasks in found.answered.items()
    )
    return Cells("Answers (can't tell)", ("reviewer", *(TITLES[task] for task in TASKS)), rows)


def _agreement(found: ReviewTable) -> Cells:
    rows = tuple(
        (TITLES[row.task], f"{row.first}, {row.second}", *_agreed(row.agreed)) for row in found.agreement
    )
    return Cells("Agreement of reviewers", ("task", "reviewers", *AGREED), rows)


def _judges(found: ReviewTable) -> Cells:
    rows = tuple(
        (TITLES[row.task], row.judge, *_agreed(row.agreed), *map(str, row.rates)) for row in found.judges
    )
    header = ("task", "judge", *AGREED, "precision", "recall", "false-positive rate")
    return Cells("Judges against reviewers", header, rows)


def _preferences(found: ReviewTable) -> Cells:
    rows = tuple(
        (
            row.who,
            row.first,
            row.second,
            *map(str, (*row.wins, row.equal, row.both_bad, row.divided, row.share, row.left)),
        )
        for row in found.preferences
    )
    header = (
        *("who", "first", "second", "first better", "second better", "equal", "both bad", "divided"),
        *("first, of decided", "left chosen"),
    )
    return Cells("Preference, side by side", header, rows)


def _errors(found: ReviewTable) -> Cells:
    rows = tuple(
        (
            row.system,
            str(row.reports),
            _interval(row.significant),
            _interval(row.insignificant),
            *("{:.2f} ({:.2f})".format(*row.by_category[name]) for name in CATEGORIES),
        )
        for row in found.errors
    )
    categories = (CATEGORY_NAMES[name].lower() for name in CATEGORIES)
    header = ("system", "reports", "all significant", "all insignificant", *categories)
    return Cells("Errors per report (insignificant)", header, rows)


def _agreed(one: Agreed) -> tuple[str, str, str, str]:
    return str(one.pairs), NONE if one.raw is None else f"{one.raw:.3f}", str(one.kappa), str(one.ac1)


def _interval(one: Interval | None) -> str:
    return NONE if one is None else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def notes(found: ReviewTable) -> list[str]:
    """What a reader of the tables has to know."""
    told = ["Intervals: 95 %. Judges are held against what most reviewers said, where there is a most."]
    if found.fewer_errors is not None:
        one = found.fewer_errors
        told.append(
            f"Significant errors per report, first system less second, same {one.studies} studies: "
            f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]."
        )
    if found.outdated:
        told.append(f"{found.outdated} answers are about texts that the run no longer has, and left out.")
    return told


def _terminal(cells: Cells) -> Table:
    table = Table(title=cells.caption, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    for name in cells.header:
        table.add_column(name, overflow="fold")
    for row in cells.rows:
        table.add_row(*map(escape, row))
    return table


def as_markdown(found: ReviewTable) -> str:
    lines = ["# What reviewers said", "", *(line + "  " for line in notes(found))]
    for table in cells(found):
        lines += ["", f"## {table.caption}", "", _row(table.header), _row(["---"] * len(table.header))]
        lines += [_row(row) for row in table.rows]
    return "\n".join([*lines, "", f"radflow {__version__}.", ""])


def _row(row: Iterable[str]) -> str:
    cells = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in row)
    return f"| {' | '.join(cells)} |"


def as_json(found: ReviewTable) -> dict[str, Any]:
    """Every number; ``None`` where a rate has no cases."""
    return {
        "radflow": __version__,
        "notes": notes(found),
        "answered": {
            reviewer: {task: {"answers": count, "unsure": unsure} for task, (count, unsure) in tasks.items()}
            for reviewer, tasks in found.answered.items()
        },
        "outdated": found.outdated,
        "agreement": [row._asdict() | {"agreed": _agreed_json(row.agreed)} for row in found.agreement],
        "judges": [
            {
                "task": row.task,
                "judge": row.judge,
                "agreed": _agreed_json(row.agreed),
                **{name: rate._asdict() for name, rate in row.rates._asdict().items()},
            }
            for row in found.judges
        ],
        "preferences": [
            row._asdict() | {"share": _rate(row.share), "left": _rate(row.left)} for row in found.preferences
        ],
        "errors": [
            row._asdict() | {name: _dump(getattr(row, name)) for name in ("significant", "insignificant")}
            for row in found.errors
        ],
        "fewer_errors": _dump(found.fewer_errors),
        "labels": found.labels,
    }


def _agreed_json(one: Agreed) -> dict[str, Any]:
    return one._asdict() | {"kappa": one.kappa._asdict(), "ac1": one.ac1._asdict()}


def _rate(one: Rate) -> dict[str, Any]:
    return one._asdict()


def _dump(one: Any) -> Any:
    return None if one is None else one.model_dump()


def labels_csv(found: ReviewTable) -> str:
    """id,is_critical for `radflow criticality --against`; empty where people are divided or can't tell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "is_critical"))
    for study, label in sorted(found.labels.items()):
        writer.writerow((study, "" if label is None else int(label)))
    return text.getvalue()
