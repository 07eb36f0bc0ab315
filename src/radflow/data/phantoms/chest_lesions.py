"""How findings change the phantom's body: fluid, gas, opacities, broken ribs and devices.

Sizes are in cm, so that a severity means the same at every image size. Each finding reads its own jitter
only: taking one away leaves the rest of the image as it was (apart from what the finding itself displaced).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from radflow.data.phantoms.chest_bodies import (
    Array,
    Ellipsoid,
    Grid,
    LungShape,
    Point,
    clip,
)
from radflow.data.phantoms.chest_truth import Lesion
from radflow.data.phantoms.chest_tubes import Tube, add_tubes, strip_average, tubes_along

MU_SOFT, MU_LUNG = 0.20, 0.055
"""Linear attenuation, 1/cm, of soft tissue (and fluid) and of aerated lung near 70 keV."""
MU_OPACITY = MU_SOFT - MU_LUNG
MU_METAL, MU_TUBE = 2.6, 0.95
ZONE_Y: Mapping[str, float] = {"upper_zone": -7.2, "middle_zone": -0.8, "lower_zone": 5.0}
"""Height (cm, downwards from the middle of the field) of the centres of the lung zones."""
HEART: Mapping[str, tuple[float, float]] = {
    "mild": (1.19, 1.27),
    "moderate": (1.36, 1.45),
    "severe": (1.55, 1.68),
}
FLUID_LEVEL: Mapping[str, tuple[float, float]] = {
    "small": (9.4, 10.4),
    "moderate": (4.0, 6.0),
    "large": (-4.0, -0.5),
}
"""y of the fluid's surface half-way between midline and chest wall; it climbs along the wall."""
RETRACTION: Mapping[str, tuple[float, float]] = {
    "small": (1.7, 2.4),
    "moderate": (3.4, 4.6),
    "large": (6.0, 7.0),
    "tension": (7.0, 8.0),
}
"""How far the lung has retracted from the lateral wall, cm."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What findings displace: mediastinum (cm towards the patient's left), heart, vessels, domes, ribs.

    ``broken`` holds (sign, rib, distance of the break from the midline, step in cm) of each fracture.
    """

    shift: float = 0.0
    heart: float = 1.0
    congestion: float = 1.0
    dome: Mapping[int, float] = field(default_factory=dict)
    broken: tuple[tuple[int, int, float, float], ...] = ()


def signs(lesion: Lesion) -> tuple[int, ...]:
    """-1 for the patient's right (image left), +1 for the left."""
    return {"right": (-1,), "left": (1,), "bilateral": (-1, 1), None: ()}[lesion.finding.side]


def changes_of(lesions: Sequence[Lesion]) -> Changes:
    shift, heart, congestion = 0.0, 1.0, 1.0
    dome: dict[int, float] = {}
    broken = []
    for lesion in lesions:
        severity, jitter = lesion.finding.severity, lesion.jitter
        match lesion.finding.observation:
            case "cardiomegaly":
                heart = _between(HEART[str(severity)], jitter[0])
            case "edema":
                congestion = 1.25 if severity == "mild" else 1.5
            case "pneumothorax" if severity == "tension":
                shift -= 3.2 * sum(signs(lesion))
                dome = dict.fromkeys(signs(lesion), 2.2)
            case "pleural_effusion" if severity == "large":
                shift -= 1.2 * sum(signs(lesion))
            case "atelectasis" if severity == "moderate":
                dome = dome | {sign: dome.get(sign, 0.0) - 1.5 for sign in signs(lesion)}
            case "rib_fracture":
                step = 1.25 if severity == "displaced" else 0.0
                broken += [(s, 3 + int(jitter[0] * 4), 8.4 + 1.6 * jitter[1], step) for s in signs(lesion)]
    return Changes(shift, heart, congestion, dome, tuple(broken))


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def gas_and_lung(grid: Grid, shape: LungShape, air: Array, lesions: Sequence[Lesion]) -> tuple[Array, float]:
    """Path through lung tissue on one side (the rest of ``air`` is pleural gas) and its density factor.

    ``shape`` is that side's cavity, ``lesions`` are those on that side.
    """
    for lesion in lesions:
        if lesion.finding.observation != "pneumothorax":
            continue
        severity = str(lesion.finding.severity)
        gap = _between(RETRACTION[severity], lesion.jitter[0])
        if severity in ("large", "tension"):
            ball = Ellipsoid(
                (float(shape.sign * (shape.inner + 12.2 - gap)) / 2, 0.8, -0.5), ((12.2 - gap) / 2, 7.5, 6.5)
            )
            inside, skin = ball.chord(grid).length, 0.6
        else:
            lung = LungShape(
                shape.sign, shape.apex + 1.5 * gap, shape.width - gap, shape.inner, shape.depth - 0.3
            )
            inside, skin = lung.chord(grid).length, 0.35
        density = {"small": 1.1, "moderate": 1.35, "large": 1.9, "tension": 2.1}[severity]
        lung_path = np.minimum(air, inside)
        edge = clip(inside, 0, 1) * clip(3 - inside, 0, 1)  # the pleural line, where rays graze the lung
        return lung_path + np.float32(skin) * edge * (air > 0), density
    return air, 1.0


