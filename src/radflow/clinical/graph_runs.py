"""Entities of a sentence -> runs: noun phrases with a head each, and the relations inside them"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from radflow.clinical.graph_words import Item
from radflow.clinical.report_graph import RelationKind

Link = tuple[RelationKind, int, int]
"""A relation between two items of a sentence, by their places in its list."""

JOINERS = frozenset((",", "and", "or", "/", "&", "+", "to", "-", "–", "nor", "versus", "vs"))
ARTICLES = frozenset(("the", "a", "an", "its", "this"))


@dataclass(slots=True)
class Run:
    """Items that stand together, as places in the sentence's list.

    Attributes:
        first, last: its tokens, last exclusive.
        zone: runs of one zone can be subject and predicate of each other.
        observation, anatomy: its heads; the last of each kind.
        pending: its modifiers and measurements, as long as they modify nothing.
        links: relations inside it.
    """

    items: list[int]
    first: int
    last: int
    zone: int
    observation: int | None = None
    anatomy: int | None = None
    pending: list[int] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def is_place(self) -> bool:
        """Whether it names a part of the body and says nothing of it."""
        return self.anatomy is not None and self.observation is None

    @property
    def is_aside(self) -> bool:
        """Whether it is nothing but modifiers."""
        return self.anatomy is None and self.observation is None


def runs_of(items: Sequence[Item], words: Sequence[str], boundaries: frozenset[int]) -> list[Run]:
    """The runs of a sentence in order; a boundary is a token at which something new begins."""
    runs: list[Run] = []
    limits = sorted(boundaries)
    zone = 0
    for place, item in enumerate(items):
        while zone < len(limits) and limits[zone] <= item.first:
            zone += 1
        if runs and zone == runs[-1].zone and _continues(items[place - 1], item, words):
            runs[-1].items.append(place)
            runs[-1].last = item.last
        else:
            runs.append(Run([place], item.first, item.last, zone))
    for run in runs:
        _settle(run, items, words)
    return runs


def _continues(before: Item, item: Item, words: Sequence[str]) -> bool:
    """Whether an item stands in the same noun phrase as the one before it."""
    if before.kind == "observation" and item.kind != "observation":
        return False
    gap = words[before.last : item.first]
    if not gap:
        return True
    if before.kind == "place" and item.kind in ("place", "anatomy") and ARTICLES.issuperset(gap):
        return True  # "above the carina"
    return before.kind == item.kind and item.kind in ("modifier", "place") and JOINERS.issuperset(gap)


def _settle(run: Run, items: Sequence[Item], words: Sequence[str]) -> None:
    """Find a run's heads and the relations inside it."""
    parts: list[int] = []
    positions: list[int] = []
    observations: list[int] = []
    modifiers: list[int] = []
    measurements: list[int] = []
    only_aspects = all(items[place].kind == "aspect" for place in run.items)
    for place in run.items:
        item = items[place]
        kind = item.kind
        if kind == "aspect":  # "heart size", "size of the heart"; but "moderate size hernia"
            is_part = only_aspects or parts or words[item.last : item.last + 1] == ["of"]
            kind = "anatomy" if is_part else "modifier"
        if kind == "anatomy":
            parts.append(place)
        elif kind == "place":
            positions.append(place)
        elif kind == "observation":
            observations.append(place)
        elif kind == "modifier":
            modifiers.append(place)
        else:
            measurements.append(place)
    run.pending = sorted(modifiers + measurements)
    if parts or positions:
        run.anatomy = (parts or positions)[-1]
        run.links += [("modify", place, run.anatomy) for place in parts + positions if place != run.anatomy]
    if observations:
        run.observation = observations.pop()
        run.links += [("modify", place, run.observation) for place in observations]
    elif parts and modifiers:  # "stable heart size": what is said of a part is an observation
        promote(run, items)
    if run.observation is not None:
        attach(run, run.observation)
        if run.anatomy is not None:
            run.links.append(("located_at", run.observation, run.anatomy))
    elif run.anatomy is not None and measurements:
        run.links += [("modify", place, run.anatomy) for place in measurements]
        run.pending = modifiers


def promote(run: Run, items: Sequence[Item]) -> None:
    """Make the last modifier of a run what the run observes."""
    words = [place for place in run.pending if items[place].kind != "measurement"]
    if words:
        run.observation = words[-1]
        attach(run, words[-1])


def attach(run: Run, head: int) -> None:
    """Let all that is pending in a run modify a head."""
    run.links += [("modify", place, head) for place in run.pending if place != head]
    run.pending = []


def coordinated(runs: Sequence[Run], start: int, step: int, words: Sequence[str]) -> Iterator[Run]:
    """Places in one list with the run at ``start`` ("heart and mediastinum"), walking by ``step``."""
    index = start + step
    while 0 <= index < len(runs):
        left, right = runs[min(index, index - step)], runs[max(index, index - step)]
        gap = words[left.last : right.first]
        joined = bool(gap) and (JOINERS | ARTICLES).issuperset(gap) and not JOINERS.isdisjoint(gap)
        if not joined or left.zone != right.zone or not runs[index].is_place:
            return
        yield runs[index]
        index += step
