"""Read the data source, draw the split, turn every image into a bounded 8-bit PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.clinical.judge import Judge
from radflow.clinical.judge_sections import ask_for_sections, with_answers
from radflow.config import DataConfig, RunConfig
from radflow.data.file_names import file_name
from radflow.data.images import fit_within, is_whole_png, read_image, write_png
from radflow.data.sources import SOURCES, ImageSource, Source, SourceStudy
from radflow.data.splits import StudyKey, assign_splits
from radflow.engine import map_rows
from radflow.errors import DataError, ImageError
from radflow.jsonl import IndexedAppender, read_jsonl, write_jsonl
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
    """data source -> studies.jsonl, left_out.jsonl, images/

    The source is read twice, first for the split, then for all else, so that memory holds the ids of its
    studies and the few of them that are worked on, however many there are.
    """
    rows = _source_reader(config, run)
    keys = _list_studies(rows(), run)
    if not keys:
        raise _nothing_left(_left_out_so_far(run))
    division = assign_splits(keys, config.data.split, seed=config.seed)
    for note in division.notes:
        console.print(note, markup=False, soft_wrap=True)
    splits = {key.study_id: split for key, split in division.assigned}
    not_in_split = division.left_out
    del keys, division
    with IndexedAppender(run.path("prepared.partial.jsonl"), Prepared, key=_study_id) as done:
        failed = _prepare_images(rows(), splits, done, config, run)
        _refuse_lost(splits, done, failed)
        prepared = _Results(tuple(splits), done, failed)
        left_out = (item for row in prepared for item in row.left_out)
        write_jsonl(run.path("left_out.jsonl"), chain(_left_out_so_far(run), not_in_split, left_out))
        if not any(row.study for row in prepared):
            raise _nothing_left(_left_out_so_far(run))
        write_jsonl(run.path("studies.jsonl"), (row.study for row in prepared if row.study))
    return _show_counts(run)


def _study_id(row: Prepared) -> str:
    return row.study_id


def _source_reader(config: RunConfig, run: RunDir) -> Callable[[], Iterator[SourceStudy | LeftOut]]:
    """What reads the source from its beginning each time it is called.

    With the judge as fallback it is asked here, once, about the reports that it is for.
    """
    source: Source = resolve("data source", SOURCES, config.data.source)
    read = partial(source, config.data, config.seed)
    if config.data.sections.fallback != "judge":
        return read
    judge = Judge(config.judge, cache=run.path("judge-cache"))
    answers = ask_for_sections(read(), judge)
    console.print(judge.tally.line(config.judge), markup=False, soft_wrap=True)
    return lambda: with_answers(read(), answers, require=config.data.require)


def _list_studies(rows: Iterable[SourceStudy | LeftOut], run: RunDir) -> list[StudyKey]:
    """Keys of the source's studies; what it leaves out goes to left_out.jsonl, before all that can fail:
    it tells why."""
    keys: list[StudyKey] = []

    def left_out() -> Iterator[LeftOut]:
        for row in rows:
            if isinstance(row, SourceStudy):
                keys.append(StudyKey(row.study_id, row.patient_id, row.split))
            else:
                yield row

    write_jsonl(run.path("left_out.jsonl"), left_out())
    return keys


def _left_out_so_far(run: RunDir) -> Iterator[LeftOut]:
    return read_jsonl(LeftOut, run.path("left_out.jsonl"))


def _prepare_images(
    rows: Iterable[SourceStudy | LeftOut],
    splits: Mapping[str, Split],
    done: IndexedAppender[Prepared],
    config: RunConfig,
    run: RunDir,
) -> dict[str, Prepared]:
    """Prepare the studies that aren't done yet; those that failed are returned, and tried again when a cut
    run goes on."""
    function = PrepareStudy(run.root, config.data)
    is_done = {
        study_id for study_id in splits if study_id in done and _has_its_images(done.read(study_id), run)
    }
    missing = (
        Assigned(row, splits[row.study_id])
        for row in rows
        if isinstance(row, SourceStudy) and row.study_id in splits and row.study_id not in is_done
    )
    total = len(splits) - len(is_done)
    failed = {}
    for result in map_rows(function, missing, engine=config.engine, label="prepare", total=total):
        if isinstance(result, Prepared):
            done.append(result)
        else:
            failed[result.study_id] = _as_prepared(result)
    return failed


def _has_its_images(row: Prepared, run: RunDir) -> bool:
    """A power cut may cost an image, or its end, and leave the line that tells of it."""
    return row.study is None or all(is_whole_png(run.path(name)) for name in row.study.images)


def _as_prepared(result: RowFailure) -> Prepared:
    item = LeftOut(study_id=result.study_id, reason="failed", detail=f"{result.kind}: {result.message}")
    return Prepared(study_id=result.study_id, study=None, left_out=(item,))


@dataclass(frozen=True)
class _Results:
    """What became of every study, in the source's order, read from disk each time it is iterated."""

    study_ids: tuple[str, ...]
    done: IndexedAppender[Prepared]
    failed: Mapping[str, Prepared]

    def __iter__(self) -> Iterator[Prepared]:
        for study_id in self.study_ids:
            yield self.done.read(study_id) if study_id in self.done else self.failed[study_id]


def _refuse_lost(
    splits: Mapping[str, Split], done: IndexedAppender[Prepared], failed: Mapping[str, Prepared]
) -> None:
    lost = [study_id for study_id in splits if study_id not in done and study_id not in failed]
    if lost:
        raise DataError(
            f"the source has lost {len(lost)} studies while it was read (e.g. {lost[0]})",
            where="data.root",
            next_step="Let nothing write there, then run the same command.",
        )


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
        previous=source.previous,
        metadata=source.metadata,
        truth=source.truth,
    )


def _nothing_left(left_out: Iterable[LeftOut]) -> DataError:
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for item in left_out:
        reasons[item.reason] += 1
        examples.setdefault(item.reason, item.study_id)
    shown = ", ".join(f"{count} {reason} (e.g. {examples[reason]})" for reason, count in reasons.items())
    next_step = "Check data.root, data.images and the column names: radflow config show data"
    if reasons["no_sections"]:
        next_step = (
            "Reports without a Findings or Impression header count as no_sections: check "
            "data.table.report_column, or set data.sections.fallback: last_paragraph"
        )
    elif reasons["image_file_missing"]:
        next_step = "left_out.jsonl says where each image was looked for; data.images names another folder"
    return DataError(
        f"no study is left: {shown or 'the source is empty'}",
        where="data",
        next_step=next_step,
    )


def _show_counts(run: RunDir) -> dict[str, Any]:
    splits: Counter[str] = Counter()
    sections: Counter[str] = Counter()
    for study in read_jsonl(Study, run.path("studies.jsonl")):
        splits[study.split] += 1
        sections["with_findings"] += study.report.findings is not None
        sections["with_impression"] += study.report.impression is not None
        sections["without_patient_id"] += study.patient_id is None
    reasons = Counter(item.reason for item in _left_out_so_far(run))
    console.print("studies: " + ", ".join(f"{splits[name]} {name}" for name in SPLITS))
    if reasons:
        shown = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        console.print(f"left out: {shown} (listed in left_out.jsonl)")
    return {
        "studies": {name: splits[name] for name in SPLITS},
        **{name: sections[name] for name in ("with_findings", "with_impression", "without_patient_id")},
        "left_out": dict(sorted(reasons.items())),
    }
