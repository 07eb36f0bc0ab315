"""Write the report of a carotid phantom, and record what its Impression says.

The Findings state every finding of every side, in one of three styles: a line per vessel, prose, or a
heading per side. The Impression names the grades, gravest first, and may leave out what is minor; in one of
eight abnormal studies it softens or leaves out a finding that it should state, as real ones do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from radflow.data.phantoms import carotid_words as words
from radflow.data.phantoms.carotid_truth import (
    GRADE_NAMES,
    KIND_NAMES,
    CarotidSide,
    Grade,
    truth_of,
)
from radflow.data.phantoms.dice import Dice, T

MISSING_FINDINGS, MISSING_IMPRESSION = 0.03, 0.02
FLAWED_IMPRESSIONS = 0.125
"""Share of studies with something to state whose Impression softens or leaves out one item."""
HEADED = 0.25
"""Share of reports that say the side in a heading."""
GRAVITY: Mapping[Grade, int] = {
    "occlusion": 0,
    "near occlusion": 1,
    "70-99": 2,
    "50-69": 3,
    "under 50": 4,
    "none": 5,
}
Said = tuple[str, str]
"""(observation, side), both in the ontology's names."""


@dataclass(frozen=True, slots=True)
class CarotidReport:
    """A report and the record of its Impression.

    Attributes:
        findings, impression: section bodies; at most one of them is ``None``.
        present, uncertain: what the Impression asserts and what it softens; general words (plaque,
            significant stenosis) are no part of it.
        omitted: what the flaw left out; empty where there is none.
    """

    findings: str | None
    impression: str | None
    present: frozenset[Said] = frozenset()
    uncertain: frozenset[Said] = frozenset()
    omitted: frozenset[Said] = frozenset()

    @property
    def is_flawed(self) -> bool:
        return bool(self.uncertain or self.omitted)


@dataclass(frozen=True, slots=True)
class Item:
    """A noun phrase of the Impression, what it says, and how grave it is (0 gravest).

    ``is_due``: whether leaving it out, or softening it, would be a flaw.
    """

    phrase: str
    says: frozenset[Said]
    gravity: int
    is_due: bool = True


def write_report(sides: Sequence[CarotidSide], dice: Dice) -> CarotidReport:
    missing = dice.uniform()
    findings = None if missing < MISSING_FINDINGS else write_findings(sides, dice)
    if MISSING_FINDINGS <= missing < MISSING_FINDINGS + MISSING_IMPRESSION:
        return CarotidReport(findings, None)
    return replace(write_impression(sides, dice), findings=findings)


def write_indication(sides: Sequence[CarotidSide], dice: Dice) -> str:
    is_grave = min(GRAVITY[side.grade] for side in sides) <= GRAVITY["50-69"]
    reasons = words.SYMPTOMS if is_grave and dice.chance(0.5) else words.INDICATIONS
    return dice.pick(reasons)


def write_findings(sides: Sequence[CarotidSide], dice: Dice) -> str:
    """All findings of both sides, velocities where they were recorded, and some of what is normal."""
    is_headed = dice.chance(HEADED)
    habits = tuple(dice.uniform() ** 1.8 for _ in range(4))  # the sentences this reader likes
    order = list(sides) if dice.chance(0.8) else list(reversed(sides))
    sentences = [dice.pick(words.OPENINGS)] if dice.chance(0.12) else []
    has_external = dice.chance(0.25)
    heading = dice.pick(words.HEADINGS)
    for side in order:
        lines = _side_lines(side, habits, dice, has_external=has_external)
        if is_headed:
            sentences.append(heading.replace("{SIDE}", side.side.upper()))
            sentences += [_fill(line, None) for line in lines]
        else:
            sentences += [_fill(line, side.side) for line in lines]
    return " ".join([*sentences, *_vertebral(order, dice)])


