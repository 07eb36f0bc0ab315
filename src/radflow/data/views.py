"""Which images of a study are shown, and in which order: by their views, frontal ones first

One rule for the studies that models are trained on and for those that they write for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from radflow.config import DataConfig

T = TypeVar("T")

FRONTAL = ("PA", "AP")
"""In the order of preference: AP views magnify the heart more."""
OTHER_FRONTAL, UNKNOWN, LATERAL, OTHER = 2, 3, 4, 5
KNOWN_TO = ("phantoms", "iu_xray", "mimic_cxr")
"""Sources that know views, so that `data.views` decides what their studies keep."""


def choose_views(images: Iterable[T], view_of: Callable[[T], str | None], *, frontal_only: bool) -> list[T]:
    """PA, AP, other frontal ones (AXIAL, LLD, ...), unknown, lateral, the rest; each in the given order.

    With `frontal_only`, images of unknown view stand in only where none is known to be frontal.

    Args:
        view_of: the view of an image, see `view_rank`.
    """
    ranked = sorted(images, key=lambda image: view_rank(view_of(image)))
    if not frontal_only:
        return ranked
    frontal = [image for image in ranked if view_rank(view_of(image)) < UNKNOWN]
    return frontal or [image for image in ranked if view_rank(view_of(image)) == UNKNOWN]


def view_rank(view: str | None) -> int:
    """Place of a view in the order, 0 for the best.

    Args:
        view: as DICOM's ViewPosition has it ("PA", "AP AXIAL", "LL"), "frontal" or "lateral" where no more is
            known; empty or ``None`` where nothing is.
    """
    name = (view or "").upper()
    if name in FRONTAL:
        return FRONTAL.index(name)
    if name == "FRONTAL" or name.startswith(("PA ", "AP ")):
        return OTHER_FRONTAL
    if not name:
        return UNKNOWN
    return LATERAL if name in ("LL", "RL") or "LATERAL" in name else OTHER


def kept_views(data: DataConfig) -> Literal["frontal", "all"]:
    """Which views the studies of a run keep, `data.views` or not: all where their source knows none."""
    is_carotid = data.source == "phantoms" and data.phantoms.modality == "carotid"
    return data.views if data.source in KNOWN_TO and not is_carotid else "all"
