"""Read the data source, draw the split, turn every image into a bounded 8-bit PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.clinical.judge import Judge
from radflow.clinical.judge_sections import split_studies
from radflow.config import DataConfig, RunConfig
from radflow.data.file_names import file_name
from radflow.data.images import fit_within, read_image, write_png
from radflow.data.sources import SOURCES, ImageSource, Source, SourceStudy
from radflow.data.splits import assign_splits
from radflow.engine import map_rows
from radflow.errors import DataError, ImageError
from radflow.jsonl import Appender, write_jsonl
from radflow.records import SPLITS, LeftOut, Record, RowFailure, Split, Study
from radflow.registry import resolve
from radflow.run_dir import RunDir
from radflow.terminal import console


class Prepared(Record):
    """What became of one study: itself, unless no image could be read, and what had to be left out."""

    study_id: str
    study: Study | None
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Assigned:
    """A study of the source with its split."""

    source: SourceStudy
    split: Split

    @property
    def study_id(self) -> str:
        return self.source.study_id


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """data source -> studies.jsonl, left_out.jsonl, images/"""
    source: Source = resolve("data source", SOURCES, config.data.source)
    found: list[SourceStudy] = []
    left_out: list[LeftOut] = []
    for row in source(config.data, config.seed):
        (found if isinstance(row, SourceStudy) else left_out).append(row)  # type: ignore[arg-type]
    if config.data.sections.fallback == "judge":
        found, unread = _ask_for_sections(found, config, run)
        left_out += unread
    write_jsonl(run.path("left_out.jsonl"), left_out)  # before all that can fail: it tells why
    if not found:
        raise _nothing_left(left_out)
    division = assign_splits(found, config.data.split, seed=config.seed)
    for note in division.notes:
        console.print(note, markup=False, soft_wrap=True)
    left_out += division.left_out
    rows = [Assigned(study, split) for study, split in division.assigned]
    prepared = _prepare_images(rows, config, run)
    studies = [row.study for row in prepared if row.study is not None]
    left_out += [item for row in prepared for item in row.left_out]
    write_jsonl(run.path("left_out.jsonl"), left_out)
    if not studies:
        raise _nothing_left(left_out)
    write_jsonl(run.path("studies.jsonl"), studies)
    return _show_counts(studies, left_out)


def _ask_for_sections(
    found: Sequence[SourceStudy], config: RunConfig, run: RunDir
) -> tuple[list[SourceStudy], list[LeftOut]]:
    judge = Judge(config.judge, cache=run.path("judge-cache"))
    kept, left_out = split_studies(found, judge, require=config.data.require)
    console.print(judge.tally.line(config.judge), markup=False, soft_wrap=True)
    return kept, left_out


def _prepare_images(rows: Sequence[Assigned], config: RunConfig, run: RunDir) -> list[Prepared]:
    function = PrepareStudy(run.root, config.data)
    with Appender(run.path("prepared.partial.jsonl"), Prepared) as done:
        known = {row.study_id for row in done.rows}
        missing = [row for row in rows if row.study_id not in known]
        results = map_rows(
            function, missing, workers=config.engine.workers, label="prepare", total=len(missing)
        )
        fresh = []
        for result in results:
            if isinstance(result, Prepared):
                done.append([result])
            fresh.append(_as_prepared(result))
        by_id = {row.study_id: row for row in (*done.rows, *fresh)}
    return [by_id[row.study_id] for row in rows]


def _as_prepared(result: Prepared | RowFailure) -> Prepared:
    """A failed row is listed, and tried again when a cut run goes on."""
    if isinstance(result, Prepared):
        return result
    item = LeftOut(study_id=result.study_id, reason="failed", detail=f"{result.kind}: {result.message}")
    return Prepared(study_id=result.study_id, study=None, left_out=(item,))


@dataclass(frozen=True)
class PrepareStudy:
    """Decode, shrink and store a study's images; an unreadable one is left out, the others stay."""

    root: Path
    data: DataConfig

    def __call__(self, row: Assigned) -> Prepared:
        names: list[str] = []
        left_out: list[LeftOut] = []
        folder = f"images/{file_name(row.study_id)}"
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for stale in (self.root / folder).glob(".*.tmp"):  # of a run that was killed while it wrote
            stale.unlink(missing_ok=True)
        for number, image in enumerate(row.source.images):
            name = f"{folder}/{number}.png"
            try:
                write_png(
                    fit_within(self._pixels(image), long_side=self.data.image_long_side), self.root / name
                )
            except ImageError as error:
                left_out.append(LeftOut(study_id=row.study_id, reason="unreadable_image", detail=str(error)))
            else:
                names.append(name)
        study = _study(row, tuple(names)) if names else None
        return Prepared(study_id=row.study_id, study=study, left_out=tuple(left_out))

    def _pixels(self, image: ImageSource) -> NDArray[np.uint8]:
        if isinstance(image, Path):
            return read_image(image, allow_missing_preamble=self.data.allow_missing_preamble)
        pixels = image() if callable(image) else image
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _study(row: Assigned, images: tuple[str, ...]) -> Study:
    source = row.source
    return Study(
        study_id=source.study_id,
        patient_id=source.patient_id,
        split=row.split,
        images=images,
        report=source.report,
        indication=source.indication,
        comparison=source.comparison,
        metadata=source.metadata,
        truth=source.truth,
    )


def _nothing_left(left_out: Sequence[LeftOut]) -> DataError:
    reasons = Counter(item.reason for item in left_out)
    examples = {item.reason: item.study_id for item in reversed(left_out)}
    shown = ", ".join(f"{count} {reason} (e.g. {examples[reason]})" for reason, count in reasons.items())
    next_step = "Check data.root, data.images and the column names: radflow config show data"
    if reasons["no_sections"]:
        next_step = (
            "Reports without a Findings or Impression header count as no_sections: check "
            "data.table.report_column, or set data.sections.fallback: last_paragraph"
        )
    return DataError(
        f"no study is left: {shown or 'the source is empty'}",
        where="data",
        next_step=next_step,
    )


def _show_counts(studies: Sequence[Study], left_out: Sequence[LeftOut]) -> dict[str, Any]:
    splits = Counter(study.split for study in studies)
    reasons = Counter(item.reason for item in left_out)
    console.print("studies: " + ", ".join(f"{splits[name]} {name}" for name in SPLITS))
    if reasons:
        shown = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        console.print(f"left out: {shown} (listed in left_out.jsonl)")
    return {
        "studies": {name: splits[name] for name in SPLITS},
        "with_findings": sum(study.report.findings is not None for study in studies),
        "with_impression": sum(study.report.impression is not None for study in studies),
        "without_patient_id": sum(study.patient_id is None for study in studies),
        "left_out": dict(sorted(reasons.items())),
    }
