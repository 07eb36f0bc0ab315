"""Chest radiographs of analytic phantoms: Beer-Lambert line integrals through simple 3-D bodies.

The signal of a pixel is I = I0 exp(-sum mu l), with l the path through each body (closed forms of
``chest_bodies``); the display shows -log I with bone white and lungs dark, the patient's right on the image's
left. Anatomy, exposure and noise are drawn apart from the findings, so that the same patient can be shown
with and without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radflow.data.phantoms.chest_bodies import (
    Array,
    Chord,
    Ellipsoid,
    Grid,
    LungShape,
    Pose,
    Tube,
    ViewName,
    add_tubes,
    clip,
    common,
    make_grid,
    strip_average,
    tubes_along,
)
from radflow.data.phantoms.chest_lesions import (
    MU_LUNG,
    MU_SOFT,
    Changes,
    add_bone_and_devices,
    add_lung_lesions,
    changes_of,
    gas_and_lung,
    ribs_of,
)
from radflow.data.phantoms.chest_truth import Dice, Lesion

MU_BONE = 0.27
"""What bone attenuates more than soft tissue, 1/cm."""
LUNG_WINDOW = (0.85, 5.0)
"""-log I shown as black and as white in a frontal view of an average patient."""
LATERAL_GAIN = 1.4
"""A lateral view crosses more tissue; its window is stretched by this, as automatic exposure does."""
FOCAL_BLUR_CM = 0.22
READOUT_NOISE = 0.012
"""Standard deviation of -log I from the detector alone."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A patient and an exposure, both free of findings.

    Attributes:
        pose, lateral_pose: how the patient stands in each view.
        width, depth: body size factors around 1.
        is_woman: breast shadows or not.
        heart_size, heart_x: factor around 1; shift towards the patient's left, cm.
        inspiration: how far the diaphragm lies below its mean place, cm.
        markings: how strongly lung vessels show, around 1.
        bone: bone density factor.
        gas: width of the stomach's gas bubble, cm; 0 for none.
        brightness, contrast: display variation.
        photons: per cm2 at the unattenuated detector.
        jitter: uniforms that turn each vessel a little.
    """

    pose: Pose
    lateral_pose: Pose
    width: float
    depth: float
    is_woman: bool
    heart_size: float
    heart_x: float
    inspiration: float
    markings: float
    bone: float
    gas: float
    brightness: float
    contrast: float
    photons: float
    jitter: tuple[float, ...]


def sample_anatomy(dice: Dice) -> Anatomy:
    def pose() -> Pose:
        return Pose(
            dice.uniform(-1.0, 1.0),
            dice.uniform(-0.7, 0.5),
            dice.uniform(-0.06, 0.06),
            dice.uniform(0.86, 0.98),
        )

    return Anatomy(
        pose=pose(),
        lateral_pose=pose(),
        width=dice.uniform(0.93, 1.06),
        depth=dice.uniform(0.88, 1.12),
        is_woman=dice.chance(0.5),
        heart_size=dice.uniform(0.93, 1.04),
        heart_x=dice.uniform(-0.35, 0.35),
        inspiration=dice.uniform(-0.8, 0.8),
        markings=dice.uniform(0.9, 1.35),
        bone=dice.uniform(0.8, 1.2),
        gas=dice.uniform(0.8, 2.4) if dice.chance(0.7) else 0.0,
        brightness=dice.uniform(-0.12, 0.12),
        contrast=dice.uniform(0.93, 1.08),
        photons=dice.uniform(4e4, 1.2e5),
        jitter=tuple(dice.uniform() for _ in range(14)),
    )


def render(
    anatomy: Anatomy, lesions: Sequence[Lesion], *, image_size: int, view: ViewName, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One radiograph, (image_size, image_size) greyscale."""
    return expose(
        attenuation(anatomy, lesions, image_size=image_size, view=view), anatomy, view=view, rng=rng
    )


