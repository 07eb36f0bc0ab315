"""The lungs of a phantom: cavity without diaphragm dome and heart, vessels, and the lesions inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from radflow.data.phantoms.chest_anatomy import Anatomy
from radflow.data.phantoms.chest_bodies import (
    Array,
    Ellipsoid,
    Grid,
    LungShape,
    Window,
    clip,
    common,
    corners,
    positive,
)
from radflow.data.phantoms.chest_lesions import (
    MU_LUNG,
    MU_SOFT,
    Changes,
    add_lung_lesions,
    gas_and_lung,
    signs,
)
from radflow.data.phantoms.chest_truth import Lesion
from radflow.data.phantoms.chest_tubes import Tube, add_tubes

SIGNS = (-1, 1)
"""The patient's right (image left) and left."""
APEX_Y = -12.9
"""Top of the lungs, cm from the middle of the field."""


def _heart(anatomy: Anatomy, changes: Changes) -> Ellipsoid:
    size = anatomy.heart_size * changes.heart
    x = 1.5 + anatomy.heart_x + 2.2 * (size - 1) + changes.shift
    return Ellipsoid((x, 4.3, 2.5), (5.9 * size, 4.7 * size**0.7, 4.6 * size**0.5), 0.55)


def replace_by_lung(
    total: Array, grid: Grid, anatomy: Anatomy, changes: Changes, lesions: Sequence[Lesion]
) -> None:
    """Replace soft tissue by lung, in place: on each side the lung cavity without diaphragm dome and heart.

    Both sides are evaluated together, as (2, h, w): the patient's right first.
    """
    windows = _lung_windows(grid, anatomy)
    sides = [grid.part(*window) for window in windows]
    both = sides[0]  # in a lateral view the same rays cross both lungs
    if not grid.is_lateral:
        both = replace(both, places=np.stack([side.places for side in sides]))
    shape = _cavity(anatomy, changes)
    cavity = shape.chord(both)
    below = common(cavity, _dome(anatomy, changes).chord(both))
    heart = _heart(anatomy, changes).chord(both)
    airs = cavity.length - below.length - common(cavity, heart).length + common(below, heart).length
    airs = positive(airs)
    vessels = np.zeros_like(total)
    for index, (sign, window, side) in enumerate(zip(SIGNS, windows, sides, strict=True)):
        lung = air = airs[index]
        density = 1.0
        here = [lesion for lesion in lesions if sign in signs(lesion)]
        if here:
            lung, density = gas_and_lung(side, shape.side(index), air, here)
        part = total[window]
        part += (MU_LUNG * density) * lung - MU_SOFT * air
        paths = np.zeros_like(part)
        _add_vessels(paths, side, anatomy, changes, sign=sign)
        paths *= clip(lung * 0.25, 0, 1)
        np.maximum(vessels[window], paths, out=vessels[window])
        add_lung_lesions(part, side, lung, air, here, sign=sign)
    total += (MU_SOFT - MU_LUNG) * vessels


def _lung_windows(grid: Grid, anatomy: Anatomy) -> list[Window]:
    """The part of the image where each lung can be, of the same size for both."""
    spans = [(sign * 1.0, sign * 12.6 * anatomy.width) for sign in SIGNS]
    if grid.is_lateral:
        spans = [(-0.5 - 8.9 * anatomy.depth, -0.5 + 8.9 * anatomy.depth)] * 2
    (rows, first), (more_rows, second) = (grid.window(corners(span, (APEX_Y, 19.0))) for span in spans)
    rows = slice(min(rows.start, more_rows.start), max(rows.stop, more_rows.stop))
    width = max(first.stop - first.start, second.stop - second.start)
    starts = [min(columns.start, grid.u.shape[1] - width) for columns in (first, second)]
    return [(rows, slice(start, start + width)) for start in starts]


def _cavity(anatomy: Anatomy, changes: Changes) -> LungShape:
    """Both hemithoraces."""
    inner = _per_side(*(max(1.0, 2.3 + changes.shift * sign) for sign in SIGNS))
    return LungShape(_per_side(*SIGNS), APEX_Y, 12.6 * anatomy.width, inner, 8.9 * anatomy.depth)


def _dome(anatomy: Anatomy, changes: Changes) -> Ellipsoid:
    """Both domes of the diaphragm; the patient's right one stands higher."""
    right, left = (7.4 + anatomy.inspiration + changes.dome.get(sign, 0.0) for sign in SIGNS)
    centre = (_per_side(-6.3, 6.3), _per_side(right + 9.5, left + 0.7 + 9.5), -0.5)
    return Ellipsoid(centre, (7.6 * anatomy.width, 9.5, 10.2 * anatomy.depth))


def _per_side(*values: float) -> Array:
    return np.array(values, dtype=np.float32)[:, None, None]


def _add_vessels(canvas: Array, grid: Grid, anatomy: Anatomy, changes: Changes, *, sign: int) -> None:
    """Hilum and a fan of tapering vessels; wider where the lungs are congested."""
    strength = anatomy.markings * changes.congestion
    hilum = (sign * 3.4 + changes.shift, -0.6 - 0.4 * sign, -1.0)
    fan = ((5.0, -9.0, -3), (9.5, -6.0, 2), (11.0, -1.0, -4), (10.5, 3.5, 3), (8.0, 6.0, -5), (4.6, 6.5, -2))
    low = (hilum[0] + sign * 0.4, hilum[1] + 4.5, hilum[2])
    vessels = [Tube(hilum, low, 1.15 * strength, 0.6 * strength)]
    for index, (x, y, z) in enumerate(fan):
        wobble = anatomy.jitter[index + (8 if sign > 0 else 0)] - 0.5
        end = (sign * (x + wobble), y + 3 * wobble, float(z))
        vessels.append(Tube(hilum, end, 0.85 * strength, 0.2 * strength))
    add_tubes(canvas, grid, vessels)
