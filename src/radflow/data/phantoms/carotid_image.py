"""Longitudinal B-mode pictures of a carotid bifurcation: tissue, wall, lumen, plaque, speckle, shadow.

Each place scatters with an amplitude (dB); random scatterers blurred by the pulse give a complex echo whose
magnitude, the envelope, is Rayleigh-distributed where the tissue is uniform: speckle. What calcium absorbs
on the way down and up is missing below it: the acoustic shadow. The picture shows the envelope in dB.

Lengths are cm. Depth ``z`` grows downwards; ``s`` runs along the vessel from the common carotid artery
(right edge of the picture) to the internal one (left edge), as the patient's head lies left by convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from radflow.data.phantoms.carotid_marks import draw_letter, draw_ticks
from radflow.data.phantoms.carotid_truth import DISTAL_LUMEN_CM, CarotidSide
from radflow.data.phantoms.dice import Dice

Array = NDArray[np.float32]
FIELD_CM = 3.0
"""Width and depth of the picture."""
BULB_CM, PROXIMAL_ICA_CM = 1.45, 2.05
"""Places along the vessel where plaque sits."""
STUMP_CM = 1.75
"""Where an occlusion begins."""
AXIAL_CM, LATERAL_CM = 0.025, 0.055
"""Standard deviations of the pulse along and across the beam."""
WINDOW_DB = (-52.0, 4.0)
"""Echoes shown as black and as white."""
NOISE_DB = -56.0
TISSUE_DB, ADVENTITIA_DB, INTIMA_DB, MEDIA_DB, BLOOD_DB = -23.0, -4.0, -10.0, -38.0, -70.0
PLAQUE_DB = {"calcified": -1.0, "soft": -38.0, "mixed": -20.0}
THROMBUS_DB, CLOT_DB = -27.0, -31.0
CALCIUM_LOSS_DB = 130.0
"""Two-way loss in calcified plaque, dB to a cm of depth, beyond what the machine's gain makes up for."""
BLOOD_GAIN_DB = 4.0
"""Two-way enhancement below a cm of blood, which absorbs less than the gain assumes."""
INTIMA_CM, ADVENTITIA_CM = 0.025, 0.07


@dataclass(frozen=True, slots=True)
class Anatomy:
    """How one side lies in the picture, apart from any disease.

    Attributes:
        depth, tilt: depth of the vessel's axis in the middle, and its slope.
        scale: all diameters relative to the average.
        gain: added to every echo, dB.
        far: share of the plaque that sits on the far wall.
        length: half of the plaque's length, cm.
        waves: phases of what varies from patient to patient, six of them.
    """

    depth: float
    tilt: float
    scale: float
    gain: float
    far: float
    length: float
    waves: tuple[float, ...]


def sample_anatomy(dice: Dice) -> Anatomy:
    return Anatomy(
        depth=dice.uniform(1.2, 1.5),
        tilt=dice.uniform(-0.06, 0.06),
        scale=dice.uniform(0.92, 1.1),
        gain=dice.uniform(-3, 3),
        far=dice.pick((1.0, 1.0, 0.7, 0.0)),
        length=dice.uniform(0.33, 0.45),
        waves=tuple(dice.uniform(0, 2 * np.pi) for _ in range(6)),
    )