def attenuation(anatomy: Anatomy, lesions: Sequence[Lesion], *, image_size: int, view: ViewName) -> Array:
    """Noise-free sum of mu * l, (image_size, image_size); 1.0 is one e-fold of attenuation."""
    pose = anatomy.lateral_pose if view == "lateral" else anatomy.pose
    grid = make_grid(image_size, view=view, pose=pose)
    changes = changes_of(lesions)
    total = _soft_tissue(grid, anatomy)
    heart = _heart(anatomy, changes).chord(grid)
    vessels = np.zeros_like(total)
    for sign in (-1, 1):  # each on the part of the image where that side can be
        corners = [(0.0, -13.2), (sign * 13.6, -13.2), (sign * 13.6, 19.0), (0.0, 19.0)]
        window = (slice(0, image_size),) * 2 if view == "lateral" else grid.window(corners, 0.5)
        behind = Chord(heart.low[window], heart.high[window])
        side = grid.part(*window)
        _subtract_lung(total[window], side, anatomy, changes, lesions, behind, vessels[window], sign=sign)
    total += np.float32(MU_SOFT - MU_LUNG) * vessels
    _add_airways(total, grid, changes)
    _add_skeleton(total, grid, anatomy, changes)
    add_bone_and_devices(total, grid, lesions, width=anatomy.width, bone=MU_BONE * anatomy.bone)
    return np.maximum(total, np.float32(0), out=total)


def noise_sigma(signal: Array, anatomy: Anatomy, *, pixel_cm2: float) -> Array:
    """Standard deviation of -log I: photon counting (Gaussian limit of Poisson) and detector read-out."""
    quantum = np.exp(np.minimum(signal, np.float32(7.0))) * np.float32(1 / (anatomy.photons * pixel_cm2))
    return np.asarray(np.sqrt(quantum + np.float32(READOUT_NOISE**2)), dtype=np.float32)


def expose(
    signal: Array, anatomy: Anatomy, *, view: ViewName, rng: np.random.Generator | None
) -> NDArray[np.uint8]:
    """Blur, noise (none without ``rng``) and the display window; (H, W) uint8, bone white."""
    pixel = 36.0 / signal.shape[0]
    signal = _blur(signal, variance=(FOCAL_BLUR_CM / pixel) ** 2)
    if rng is not None:
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        signal = signal + noise_sigma(signal, anatomy, pixel_cm2=pixel * pixel) * noise
    low, high = display_window(anatomy, view=view)
    grey = (signal - np.float32(low)) * np.float32(255 / (high - low))
    shown: NDArray[np.uint8] = clip(grey, 0, 255).astype(np.uint8)
    return shown


def display_window(anatomy: Anatomy, *, view: ViewName) -> tuple[float, float]:
    """-log I shown as black and as white; follows patient size and view as automatic exposure would."""
    gain = (LATERAL_GAIN * anatomy.width) if view == "lateral" else anatomy.depth
    low, high = (edge * gain + anatomy.brightness for edge in LUNG_WINDOW)
    return low, low + (high - low) / anatomy.contrast


