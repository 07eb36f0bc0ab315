"""Two baselines that any trained model has to beat: they stand in every table beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radflow.models.generation import load_image
from radflow.models.prompts import target_text
from radflow.records import Study

SIDE = 32
BATCH = 256


def most_frequent_report(train: Sequence[Study]) -> str:
    """The training report that occurs most often word for word; of several the one that sorts first.

    Where reports with Findings and Impression exist, it is one of those: a shorter one repeats more easily,
    and a constant that skips a section would be too easy to beat.
    """
    whole = [study for study in train if study.report.findings and study.report.impression]
    counts = Counter(target_text(study.report) for study in whole or train)
    return min(counts, key=lambda text: (-counts[text], text))


def nearest_image_reports(train: Sequence[Study], queries: Sequence[Study], *, image_root: Path) -> list[str]:
    """For each query the report of the training study whose images look most alike, each beside the one in
    its place.

    Images are shrunk to 32 x 32 grey pixels and standardised each; the distance is Euclidean. A study with
    fewer images has grey ones in the other places.
    """
    places = max((len(study.images) for study in (*train, *queries)), default=1)
    known = _thumbnails(train, image_root, places)
    reports = [target_text(study.report) for study in train]
    nearest: list[str] = []
    for start in range(0, len(queries), BATCH):
        asked = _thumbnails(queries[start : start + BATCH], image_root, places)
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab with |a| constant per query and |b| constant by standardisation
        similarity = asked @ known.T
        nearest += [reports[best] for best in similarity.argmax(axis=1)]
    return nearest


def _thumbnails(studies: Sequence[Study], image_root: Path, places: int) -> NDArray[np.float32]:
    """(studies, places * 32 * 32), each row of length 1."""
    rows = np.zeros((len(studies), places, SIDE * SIDE), dtype=np.float32)
    for row, study in zip(rows, studies, strict=True):
        for pixels, name in zip(row, study.images, strict=False):
            image = load_image(image_root / name)
            shrunk = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            pixels[:] = np.asarray(shrunk).ravel()
    rows -= rows.mean(axis=2, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-6)
    flat = rows.reshape(len(studies), -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat
