"""A file of reports -> a table of labels (CSV), or labels with what they rest on (JSONL), in flat memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_labeler import FittedLabeler
from radflow.clinical.label_table import aggregate, labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.data.report_files import count_reports, json_line, read_reports, require_suffix, whole_file
from radflow.errors import DataError
from radflow.records import Mention
from radflow.terminal import with_late_bar

BATCH = 64
"""Reports that a fitted labeler reads at once."""
_STATES: dict[LabelValue, str] = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}
_MARKS = {"present": "+", "absent": "-", "uncertain": "?"}

FileReport = tuple[str, str | None]
"""Id and text; ``None`` where there is no report."""


class LabelRows(Protocol):
    """Turns reports into rows of id and labels."""

    @property
    def grounds(self) -> str:
        """What a full row holds beside its labels."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """Names of the labels, in the order of the table."""
        ...

    def rows(self, reports: Iterable[FileReport], *, in_full: bool) -> Iterator[dict[str, Any]]:
        """A row per report, in their order: ``id``, ``labels``, and in full what the labels rest on.

        Without a text, labels are ``None``: nothing is known, not even that there is no finding.
        """
        ...


@dataclass(frozen=True)
class RuleRows:
    """Labels by rules; in full rows with all mentions.

    Attributes:
        extras: add the observations that have no column of their own in the published table.
    """

    labeler: RuleLabeler
    extras: bool = False
    grounds: str = "all mentions"

    @property
    def columns(self) -> Sequence[str]:
        return list(aggregate((), self.labeler.ontology, extras=self.extras))

    def rows(self, reports: Iterable[FileReport], *, in_full: bool) -> Iterator[dict[str, Any]]:
        for report_id, text in reports:
            if not in_full:
                yield {"id": report_id, "labels": self._labels(text)}
                continue
            mentions = self.labeler.label(text)
            labels = labels_of(mentions, self.labeler.ontology, extras=self.extras) if _says(text) else None
            shown = [mention.model_dump(mode="json") for mention in mentions]
            yield {"id": report_id, "labels": labels, "mentions": shown}

    def _labels(self, text: str | None) -> dict[str, LabelValue] | None:
        """The same without the details of the mentions, which take longer to find."""
        if not (text and text.strip()):
            return None
        found = ((item.finding.observation, item.finding.assertion) for item in self.labeler.locate(text))
        return aggregate(found, self.labeler.ontology, extras=self.extras)


@dataclass(frozen=True)
class FittedRows:
    """Labels of a fitted labeler; in full rows with the probabilities of all states."""

    labeler: FittedLabeler
    grounds: str = "probabilities"

    @property
    def columns(self) -> Sequence[str]:
        return self.labeler.columns

    def rows(self, reports: Iterable[FileReport], *, in_full: bool) -> Iterator[dict[str, Any]]:
        rest = iter(reports)
        while batch := list(islice(rest, BATCH)):
            texts = [text or "" for _, text in batch]
            rows: list[dict[str, Any]] = [
                {"id": report_id, "labels": labels if _says(text) else None}
                for (report_id, text), labels in zip(batch, self.labeler.label(texts), strict=True)
            ]
            if in_full:
                for row, found in zip(rows, self.labeler.probabilities(texts), strict=True):
                    row["probabilities"] = _named(found) if row["labels"] is not None else None
            yield from rows


def _says(text: str | None) -> bool:
    return bool(text and text.strip())


def _named(found: dict[str, dict[LabelValue, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {_STATES[state]: round(value, 6) for state, value in own.items()} for name, own in found.items()
    }


def label_file(
    source: Path,
    out: Path,
    labels: LabelRows,
    *,
    id_column: str = "id",
    report_column: str = "report",
) -> int:
    """Label a file of reports; returns how many there were.

    ``out`` ends in .csv (``id`` and the columns; 1 present, 0 absent, -1 uncertain, blank not mentioned) or
    in .jsonl (full rows). It appears complete or not at all.

    Raises:
        DataError: unreadable input, unwritable output, or another kind of output file.
    """
    example = f"labels.csv (a table) or labels.jsonl ({labels.grounds})"
    require_suffix(out, ".csv", ".jsonl", what="labels", example=example)
    wanted = {"id_column": id_column, "report_column": report_column}
    reports = with_late_bar(
        read_reports(source, **wanted), "label", total=lambda: count_reports(source, **wanted)
    )
    in_full, columns = out.suffix == ".jsonl", labels.columns
    count = 0
    with whole_file(out, source=source) as write:
        if not in_full:
            write(_csv_line(["id", *columns]))
        for row in labels.rows(reports, in_full=in_full):
            write(json_line(row) if in_full else _csv_line(_cells(row, columns)))
            count += 1
    return count


def _cells(row: dict[str, Any], columns: Sequence[str]) -> list[str]:
    values = [None] * len(columns) if row["labels"] is None else row["labels"].values()
    return [row["id"], *("" if value is None else str(value) for value in values)]


def _csv_line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", errors="backslashreplace")


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
