"""What a carotid phantom has on each side: plaque, stenosis, velocities, wall thickness, vertebral flow.

Everything here is drawn from ``(seed, index)`` alone and knows nothing of pixels. Observations bear the
names of the ontology ``carotid-ultrasound``. Velocities and ratios follow the consensus of the Society of
Radiologists in Ultrasound (Grant et al., Radiology 2003), as the ontology's grades do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from radflow.data.phantoms.dice import Dice, T
from radflow.records import Finding

Side = Literal["right", "left"]
SIDES: tuple[Side, ...] = ("right", "left")
Kind = Literal["calcified", "soft", "mixed"]
Surface = Literal["smooth", "irregular", "ulcerated"]
Grade = Literal["none", "under 50", "50-69", "70-99", "near occlusion", "occlusion"]
Place = Literal["carotid bulb", "proximal internal carotid artery"]
Flow = Literal["antegrade", "retrograde", "bidirectional"]

NORMAL_SHARE = 0.33
"""Studies with two normal sides."""
HEALTHY_SIDE = 0.22
"""Sides without plaque in studies that aren't normal, before one side at least is made to have some."""
GRADES: Mapping[Grade, float] = {
    "under 50": 0.46,
    "50-69": 0.22,
    "70-99": 0.17,
    "near occlusion": 0.05,
    "occlusion": 0.10,
}
"""Grades of sides that have plaque: rarer than these, a small model would not see them a hundred times."""
KINDS: Mapping[Kind, float] = {"calcified": 0.42, "mixed": 0.34, "soft": 0.24}
SURFACES: Mapping[Surface, float] = {"smooth": 0.62, "irregular": 0.27, "ulcerated": 0.11}
PLACES: Mapping[Place, float] = {"carotid bulb": 0.45, "proximal internal carotid artery": 0.55}
THICK_WALL, THICK_HEALTHY_WALL = 0.42, 0.12
"""Share of thick walls among sides with plaque, and among those without in studies that aren't normal."""
THROMBUS = 0.04
"""Share of patent sides with plaque that have a free-floating thrombus in the lumen."""
ABNORMAL_FLOW = 0.07
"""Share of vertebral arteries with retrograde or bidirectional flow in studies that aren't normal."""
NORMAL_IMT_MM, THICK_IMT_MM = (0.50, 0.85), (1.05, 1.55)
"""Intima-media thickness; above 0.9 mm it is thickened in the ontology. Nothing lies near the border."""
DISTAL_LUMEN_CM = 0.46
"""Diameter of the ICA behind the plaque, the denominator of a NASCET percentage."""
SURFACE_NAMES: Mapping[Surface, str] = {"irregular": "Irregular Surface", "ulcerated": "Ulceration"}
KIND_NAMES: Mapping[Kind, str] = {
    "calcified": "Calcified Plaque",
    "soft": "Soft Plaque",
    "mixed": "Mixed Plaque",
}
GRADE_NAMES: Mapping[Grade, str] = {
    "under 50": "Stenosis Under 50%",
    "50-69": "Stenosis 50-69%",
    "70-99": "Stenosis 70-99%",
    "near occlusion": "Near Occlusion",
    "occlusion": "Occlusion",
}
CRITICAL = frozenset({"Stenosis 70-99%", "Near Occlusion", "Occlusion", "Thrombus"})
"""What somebody must be told at once."""
OBSERVATIONS: tuple[str, ...] = (
    *KIND_NAMES.values(),
    *SURFACE_NAMES.values(),
    *GRADE_NAMES.values(),
    "Thrombus",
    "Intimal Thickening",
    "Abnormal Vertebral Flow",
)
"""All that a truth can hold; what a report says in more general words (Plaque, Stenosis) is no entry of its
own."""


@dataclass(frozen=True, slots=True)
class Velocities:
    """What the Doppler panel of one side measures, cm/s.

    Attributes:
        psv, edv: peak systolic and end-diastolic velocity of the internal carotid artery.
        cca_psv, cca_edv: those of the common carotid artery.
    """

    psv: int
    edv: int
    cca_psv: int
    cca_edv: int

    @property
    def ratio(self) -> float:
        """ICA/CCA ratio of the peak systolic velocities, to one decimal."""
        return round(self.psv / self.cca_psv, 1)


@dataclass(frozen=True, slots=True)
class CarotidSide:
    """One row of the truth table.

    Attributes:
        kind, surface, place: of the plaque; ``None`` without plaque, and in an occlusion, which hides it.
        stenosis: diameter reduction in percent (NASCET); 0 without plaque, 100 in an occlusion.
        velocities: ``None`` in an occlusion: there is no flow to measure.
        vertebral: direction of flow in the vertebral artery.
        imt_mm: intima-media thickness of the common carotid artery.
        has_doppler: whether a Doppler panel of this side was recorded.
    """

    side: Side
    kind: Kind | None
    surface: Surface | None
    place: Place | None
    grade: Grade
    stenosis: int
    velocities: Velocities | None
    has_thrombus: bool
    vertebral: Flow
    imt_mm: float
    has_doppler: bool

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The abnormal ones, in the ontology's names."""
        names = [
            KIND_NAMES[self.kind] if self.kind else None,
            SURFACE_NAMES.get(self.surface) if self.surface else None,
            GRADE_NAMES.get(self.grade),
            "Thrombus" if self.has_thrombus else None,
            "Intimal Thickening" if self.has_thick_wall else None,
            "Abnormal Vertebral Flow" if self.vertebral != "antegrade" and self.has_doppler else None,
        ]
        return tuple(
            Finding(
                observation=name,
                side=self.side,
                location=self.place if name in _OF_PLAQUE else None,
                is_critical=name in CRITICAL,
            )
            for name in names
            if name
        )

    @property
    def has_thick_wall(self) -> bool:
        return self.imt_mm > NORMAL_IMT_MM[1]

    def row(self) -> dict[str, Any]:
        """The side as JSON values: one row of the truth table."""
        measured = self.velocities
        return {
            **{name: value for name, value in asdict(self).items() if name != "velocities"},
            "psv": measured.psv if measured else None,
            "edv": measured.edv if measured else None,
            "cca_psv": measured.cca_psv if measured else None,
            "ratio": measured.ratio if measured else None,
        }


