"""Generated phantoms as a data source, chest or carotid: no data at hand needed, the truth is known
exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.config import DataConfig, PhantomsConfig
from radflow.data.phantoms.carotid import CarotidCase, make_carotid_case
from radflow.data.phantoms.chest import ChestCase, make_chest_case, make_chest_phantom
from radflow.data.sections import report_from_fields
from radflow.data.sources import ImageSource, SourceStudy
from radflow.data.sources.checks import missing_section
from radflow.records import SPLITS, LeftOut


@dataclass(frozen=True, slots=True)
class ChestImage:
    """One view of a chest phantom, rendered where and when it is needed."""

    index: int
    view: int
    seed: int
    settings: PhantomsConfig

    def __call__(self) -> NDArray[np.uint8]:
        phantom = make_chest_phantom(
            self.index,
            seed=self.seed,
            image_size=self.settings.size,
            lateral=self.settings.lateral,
            observations=self.settings.observations or None,
        )
        return phantom.images[self.view]


@dataclass(frozen=True, slots=True)
class CarotidImage:
    """One picture of a carotid phantom, rendered where and when it is needed."""

    index: int
    view: str
    seed: int
    settings: PhantomsConfig

    def __call__(self) -> NDArray[np.uint8]:
        case = make_carotid_case(self.index, seed=self.seed, doppler=self.settings.doppler)
        return case.render(self.view, image_size=self.settings.size)


Made = tuple[ChestCase | CarotidCase, tuple[ImageSource, ...], dict[str, Any]]
"""A phantom without pixels, its images, and metadata of its modality alone."""


def read_phantoms(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies of all three splits; indices run on, so that the splits never share a phantom.

    Some phantom reports lack a section on purpose; `data.require` leaves these out.
    """
    settings = data.phantoms
    make = _carotid_study if settings.modality == "carotid" else _chest_study
    splits = [name for name in SPLITS for _ in range(getattr(settings, name))]
    for index, split in enumerate(splits):
        case, images, metadata = make(index, seed, data)
        report = report_from_fields(findings=case.report.findings, impression=case.report.impression)
        if lacking := missing_section(report, data.require):
            detail = f"data.require: {data.require}"
            yield LeftOut(study_id=case.study_id, reason=lacking, detail=detail)
            continue
        yield SourceStudy(
            study_id=case.study_id,
            patient_id=case.study_id,
            images=images,
            report=report,
            split=split,
            indication=case.indication,
            metadata={
                "modality": settings.modality,
                "is_critical": any(finding.is_critical for finding in case.truth),
                **metadata,
            },
            truth=case.truth,
        )


def _chest_study(index: int, seed: int, data: DataConfig) -> Made:
    settings = data.phantoms
    case = make_chest_case(index, seed=seed, observations=settings.observations or None)
    views = 2 if settings.lateral and data.views == "all" else 1
    images = tuple(ChestImage(index, view, seed, settings) for view in range(min(views, data.max_images)))
    return case, images, {}


def _carotid_study(index: int, seed: int, data: DataConfig) -> Made:
    """Up to four pictures, and the truth table's rows in the metadata."""
    settings = data.phantoms
    case = make_carotid_case(index, seed=seed, doppler=settings.doppler)
    images = tuple(CarotidImage(index, view, seed, settings) for view in case.views)
    return case, images, {"views": list(case.views), "sides": [side.row() for side in case.sides]}
