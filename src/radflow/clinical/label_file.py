"""A file of reports -> a table of labels (CSV) or all mentions (JSONL), row by row in flat memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from radflow.clinical.label_table import aggregate, labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.data.report_files import count_reports, json_line, read_reports, whole_file
from radflow.errors import DataError
from radflow.records import Mention
from radflow.terminal import with_late_bar

_MARKS = {"present": "+", "absent": "-", "uncertain": "?"}


def label_file(
    source: Path,
    out: Path,
    labeler: RuleLabeler,
    *,
    id_column: str = "id",
    report_column: str = "report",
    extras: bool = False,
) -> int:
    """Label a file of reports; returns how many there were.

    ``out`` ends in .csv (``id`` and the ontology's columns; 1 present, 0 absent, -1 uncertain, blank not
    mentioned) or in .jsonl (per report its id, labels and mentions). It appears complete or not at all.

    Args:
        extras: add the observations that have no column of their own in the published table.

    Raises:
        DataError: unreadable input, unwritable output, or another kind of output file.
    """
    if out.suffix not in {".csv", ".jsonl"}:
        raise DataError(
            f"labels are written as .csv or .jsonl, not {out.suffix or 'a file without suffix'}",
            where=str(out),
            next_step="Name the output labels.csv (a table) or labels.jsonl (all mentions).",
        )
    columns = {"id_column": id_column, "report_column": report_column}
    reports = with_late_bar(
        read_reports(source, **columns), "label", total=lambda: count_reports(source, **columns)
    )
    rows = _jsonl(reports, labeler, extras) if out.suffix == ".jsonl" else _csv(reports, labeler, extras)
    count = 0
    with whole_file(out, source=source) as write:
        for row in rows:
            write(row)
            count += 1
    return count - (out.suffix == ".csv")


def _csv(reports: Iterable[tuple[str, str | None]], labeler: RuleLabeler, extras: bool) -> Iterator[bytes]:
    ontology = labeler.ontology
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")

    def line(cells: list[str]) -> bytes:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue().encode("utf-8", errors="backslashreplace")

    header = ["id", *aggregate((), ontology, extras=extras)]
    columns = len(header) - 1
    yield line(header)
    for report_id, text in reports:
        if not (text and text.strip()):  # no report: nothing is known, not even that there is no finding
            yield line([report_id, *[""] * columns])
            continue
        found = ((item.finding.observation, item.finding.assertion) for item in labeler.locate(text))
        labels = aggregate(found, ontology, extras=extras)
        yield line([report_id, *("" if value is None else str(value) for value in labels.values())])


def _jsonl(reports: Iterable[tuple[str, str | None]], labeler: RuleLabeler, extras: bool) -> Iterator[bytes]:
    for report_id, text in reports:
        mentions = labeler.label(text)
        labels = labels_of(mentions, labeler.ontology, extras=extras) if text and text.strip() else None
        rows = [mention.model_dump(mode="json") for mention in mentions]
        yield json_line({"id": report_id, "labels": labels, "mentions": rows})


def explain_report(
    source: Path,
    report_id: str,
    labeler: RuleLabeler,
    *,
    id_column: str = "id",
    report_column: str = "report",
) -> str:
    """One report of a file with its mentions marked, and why each was read as it was.

    Raises:
        DataError: no such id.
    """
    for current, text in read_reports(source, id_column=id_column, report_column=report_column):
        if current == report_id:
            return explain(text or "", labeler)
    raise DataError(
        f"no report has the id {report_id!r}",
        where=str(source),
        next_step=f"Ids stand in the column {id_column!r}; --id-column names another one.",
    )


def explain(text: str, labeler: RuleLabeler) -> str:
    """The text with marks, [+1 ...] present, [-1 ...] absent, [?1 ...] uncertain; then a line per mention."""
    mentions = labeler.label(text)
    lines = [_marked(text, mentions), ""]
    for number, mention in enumerate(mentions, start=1):
        details = [mention.side, mention.severity, mention.location, mention.change]
        said = ", ".join(detail for detail in details if detail)
        why = (
            f'because of "{" ".join(mention.cue.split())}"' if mention.cue else "as no cue speaks against it"
        )
        section = f" in {mention.section}" if mention.section else ""
        name = f"{mention.observation} ({said})" if said else mention.observation
        lines.append(f"{_MARKS[mention.assertion]}{number} {name}{section}: {mention.assertion}, {why}")
    labels = labels_of(mentions, labeler.ontology)
    lines += ["", *(f"{name}: {value}" for name, value in labels.items() if value is not None)]
    return "\n".join(lines)


def _marked(text: str, mentions: list[Mention]) -> str:
    opens: dict[int, str] = {}
    closes: dict[int, str] = {}
    for number, mention in enumerate(mentions, start=1):
        opens[mention.start] = opens.get(mention.start, "") + f"[{_MARKS[mention.assertion]}{number} "
        closes[mention.end] = closes.get(mention.end, "") + "]"
    places = sorted({0, len(text), *opens, *closes})
    shown = [
        closes.get(place, "") + opens.get(place, "") + text[place:end] for place, end in pairwise(places)
    ]
    return "".join(shown) + closes.get(len(text), "")
