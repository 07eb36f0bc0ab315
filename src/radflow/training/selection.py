"""Which explored studies go into reinforcement fine-tuning: the hardest, beside anchors from the rest

Pure functions of scores, settings and a seed; the order in which studies come doesn't matter.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Literal

from radflow.records import SelectedStudy

Selection = Literal["hardest", "random", "all", "stratified"]


def share(fraction: float, count: int) -> int:
    """ceil(fraction * count) of the decimal that was written: 0.07 of 100 is 7, though its float says 8."""
    return ceil(Fraction(repr(fraction)) * count)


def select(
    composites: Mapping[str, float],
    selection: Selection,
    *,
    fraction: float,
    anchor_fraction: float,
    seed: int,
    groups: Mapping[str, str] | None = None,
) -> list[SelectedStudy]:
    """The chosen studies, then the anchors; each by composite and id.

    Args:
        composites: study id -> composite score of its candidate, of all studies that have one; n of them.
        fraction: share that the selection takes, ceil(fraction * n); stratified takes it of every group.
        anchor_fraction: ceil(anchor_fraction * n) of the others are drawn as anchors, as far as they go.
        groups: study id -> its label group; only stratified needs them.
    """
    ordered = by_difficulty(composites)
    if selection == "all":
        chosen = ordered
    elif selection == "random":
        chosen = draw(ordered, share(fraction, len(ordered)), seed=f"{seed}-random")
    elif selection == "hardest":
        chosen = ordered[: share(fraction, len(ordered))]
    else:
        chosen = _hardest_of_groups(ordered, groups or {}, fraction)
    taken = set(chosen)
    rest = [study for study in ordered if study not in taken]
    anchors = draw(rest, share(anchor_fraction, len(ordered)), seed=f"{seed}-anchors")
    return [
        SelectedStudy(study_id=study, chosen_as=chosen_as, composite=composites[study])
        for chosen_as, studies in ((selection, chosen), ("anchor", anchors))
        for study in by_difficulty({study: composites[study] for study in studies})
    ]


def by_difficulty(composites: Mapping[str, float]) -> list[str]:
    """Study ids, the lowest composite first; equal ones by id."""
    return sorted(composites, key=lambda study: (composites[study], study))


def draw(studies: Iterable[str], count: int, *, seed: str) -> list[str]:
    """So many of the studies at random, all of them where there are fewer."""
    ordered = sorted(studies)
    return random.Random(seed).sample(ordered, min(count, len(ordered)))


def _hardest_of_groups(ordered: Sequence[str], groups: Mapping[str, str], fraction: float) -> list[str]:
    members: dict[str, list[str]] = {}
    for study in ordered:
        members.setdefault(groups[study], []).append(study)
    return [study for group in members.values() for study in group[: share(fraction, len(group))]]


def rarest_label_groups(labels: Mapping[str, Iterable[str]], *, without: str) -> dict[str, str]:
    """Study id -> the rarest of its labels over all studies, so that every study is in one group.

    Args:
        labels: study id -> the labels that its reference asserts.
        without: the group of studies that have none.
    """
    labels = {study: sorted(set(own)) for study, own in labels.items()}
    counts = Counter(label for own in labels.values() for label in own)
    return {
        study: min(own, key=lambda label: (counts[label], label), default=without)
        for study, own in labels.items()
    }
