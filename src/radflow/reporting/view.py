"""What a report's page is made of: sections with charts and tables, one shape for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column heads its row."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Fold:
    """What opens on a click, and is always open in print."""

    title: str
    tables: tuple[Table, ...] = ()
    charts: tuple[Markup, ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: its anchor.
        absent: why the section doesn't apply to this run, in one line; ``None`` when it does.
        notes: short paragraphs above the charts.
        warnings: what a reader must not overlook, above everything.
    """

    key: str
    title: str
    absent: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    charts: tuple[Markup, ...] = ()
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()
