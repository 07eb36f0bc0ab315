"""Two systems' scores on disk -> the table of their differences: terminal, compare.json, compare.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from radflow import __version__
from radflow.errors import DataError, RunError
from radflow.jsonl import read_jsonl, write_json, write_text_atomically
from radflow.metrics.compare import Comparison, PairedScores, compare_systems, pair_scores
from radflow.metrics.declaration import CHEST, Vocabulary
from radflow.metrics.paired import format_p
from radflow.records import MetricRow
from radflow.registry import nearest
from radflow.run_dir import content_hash

COLUMNS = ("first", "second", "difference", "interval", "p", "p Holm", "d_z", "studies")
USUAL_SYSTEMS = ("rft", "sft")
"""What is compared when nothing is said: the best model of two folders, or the two models of one."""
NAMED_IN_MESSAGE = 3


@dataclass(frozen=True)
class Side:
    """One of the two systems: where its scores lie and what it is called there."""

    folder: Path
    system: str

    @property
    def scores(self) -> Path:
        return self.folder / "scores.jsonl"

    def provenance(self) -> dict[str, str]:
        return {"folder": str(self.folder), "system": self.system, "scores": content_hash(self.scores)}


@dataclass(frozen=True)
class Compared:
    """The comparisons with all that is needed to repeat them."""

    first: Side
    second: Side
    rows: list[Comparison]
    pairs: PairedScores
    samples: int
    seed: int
    confidence: float

    @property
    def studies(self) -> int:
        return len({score.study_id for score in self.pairs.first})

    @property
    def drawn_patients(self) -> int | None:
        """How many patients the shared studies are of; ``None`` where no study has one."""
        rows = [*self.pairs.first, *self.pairs.second]
        patients = {row.study_id: row.patient_id for row in rows if row.patient_id is not None}
        if not patients:
            return None
        return len({patients.get(row.study_id) or (row.study_id,) for row in rows})

    @property
    def only_one(self) -> list[str]:
        """Metrics that only one of the two systems was scored with."""
        sides = ({name for row in rows for name in row.values} for rows in self.pairs[:2])
        return sorted(set.symmetric_difference(*sides))


def compare_folders(
    first: Path,
    second: Path,
    *,
    system_a: str | None,
    system_b: str | None,
    shared_only: bool,
    samples: int,
    seed: int,
    confidence: float,
    metrics: Sequence[str] = (),
) -> Compared:
    """Compare a system of each folder (both may be the same folder).

    Args:
        first, second: run folders, or folders of `radflow score`: with scores.jsonl and summary.json.
        system_a, system_b: which systems; ``None`` takes "rft", else "sft", or the only one.
        metrics: names or patterns of the metrics wanted; none stands for all.
        shared_only: leave out studies that only one system has, rather than refuse.

    Raises:
        RunError: a folder has no scores, or not this system.
        DataError: the systems are the same, have different studies (without ``shared_only``) or references.
    """
    scores_a, scores_b = _read_scores(first), _read_scores(second)
    one = Side(first, _choose(scores_a, system_a, first, "--system-a"))
    is_same = first.resolve() == second.resolve()
    if is_same and len({score.system for score in scores_a}) == 1:
        raise DataError(
            f"there is only one system, {one.system!r}, to compare",
            where=str(first),
            next_step="Give the folder with the other system's scores as well.",
        )
    other = Side(second, _choose(scores_b, system_b or ("sft" if is_same else None), second, "--system-b"))
    if one.system == other.system and is_same:
        raise DataError(
            f"both sides are the system {one.system!r} of one folder",
            where=str(first),
            next_step=f"Name two with --system-a and --system-b; it has {_listed(scores_a)}.",
        )
    pairs = pair_scores(
        [score for score in scores_a if score.system == one.system],
        [score for score in scores_b if score.system == other.system],
    )
    _check_studies(pairs, one, other, shared_only=shared_only)
    rows = compare_systems(
        pairs.first,
        pairs.second,
        samples=samples,
        seed=seed,
        confidence=confidence,
        metrics=metrics,
        vocabulary=read_vocabulary((first, second)),
    )
    return Compared(one, other, rows, pairs, samples, seed, confidence)


def _read_scores(folder: Path) -> list[MetricRow]:
    if not (folder / "scores.jsonl").is_file():
        raise RunError(
            "no scores.jsonl in this folder",
            where=str(folder),
            next_step="Give a run folder whose evaluate stage is done (radflow run), or radflow score's.",
        )
    try:
        return list(read_jsonl(MetricRow, folder / "scores.jsonl"))
    except RunError as error:
        raise RunError(
            "these scores are of another version of radflow",
            where=str(folder / "scores.jsonl"),
            next_step="Score again: radflow score, or radflow run CONFIG --redo evaluate.",
        ) from error


def read_vocabulary(folders: Sequence[Path]) -> Vocabulary:
    """What the folders' summaries say of the examination that was scored; chest X-rays where none says it."""
    found: dict[Path, Vocabulary] = {}
    for folder in dict.fromkeys(folders):
        try:
            said = json.loads((folder / "summary.json").read_bytes())["vocabulary"]
            found[folder] = Vocabulary(said["ontology"], tuple(said["columns"]), said["no_finding"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the table can be made without it; scores that don't fit are refused later
    if len({vocabulary.columns for vocabulary in found.values()}) > 1:
        raise DataError(
            "the two folders were scored with different labels: "
            + " and ".join(vocabulary.ontology for vocabulary in found.values()),
            where=" and ".join(map(str, found)),
            next_step="Compare runs of one kind of examination.",
        )
    return next(iter(found.values()), CHEST)


def _choose(scores: Sequence[MetricRow], wanted: str | None, folder: Path, option: str) -> str:
    systems = list(dict.fromkeys(score.system for score in scores))
    if wanted is None and len(systems) == 1:
        return systems[0]
    usual = next((name for name in USUAL_SYSTEMS if name in systems), USUAL_SYSTEMS[-1])
    name = usual if wanted is None else wanted
    if name not in systems:
        hint = nearest(name, systems)
        raise RunError(
            f"no system {name!r} among the scores",
            where=str(folder / "scores.jsonl"),
            next_step=f"{hint}Choose with {option} from {_listed(scores)}.",
        )
    return name


def _listed(scores: Iterable[MetricRow]) -> str:
    return ", ".join(repr(system) for system in dict.fromkeys(score.system for score in scores)) or "none"


def _check_studies(pairs: PairedScores, first: Side, second: Side, *, shared_only: bool) -> None:
    if not pairs.first:
        raise DataError("the systems share no study", where=f"{first.scores} and {second.scores}")
    if shared_only or not (pairs.only_first or pairs.only_second):
        return
    odd = [*pairs.only_first[:NAMED_IN_MESSAGE], *pairs.only_second[:NAMED_IN_MESSAGE]]
    raise DataError(
        f"the systems were not scored on the same studies: {len(pairs.only_first)} have rows only in the "
        f"first, {len(pairs.only_second)} only in the second, e.g. {', '.join(odd)}",
        where=f"{first.scores} and {second.scores}",
        next_step="Score both on the same studies, or compare what they share with --shared-only.",
    )


def comparison_table(compared: Compared) -> Table:
    """Metrics as rows: two values, difference with interval, p-values, effect size."""
    table = Table(title=headline(compared), title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("metric", overflow="fold")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in compared.rows:
        table.add_row(row.metric, *_cells(row))
    return table


def headline(compared: Compared) -> str:
    """What was compared, on what, and how."""
    units = f"{compared.studies} studies"
    if compared.drawn_patients is not None and compared.drawn_patients != compared.studies:
        units += f" of {compared.drawn_patients} patients, drawn by patient"
    left_out = len({*compared.pairs.only_first, *compared.pairs.only_second})
    if left_out:
        units += f"; {left_out} left out wholly or in part, scored for one system only"
    if compared.only_one:
        units += f"; not compared, as only one was scored with it: {', '.join(compared.only_one)}"
    return (
        f"first: {compared.first.system} ({compared.first.folder})\n"
        f"second: {compared.second.system} ({compared.second.folder})\n"
        f"{units}; difference = first - second with {compared.confidence:.0%} interval (paired bootstrap); "
        f"p: paired permutation test, Holm over all of this table"
    )


def _cells(row: Comparison) -> list[str]:
    found = row.difference
    return [
        _number(row.first),
        _number(row.second),
        "-" if found is None else f"{found.value:+.3f}",
        "-" if found is None else f"{found.low:+.3f} to {found.high:+.3f}",
        "-" if row.p is None else format_p(row.p),
        "-" if row.p_holm is None else format_p(row.p_holm),
        _number(row.effect_size, digits=2),
        str(row.studies),
    ]


def _number(value: float | None, *, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def write_comparison(compared: Compared, folder: Path) -> tuple[Path, Path]:
    """compare.json with every number and its provenance, and compare.md with the table.

    Raises:
        RunError: the folder can't be written.
    """
    json_file, markdown_file = folder / "compare.json", folder / "compare.md"
    try:
        write_json(json_file, as_json(compared))
        write_text_atomically(markdown_file, as_markdown(compared))
    except OSError as error:
        raise RunError(
            f"can't be written: {error.strerror}", where=str(folder), next_step="Choose another with -o."
        ) from None
    return json_file, markdown_file


def as_json(compared: Compared) -> dict[str, Any]:
    return {
        "radflow": __version__,
        "first": compared.first.provenance(),
        "second": compared.second.provenance(),
        "studies": compared.studies,
        "patients": compared.drawn_patients,
        "only_first": list(compared.pairs.only_first),
        "only_second": list(compared.pairs.only_second),
        "metrics_of_one": compared.only_one,
        "samples": compared.samples,
        "seed": compared.seed,
        "confidence": compared.confidence,
        "metrics": [row.model_dump() for row in compared.rows],
    }


def as_markdown(compared: Compared) -> str:
    lines = ["# Comparison", "", *(f"{line}  " for line in headline(compared).splitlines()), ""]
    lines += [f"| metric | {' | '.join(COLUMNS)} |", "| --- |" + " ---: |" * len(COLUMNS)]
    lines += [f"| {row.metric} | {' | '.join(_cells(row))} |" for row in compared.rows]
    repeat = f"{compared.samples} samples, seed {compared.seed}, radflow {__version__}"
    return "\n".join([*lines, "", f"{repeat}.", ""])
