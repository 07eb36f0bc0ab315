"""Agreement beyond chance of two people, or of one with a judge: Cohen's kappa and Gwet's AC1"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from radflow.metrics.statistics import t_from_normal

Z_95 = NormalDist().inv_cdf(0.975)
Pair = tuple[str, str]


class Coefficient(NamedTuple):
    """An agreement in [-1, 1] with its 95 % interval; all ``None`` where it is undefined (0 / 0)."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Agreed(NamedTuple):
    """Share of equal answers among ``pairs`` cases, and two coefficients that take chance off it."""

    raw: float | None
    kappa: Coefficient
    ac1: Coefficient
    pairs: int


UNDEFINED = Coefficient(None, None, None)


def agreed(pairs: Sequence[Pair], categories: Sequence[str]) -> Agreed:
    """All of it for answers (first, second) to the same cases.

    Args:
        categories: all answers that can be given, whether anybody did or not: AC1 depends on their number.
    """
    if not pairs:
        return Agreed(None, UNDEFINED, UNDEFINED, 0)
    raw = sum(one == two for one, two in pairs) / len(pairs)
    return Agreed(raw, cohen_kappa(pairs), gwet_ac1(pairs, categories), len(pairs))


def cohen_kappa(pairs: Sequence[Pair]) -> Coefficient:
    """Chance is two people who answer independently, each by habit (Cohen, Educ Psychol Meas 1960).

    Undefined where both always give the same one answer.
    """
    first, second = (_shares([pair[side] for pair in pairs]) for side in (0, 1))
    return _coefficient(pairs, lambda one, two: (second.get(one, 0.0) + first.get(two, 0.0)) / 2)


def gwet_ac1(pairs: Sequence[Pair], categories: Sequence[str]) -> Coefficient:
    """Chance is that of cases on which people guess (Gwet, Br J Math Stat Psychol 2008).

    Kappa falls toward 0 where nearly all cases are of one kind, as critical ones never are; AC1 does not.
    """
    shares = _shares([answer for pair in pairs for answer in pair])
    others = max(1, len(categories) - 1)

    def by_chance(one: str, two: str) -> float:
        return sum(1 - shares[answer] for answer in (one, two)) / (2 * others)

    return _coefficient(pairs, by_chance)


def _shares(answers: Sequence[str]) -> dict[str, float]:
    return {answer: count / len(answers) for answer, count in Counter(answers).items()}


def _coefficient(pairs: Sequence[Pair], by_chance: Callable[[str, str], float]) -> Coefficient:
    """(raw - chance) / (1 - chance), and Student's interval of its linearised variance (Gwet 2008, eq. 25).

    Args:
        by_chance: what a case with these answers adds to chance agreement: the mean over cases is it.
    """
    total = len(pairs)
    if not total:
        return UNDEFINED
    each = [(float(one == two), by_chance(one, two)) for one, two in pairs]
    raw, chance = (math.fsum(column) / total for column in zip(*each, strict=True))
    if chance >= 1:
        return UNDEFINED
    value = (raw - chance) / (1 - chance)
    if total < 2:
        return Coefficient(value, None, None)
    moved = [
        (agree - chance) / (1 - chance) - 2 * (1 - value) * (expected - chance) / (1 - chance) - value
        for agree, expected in each
    ]
    error = math.sqrt(math.fsum(square * square for square in moved) / (total * (total - 1)))
    half = t_from_normal(Z_95, total - 1) * error
    return Coefficient(value, max(-1.0, value - half), min(1.0, value + half))