def add_lung_lesions(
    total: Array, grid: Grid, lung: Array, air: Array, lesions: Sequence[Lesion], *, sign: int
) -> None:
    """Add opacities and fluid of one side in place; none of them replaces more lung than a ray crosses."""
    for lesion in lesions:
        finding = lesion.finding
        match finding.observation:
            case "consolidation":
                total += MU_OPACITY * np.minimum(_consolidation(grid, lesion, sign), lung)
            case "edema":
                total += _edema(grid, lung, severe=finding.severity == "severe", sign=sign)
            case "nodule":
                total += _nodule(grid, lesion, sign) * np.minimum(lung, 1)
            case "atelectasis":
                total += MU_OPACITY * np.minimum(_plate(grid, lesion, sign), lung)
    for lesion in lesions:  # fluid last: it drowns what lies below its surface
        if lesion.finding.observation == "pleural_effusion":
            total += MU_OPACITY * air * _drowned(grid, lesion)


def _drowned(grid: Grid, lesion: Lesion) -> Array:
    """Share of each ray's lung path that is fluid: all of it below a meniscus that climbs the wall."""
    level = _between(FLUID_LEVEL[str(lesion.finding.severity)], lesion.jitter[0])
    from_centre = np.abs(grid.u + np.float32(0.5)) if grid.is_lateral else np.abs(grid.u) - np.float32(5.0)
    climb = clip(from_centre * np.float32(1 / 7.5), 0, 1.1)
    surface = np.float32(level) - np.float32(2.9) * climb * climb
    below = clip((grid.y - surface) * np.float32(1 / 1.4) + np.float32(0.5), 0, 1)
    return np.asarray(below * below * (3 - 2 * below), dtype=np.float32)


def _consolidation(grid: Grid, lesion: Lesion, sign: int) -> Array:
    """Three fuzzy blobs: path (cm) of lung that is filled."""
    jitter, dense = lesion.jitter, lesion.finding.severity == "dense"
    x = sign * (6.6 + 2.2 * jitter[0])
    y = ZONE_Y[str(lesion.finding.location)] + 1.4 * (jitter[1] - 0.5)
    size, weight = (1.15, 1.35) if dense else (1.0, 1.0)
    path = np.zeros_like(grid.u)
    for index, (dx, dy) in enumerate(((0.0, 0.0), (1.9, 0.9), (-1.7, 1.0))):
        wobble = jitter[2 + index] - 0.5
        radius = size * (2.7 + 0.8 * wobble)
        centre = (x + sign * dx, y + dy + wobble, -1.0 + 3 * wobble)
        path += Ellipsoid(centre, (radius, 0.85 * radius, 1.25 * radius)).soft_path(grid)
    return path * np.float32(weight)


def _edema(grid: Grid, lung: Array, *, severe: bool, sign: int) -> Array:
    """Haze around the hilum ("bat wing"), a veil over the lung and septal lines at the base."""
    wing = Ellipsoid((sign * 5.2, 1.2, -0.5), (6.3, 9.0, 8.5)).soft_path(grid)
    haze = np.float32(0.11 if severe else 0.055) * np.minimum(wing, lung)
    lines = np.zeros_like(lung)
    heights = [1.5 + 1.2 * index for index in range(6)]
    septal = [Tube((sign * 9.0, y, 0.0), (sign * 12.6, y + 0.3, 0.0), 0.3, 0.3) for y in heights]
    add_tubes(lines, grid, septal)
    veil = np.float32(0.016 if severe else 0.008) * lung
    septa = np.float32(0.35) * lines * np.minimum(lung * np.float32(0.5), 1)
    return np.asarray(haze + veil + septa, dtype=np.float32)


def _nodule(grid: Grid, lesion: Lesion, sign: int) -> Array:
    """A dense (partly calcified) ball; attenuation, not a length."""
    jitter, large = lesion.jitter, lesion.finding.severity == "large"
    radius = 1.35 + 0.35 * jitter[2] if large else 0.75 + 0.2 * jitter[2]
    x = sign * (6.0 + 3.6 * jitter[0])
    y = ZONE_Y[str(lesion.finding.location)] + 2.4 * (jitter[1] - 0.5)
    path = Ellipsoid((x, y, 2.0), (radius, radius, radius)).chord(grid).length
    return np.asarray(np.float32(0.32 if large else 0.5) * path, dtype=np.float32)


def _plate(grid: Grid, lesion: Lesion, sign: int) -> Array:
    """A plate of airless lung above the diaphragm, seen edge on: path in cm."""
    jitter, moderate = lesion.jitter, lesion.finding.severity == "moderate"
    lift = -1.2 if moderate else 0.0
    y, tilt = 5.7 + lift + 0.8 * jitter[0], 1.6 * (jitter[1] - 0.5)
    inner, outer = (sign * 4.6, y - tilt, 0.0), (sign * (9.8 + jitter[2]), y + tilt, 0.0)
    thickness, depth = (0.62, 6.5) if moderate else (0.42, 5.0)
    plate = np.zeros_like(grid.u)
    add_tubes(plate, grid, tubes_along((inner, outer), thickness))
    return plate * np.float32(depth / (2 * thickness))


