"""Generated chest X-ray phantoms as a data source: no data at hand needed, the truth is known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radflow.config import DataConfig
from radflow.data.phantoms.chest import make_chest_phantom
from radflow.data.sections import render_report
from radflow.data.sources import SourceStudy
from radflow.records import SPLITS, LeftOut, Report


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
