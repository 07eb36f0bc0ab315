"""What a chest phantom has: which findings, where, how severe, and which of them are critical.

Everything here is drawn from ``(seed, index)`` alone and knows nothing of pixels, so that truth and text of a
study are the same at every image size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from radflow.data.phantoms.dice import Dice
from radflow.errors import RadflowError
from radflow.records import Finding

Side = Literal["left", "right", "bilateral"]

NORMAL_SHARE = 0.40
"""Studies without any finding; devices count as findings."""
EXTRA_FINDINGS = (0.42, 0.37, 0.21)
"""Probability of one, two or three findings in an abnormal study, before conflicts remove some."""

WEIGHTS: Mapping[str, float] = {
    "cardiomegaly": 0.17,
    "pleural_effusion": 0.17,
    "pneumothorax": 0.12,
    "consolidation": 0.14,
    "edema": 0.09,
    "atelectasis": 0.12,
    "nodule": 0.09,
    "rib_fracture": 0.06,
    "endotracheal_tube": 0.08,
    "central_line": 0.05,
    "pacemaker": 0.05,
}
"""How often each observation starts a case. Rarer than in a radiograph's real life is none of them: a small
model has to see each a hundred times in 2,000 studies."""

COMPANIONS: Mapping[str, Mapping[str, float]] = {
    "cardiomegaly": {"edema": 3, "pleural_effusion": 2, "pacemaker": 4},
    "edema": {"cardiomegaly": 6, "pleural_effusion": 5, "endotracheal_tube": 2},
    "pleural_effusion": {"edema": 3, "cardiomegaly": 2, "atelectasis": 3, "consolidation": 2},
    "pneumothorax": {"rib_fracture": 6, "endotracheal_tube": 2, "central_line": 2},
    "consolidation": {"pleural_effusion": 2, "endotracheal_tube": 2},
    "atelectasis": {"pleural_effusion": 2},
    "rib_fracture": {"pneumothorax": 5},
    "endotracheal_tube": {"central_line": 8, "edema": 3, "consolidation": 3},
    "central_line": {"endotracheal_tube": 4, "pleural_effusion": 2},
    "pacemaker": {"cardiomegaly": 5, "edema": 2},
}
"""How much likelier a finding becomes when another is there (1 where not named)."""

CONFLICTS: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("edema", "consolidation"),
        ("edema", "nodule"),
        ("edema", "pneumothorax"),
    )
)
"""Pairs that a frontal view can't tell apart or that hide one another, so they never share a phantom."""

SEVERITIES: Mapping[str, Mapping[str, float]] = {
    "cardiomegaly": {"mild": 0.45, "moderate": 0.35, "severe": 0.20},
    "pleural_effusion": {"small": 0.50, "moderate": 0.32, "large": 0.18},
    "pneumothorax": {"small": 0.42, "moderate": 0.28, "large": 0.16, "tension": 0.14},
    "consolidation": {"patchy": 0.5, "dense": 0.5},
    "edema": {"mild": 0.6, "severe": 0.4},
    "atelectasis": {"mild": 0.55, "moderate": 0.45},
    "nodule": {"small": 0.5, "large": 0.5},
    "rib_fracture": {"nondisplaced": 0.4, "displaced": 0.6},
}
"""Severity words, mildest first, with their probabilities; devices have none."""

LOCATIONS: Mapping[str, Mapping[str, float]] = {
    "consolidation": {"upper_zone": 0.27, "middle_zone": 0.27, "lower_zone": 0.46},
    "atelectasis": {"base": 1.0},
    "nodule": {"upper_zone": 0.4, "middle_zone": 0.3, "lower_zone": 0.3},
    "endotracheal_tube": {"in_position": 0.62, "right_main_bronchus": 0.22, "too_high": 0.16},
    "central_line": {"superior_vena_cava": 0.75, "right_atrium": 0.25},
}

SIDES: Mapping[str, Mapping[Side, float]] = {
    "pleural_effusion": {"left": 0.36, "right": 0.36, "bilateral": 0.28},
    "pneumothorax": {"left": 0.5, "right": 0.5},
    "consolidation": {"left": 0.42, "right": 0.48, "bilateral": 0.10},
    "edema": {"bilateral": 1.0},
    "atelectasis": {"left": 0.4, "right": 0.35, "bilateral": 0.25},
    "nodule": {"left": 0.5, "right": 0.5},
    "rib_fracture": {"left": 0.5, "right": 0.5},
    "central_line": {"left": 0.35, "right": 0.65},
    "pacemaker": {"left": 0.85, "right": 0.15},
}
"""Observations not named here lie in the midline and have no side."""

