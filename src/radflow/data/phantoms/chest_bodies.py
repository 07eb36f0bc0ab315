"""Simple 3-D bodies and the analytic length of an X-ray's path through them.

Coordinates are centimetres in the patient: x towards the patient's left (the image's right), y downwards,
z towards the front. A frontal view looks along z, a lateral view along x; both ask the same bodies.
All arrays are float32 of shape (H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import add, sub
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]
N = TypeVar("N")
Number = float | Array
"""A number, or one for each side of the body: (2, 1, 1)."""
Window = tuple[slice, slice]
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
    """Patient coordinates of the pixel centres of one view, or of a rectangle of it.

    Attributes:
        places: (u, y, 1) of each pixel, (3, H, W), linear in its row and column; (2, 3, H, W) where two
            rectangles are asked at once.
        pixel: pixel size in the patient, cm.
        is_lateral: whether rays run along x.
        to_column, to_row: factors of (u, y, 1) that give the pixel of a patient position.
    """

    places: Array
    pixel: float
    is_lateral: bool
    to_column: Point
    to_row: Point

    @property
    def u(self) -> Array:
        """Horizontal patient coordinate: x in a frontal view, z in a lateral one (front to the left)."""
        return self.places[..., 0, :, :]

    @property
    def y(self) -> Array:
        """Vertical patient coordinate."""
        return self.places[..., 1, :, :]

    def part(self, rows: slice, columns: slice) -> Grid:
        """The same view on a rectangle of its pixels."""
        (a, b, c), (d, e, f) = self.to_column, self.to_row
        places = self.places[:, rows, columns]
        to_column, to_row = (a, b, c - columns.start), (d, e, f - rows.start)
        return Grid(places, self.pixel, self.is_lateral, to_column, to_row)

    def project(self, point: tuple[N, N, N]) -> tuple[N, N]:
        """(u, y) of a 3-D point."""
        return (point[2] if self.is_lateral else point[0]), point[1]

    def window(self, circles: Sequence[Point]) -> Window:
        """Rows and columns that hold all ``circles``, each (u, y, radius in cm); may be empty."""
        (a, b, c), (d, e, f) = self.to_column, self.to_row
        columns = [a * u + b * y + c for u, y, _ in circles]
        rows = [d * u + e * y + f for u, y, _ in circles]
        reach = [radius / self.pixel + 0.5 for _, _, radius in circles]
        height, width = self.places.shape[-2:]
        return _span(rows, reach, height), _span(columns, reach, width)


def corners(us: tuple[float, float], ys: tuple[float, float]) -> list[Point]:
    """A rectangle of the patient as points for ``Grid.window``."""
    return [(u, y, 0.0) for u in us for y in ys]


def _span(middles: Sequence[float], reach: Sequence[float], size: int) -> slice:
    first = min(max(0, int(min(map(sub, middles, reach)))), size)
    return slice(first, min(max(first, int(max(map(add, middles, reach))) + 1), size))


def linear_forms(forms: Array, places: Array) -> Array:
    """Values (n, H, W) of linear forms (n, 3) at ``places`` (3, H, W), which are linear in row and column."""
    if len(forms) * places.size < 2**17:
        return (forms @ places.reshape(3, -1)).reshape(-1, *places.shape[1:])
    # BLAS would spread a larger product over threads: sum what the first row and the first column give
    row, column = places[:, 0], places[:, :, 0] - places[:, 0, :1]
    return (forms @ row)[:, None] + (forms @ column)[:, :, None]


@lru_cache(maxsize=8)
def _pixel_centres(size: int) -> Array:
    """(column, row, 1) of each pixel in cm from the middle, (3, size, size)."""
    line = ((np.arange(size, dtype=np.float32) + np.float32(0.5)) / size - np.float32(0.5)) * FIELD_CM
    return np.stack((*np.meshgrid(line, line), np.ones((size, size), dtype=np.float32)))


def make_grid(size: int, *, view: ViewName, pose: Pose) -> Grid:
    flip = -1 if view == "lateral" else 1  # the patient faces the image's left, as in a left lateral view
    x, y, scale = pose.shift_x, pose.shift_y, pose.scale
    cos, sin = math.cos(pose.angle) * scale, math.sin(pose.angle) * scale
    turn = np.array([(flip * cos, -sin, x), (flip * sin, cos, y), (0, 0, 1)], dtype=np.float32)
    places = linear_forms(turn, _pixel_centres(size))
    a, b = (part * size / FIELD_CM / scale**2 for part in (cos, sin))
    to_column = (flip * a, flip * b, size / 2 - flip * (a * x + b * y))
    to_row = (-b, a, size / 2 + b * x - a * y)
    return Grid(places, FIELD_CM / size * scale, view == "lateral", to_column, to_row)


class Chord(NamedTuple):
    """The part of each ray inside a convex body, in cm; empty where ``low`` isn't below ``high``."""

    low: Array
    high: Array

    @property
    def length(self) -> Array:
        return positive(self.high - self.low)


