"""What a phantom's patient and exposure are like, apart from any finding."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.data.phantoms.chest_bodies import Pose
from radflow.data.phantoms.dice import Dice


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
