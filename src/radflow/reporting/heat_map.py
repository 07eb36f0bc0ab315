"""A table of shares as coloured cells, as inline SVG for a page or as a file of its own

Colours come from the page's style sheet; every number stands in its cell, so that colour is never needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

CELL_WIDTH, CELL_HEIGHT = 44, 22
NARROW = 420
"""Drawings up to this width stand beside others, as charts do; wider ones have a row to themselves."""
CHARACTER = 6.6
"""Mean width of a character of 12-pixel text."""
FILE_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1b1f24}.cell{fill:#0072b2}.gap{fill:#eceff2}"
    ".apart{stroke:#57606a}.paper{fill:#fff}.soft{fill:#57606a}"
)


@dataclass(frozen=True)
class HeatMap:
    """Shares in [0, 1], ``None`` where there is none.

    Attributes:
        values: by row, one for each column.
        tips: what each cell says when the pointer rests on it, likewise.
        apart: places of columns before which a line is drawn.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    tips: tuple[tuple[str, ...], ...]
    apart: tuple[int, ...] = ()


def heat_map(data: HeatMap) -> Markup:
    """As a figure of a page."""
    width, height, body = _drawing(data)
    return Markup(
        "<figure{}><figcaption>{}</figcaption>"
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></figure>'
    ).format(
        Markup(' class="wide"') if width > NARROW else "",
        data.title,
        width,
        height,
        f"{data.title}. The table below says the same in text.",
        body,
    )


def heat_map_file(data: HeatMap) -> str:
    """As a file: light, with its title."""
    width, height, body = _drawing(data)
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -26 {} {}" width="{}" role="img" '
            'aria-label="{}">'
            '<style>{}</style><rect class="paper" y="-26" width="{}" height="{}"/>'
            '<text x="8" y="-8">{}</text>{}</svg>\n'
        ).format(width, height + 26, width, data.title, FILE_STYLE, width, height + 26, data.title, body)
    )


def _drawing(data: HeatMap) -> tuple[int, int, Markup]:
    left = round(14 + CHARACTER * max(map(len, data.rows)))
    top = round(18 + 0.75 * CHARACTER * max(map(len, data.columns)))
    width = left + CELL_WIDTH * len(data.columns) + round(0.6 * top)
    height = top + CELL_HEIGHT * len(data.rows) + 8
    body = Markup("")
    for place, name in enumerate(data.columns):
        x, y = left + CELL_WIDTH * (place + 0.5), top - 6
        body += Markup('<text x="{0}" y="{1}" transform="rotate(-45 {0} {1})">{2}</text>').format(x, y, name)
    for row, (name, values, tips) in enumerate(zip(data.rows, data.values, data.tips, strict=True)):
        y = top + CELL_HEIGHT * row
        body += Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(left - 8, y + 15, name)
        for place, (value, tip) in enumerate(zip(values, tips, strict=True)):
            body += _cell(left + CELL_WIDTH * place, y, value, tip)
    for place in data.apart:
        x = left + CELL_WIDTH * place - 1
        body += Markup('<path class="apart axis" d="M{} {}V{}"/>').format(x, top - 4, height - 8)
    return width, height, body


def _cell(x: float, y: float, value: float | None, tip: str) -> Markup:
    if value is None:
        return Markup(
            '<g><title>{}</title><rect class="gap" x="{}" y="{}" width="{}" height="{}"/></g>'
        ).format(tip, x, y, CELL_WIDTH - 2, CELL_HEIGHT - 2)
    return Markup(
        '<g><title>{}</title><rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>'
        '<text class="said" x="{}" y="{}" text-anchor="middle">{}</text></g>'
    ).format(
        tip,
        x,
        y,
        CELL_WIDTH - 2,
        CELL_HEIGHT - 2,
        f"{0.04 + 0.6 * min(1.0, max(0.0, value)):.2f}",
        x + CELL_WIDTH / 2 - 1,
        y + 15,
        f"{100 * value:.0f}",
    )
