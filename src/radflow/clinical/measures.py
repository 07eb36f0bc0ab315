"""Numbers in a sentence that grade an observation: percent of stenosis, velocities, ratios, thicknesses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from radflow.clinical.ontology import Grade, Measure
from radflow.clinical.phrases import Span

_LITTLE = 1e-6
_BELOW = frozenset(("<", "under", "below", "less", "≤"))
_ABOVE = frozenset((">", "over", "above", "greater", "more", "exceeding", "≥"))
_BETWEEN = frozenset(("-", "–", "—", "to", "and"))
_PERCENT = frozenset(("%", "percent"))
_FACTORS = {"velocity": {"cm": 1.0, "m": 100.0}, "length": {"mm": 1.0, "cm": 10.0}}


class Quantity(NamedTuple):
    """A number with its unit: tokens ``first`` to ``last`` (exclusive); a range has its middle as value."""

    value: float
    first: int
    last: int


class Graded(NamedTuple):
    """What a measured number says: tokens ``first`` to ``last`` cover its phrase (``span``) and number."""

    grade: Grade
    measure: Measure
    span: Span
    first: int
    last: int


def graded(words: list[str], spans: list[Span], measures: tuple[Measure, ...]) -> Iterator[Graded]:
    """Grades of a sentence: each number goes to the nearest phrase of its kind, each phrase to one number."""
    pairs = []
    for span in spans:
        measure = measures[int(span.name)]
        for quantity in _quantities(words, measure.unit):
            gap = _gap(span, quantity, measure)
            if gap is not None:
                pairs.append((gap, span, quantity, measure))
    phrases: set[tuple[str, int]] = set()
    numbers: set[tuple[str, int]] = set()
    for _, span, quantity, measure in sorted(pairs, key=lambda pair: pair[:2]):
        if (span.name, span.first) in phrases or (measure.unit, quantity.first) in numbers:
            continue
        phrases.add((span.name, span.first))
        numbers.add((measure.unit, quantity.first))
        grade = next(grade for grade in measure.grades if grade.holds(quantity.value))
        yield Graded(grade, measure, span, min(span.first, quantity.first), max(span.last, quantity.last))


def _gap(span: Span, quantity: Quantity, measure: Measure) -> int | None:
    """Words between phrase and number; only a percentage may stand before its phrase."""
    if quantity.first >= span.last:
        gap = quantity.first - span.last
    elif measure.unit == "percent" and quantity.last <= span.first:
        gap = span.first - quantity.last
    else:
        return None
    return gap if gap <= measure.reach else None


def _quantities(words: list[str], unit: str) -> Iterator[Quantity]:
    index, count = 0, len(words)
    while index < count:
        low = _number(words[index])
        if low is None:
            index += 1
            continue
        first, last, high = index, index + 1, low
        after = last + (last < count and words[last] in _PERCENT)
        if after + 1 < count and words[after] in _BETWEEN and (end := _number(words[after + 1])) is not None:
            high, last = end, after + 2
        factor, last = _unit(words, last, unit)
        if factor is not None:
            value = (low + high) / 2 * factor
            before = set(words[max(0, first - 3) : first])
            if low == high and before & _BELOW:
                value -= _LITTLE
            elif low == high and before & _ABOVE:
                value += _LITTLE
            yield Quantity(value, first, last)
        index = last


def _unit(words: list[str], position: int, unit: str) -> tuple[float | None, int]:
    """The factor to the measure's own unit, ``None`` when another unit stands there, and what follows it."""
    word = words[position] if position < len(words) else ""
    if unit == "percent":
        return (1.0, position + 1) if word in _PERCENT else (None, position)
    if unit == "ratio":
        return (None, position) if word in {"%", "percent", "cm", "mm", "m"} else (1.0, position)
    factor = _FACTORS[unit].get(word)
    if factor is None or unit == "length":
        return factor, position + (factor is not None)
    is_speed = words[position + 1 : position + 2] == ["/"] and position + 2 < len(words)
    return (factor, position + 3) if is_speed else (None, position)


def _number(word: str) -> float | None:
    """The value of a token such as 185, 2.4 or 1,250; ``None`` for anything else."""
    if not word[0].isdigit() or len(word) > 12:
        return None
    try:
        return float(
            word.replace(",", "") if word.count(",") == 1 and len(word) > 4 else word.replace(",", ".")
        )
    except ValueError:
        return None