_OF_PLAQUE = frozenset({*KIND_NAMES.values(), *SURFACE_NAMES.values()})


def sample_sides(dice: Dice, *, doppler: float = 0.9) -> tuple[CarotidSide, CarotidSide]:
    """The right and the left side of one study.

    Args:
        doppler: share of sides with a Doppler panel, in [0, 1].
    """
    recorded = [dice.chance(doppler) for _ in SIDES]
    if dice.chance(NORMAL_SHARE):
        right, left = (
            _side(side, "none", dice, thick=0, flow=0, doppler=has)
            for side, has in zip(SIDES, recorded, strict=True)
        )
        return right, left
    grades: list[Grade] = ["none" if dice.chance(HEALTHY_SIDE) else dice.weighted(GRADES) for _ in SIDES]
    if set(grades) == {"none"}:
        grades[int(dice.uniform(0, 2))] = dice.weighted(GRADES)
    right, left = (
        _side(side, grade, dice, thick=_thick(grade), flow=ABNORMAL_FLOW, doppler=has)
        for side, grade, has in zip(SIDES, grades, recorded, strict=True)
    )
    return right, left


def truth_of(sides: Sequence[CarotidSide]) -> tuple[Finding, ...]:
    """All findings of a study, the right side's first."""
    return tuple(finding for side in sides for finding in side.findings)


def _if(is_there: bool, table: Mapping[T, float], dice: Dice) -> T | None:
    return dice.weighted(table) if is_there else None


def _thick(grade: Grade) -> float:
    return THICK_HEALTHY_WALL if grade == "none" else THICK_WALL


def _side(side: Side, grade: Grade, dice: Dice, *, thick: float, flow: float, doppler: bool) -> CarotidSide:
    has_plaque = grade not in ("none", "occlusion")
    stenosis = _stenosis(grade, dice)
    low, high = THICK_IMT_MM if dice.chance(thick) else NORMAL_IMT_MM
    kind = _if(has_plaque, KINDS, dice)
    surface = _if(has_plaque, SURFACES, dice)
    place = _if(has_plaque, PLACES, dice)
    directions: dict[Flow, float] = {"retrograde": 0.65, "bidirectional": 0.35}
    return CarotidSide(
        side=side,
        kind=kind,
        surface=surface,
        place=place,
        grade=grade,
        stenosis=stenosis,
        velocities=None if grade == "occlusion" else _velocities(grade, stenosis, dice),
        has_thrombus=has_plaque and grade != "near occlusion" and dice.chance(THROMBUS),
        vertebral=dice.weighted(directions) if dice.chance(flow) else "antegrade",
        imt_mm=round(dice.uniform(low, high), 1),
        has_doppler=doppler,
    )


def _stenosis(grade: Grade, dice: Dice) -> int:
    """Percent in steps of five, as they are reported."""
    low, high = {
        "none": (0, 0),
        "under 50": (15, 45),
        "50-69": (50, 65),
        "70-99": (70, 90),
        "near occlusion": (95, 95),
        "occlusion": (100, 100),
    }[grade]
    return low + 5 * int(dice.uniform() * ((high - low) / 5 + 1))


def _velocities(grade: Grade, stenosis: int, dice: Dice) -> Velocities:
    """Velocities within the consensus ranges of the grade, rising with the percentage.

    Near occlusion is the exception: little flow passes, and the velocity falls to a trickle.
    """
    if grade == "near occlusion":
        cca = int(dice.uniform(40, 60))
        psv = int(dice.uniform(18, 34))
        return Velocities(psv, int(0.35 * psv), cca, int(0.12 * cca))
    low, high, slow, fast, flat, steep = {
        "none": (55, 98, 0.75, 1.2, 0.28, 0.38),
        "under 50": (68, 121, 1.0, 1.8, 0.24, 0.32),
        "50-69": (130, 228, 2.1, 3.8, 0.31, 0.42),
        "70-99": (240, 470, 4.3, 6.6, 0.43, 0.52),
    }[grade]
    first, last = {"none": (0, 1), "under 50": (15, 45), "50-69": (50, 65), "70-99": (70, 90)}[grade]
    share = (stenosis - first) / (last - first) if grade != "none" else dice.uniform()
    share = min(1.0, max(0.0, share + dice.uniform(-0.12, 0.12)))
    psv = round(low + (high - low) * share)
    ratio = slow + (fast - slow) * min(1.0, max(0.0, share + dice.uniform(-0.15, 0.15)))
    cca = round(psv / ratio)
    return Velocities(psv, round(psv * dice.uniform(flat, steep)), cca, round(cca * dice.uniform(0.18, 0.26)))