def _side_lines(side: CarotidSide, habits: Sequence[float], dice: Dice, *, has_external: bool) -> list[str]:
    """Templates of one side with everything filled in but the side itself."""

    def like(templates: Sequence[T], habit: int) -> T:
        return templates[int(len(templates) * habits[habit])] if dice.chance(0.85) else dice.pick(templates)

    lines: list[str] = []
    if side.has_thick_wall or dice.chance(0.4):
        wall = words.THICK_WALL if side.has_thick_wall and dice.chance(0.7) else words.WALL
        lines.append(like(wall, 0).replace("{imt}", f"{side.imt_mm:.1f}"))
    if side.grade == "none":
        lines.append(like(words.NO_PLAQUE, 1))
    elif side.grade == "occlusion":
        lines.append(like(words.OCCLUSION, 1))
    else:
        table = words.NEAR_OCCLUSION if side.grade == "near occlusion" else words.PLAQUE
        lines.append(_of_plaque(like(table, 1), side, dice))
    if side.has_thrombus:
        lines.append(dice.pick(words.THROMBUS))
    if side.velocities is not None and side.has_doppler:
        measured = side.velocities
        line = (
            like(words.VELOCITIES, 2).replace("{psv}", str(measured.psv)).replace("{edv}", str(measured.edv))
        )
        lines.append(line.replace("{ratio}", f"{measured.ratio:.1f}"))
    elif not side.has_doppler and dice.chance(0.6):
        lines.append(dice.pick(words.NO_DOPPLER))
    if has_external:
        lines.append(like(words.EXTERNAL, 3))
    return lines


def _of_plaque(template: str, side: CarotidSide, dice: Dice) -> str:
    surface = dice.pick(words.SURFACES[str(side.surface)])
    if side.kind == "calcified" and surface and dice.chance(0.3):
        surface += words.SHADOW
    kind = dice.favourite(words.KINDS[str(side.kind)])
    for name, value in (
        ("{place}", dice.favourite(words.PLACES[str(side.place)])),
        ("{kind}", kind),
        ("{Kind}", _capital(kind)),
        ("{surface}", surface),
        ("{percent}", _percent(side.stenosis, dice)),
    ):
        template = template.replace(name, value)
    return template


def _percent(stenosis: int, dice: Dice) -> str:
    """A percentage, or the ten percent around it, as long as they stay within the grade."""
    low = stenosis // 10 * 10
    if stenosis < 90 and dice.chance(0.25):
        return f"{low}-{low + 10}%"
    return f"approximately {stenosis}%" if dice.chance(0.2) else f"{stenosis}%"


def _vertebral(sides: Sequence[CarotidSide], dice: Dice) -> list[str]:
    seen = [side for side in sides if side.has_doppler]
    if all(side.vertebral == "antegrade" for side in seen):
        if len(seen) == 2:
            return [dice.favourite(words.BOTH_ANTEGRADE)] if dice.chance(0.6) else []
        seen = seen if dice.chance(0.5) else []
    return [_fill(dice.favourite(words.VERTEBRAL[side.vertebral]), side.side) for side in seen]


def _fill(template: str, side: str | None) -> str:
    """A sentence with its side, or without one under a heading."""
    if side is None:
        return _capital(template.replace("{Side} ", "").replace("{side} ", ""))
    return template.replace("{Side}", _capital(side)).replace("{side}", side)


def write_impression(sides: Sequence[CarotidSide], dice: Dice) -> CarotidReport:
    """The Impression with its record; ``findings`` is ``None``."""
    items = sorted(
        (item for side in sides for item in _items(side, dice)), key=lambda item: (item.gravity, item.phrase)
    )
    due = [item for item in items if item.is_due]
    flawed = dice.pick(due) if due and dice.chance(FLAWED_IMPRESSIONS) else None
    is_omitted = flawed is not None and (not _can_be_softened(flawed) or dice.chance(0.5))
    sentences: list[str] = []
    present: set[Said] = set()
    for item in items:
        if item is not flawed:
            sentences.append(_capital(item.phrase) + ".")
            present |= item.says
    if flawed is not None and not is_omitted:
        sentences.append(_capital(dice.pick(words.SOFT).replace("{phrase}", flawed.phrase)))
    sentences += _normal(sides, dice, items=items, is_bare=not sentences)
    if dice.chance(0.15):
        sentences.append(dice.pick(words.CLOSING))
    if len(sentences) > 1 and dice.chance(0.4):
        sentences = [f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1)]
    softened = flawed.says if flawed is not None and not is_omitted else frozenset()
    left_out = flawed.says if flawed is not None and is_omitted else frozenset()
    return CarotidReport(None, " ".join(sentences), frozenset(present), softened, left_out)