def render_bmode(
    side: CarotidSide, anatomy: Anatomy, *, image_size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One picture, (image_size, image_size) greyscale, with the side's letter and a depth scale."""
    shown = envelope_db(echo_db(side, anatomy, image_size=image_size), rng=rng)
    low, high = WINDOW_DB
    shown -= low
    shown *= 255 / (high - low)
    image = np.clip(shown, 0, 255).astype(np.uint8)
    draw_letter(image, side.side[0].upper(), row=0, column=0)
    marks = np.arange(0.5, FIELD_CM, 0.5) * image_size / FIELD_CM
    draw_ticks(image, marks.astype(int), length=max(1, image_size // 32))
    return image


def envelope_db(echo: Array, *, rng: np.random.Generator) -> Array:
    """Speckle: (H, W) mean echo in dB -> (H, W) envelope in dB, its power averaging to the mean echo's."""
    amplitude = np.exp(echo * np.float32(np.log(10) / 20))
    field = rng.standard_normal((2, *echo.shape), dtype=np.float32)
    field *= amplitude
    along, across = pulse_kernels(echo.shape[0])
    field = np.asarray(along @ field @ across.T, dtype=np.float32)
    field *= field
    power: Array = field[0]
    power += field[1]
    power *= np.float32(0.5)
    power += np.float32(1e-12)
    np.log10(power, out=power)
    power *= np.float32(10)
    return power


@lru_cache(maxsize=8)
def pulse_kernels(image_size: int) -> tuple[Array, Array]:
    """Matrices that blur along and across the beam and leave the variance of white noise at 1."""
    places = np.arange(image_size) * (FIELD_CM / image_size)
    squares = (places[:, None] - places[None, :]) ** 2
    kernels = []
    for sigma in (AXIAL_CM, LATERAL_CM):
        kernel = np.exp(-squares / (2 * sigma**2))
        kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))
        kernels.append(kernel.astype(np.float32))
    return kernels[0], kernels[1]


@dataclass(frozen=True, slots=True)
class Vessel:
    """Depths of the wall's inner edges and of the plaque's surfaces, (W,) each, from left to right.

    Attributes:
        s: place along the vessel.
        near, far: inner edges of the wall without plaque.
        near_plaque, far_plaque: surfaces of the plaque, equal to the edges where there is none.
    """

    s: Array
    near: Array
    far: Array
    near_plaque: Array
    far_plaque: Array

    @property
    def lumen(self) -> Array:
        """Diameter that blood can pass, cm."""
        return np.asarray(self.far_plaque - self.near_plaque)


def vessel_of(side: CarotidSide, anatomy: Anatomy, *, image_size: int) -> Vessel:
    """The vessel along the picture; its narrowest lumen is that of the truth's percentage."""
    s = np.linspace(FIELD_CM, 0, image_size, endpoint=False, dtype=np.float32)
    s -= np.float32(FIELD_CM / image_size / 2)
    bulb = np.exp(-np.square((s - BULB_CM) / 0.32))
    taper = 1 / (1 + np.exp((s - 1.72) / 0.1))
    diameter = anatomy.scale * (DISTAL_LUMEN_CM + 0.15 * taper + 0.15 * bulb)
    middle = anatomy.depth + anatomy.tilt * (s - FIELD_CM / 2)
    near, far = middle - diameter / 2, middle + diameter / 2
    thickness = np.zeros_like(s)
    if side.kind is not None:
        residual = anatomy.scale * DISTAL_LUMEN_CM * (1 - side.stenosis / 100)
        thickness = plaque_shape(side, anatomy, s) * np.maximum(diameter - residual, 0)
    return Vessel(s, near, far, near + (1 - anatomy.far) * thickness, far - anatomy.far * thickness)


def plaque_shape(side: CarotidSide, anatomy: Anatomy, s: Array) -> Array:
    """Share of its full height that the plaque has along the vessel, 1 in its middle; surface included."""
    away = s - plaque_middle(side)
    core = np.float32(
        0.12
    )  # a flat top: what a pixel sees of the narrowest place must not depend on its grid
    bump = np.clip((np.abs(away) - core) / np.float32(anatomy.length - core), 0, 1)
    shape = 1 - bump * bump * (3 - 2 * bump)
    if side.surface == "irregular":
        shape = shape * (1 - 0.5 * np.square(np.sin(away * np.float32(np.pi / 0.14))) * (bump > 0))
    elif side.surface == "ulcerated":
        shape = shape * (1 - 0.85 * np.exp(-np.square((away - np.float32(0.2)) / np.float32(0.06))))
    return np.asarray(shape, dtype=np.float32)


def plaque_middle(side: CarotidSide) -> float:
    return BULB_CM if side.place == "carotid bulb" else PROXIMAL_ICA_CM


def echo_db(side: CarotidSide, anatomy: Anatomy, *, image_size: int) -> Array:
    """Mean echo of every pixel, dB, shadows and enhancement included, (image_size, image_size) float32."""
    vessel = vessel_of(side, anatomy, image_size=image_size)
    canvas = _Canvas(image_size, _tissue(anatomy, vessel.s, image_size))
    wall = np.float32(side.imt_mm / 10)
    for edge, out in ((vessel.near, -1), (vessel.far, 1)):
        canvas.paint(edge, edge + out * wall, MEDIA_DB)
        canvas.paint(edge, edge + out * INTIMA_CM, INTIMA_DB)
        canvas.paint(edge + out * wall, edge + out * (wall + ADVENTITIA_CM), ADVENTITIA_DB)
    blood = canvas.paint(vessel.near, vessel.far, BLOOD_DB)
    loss = blood * np.float32(-BLOOD_GAIN_DB)
    if side.grade == "occlusion":
        canvas.paint(vessel.near, vessel.far, CLOT_DB, where=vessel.s > STUMP_CM)
    if side.kind is not None:
        level = PLAQUE_DB[side.kind] + (_patches(anatomy, canvas, vessel) if side.kind == "mixed" else 0)
        for first, last in ((vessel.near, vessel.near_plaque), (vessel.far_plaque, vessel.far)):
            covered = canvas.paint(first, last, level)
            if side.kind == "calcified":
                loss += covered * np.float32(CALCIUM_LOSS_DB)
    if side.has_thrombus:
        _paint_thrombus(canvas, vessel, plaque_middle(side))
    np.cumsum(loss, axis=0, out=loss)  # of the pixels above and of its own
    loss *= np.float32(FIELD_CM / image_size)
    canvas.echo -= loss
    canvas.echo += np.float32(anatomy.gain)
    return np.maximum(canvas.echo, np.float32(NOISE_DB), out=canvas.echo)


class _Canvas:
    """Mean echoes, painted one structure over the other."""

    def __init__(self, image_size: int, echo: Array) -> None:
        self.echo = echo
        pixel = FIELD_CM / image_size
        self.depth = ((np.arange(image_size, dtype=np.float32) + np.float32(0.5)) * np.float32(pixel))[
            :, None
        ]
        self._per_cm = np.float32(1 / pixel)

    def paint(
        self, one: Array, other: Array, level: float | Array, *, where: NDArray[np.bool_] | None = None
    ) -> Array:
        """Fill between two depths, (W,) each; returns the share of each pixel that is covered, (H, W)."""
        centre, half = (one + other) * np.float32(0.5), np.abs(other - one) * np.float32(0.5)
        covered = np.abs(self.depth - centre)
        np.subtract(half, covered, out=covered)
        covered *= self._per_cm
        covered += np.minimum(half * self._per_cm, np.float32(0.5))  # thin layers cover less than a pixel
        np.clip(covered, 0, 1, out=covered)
        if where is not None:
            covered *= where
        self.echo += covered * (level - self.echo)
        return covered


def _tissue(anatomy: Anatomy, s: Array, image_size: int) -> Array:
    """Skin, muscle and fat: layers that vary slowly, the deeper the darker."""
    z = (np.arange(image_size, dtype=np.float32) + np.float32(0.5)) * np.float32(FIELD_CM / image_size)
    first, second, third = (np.float32(wave) for wave in anatomy.waves[:3])
    column = 3.5 * np.sin(z * np.float32(5.3) + first) + 2 * np.sin(z * np.float32(13.7) + second) - 1.2 * z
    column += 10 * (z < 0.12)
    row = 2.2 * np.sin(s * np.float32(2.4) + third)
    return np.asarray(TISSUE_DB + column[:, None] + row, dtype=np.float32)


def _patches(anatomy: Anatomy, canvas: _Canvas, vessel: Vessel) -> Array:
    """Bright and dark spots within mixed plaque, dB, (H, W)."""
    first, second = (np.float32(wave) for wave in anatomy.waves[3:5])
    along = np.sin(vessel.s * np.float32(17) + first)
    down = np.sin(canvas.depth * np.float32(26) + second)
    return np.asarray(13 * np.clip(3 * along * down, -1, 1), dtype=np.float32)


def _paint_thrombus(canvas: _Canvas, vessel: Vessel, middle: float) -> None:
    """A tongue in the lumen behind the plaque, blood on both sides of it."""
    away = (vessel.s - np.float32(middle + 0.45)) / np.float32(0.32)
    half = np.sqrt(np.maximum(1 - away * away, 0)) * np.float32(0.10)
    axis = (vessel.near_plaque + vessel.far_plaque) * np.float32(0.5)
    canvas.paint(axis - half, axis + half, THROMBUS_DB)