def _blur(signal: Array, *, variance: float) -> Array:
    """Blur by repeated three-tap kernels that add up to ``variance`` (pixels squared)."""
    passes = max(1, round(variance / 0.4 + 0.49))
    w = np.float32(variance / passes / 2)
    for _ in range(passes):
        padded = np.pad(signal, 1, mode="edge")
        rows = padded[1:-1] + w * (padded[:-2] - 2 * padded[1:-1] + padded[2:])
        signal = rows[:, 1:-1] + w * (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    return signal


def _soft_tissue(grid: Grid, anatomy: Anatomy) -> Array:
    """Trunk (neck, sloping shoulders, chest), breasts and the stomach's gas bubble."""
    slope = clip((grid.y + np.float32(17.2)) / np.float32(4.6), 0, 1)
    slope = slope * slope * (3 - 2 * slope)
    a = np.float32(anatomy.width) * (4.8 + np.float32(11.4) * slope)
    c = np.float32(anatomy.depth) * (5.5 + np.float32(5.0) * slope)
    along, across = (a, c) if grid.is_lateral else (c, a)
    u = grid.u / across
    path = 2 * along * np.sqrt(np.maximum(1 - u * u * np.abs(u), np.float32(0)))
    if anatomy.is_woman:
        mirrored = grid if grid.is_lateral else replace(grid, u=np.abs(grid.u))
        breast = Ellipsoid((7.6 * anatomy.width, 6.8, 8.5 * anatomy.depth), (5.2, 4.6, 3.2))
        path += np.float32(0.5) * breast.chord(mirrored).length
    if anatomy.gas:
        bubble = Ellipsoid(
            (6.3, 11.3 + anatomy.inspiration, 2.0), (anatomy.gas * 1.3, anatomy.gas * 0.7, 2.0)
        )
        path -= np.float32(0.8) * bubble.chord(grid).length
    return np.asarray(np.float32(MU_SOFT) * path, dtype=np.float32)


def _heart(anatomy: Anatomy, changes: Changes) -> Ellipsoid:
    size = anatomy.heart_size * changes.heart
    x = 1.5 + anatomy.heart_x + 2.2 * (size - 1) + changes.shift
    return Ellipsoid((x, 4.3, 2.5), (5.9 * size, 4.7 * size**0.7, 4.6 * size**0.5), 0.55)


def _subtract_lung(
    total: Array,
    grid: Grid,
    anatomy: Anatomy,
    changes: Changes,
    lesions: Sequence[Lesion],
    heart: Chord,
    vessels: Array,
    *,
    sign: int,
) -> None:
    """Replace soft tissue by lung on one side, in place: lung cavity without diaphragm dome and heart."""
    shift = changes.shift * sign
    shape = LungShape(sign, -12.9, 12.6 * anatomy.width, max(1.0, 2.3 + shift), 8.9 * anatomy.depth)
    cavity = shape.chord(grid)
    top = 7.4 + anatomy.inspiration + (0.7 if sign > 0 else 0.0) + changes.dome.get(sign, 0.0)
    dome = Ellipsoid((sign * 6.3, top + 9.5, -0.5), (7.6 * anatomy.width, 9.5, 10.2 * anatomy.depth)).chord(
        grid
    )
    below, beside = common(cavity, dome), common(cavity, heart)
    air = cavity.length - below.length - beside.length + common(below, heart).length
    air = np.maximum(air, np.float32(0))
    lung, collapsed = gas_and_lung(grid, shape, air, lesions, sign=sign)
    total -= np.float32(MU_SOFT) * air
    total += (MU_LUNG * collapsed) * lung
    paths = np.zeros_like(total)
    _add_vessels(paths, grid, anatomy, changes, sign=sign)
    paths *= np.minimum(lung * np.float32(0.25), 1)
    np.maximum(vessels, paths, out=vessels)
    add_lung_lesions(total, grid, lung, air, lesions, sign=sign)


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


def _add_airways(total: Array, grid: Grid, changes: Changes) -> None:
    """Trachea down to the carina and the two main bronchi, filled with air."""
    x = changes.shift * 0.8
    airways = tubes_along(((0.0, -19.0, 1.0), (x, -4.0, -1.5)), 0.95)
    for end in ((-3.2 + x, -0.8, -1.5), (3.8 + x, -1.2, -1.5)):
        airways += tubes_along(((x, -4.2, -1.5), end), 0.62)
    path = np.zeros_like(total)
    add_tubes(path, grid, airways)
    total -= np.float32(MU_SOFT) * path


def _add_skeleton(total: Array, grid: Grid, anatomy: Anatomy, changes: Changes) -> None:
    """Spine with discs, sternum (only in the lateral view: else the spine hides it), ribs, clavicles."""
    mu = np.float32(MU_BONE * anatomy.bone)
    back = -6.3 * anatomy.depth
    spine = strip_average(grid.u - np.float32(back if grid.is_lateral else 0.0), 1.75, grid.pixel)
    level = grid.y * np.float32(1 / 2.5)
    level -= np.rint(level)
    discs = np.float32(0.28) + np.float32(1.2) * level * level  # paler where the discs are
    total += mu * spine * discs
    if grid.is_lateral:
        front = strip_average(grid.u - np.float32(9.4 * anatomy.depth), 0.5, grid.pixel)
        total += mu * front * (np.abs(grid.y + 2) < 8)
    total += mu * ribs_of(grid, changes, width=anatomy.width)
    if not grid.is_lateral:
        total += mu * _clavicles(grid)


def _clavicles(grid: Grid) -> Array:
    """Both clavicles at once, as one line over the distance from the midline; frontal view."""
    path = np.zeros_like(grid.u)
    rows = grid.window([(-15.0, -14.6), (15.0, -14.6), (-15.0, -9.6), (15.0, -9.6)], 0.0)[0]
    x = np.abs(grid.u[rows])
    distance = np.float32(0.965) * np.abs(grid.y[rows] + np.float32(10.2) + np.float32(0.27) * x)
    ends = clip(x - np.float32(1.3), 0, 1) * clip(np.float32(14.5) - x, 0, 1)
    path[rows] = strip_average(distance, 0.62, grid.pixel) * ends
    return path
