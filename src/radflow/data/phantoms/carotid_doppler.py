"""Spectral Doppler panels: velocity over one heartbeat in the common, internal and vertebral artery.

Three strips stand beside one another, from left to right: common carotid, internal carotid and vertebral
artery, on one velocity scale with marks every 50 cm/s (long ones every 100) and a baseline. Laminar flow
leaves a dark window under the systolic peak; a stenosis fills it. Power in each cell is exponentially
distributed, as in any spectrum of random scatterers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radflow.data.phantoms.carotid_marks import draw_letter, draw_ticks, letter_height
from radflow.data.phantoms.carotid_truth import CarotidSide, Velocities
from radflow.data.phantoms.dice import Dice

Array = NDArray[np.float32]
SCALES = (120, 240, 500)
"""Full scales above the baseline, cm/s; the smallest that holds the peak is taken."""
BASELINE = 0.78
"""Height of the baseline, as a share of the panel from the top."""
PEAK = (0.12, 0.18)
"""Share of the heartbeat during which the peak velocity lasts."""
WINDOW_DB = (-34.0, 4.0)
FLOW_DB, FILL_DB, NOISE_DB = -6.0, -24.0, -38.0
WALL_FILTER = 3.0
"""Slower echoes come from the wall and are filtered out, cm/s."""
OCCLUDED_CCA = (52, 6)
"""Peak and end-diastolic velocity of the common carotid artery before an occlusion: high resistance."""
VERTEBRAL = {"antegrade": (42.0, 14.0), "retrograde": (-38.0, -8.0), "bidirectional": (-26.0, 17.0)}
"""Velocity at the systolic peak and at the end of diastole, cm/s."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One vessel's part of the panel: its velocities in cm/s, negative away from the brain.

    Attributes:
        fills: share of the systolic window that turbulence fills.
    """

    peak: float
    end: float
    fills: float = 0.0


def render_doppler(
    side: CarotidSide, *, image_size: int, dice: Dice, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One panel, (image_size, image_size) greyscale."""
    strips, scale = strips_of(side), scale_of(side.velocities)
    echo = np.full((image_size, image_size), NOISE_DB, dtype=np.float32)
    edges = np.linspace(0, image_size, len(strips) + 1).astype(int)
    velocity = velocities_of_rows(image_size, scale)
    for strip, first, last in zip(strips, edges[:-1], edges[1:], strict=True):
        if strip is not None:
            phase = dice.uniform(0, 0.08)
            echo[:, first:last] = _spectrum(strip, velocity, last - first, phase)
    power = rng.standard_exponential(echo.shape, dtype=np.float32)
    echo += np.float32(10) * np.log10(power + np.float32(1e-6))
    low, high = WINDOW_DB
    echo -= low
    echo *= 255 / (high - low)
    image = np.clip(echo, 0, 255).astype(np.uint8)
    _draw_scale(image, edges, scale)
    draw_letter(image, side.side[0].upper(), row=image_size - letter_height(image_size), column=0)
    return image


def strips_of(side: CarotidSide) -> tuple[Strip | None, Strip | None, Strip]:
    """Common, internal and vertebral artery; ``None`` where nothing flows."""
    measured = side.velocities
    vertebral = Strip(*VERTEBRAL[side.vertebral])
    if measured is None:
        return Strip(*OCCLUDED_CCA), None, vertebral
    fills = {"none": 0.0, "under 50": 0.25, "50-69": 0.7}.get(side.grade, 1.0)
    return Strip(measured.cca_psv, measured.cca_edv), Strip(measured.psv, measured.edv, fills), vertebral


def scale_of(measured: Velocities | None) -> int:
    """Full scale above the baseline, cm/s."""
    highest = 1.04 * max(measured.psv, measured.cca_psv) if measured else 0
    return next(scale for scale in SCALES if scale >= highest)


def velocities_of_rows(image_size: int, scale: int) -> Array:
    """(H, 1) velocity at the centre of each row, cm/s."""
    height = BASELINE * image_size
    rows = np.arange(image_size, dtype=np.float32) + np.float32(0.5)
    return ((height - rows) * np.float32(scale / height))[:, None]


def pulse(time: Array) -> Array:
    """Course of a heartbeat: 0 at the end of diastole, 1 at the systolic peak, a second small wave behind
    it."""
    first, last = PEAK
    rise = np.clip(time / np.float32(first), 0, 1)
    fall = np.exp(-np.maximum(time - np.float32(last), 0) / np.float32(0.14))
    dicrotic = 0.13 * np.exp(-np.square((time - np.float32(0.46)) / np.float32(0.05)))
    return np.asarray(rise * rise * (3 - 2 * rise) * np.maximum(fall, dicrotic), dtype=np.float32)


def _spectrum(strip: Strip, velocity: Array, width: int, phase: float) -> Array:
    """Mean power in dB of one strip, (H, width)."""
    time = (np.arange(width, dtype=np.float32) + np.float32(0.5)) / np.float32(width) - np.float32(phase)
    course = pulse(np.mod(time, 1))
    fastest = strip.end + (strip.peak - strip.end) * course
    toward = np.where(fastest >= 0, np.float32(1), np.float32(-1))
    speed, cell = velocity * toward, np.float32(abs(velocity[0, 0] - velocity[1, 0]))
    inside = np.clip((np.abs(fastest) - speed) / cell + np.float32(0.5), 0, 1)
    inside *= speed > WALL_FILTER
    clear = (
        np.float32(0.62 * (1 - strip.fills)) * np.abs(fastest) * course
    )  # the window lasts in systole only
    level = np.where(speed > clear, np.float32(FLOW_DB), np.float32(FILL_DB))
    return np.asarray(NOISE_DB + inside * (level - np.float32(NOISE_DB)), dtype=np.float32)


def _draw_scale(image: NDArray[np.uint8], edges: NDArray[np.int_], scale: int) -> None:
    """Baseline, borders of the strips and velocity marks, in place."""
    size = image.shape[0]
    height = BASELINE * size
    image[int(height)] = np.maximum(image[int(height)], 150)
    image[::2, edges[1:-1]] = 90
    for step, length in ((50, max(2, size // 32)), (100, max(4, size // 16))):
        marks = np.arange(0, scale + 1, step)
        draw_ticks(image, (height - marks * (height / scale)).astype(int), length=length)
