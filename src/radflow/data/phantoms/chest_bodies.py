"""Simple 3-D bodies and the analytic length of an X-ray's path through them.

Coordinates are centimetres in the patient: x towards the patient's left (the image's right), y downwards,
z towards the front. A frontal view looks along z, a lateral view along x; both ask the same bodies.
All arrays are float32 of shape (H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]
ViewName = Literal["frontal", "lateral"]
FIELD_CM = 36.0
"""Side of the square detector."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stands before the detector: shift (cm), rotation in the image plane, magnification."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    angle: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Patient coordinates of the pixel centres of one view.

    Attributes:
        u: horizontal patient coordinate, (H, W): x in a frontal view, z in a lateral one (front to the left).
        y: vertical patient coordinate, (H, W).
        pixel: pixel size in the patient, cm.
        is_lateral: whether rays run along x.
        pose: kept to find the pixels of a patient position again.
        size: pixels per side of the whole image.
        origin: row and column of the first pixel, when the grid is a part of the image.
    """

    u: Array
    y: Array
    pixel: float
    is_lateral: bool
    pose: Pose
    size: int
    origin: tuple[int, int] = (0, 0)

    def part(self, rows: slice, columns: slice) -> Grid:
        """The same view on a rectangle of its pixels."""
        u, y = self.u[rows, columns].copy(), self.y[rows, columns].copy()
        return Grid(u, y, self.pixel, self.is_lateral, self.pose, self.size, (rows.start, columns.start))

    def project(self, point: Point) -> tuple[float, float]:
        """(u, y) of a 3-D point."""
        return (point[2] if self.is_lateral else point[0]), point[1]

    def window(self, points: Sequence[tuple[float, float]], margin: float) -> tuple[slice, slice]:
        """Rows and columns that hold all ``points`` with ``margin`` cm around them; may be empty."""
        size, pose = self.size, self.pose
        cos, sin = math.cos(pose.angle), math.sin(pose.angle)
        columns, rows = [], []
        for u, y in points:
            a, b = (u - pose.shift_x) / pose.scale, (y - pose.shift_y) / pose.scale
            column = cos * a + sin * b
            column = -column if self.is_lateral else column
            columns.append(column / FIELD_CM * size + size / 2 - self.origin[1])
            rows.append((-sin * a + cos * b) / FIELD_CM * size + size / 2 - self.origin[0])
        reach = 1.2 * margin / self.pixel + 1.5
        return (
            slice(max(0, int(min(rows) - reach)), max(0, int(max(rows) + reach) + 1)),
            slice(max(0, int(min(columns) - reach)), max(0, int(max(columns) + reach) + 1)),
        )


@lru_cache(maxsize=8)
def _pixel_centres(size: int) -> tuple[Array, Array]:
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * FIELD_CM
    return np.tile(line, (size, 1)), np.tile(line[:, None], (1, size))


def make_grid(size: int, *, view: ViewName, pose: Pose) -> Grid:
    column, row = _pixel_centres(size)
    if view == "lateral":
        column = -column  # the patient faces the image's left, as in a left lateral radiograph
    cos, sin = np.float32(math.cos(pose.angle) * pose.scale), np.float32(math.sin(pose.angle) * pose.scale)
    u = cos * column - sin * row + np.float32(pose.shift_x)
    y = sin * column + cos * row + np.float32(pose.shift_y)
    return Grid(u, y, FIELD_CM / size * pose.scale, view == "lateral", pose, size)


@dataclass(frozen=True, slots=True)
class Chord:
    """The part of each ray inside a convex body, from ``low`` to ``high`` (cm); equal where it misses."""

    low: Array
    high: Array

    @property
    def length(self) -> Array:
        return self.high - self.low


def _chord(middle: Array | float, half: Array) -> Chord:
    return Chord(middle - half, middle + half)


def common(first: Chord, second: Chord) -> Chord:
    """The part of each ray inside both bodies; exact, as both are convex."""
    low = np.maximum(first.low, second.low)
    return Chord(low, np.maximum(np.minimum(first.high, second.high), low))


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid with semi-axes (cm) along x, y, z, turned by ``angle`` (radians) in the x-y plane."""

    centre: Point
    axes: Point
    angle: float = 0.0

    def chord(self, grid: Grid) -> Chord:
        """Solve the quadratic of a ray against the ellipsoid's matrix."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        p, q, r = (1.0 / axis**2 for axis in self.axes)
        xx, yy, xy = cos * cos * p + sin * sin * q, sin * sin * p + cos * cos * q, cos * sin * (p - q)
        u0, y0 = grid.project(self.centre)
        u, y = grid.u - np.float32(u0), grid.y - np.float32(y0)
        if not grid.is_lateral:
            inside = 1 - (np.float32(xx) * u + np.float32(2 * xy) * y) * u - np.float32(yy) * y * y
            return _chord(self.centre[2], self.axes[2] * _root(inside))
        b = np.float32(xy) * y
        inside = b * b - np.float32(xx) * (np.float32(yy) * y * y + np.float32(r) * u * u - 1)
        return _chord(self.centre[0] - b / np.float32(xx), _root(inside) / np.float32(xx))

    def soft_path(self, grid: Grid) -> Array:
        """Path weighted by a density that falls off as 1 - r**2: fuzzy edges, still a closed form.

        The integral of the density along a chord of half length h is 4/3 h (h / h_max)**2.
        """
        length = self.chord(grid).length
        peak = self.axes[0] if grid.is_lateral else self.axes[2]
        return np.float32(1 / 6 / peak**2) * length * length * length


@dataclass(frozen=True, slots=True)
class LungShape:
    """A hemithorax: horizontal sections |x - x0(y)|**3 / a(y)**3 + z**2 / c(y)**2 <= 1, closed at the apex.

    Attributes:
        sign: +1 for the patient's left, -1 for the right.
        apex: y of the apex, cm.
        width: distance of the lateral wall from the midline at the base, cm.
        inner: distance of the medial edge from the midline, cm.
        depth: half the front-to-back depth, cm.
    """

    sign: int
    apex: float
    width: float
    inner: float
    depth: float

    def chord(self, grid: Grid) -> Chord:
        down = grid.y - np.float32(self.apex)
        outer = 4.3 + np.float32(self.width - 4.3) * _rounding(down, 17.0)
        inner = 4.3 - np.float32(4.3 - self.inner) * _rounding(down, 5.0)
        a = np.maximum((outer - inner) / 2, np.float32(1e-3))
        x0 = np.float32(self.sign / 2) * (outer + inner)
        c = np.float32(self.depth) * _rounding(down, 11.0)
        if grid.is_lateral:
            z = (grid.u + np.float32(0.5)) / np.maximum(c, np.float32(1e-3))
            return _chord(x0, a * np.cbrt(np.maximum(1 - z * z, np.float32(0))))
        across = np.abs(grid.u - x0) / a
        return _chord(-0.5, c * _root(1 - across * across * across))


def clip(values: Array, low: float, high: float) -> Array:
    """``np.clip`` without its overhead, which dominates on small windows."""
    clipped: Array = np.minimum(np.maximum(values, np.float32(low)), np.float32(high))
    return clipped


def _root(inside: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(inside, np.float32(0))), dtype=np.float32)


def _rounding(down: Array, length: float) -> Array:
    """0 at the apex, 1 from ``length`` cm below it, a quarter circle between."""
    rest = 1 - clip(down * np.float32(1 / length), 0, 1)
    return np.asarray(np.sqrt(1 - rest * rest), dtype=np.float32)


_STEPS = 4096
_EDGE = np.linspace(-1, 1, _STEPS)
_STRIP: Array = (_EDGE * np.sqrt(1 - _EDGE**2) + np.arcsin(_EDGE)).astype(np.float32)
"""Antiderivative of the chord 2 sqrt(1 - e**2) of a unit circle, tabulated because arcsin is slow."""


def strip_average(distance: Array, radius: Array | float, pixel: float) -> Array:
    """Mean path (cm) through a tube over a pixel's width, for rays ``distance`` cm from its axis.

    For wires thinner than a pixel the chord 2 sqrt(r**2 - d**2) is integrated over the pixel in closed form,
    so that they keep their mass instead of flickering between sampling points.
    """
    r = np.asarray(radius, dtype=np.float32)
    if r.max() > 0.75 * pixel:  # wide against the pixel: two Gauss points do, at a third of the cost
        squared, offset = r * r, np.float32(pixel / 12**0.5)
        inner, outer = distance - offset, distance + offset
        return _root(squared - inner * inner) + _root(squared - outer * outer)
    scale = np.float32(_STEPS / 2) / r
    middle = distance * scale + np.float32(_STEPS / 2)
    half = scale * np.float32(pixel / 2)
    last = _STEPS - 1
    high = _STRIP.take(clip(middle + half, 0, last).astype(np.int32))
    low = _STRIP.take(clip(middle - half, 0, last).astype(np.int32))
    return np.asarray((high - low) * (r * r * np.float32(1 / pixel)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Tube:
    """A straight, possibly tapering tube; radii in cm."""

    start: Point
    end: Point
    radius: float
    end_radius: float


def tubes_along(points: Sequence[Point], radius: float) -> list[Tube]:
    return [Tube(a, b, radius, radius) for a, b in pairwise(points)]


def add_tubes(canvas: Array, grid: Grid, tubes: Sequence[Tube]) -> None:
    """Write the path through ``tubes`` into ``canvas`` (maximum, so joints don't add up).

    All tubes are evaluated together on the smallest window that holds them: one batch of (tubes, h, w).
    """
    flat = [(*grid.project(t.start), *grid.project(t.end), t.radius, t.end_radius) for t in tubes]
    corners = [end for row in flat for end in (row[:2], row[2:4])]
    rows, columns = grid.window(corners, max(max(row[4:]) for row in flat))
    u0, y0, u1, y1, r0, r1 = np.array(flat, dtype=np.float32).T[:, :, None, None]
    u, y = grid.u[rows, columns] - u0, grid.y[rows, columns] - y0
    if not u.size:
        return
    du, dy = u1 - u0, y1 - y0
    squared = np.maximum(du * du + dy * dy, np.float32(1e-6))
    along = clip(u * (du / squared) + y * (dy / squared), 0, 1)
    u -= along * du
    y -= along * dy
    radius = r0 + (r1 - r0) * along if (r0 != r1).any() else r0
    path = strip_average(np.sqrt(u * u + y * y), radius, grid.pixel).max(axis=0)
    part = canvas[rows, columns]
    np.maximum(part, path, out=part)
