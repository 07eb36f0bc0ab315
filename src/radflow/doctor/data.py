"""Whether the data of a config are found: studies counted and divided, an image read"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from radflow.config import DataConfig, RunConfig
from radflow.data.images import read_image
from radflow.data.sources import SOURCES, ImageSource, Source, SourceStudy
from radflow.data.splits import StudyKey, assign_splits
from radflow.doctor.check import Check, ok, problem, warning
from radflow.errors import ImageError
from radflow.records import SPLITS
from radflow.registry import resolve

COUNTING_SECONDS = 30.0
"""A large collection on a slow disk takes minutes to read; what is counted by then has to do."""
SMALL_TRAINING = 100
MANY_LEFT_OUT = 0.2


@dataclass
class Counted:
    """What the source holds, as far as it was read.

    Attributes:
        keys: of the studies that it would give.
        left_out: reason -> how many.
        first_images: of the first study.
        is_all: whether the source was read to its end.
    """

    keys: list[StudyKey] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    with_both: int = 0
    first_images: tuple[ImageSource, ...] = ()
    is_all: bool = True


def count_studies(data: DataConfig, *, into: Counted, seed: int, seconds: float = COUNTING_SECONDS) -> None:
    """Read the source without decoding images; what was counted before it failed stays.

    Raises:
        ConfigError: unknown source.
        DataError: what the source itself says against its files.
    """
    source: Source = resolve("data source", SOURCES, data.source)
    deadline = time.monotonic() + seconds
    for row in source(data, seed):
        if isinstance(row, SourceStudy):
            into.keys.append(StudyKey(row.study_id, row.patient_id, row.split))
            into.with_both += bool(row.report.findings and row.report.impression)
            into.first_images = into.first_images or row.images
        else:
            into.left_out[row.reason] += 1
        if time.monotonic() > deadline:
            into.is_all = False
            break


def data_checks(config: RunConfig, counted: Counted) -> Iterator[Check]:
    """What was found and what left out, whether it is enough to train on, whether images can be read."""
    if not counted.keys:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counted.left_out.items())
        remedy = "Check data.root, data.images and the columns: radflow config show data"
        yield problem("data", f"{config.data.source} gives no study: {reasons or 'it is empty'}", remedy)
        return
    yield _found(config, counted)
    yield from _left_out(counted)
    yield from _images(config, counted)
    if counted.with_both < len(counted.keys) / 2:
        yield warning(
            "sections",
            f"{counted.with_both} of {len(counted.keys)} reports have both Findings and Impression, by which "
            "two terms of the reward judge",
            "Look at some with radflow sections; see data.sections.fallback and data.sections.headers.",
        )


def _found(config: RunConfig, counted: Counted) -> Check:
    count = f"{'' if counted.is_all else 'at least '}{len(counted.keys)} studies"
    if not counted.is_all:
        return ok("data", f"{config.data.source}: {count}, counted for {COUNTING_SECONDS:.0f} s")
    division = assign_splits(counted.keys, config.data.split, seed=config.seed)
    splits = Counter(split for _, split in division.assigned)
    shown = ", ".join(f"{splits[name]} {name}" for name in SPLITS)
    message = f"{config.data.source}: {count}: {shown}"
    if not splits["train"] or not splits[config.evaluate.split]:
        return problem("data", message, "No split may be empty: see data.split.")
    if splits["train"] < SMALL_TRAINING:
        return warning("data", message, f"Below {SMALL_TRAINING} training studies no model learns much.")
    return ok("data", message)


def _left_out(counted: Counted) -> Iterator[Check]:
    left_out = counted.left_out.total()
    if not left_out:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counted.left_out.items()))
    message = f"{left_out} left out: {reasons}"
    if left_out > MANY_LEFT_OUT * (left_out + len(counted.keys)):
        yield warning("left out", message, "radflow prepare lists each in left_out.jsonl.")
    else:
        yield ok("left out", message)


def _images(config: RunConfig, counted: Counted) -> Iterator[Check]:
    """The first study's images stand for all: formats and permissions are alike in a collection."""
    try:
        for image in counted.first_images:
            if callable(image):
                image()
            elif not hasattr(image, "shape"):
                read_image(image, allow_missing_preamble=config.data.allow_missing_preamble)
    except ImageError as error:
        yield warning("images", str(error), "Each image that can't be read is left out and listed.")
    else:
        yield ok("images", f"{len(counted.first_images)} of the first study can be read")