def ribs_of(grid: Grid, changes: Changes, *, width: float) -> Array:
    """Path through all ribs: each family is one curve repeated downwards, so one evaluation serves all."""
    if grid.is_lateral:
        back = grid.u + np.float32(9.0)
        path = _rib_family(grid, np.float32(0.42) * back, first=-11.0, count=9)[0]
        return path * np.float32(1.5) * (np.abs(grid.u) < 9.5)
    x: Array = np.abs(grid.u)
    twice = 2 * x
    wall = clip(np.minimum(26.8 * width - twice, twice - 3.2), 0, 1)
    path, index = _rib_family(grid, 0.035 * (x - 3) * (x - 3), first=-12.4, count=10)
    for sign, rib, at, step in changes.broken:
        beyond = (grid.u * sign - np.float32(at)) / np.float32(grid.pixel)
        lost = clip(beyond + np.float32(0.5), 0, 1)
        if not step:  # a gap only: the far fragment stays in line
            lost = lost - clip(beyond - np.float32(1.1 / grid.pixel) + np.float32(0.5), 0, 1)
        path = path * (1 - lost * (index == rib))
    front, _ = _rib_family(grid, -0.33 * x, first=-3.2, count=6)
    front *= clip(1.1 * x - 5.5, 0, 0.55)
    path += front
    path *= wall
    return path


RIB_SPACING_CM, RIB_RADIUS_CM = 2.35, 0.52


def _rib_family(grid: Grid, curve: Array, *, first: float, count: int) -> tuple[Array, Array]:
    """Path through ``count`` ribs along ``curve`` below ``first``, and the number of the nearest rib."""
    down = grid.y - curve
    down -= first
    down *= 1 / RIB_SPACING_CM
    index = clip(np.rint(down), 0, count - 1)
    down -= index
    down *= RIB_SPACING_CM
    return strip_average(down, RIB_RADIUS_CM, grid.pixel), index


def add_bone_and_devices(
    total: Array, grid: Grid, lesions: Sequence[Lesion], *, width: float, bone: float
) -> None:
    """Displaced rib ends with the swelling around them, tubes, lines and pacemakers, in place."""
    changes = changes_of(lesions)
    for sign, rib, at, step in changes.broken:
        y = -12.4 + RIB_SPACING_CM * rib + 0.035 * (at - 3) ** 2
        swelling = Ellipsoid((sign * at, y, -6.0), (2.7, 0.85, 1.5)).soft_path(grid)  # a lens: no nodule
        total += np.float32(0.42 if step else 0.34) * swelling
        if step:
            far = 13.0 * width
            end = (sign * far, y + step + 0.035 * ((far - 3) ** 2 - (at - 3) ** 2), -3.0)
            piece = tubes_along(((sign * (at - 0.7), y + step, -5.0), end), RIB_RADIUS_CM)
            add_tubes(total, grid, piece, weight=2.2 * bone)
    for lesion in lesions:
        _add_device(total, grid, lesion, shift=changes.shift)


def _add_device(total: Array, grid: Grid, lesion: Lesion, *, shift: float) -> None:
    jitter, location = lesion.jitter, lesion.finding.location
    sign = next(iter(signs(lesion)), 0)
    match lesion.finding.observation:
        case "endotracheal_tube":
            tip: Point = (shift * 0.8, -8.4 + 1.2 * jitter[0], -1.0)
            if location == "too_high":
                tip = (0.0, -12.9 - 0.8 * jitter[0], 0.0)
            points: tuple[Point, ...] = ((0.0, -19.0, 1.0), tip)
            if location == "right_main_bronchus":
                points = ((0.0, -19.0, 1.0), (shift * 0.8, -4.6, -1.5), (-2.9 + shift, -1.5, -1.5))
            add_tubes(total, grid, tubes_along(points, 0.42), weight=MU_TUBE)
        case "central_line":
            tip = (-2.0, 4.4 + jitter[0] if location == "right_atrium" else -3.4 + 1.4 * jitter[0], 2.0)
            path = ((sign * 11.5, -11.6, 5.0), (sign * 4.0, -10.6, 4.5), (-1.9, -7.6, 3.0), tip)
            add_tubes(total, grid, tubes_along(path, 0.22), weight=MU_METAL)
        case "pacemaker":
            box = Ellipsoid((sign * 9.6, -8.6 + jitter[0], 10.0), (2.4, 1.9, 0.5), sign * 0.3)
            total += np.float32(MU_METAL) * box.chord(grid).length
            lead = ((sign * 8.5, -9.4, 9.0), (sign * 3.5, -11.0, 5.0), (-1.9, -6.5, 3.0), (-1.7, 2.0, 3.0))
            tip = (3.0 + 2 * jitter[1], 7.2, 5.0)
            add_tubes(total, grid, tubes_along((*lead, tip), 0.17), weight=MU_METAL)