CRITICAL: Mapping[str, frozenset[str]] = {
    "pneumothorax": frozenset({"large", "tension"}),
    "pleural_effusion": frozenset({"large"}),
    "edema": frozenset({"severe"}),
    "endotracheal_tube": frozenset({"right_main_bronchus", "too_high"}),
}
"""The rule of ``is_critical``: these severities or locations need a call, whatever else the study shows."""

DEVICES = frozenset({"endotracheal_tube", "central_line", "pacemaker"})
LUNG_LESIONS = frozenset({"consolidation", "atelectasis", "nodule"})


@dataclass(frozen=True, slots=True)
class Lesion:
    """A finding and the numbers that place it.

    Attributes:
        finding: what the truth table says.
        jitter: eight uniforms in [0, 1) for size, place and density within what the finding's words allow.
    """

    finding: Finding
    jitter: tuple[float, ...]


def sample_lesions(dice: Dice, *, observations: tuple[str, ...] | None = None) -> tuple[Lesion, ...]:
    """Draw the findings of one study; empty for a normal one.

    Args:
        dice: random source.
        observations: the only observations allowed; ``None`` allows all.
    """
    allowed = {
        name: weight for name, weight in WEIGHTS.items() if observations is None or name in observations
    }
    if observations is not None and (unknown := set(observations) - set(WEIGHTS)):
        raise RadflowError(
            f"Unknown phantom observations: {', '.join(sorted(unknown))}.",
            next_step=f"Choose among {', '.join(WEIGHTS)}.",
        )
    if not allowed or dice.chance(NORMAL_SHARE):
        return ()
    count = 1 + dice.weighted(dict(enumerate(EXTRA_FINDINGS)))
    lesions: list[Lesion] = []
    while len(lesions) < count and allowed:
        name = dice.weighted(allowed)
        del allowed[name]
        finding = _place(name, [lesion.finding for lesion in lesions], dice)
        if finding is None:
            continue
        lesions.append(Lesion(finding, tuple(dice.uniform() for _ in range(8))))
        friends = COMPANIONS.get(name, {})
        allowed = {
            other: weight * friends.get(other, 1)
            for other, weight in allowed.items()
            if frozenset((name, other)) not in CONFLICTS
        }
    return tuple(lesions)


def _place(name: str, others: Sequence[Finding], dice: Dice) -> Finding | None:
    """One finding with side, severity and location; ``None`` when no place is left where it could be seen."""
    severity = dice.weighted(SEVERITIES[name]) if name in SEVERITIES else None
    location = dice.weighted(LOCATIONS[name]) if name in LOCATIONS else None
    side: Side | None = None
    if name in SIDES:
        free = {
            side: weight
            for side, weight in SIDES[name].items()
            if not any(_hides(other, name, side) for other in others)
        }
        if not free:
            return None
        side = _matching_side(name, free, others, dice)
    return Finding(
        observation=name,
        side=side,
        severity=severity,
        location=location,
        is_critical=bool({severity, location} & CRITICAL.get(name, frozenset())),
    )


def _matching_side(name: str, free: Mapping[Side, float], others: Sequence[Finding], dice: Dice) -> Side:
    """Rib fracture and pneumothorax share a side, four times out of five."""
    partner = {"rib_fracture": "pneumothorax", "pneumothorax": "rib_fracture"}.get(name)
    for other in others:
        side = other.side
        if other.observation == partner and side is not None and side in free and dice.chance(0.8):
            return side
    return dice.weighted(free)


def _hides(other: Finding, name: str, side: Side) -> bool:
    """Whether a finding ``name`` on ``side`` could not be told from (or under) ``other``."""
    overlap = other.side is not None and (other.side == side or "bilateral" in (other.side, side))
    if not overlap:
        return False
    pair = {other.observation, name}
    if pair <= LUNG_LESIONS or pair == {"pleural_effusion", "pneumothorax"}:
        return True
    if "pneumothorax" in pair:
        return bool(pair & LUNG_LESIONS)
    return "pleural_effusion" in pair and bool(pair & LUNG_LESIONS)