def _can_be_softened(item: Item) -> bool:
    """Whether it is one noun phrase: of "possible stenosis with plaque" only the first half would be in
    doubt."""
    return ":" not in item.phrase and len(item.says) == 1 and "without" not in item.phrase


def _items(side: CarotidSide, dice: Dice) -> list[Item]:
    """What the Impression has to say of one side."""
    name, gravity = side.side, GRAVITY[side.grade]
    items: list[Item] = []
    if side.grade != "none":
        items.append(_graded(side, dice))
    if side.has_thrombus:
        phrase = dice.pick(words.LOOSE_THROMBUS)
        items.append(Item(_fill(phrase, name), frozenset({("Thrombus", name)}), 0))
    if side.vertebral != "antegrade" and side.has_doppler and dice.chance(0.85):
        phrase = dice.pick(words.FLOWS[side.vertebral])
        items.append(Item(_fill(phrase, name), frozenset({("Abnormal Vertebral Flow", name)}), 5))
    if side.has_thick_wall and dice.chance(0.6 if gravity == GRAVITY["none"] else 0.2):
        phrase = dice.pick(words.WALLS)
        items.append(Item(_fill(phrase, name), frozenset({("Intimal Thickening", name)}), 6, is_due=False))
    return items


def _graded(side: CarotidSide, dice: Dice) -> Item:
    """The stenosis of a side, or its plaque where it narrows little."""
    name, gravity = side.side, GRAVITY[side.grade]
    kind = dice.favourite(words.KINDS[str(side.kind)]) if side.kind else ""
    said: set[Said] = set()
    if side.grade == "under 50" and dice.chance(0.45):
        phrase = dice.favourite(words.MILD_PLAQUE)
    else:
        phrase = dice.favourite(words.GRADED[side.grade])
        said.add((GRADE_NAMES[side.grade], name))
        if ":" not in phrase and "(" not in phrase:
            if side.surface == "ulcerated" and dice.chance(0.5):
                phrase += words.WITH_ULCER
                said.add(("Ulceration", name))
            elif side.kind and dice.chance(0.25):
                phrase += dice.pick(words.WITH_KIND)
    if side.kind and "{kind}" in phrase:
        said.add((KIND_NAMES[side.kind], name))
        phrase = phrase.replace("{kind}", kind)
    phrase = phrase.replace("{percent}", _percent(side.stenosis, dice))
    if side.place is not None:
        phrase = phrase.replace("{place}", dice.favourite(words.PLACES[side.place]))
    return Item(_fill(phrase, name), frozenset(said), gravity)


def _normal(sides: Sequence[CarotidSide], dice: Dice, *, items: Sequence[Item], is_bare: bool) -> list[str]:
    """What an Impression says of what isn't there; it denies nothing that is."""
    gravest = min(GRAVITY[side.grade] for side in sides)
    if is_bare:
        if items or truth_of(sides):
            return [dice.pick(words.REFERS)] if gravest < GRAVITY["none"] else [words.NORMAL[1]]
        return [dice.favourite(words.NORMAL)]
    if gravest >= GRAVITY["under 50"]:
        return [dice.pick(words.NOTHING_SIGNIFICANT)] if dice.chance(0.45) else []
    healthy = [side for side in sides if side.grade == "none"]
    if healthy and dice.chance(0.35):
        return [_fill(dice.pick(words.NORMAL_SIDE), healthy[0].side)]
    return []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
