"""Chest radiographs of analytic phantoms: Beer-Lambert line integrals through simple 3-D bodies.

The signal of a pixel is I = I0 exp(-sum mu l), with l the path through each body (closed forms of
``chest_bodies``); the display shows -log I with bone white and lungs dark, the patient's right on the image's
left. Anatomy, exposure and noise are drawn apart from the findings, so that the same patient can be shown
with and without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from radflow.data.phantoms.chest_anatomy import Anatomy
from radflow.data.phantoms.chest_bodies import (
    Array,
    Ellipsoid,
    Grid,
    ViewName,
    clip,
    corners,
    make_grid,
    positive,
)
from radflow.data.phantoms.chest_lesions import (
    MU_SOFT,
    Changes,
    add_bone_and_devices,
    changes_of,
    ribs_of,
)
from radflow.data.phantoms.chest_lungs import replace_by_lung
from radflow.data.phantoms.chest_truth import Lesion
from radflow.data.phantoms.chest_tubes import add_tubes, strip_average, tubes_along

MU_BONE = 0.27
"""What bone attenuates more than soft tissue, 1/cm."""
LUNG_WINDOW = (0.85, 5.0)
"""-log I shown as black and as white in a frontal view of an average patient."""
LATERAL_GAIN = 1.4
"""A lateral view crosses more tissue; its window is stretched by this, as automatic exposure does."""
FOCAL_BLUR_CM = 0.22
READOUT_NOISE = 0.012
"""Standard deviation of -log I from the detector alone."""


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
    replace_by_lung(total, grid, anatomy, changes, lesions)
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
        noise *= noise_sigma(signal, anatomy, pixel_cm2=pixel * pixel)
        signal += noise
    low, high = display_window(anatomy, view=view)
    signal -= low
    signal *= 255 / (high - low)
    return clip(signal, 0, 255).astype(np.uint8)


def display_window(anatomy: Anatomy, *, view: ViewName) -> tuple[float, float]:
    """-log I shown as black and as white; follows patient size and view as automatic exposure would."""
    gain = (LATERAL_GAIN * anatomy.width) if view == "lateral" else anatomy.depth
    low, high = (edge * gain + anatomy.brightness for edge in LUNG_WINDOW)
    return low, low + (high - low) / anatomy.contrast


def _blur(signal: Array, *, variance: float) -> Array:
    """Blur by repeated three-tap kernels that add up to ``variance`` (pixels squared)."""
    passes = max(1, round(variance / 0.4 + 0.49))
    weight = np.float32(variance / passes / 2)
    signal = signal.copy()
    for _ in range(passes):  # as diffusion, with nothing flowing over the edges
        for image in (signal, signal.T):
            flow = weight * (image[1:] - image[:-1])
            image[:-1] += flow
            image[1:] -= flow
    return signal


def _soft_tissue(grid: Grid, anatomy: Anatomy) -> Array:
    """Trunk (neck, sloping shoulders, chest), breasts and the stomach's gas bubble."""
    slope = clip((grid.y + 17.2) * (1 / 4.6), 0, 1)
    slope *= slope * (3 - 2 * slope)
    a = 4.8 * anatomy.width + (11.4 * anatomy.width) * slope
    c = 5.5 * anatomy.depth + (5.0 * anatomy.depth) * slope
    along, across = (a, c) if grid.is_lateral else (c, a)
    u = np.abs(grid.u / across)
    total = np.sqrt(positive(1 - u * u * u))
    total *= (2 * MU_SOFT) * along
    if anatomy.is_woman:
        breast = (7.6 * anatomy.width, 6.8, 8.5 * anatomy.depth)
        middles = (breast[2],) if grid.is_lateral else (-breast[0], breast[0])
        rows, columns = grid.window([(u, 6.8, 5.2) for u in middles])
        part = grid.part(rows, columns)
        if not grid.is_lateral:  # both at once, over the distance from the midline; y is positive here
            part = replace(part, places=np.abs(part.places))
        total[rows, columns] += (0.5 * MU_SOFT) * Ellipsoid(breast, (5.2, 4.6, 3.2)).chord(part).length
    if anatomy.gas:
        bubble, radius = (6.3, 11.3 + anatomy.inspiration, 2.0), anatomy.gas * 1.3
        window = grid.window([(*grid.project(bubble), max(radius, 2.0))])
        gas = Ellipsoid(bubble, (radius, anatomy.gas * 0.7, 2.0))
        total[window] -= (0.8 * MU_SOFT) * gas.chord(grid.part(*window)).length
    return total


def _add_airways(total: Array, grid: Grid, changes: Changes) -> None:
    """Trachea down to the carina and the two main bronchi, filled with air."""
    x = changes.shift * 0.8
    airways = tubes_along(((0.0, -19.0, 1.0), (x, -4.0, -1.5)), 0.95)
    for end in ((-3.2 + x, -0.8, -1.5), (3.8 + x, -1.2, -1.5)):
        airways += tubes_along(((x, -4.2, -1.5), end), 0.62)
    add_tubes(total, grid, airways, weight=-MU_SOFT)


def _add_skeleton(total: Array, grid: Grid, anatomy: Anatomy, changes: Changes) -> None:
    """Spine with discs, sternum (only in the lateral view: else the spine hides it), ribs, clavicles."""
    mu = MU_BONE * anatomy.bone
    back = -6.3 * anatomy.depth
    middle = back if grid.is_lateral else 0.0
    window = grid.window(corners((middle - 2.5, middle + 2.5), (-25.0, 25.0)))
    part = grid.part(*window)
    level = part.y * (1 / 2.5)
    level -= np.rint(level)
    discs = 0.28 + 1.2 * level * level  # paler where the discs are
    total[window] += mu * strip_average(part.u - middle, 1.75, grid.pixel) * discs
    if grid.is_lateral:
        front = strip_average(grid.u - np.float32(9.4 * anatomy.depth), 0.5, grid.pixel)
        total += mu * front * (np.abs(grid.y + 2) < 8)
    total += mu * ribs_of(grid, changes, width=anatomy.width)
    if not grid.is_lateral:
        rows = grid.window(corners((-15.0, 15.0), (-14.6, -9.6)))[0]
        total[rows] += mu * _clavicles(grid.u[rows], grid.y[rows], grid.pixel)


def _clavicles(u: Array, y: Array, pixel: float) -> Array:
    """Both clavicles at once, as one line over the distance from the midline; frontal view."""
    x: Array = np.abs(u)
    distance = np.float32(0.965) * (y + 10.2 + 0.27 * x)
    ends = clip(np.minimum(x - 1.3, 14.5 - x), 0, 1)
    return strip_average(distance, 0.62, pixel) * ends
