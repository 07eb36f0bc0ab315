"""Charts as inline SVG: lines over steps, values with intervals, stacked histograms. Each returns a figure.

Colours come from the page's style sheet (classes ``look1`` to ``look6``), so that one drawing suits light,
dark and print; lines differ by dashes and marks by shape too, for those who don't tell the colours apart.
Every text is escaped. Tooltips are ``<title>`` elements: no script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from radflow.reporting.scales import Point, Scale, linear, short, thinned, ticks

WIDTH = 420
"""Drawing width in units of a CSS pixel: small enough that its 12-pixel text stays readable on a phone."""
CHARACTER = 6.6
"""Mean width of a character of 12-pixel text, for margins."""
LONGEST_LABEL = 26
MARKED_POINTS = 30
"""Lines with more points than this are drawn without marks; the tooltips stay."""


@dataclass(frozen=True)
class Line:
    """A named series over steps; ``look`` (1 to 6) is its colour, dash and mark."""

    name: str
    points: tuple[Point, ...]
    look: int


@dataclass(frozen=True)
class Mark:
    """A value, with its interval if it has one."""

    name: str
    look: int
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """As it stands in tables and tooltips: 0.254 [0.235, 0.275]."""
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Row:
    """A labelled row of marks."""

    label: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Bars:
    """One layer of a stacked histogram: how many in each bin."""

    name: str
    counts: tuple[int, ...]
    look: int


def line_chart(title: str, lines: Sequence[Line], *, x_label: str = "step", height: int = 220) -> Markup:
    """Lines over a common x axis; a series without points is left out."""
    lines = [Line(line.name, tuple(thinned(line.points)), line.look) for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_ticks, y_ticks = ticks(min(xs), max(xs), count=7), ticks(min(ys), max(ys))
    left = 14 + CHARACTER * max(len(short(tick)) for tick in y_ticks)
    # The x axis ends where the data end: training has no step beyond the last.
    x_ends = (min(xs), max(xs)) if max(xs) > min(xs) else (x_ticks[0], x_ticks[-1])
    x_of = linear(x_ends, (left, WIDTH - 14))
    y_of = linear((y_ticks[0], y_ticks[-1]), (height - 38, 10))
    shown = [tick for tick in x_ticks if x_ends[0] <= tick <= x_ends[1]]
    body = _y_axis(y_ticks, y_of, left) + _x_axis(shown, x_of, height - 38, x_label, left)
    for line in lines:
        body += _line(line, [(x_of(x), y_of(y)) for x, y in line.points])
    legend = [(line.name, line.look) for line in lines]
    description = (
        f"{', '.join(line.name for line in lines)} over {x_label}s {short(min(xs))} to {short(max(xs))}"
    )
    return _figure(title, body, height, legend if len(lines) > 1 else (), description)


def interval_chart(
    title: str, rows: Sequence[Row], *, reference: float | None = None, x_label: str = ""
) -> Markup:
    """Rows of values with their intervals as whiskers.

    Args:
        reference: a value to draw a line at, e.g. 0 for differences; always inside the drawing.
    """
    marks = [mark for row in rows for mark in row.marks]
    ends = [end for mark in marks for end in (mark.value, mark.low, mark.high) if end is not None]
    ends += [] if reference is None else [reference]
    x_ticks = ticks(min(ends), max(ends), count=6)
    left = 16 + CHARACTER * min(LONGEST_LABEL, max(len(row.label) for row in rows))
    is_single = all(len(row.marks) == 1 for row in rows)
    x_of = linear((x_ticks[0], x_ticks[-1]), (left, WIDTH - (52 if is_single else 16)))
    heights = [max(24, 13 * len(row.marks) + 9) for row in rows]
    bottom = 8 + sum(heights)
    body = _x_axis(x_ticks, x_of, bottom, x_label, left, grid_from=8)
    if reference is not None:
        body += _straight(x_of(reference), 8, x_of(reference), bottom, "reference")
    top = 8
    for row, row_height in zip(rows, heights, strict=True):
        body += _text(left - 8, top + row_height / 2 + 4, _cut(row.label), "end", title=row.label)
        step = row_height / (len(row.marks) + 1)
        for number, mark in enumerate(row.marks, start=1):
            body += _whisker(mark, row.label, x_of, round(top + number * step, 1))
            if is_single:
                shown = f"{mark.value:.3f}" if reference is None else f"{mark.value:+.3f}"
                body += _text(WIDTH - 4, top + row_height / 2 + 4, shown, "end")
        top += row_height
    legend = dict.fromkeys((mark.name, mark.look) for mark in marks)
    description = "; ".join(f"{row.label}: {mark.text}" for row in rows for mark in row.marks)
    return _figure(title, body, bottom + 38, () if is_single else legend, description)


def histogram(
    title: str, edges: Sequence[float], layers: Sequence[Bars], *, x_label: str, height: int = 240
) -> Markup:
    """Stacked bars; the first layer stands at the bottom. ``edges`` has one number more than each layer."""
    totals = [sum(counts) for counts in zip(*(layer.counts for layer in layers), strict=True)]
    y_ticks = [tick for tick in ticks(0, max([*totals, 1])) if tick == int(tick)]
    left = 14 + CHARACTER * max(len(short(tick)) for tick in y_ticks)
    x_of = linear((edges[0], edges[-1]), (left, WIDTH - 14))
    y_of = linear((0, y_ticks[-1]), (height - 38, 10))
    shown = [tick for tick in ticks(edges[0], edges[-1], count=7) if edges[0] <= tick <= edges[-1]]
    body = _y_axis(y_ticks, y_of, left) + _x_axis(shown, x_of, height - 38, x_label, left)
    below = [0] * len(totals)
    for layer in layers:
        for index, count in enumerate(layer.counts):
            if count:
                x, top = x_of(edges[index]), y_of(below[index] + count)
                said = f"{layer.name}: {count} between {short(edges[index])} and {short(edges[index + 1])}"
                body += Markup(
                    '<rect class="bar look{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
                ).format(
                    layer.look,
                    x,
                    top,
                    max(1.0, round(x_of(edges[index + 1]) - x - 1, 1)),
                    round(y_of(below[index]) - top, 1),
                    said,
                )
                below[index] += count
    description = ", ".join(f"{layer.name}: {sum(layer.counts)}" for layer in layers)
    legend = [(layer.name, layer.look) for layer in layers]
    return _figure(title, body, height, legend, description, key=_BAR_KEY)


_LINE_KEY = Markup('<path class="line look{}" d="M-10 0H10"/>')
_BAR_KEY = Markup('<path class="bar look{}" d="M-6 -6h12v12h-12z"/>')


def _figure(
    title: str,
    body: Markup,
    height: float,
    legend: Iterable[tuple[str, int]],
    description: str,
    *,
    key: Markup = _LINE_KEY,
) -> Markup:
    keys = Markup("").join(
        Markup('<li><svg viewBox="-10 -6 20 12" aria-hidden="true">{}{}</svg>{}</li>').format(
            key.format(look), _shape(look, 0, 0) if key is _LINE_KEY else "", name
        )
        for name, look in legend
    )
    title = title[:1].upper() + title[1:]
    return Markup(
        "<figure><figcaption>{}</figcaption>{}"
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></figure>'
    ).format(
        title,
        Markup('<ul class="legend">{}</ul>').format(keys) if keys else "",
        WIDTH,
        round(height),
        f"{title}. {description}",
        body,
    )


def _line(line: Line, places: Sequence[Point]) -> Markup:
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    body = Markup('<path class="line look{}" d="{}"/>').format(line.look, path)
    for (x, y), (step, value) in zip(places, line.points, strict=True):
        said = f"{line.name}, {short(step)}: {short(value)}"
        if len(places) <= MARKED_POINTS:
            body += _shape(line.look, x, y)
        body += _tooltip(x, y, said)
    return body


def _whisker(mark: Mark, label: str, x_of: Scale, y: float) -> Markup:
    body = Markup("")
    if mark.low is not None and mark.high is not None:
        low, high = x_of(mark.low), x_of(mark.high)
        body += Markup('<path class="whisker look{}" d="M{} {}H{}M{} {}v6M{} {}v6"/>').format(
            mark.look, low, y, high, low, y - 3, high, y - 3
        )
    said = f"{label}, {mark.name}: {mark.text}" if mark.name != label else f"{label}: {mark.text}"
    x = x_of(mark.value)
    return body + _shape(mark.look, x, y) + _tooltip(x, y, said)


def _tooltip(x: float, y: float, text: str) -> Markup:
    """An unseen disc that shows the text when the pointer rests on it."""
    return Markup('<circle class="hit" cx="{}" cy="{}" r="7"><title>{}</title></circle>').format(x, y, text)


def _shape(look: int, x: float, y: float) -> Markup:
    """A mark of its own shape for each look: circle, square, diamond, triangle, ring, cross."""
    paths = {
        2: f"M{x - 3.5} {y - 3.5}h7v7h-7z",
        3: f"M{x} {y - 5}l5 5l-5 5l-5 -5z",
        4: f"M{x} {y - 5}l4.5 8h-9z",
        6: f"M{x - 4} {y - 4}l8 8m0 -8l-8 8",
    }
    if look in paths:
        return Markup('<path class="mark look{}" d="{}"/>').format(look, paths[look])
    return Markup('<circle class="mark look{}" cx="{}" cy="{}" r="4"/>').format(look, x, y)


def _y_axis(values: Sequence[float], y_of: Scale, left: float) -> Markup:
    body = Markup("")
    for value in values:
        body += _straight(left, y_of(value), WIDTH - 10, y_of(value), "grid")
        body += _text(left - 6, y_of(value) + 4, short(value), "end")
    return body


def _x_axis(
    values: Sequence[float],
    x_of: Scale,
    bottom: float,
    label: str,
    left: float,
    *,
    grid_from: float | None = None,
) -> Markup:
    """Ticks below an axis line; with ``grid_from``, grid lines from there instead of the axis line."""
    body = _straight(left, bottom, WIDTH - 10, bottom, "axis") if grid_from is None else Markup("")
    for value in values:
        end = bottom + 4 if grid_from is None else grid_from
        body += _straight(x_of(value), end, x_of(value), bottom, "grid")
        body += _text(x_of(value), bottom + 17, short(value), "middle")
    return body + (_text(WIDTH - 10, bottom + 33, label, "end") if label else Markup(""))


def _straight(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<path class="{}" d="M{} {}L{} {}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str, *, title: str = "") -> Markup:
    tooltip = Markup("<title>{}</title>").format(title) if title != text and title else ""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}{}</text>').format(
        round(x, 1), round(y, 1), anchor, text, tooltip
    )


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
