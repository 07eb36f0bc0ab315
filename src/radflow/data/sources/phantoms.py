"""Generated chest X-ray phantoms as a data source: no data at hand needed, the truth is known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radflow.config import DataConfig
from radflow.data.phantoms.chest import make_chest_case, make_chest_phantom
from radflow.data.sections import report_from_fields
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import missing_section
from radflow.records import SPLITS, LeftOut


@dataclass(frozen=True, slots=True)
class PhantomImage:
    """One view of a phantom, rendered where and when it is needed."""

    index: int
    view: int
    seed: int
    data: DataConfig

    def __call__(self) -> NDArray[np.uint8]:
        settings = self.data.phantoms
        phantom = make_chest_phantom(
            self.index,
            seed=self.seed,
            image_size=settings.size,
            lateral=settings.lateral,
            observations=settings.observations or None,
        )
        return phantom.images[self.view]


def read_phantoms(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies of all three splits; indices run on, so that the splits never share a phantom.

    Some phantom reports lack a section on purpose; `data.require` leaves these out.
    """
    settings = data.phantoms
    splits = [name for name in SPLITS for _ in range(getattr(settings, name))]
    for index, split in enumerate(splits):
        case = make_chest_case(index, seed=seed, observations=settings.observations or None)
        report = report_from_fields(findings=case.report.findings, impression=case.report.impression)
        if lacking := missing_section(report, data.require):
            detail = f"data.require: {data.require}"
            yield LeftOut(study_id=case.study_id, reason=lacking, detail=detail)
            continue
        views = 2 if settings.lateral and data.views == "all" else 1
        yield SourceStudy(
            study_id=case.study_id,
            patient_id=case.study_id,
            images=tuple(
                PhantomImage(index, view, seed, data) for view in range(min(views, data.max_images))
            ),
            report=report,
            split=split,
            indication=case.indication,
            metadata={"is_critical": any(finding.is_critical for finding in case.truth)},
            truth=case.truth,
        )
