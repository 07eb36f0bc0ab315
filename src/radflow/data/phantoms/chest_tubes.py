"""Straight tubes (vessels, airways, wires, bones) and the length of an X-ray's path through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from radflow.data.phantoms.chest_bodies import Array, Grid, Point, clip, linear_forms, root

_STEPS = 4096
_EDGE = np.linspace(-1, 1, _STEPS)
_STRIP: Array = (_EDGE * np.sqrt(1 - _EDGE**2) + np.arcsin(_EDGE)).astype(np.float32)
"""Antiderivative of the chord 2 sqrt(1 - e**2) of a unit circle, tabulated because arcsin is slow."""


def strip_average(distance: Array, radius: Array | float, pixel: float) -> Array:
    """Mean path (cm) through a tube over a pixel's width, for rays ``distance`` cm (+ or -) off its axis.

    For wires thinner than a pixel the chord 2 sqrt(r**2 - d**2) is integrated over the pixel in closed form,
    so that they keep their mass instead of flickering between sampling points.
    """
    squared = radius * radius
    widest = radius if isinstance(radius, float) else radius.max()
    if widest > 0.75 * pixel:  # wide against the pixel: two Gauss points do, at a third of the cost
        inner, outer = distance - pixel / 12**0.5, distance + pixel / 12**0.5
        inner *= inner
        outer *= outer
        path = root(np.subtract(squared, inner, out=inner))
        path += root(np.subtract(squared, outer, out=outer))
        return path
    scale = (_STEPS / 2) / radius
    middle = distance * scale + _STEPS / 2
    half = scale * (pixel / 2)
    last = _STEPS - 1
    high = _STRIP.take(clip(middle + half, 0, last).astype(np.int32))
    low = _STRIP.take(clip(middle - half, 0, last).astype(np.int32))
    return np.asarray((high - low) * (squared * (1 / pixel)), dtype=np.float32)


class Tube(NamedTuple):
    """A straight, possibly tapering tube; radii in cm."""

    start: Point
    end: Point
    radius: float
    end_radius: float


def tubes_along(points: Sequence[Point], radius: float) -> list[Tube]:
    return [Tube(a, b, radius, radius) for a, b in pairwise(points)]


def add_tubes(total: Array, grid: Grid, tubes: Sequence[Tube], *, weight: float = 1.0) -> None:
    """Add the path through ``tubes`` to ``total``, in place; where they overlap, the longest path counts.

    All tubes are evaluated together on the smallest window that holds them: one batch of (tubes, h, w).
    """
    ends = [end for t in tubes for end in ((t.start, t.radius), (t.end, t.end_radius))]
    circles = [(*grid.project(place), radius) for place, radius in ends]
    rows, columns = grid.window(circles)
    if rows.start == rows.stop or columns.start == columns.stop:
        return
    along, across, shape = [], [], []
    for (u0, y0, r0), (u1, y1, r1) in zip(circles[::2], circles[1::2], strict=True):
        reach = math.hypot(u1 - u0, y1 - y0)
        u, y = ((u1 - u0) / reach, (y1 - y0) / reach) if reach > 1e-3 else (1.0, 0.0)  # seen end on: a disc
        reach = max(reach, 1e-3)
        along.append((u / reach, y / reach, -(u * u0 + y * y0) / reach))  # 0 at the start, 1 at the end
        across.append((-y, u, y * u0 - u * y0))
        shape.append((reach, r0, r1 - r0))
    forms = np.array(along + across, dtype=np.float32)
    length, radius, growth = np.array(shape, dtype=np.float32).T[:, :, None, None]
    offset = linear_forms(forms, grid.places[:, rows, columns])
    ahead, aside = offset[: len(tubes)], offset[len(tubes) :]
    nearest = clip(ahead, 0, 1)
    if any(t.radius != t.end_radius for t in tubes):
        radius = radius + growth * nearest
    ahead -= nearest
    ahead *= length
    offset *= offset
    ahead += aside
    path = strip_average(np.sqrt(ahead, out=ahead), radius, grid.pixel).max(axis=0)
    total[rows, columns] += np.float32(weight) * path
