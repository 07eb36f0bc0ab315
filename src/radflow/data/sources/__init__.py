"""Data sources: each turns a data set as it lies on disk into studies, one at a time.

A source is a callable ``(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]``. It reads text and
finds images but decodes none: `stages.prepare` does that, many at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.config import DataConfig
from radflow.records import Finding, LeftOut, Report, Split

SOURCES = {
    "phantoms": "radflow.data.sources.phantoms:read_phantoms",
    "iu_xray": "radflow.data.sources.iu_xray:read_iu_xray",
    "mimic_cxr": "radflow.data.sources.mimic_cxr:read_mimic_cxr",
    "table": "radflow.data.sources.table:read_table",
}


ImageSource = Path | NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
"""A file, an array (height, width) or (height, width, 3), or a picklable call that makes one when needed."""


@dataclass(frozen=True, slots=True)
class SourceStudy:
    """A study before its images are decoded and its split is drawn.

    Attributes:
        study_id: unique in the source.
        patient_id: ``None`` when the source doesn't know patients.
        images: frontal views first; see ImageSource.
        report: the reference, cut into sections.
        split: the source's own split, ``None`` without one.
        indication, comparison: prompt text, ``None`` when absent or literally empty.
        previous: what was reported of the patient's study before this one, ``None`` when unknown.
        metadata: JSON values worth keeping (codings, projections).
        truth: exact findings of a phantom.
    """

    study_id: str
    patient_id: str | None
    images: tuple[ImageSource, ...]
    report: Report
    split: Split | None = None
    indication: str | None = None
    comparison: str | None = None
    previous: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    truth: tuple[Finding, ...] | None = None


Source = Callable[[DataConfig, int], Iterator[SourceStudy | LeftOut]]
