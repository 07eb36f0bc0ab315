"""Files of references and predictions -> every term of every reward (JSONL), and a table of their means"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean

from radflow.data.report_files import read_reports, whole_file
from radflow.data.sections import parse_report
from radflow.errors import DataError
from radflow.records import RewardScore
from radflow.rewards.hierarchical import HierarchicalReward, has_failed
from radflow.terminal import with_late_bar

BATCH = 256
SHOWN_IDS = 5


@dataclass
class RewardTable:
    """Sums over the rewards of a file.

    Attributes:
        totals: defined rewards. values: by term, where it applies. dropped: how often it doesn't, by reason.
        undefined: rewards that a failed scorer left undefined.
        without_prediction, without_reference: ids that only one of the files has.
        empty_references: ids of references without text.
    """

    totals: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    undefined: int = 0
    without_prediction: list[str] = field(default_factory=list)
    without_reference: list[str] = field(default_factory=list)
    empty_references: list[str] = field(default_factory=list)

    def add(self, record: RewardScore) -> None:
        if record.total is None:
            self.undefined += 1
        else:
            self.totals.append(record.total)
        for name, term in record.terms.items():
            self.values.setdefault(name, [])
            if term.value is not None:
                self.values[name].append(term.value)
            else:
                reason = "failed" if has_failed(term) else term.reason or ""
                counts = self.dropped.setdefault(name, {})
                counts[reason] = counts.get(reason, 0) + 1

    def lines(self) -> list[str]:
        """The table, then the ids that were left out, the first few of each kind."""
        rows = [("term", "mean", "reports", "not scored")]
        for name, values in self.values.items():
            reasons = ", ".join(f"{count} {why}" for why, count in self.dropped.get(name, {}).items())
            rows.append((name, _mean(values), str(len(values)), reasons))
        undefined = f"{self.undefined} undefined" if self.undefined else ""
        rows.append(("reward", _mean(self.totals), str(len(self.totals)), undefined))
        lines = [f"{name:<13}{value:>7}  {count:>7}  {why}".rstrip() for name, value, count, why in rows]
        for what, ids in (
            ("references without a prediction", self.without_prediction),
            ("predictions without a reference", self.without_reference),
            ("references without text", self.empty_references),
        ):
            if ids:
                more = ", ..." if len(ids) > SHOWN_IDS else ""
                lines.append(f"{len(ids)} {what}: {', '.join(ids[:SHOWN_IDS])}{more}")
        return lines


def reward_files(
    reference: Path,
    prediction: Path,
    out: Path | None,
    reward: HierarchicalReward,
    *,
    id_column: str = "id",
    report_column: str = "report",
) -> RewardTable:
    """Score a file of predictions against a file of references, matched by id, in the references' order.

    Args:
        out: JSONL of `RewardScore`; it appears complete or not at all. ``None`` writes none.

    Raises:
        DataError: a file can't be read, or the two share no id.
        JudgeError: the judge can't be used at all.
    """
    columns = {"id_column": id_column, "report_column": report_column}
    written = dict(read_reports(prediction, **columns))
    expected = dict(read_reports(reference, **columns))
    table = RewardTable()
    table.without_reference = [name for name in written if name not in expected]
    table.without_prediction = [name for name in expected if name not in written]
    table.empty_references = [name for name, text in expected.items() if not text]
    pairs = [(name, text, written[name] or "") for name, text in expected.items() if text and name in written]
    if not pairs:
        raise DataError(
            "references and predictions share no id",
            where=f"{reference}, {prediction}",
            next_step=f"Ids stand in the column {id_column!r}; --id-column names another one.",
        )
    scores = with_late_bar(_scores(pairs, reward, table), "reward", total=lambda: len(pairs))
    if out is None:
        for _ in scores:
            pass
        return table
    if out.exists() and prediction.exists() and out.samefile(prediction):
        raise DataError(
            "the output would replace its own input", where=str(out), next_step="Name another output file."
        )
    with whole_file(out, source=reference) as write:
        for record in scores:
            write((record.model_dump_json() + "\n").encode())
    return table


def _scores(
    pairs: Iterable[tuple[str, str, str]], reward: HierarchicalReward, table: RewardTable
) -> Iterator[RewardScore]:
    rows = iter(pairs)
    while batch := list(islice(rows, BATCH)):
        records = reward.score(
            references=[parse_report(text) for _, text, _ in batch],
            predictions=[text for _, _, text in batch],
            study_ids=[name for name, _, _ in batch],
        )
        for record in records:
            table.add(record)
            yield record


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.3f}" if values else "-"