def _chord(middle: Array | float, half: Array) -> Chord:
    return Chord(middle - half, middle + half)


def common(first: Chord, second: Chord) -> Chord:
    """The part of each ray inside both bodies; exact, as both are convex."""
    return Chord(np.maximum(first.low, second.low), np.minimum(first.high, second.high))


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid with semi-axes (cm) along x, y, z, turned by ``angle`` (radians) in the x-y plane."""

    centre: tuple[Number, Number, Number]
    axes: Point
    angle: float = 0.0

    def chord(self, grid: Grid) -> Chord:
        """Solve the quadratic of a ray against the ellipsoid's matrix."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        p, q, r = (1.0 / axis**2 for axis in self.axes)
        xx, yy, xy = cos * cos * p + sin * sin * q, sin * sin * p + cos * cos * q, cos * sin * (p - q)
        u0, y0 = grid.project(self.centre)
        u, y = grid.u - u0, grid.y - y0
        if not grid.is_lateral:
            inside = xx * u
            if self.angle:
                inside += (2 * xy) * y
            inside *= u
            y *= y
            y *= yy
            inside += y
            return _chord(self.centre[2], self.axes[2] * root(1 - inside))
        b = xy * y
        inside = b * b - xx * (yy * y * y + r * u * u - 1)
        return _chord(self.centre[0] - b / xx, root(inside) / xx)

    def soft_path(self, grid: Grid) -> Array:
        """Path weighted by a density that falls off as 1 - r**2: fuzzy edges, still a closed form.

        The integral of the density along a chord of half length h is 4/3 h (h / h_max)**2.
        """
        length = self.chord(grid).length
        peak = self.axes[0] if grid.is_lateral else self.axes[2]
        return (1 / 6 / peak**2) * length * length * length


@dataclass(frozen=True, slots=True)
class LungShape:
    """A hemithorax: horizontal sections |x - x0(y)|**3 / a(y)**3 + z**2 / c(y)**2 <= 1, closed at the apex.

    Attributes:
        sign: +1 for the patient's left, -1 for the right; both (2, 1, 1), like ``inner``, to ask both sides.
        apex: y of the apex, cm.
        width: distance of the lateral wall from the midline at the base, cm.
        inner: distance of the medial edge from the midline, cm.
        depth: half the front-to-back depth, cm.
    """

    sign: Number
    apex: float
    width: float
    inner: Number
    depth: float

    def side(self, index: int) -> LungShape:
        """One of the two sides of a shape that holds both."""
        sign, inner = (float(np.ravel(value)[index]) for value in (self.sign, self.inner))
        return replace(self, sign=sign, inner=inner)

    def chord(self, grid: Grid) -> Chord:
        down = grid.y - self.apex
        outer = 4.3 + (self.width - 4.3) * _rounding(down, 17.0)
        inner = 4.3 + (self.inner - 4.3) * _rounding(down, 5.0)
        a = positive(outer - inner) * 0.5 + 1e-6
        x0: Array = (outer + inner) * (self.sign * np.float32(0.5))
        c = self.depth * _rounding(down, 11.0)
        if grid.is_lateral:
            z = (grid.u + 0.5) / (c + 1e-6)
            return _chord(x0, a * np.cbrt(positive(1 - z * z)))
        across = np.abs(np.subtract(grid.u, x0, out=x0))
        across /= a
        c *= root(1 - across * across * across)
        return _chord(-0.5, c)


def clip(values: Array, low: float, high: float) -> Array:
    """``np.clip`` without its overhead, which dominates on small windows."""
    return values.clip(np.float32(low), np.float32(high))


def positive(values: Array) -> Array:
    """``np.maximum(values, 0)``, four times as fast: numpy's loop over two arrays is vectorised, that over
    an array and a number isn't."""
    small = values.size < 2**14
    return np.maximum(values, _zeros(values.shape) if small else np.zeros(values.shape, dtype=np.float32))


@lru_cache(maxsize=256)
def _zeros(shape: tuple[int, ...]) -> Array:
    return np.zeros(shape, dtype=np.float32)


def root(inside: Array) -> Array:
    """Square root of ``inside``, 0 where that is negative."""
    inside = positive(inside)
    return np.sqrt(inside, out=inside)


def _rounding(down: Array, length: float) -> Array:
    """0 at the apex, 1 from ``length`` cm below it, a quarter circle between."""
    rest = positive(1 - down * (1 / length))
    rest *= rest
    return root(1 - rest)
