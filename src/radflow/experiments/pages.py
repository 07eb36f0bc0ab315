"""Results as files: results.json, table.md, and one page as HTML and as Markdown"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from radflow.experiments.declaration import Design
from radflow.experiments.design_page import design_sections, main_tables
from radflow.experiments.results import Results
from radflow.jsonl import write_json, write_text_atomically
from radflow.records import Record
from radflow.reporting.html import RESEARCH_USE, page_template
from radflow.reporting.view import Section, Table
from radflow.terminal import console, print_result


@dataclass(frozen=True)
class Page:
    """What every experiment's page has.

    Attributes:
        command: what made it.
        tables: the main ones, which are also printed and stand alone in table.md.
    """

    name: str
    question: str
    command: str
    sections: tuple[Section, ...]
    tables: tuple[Table, ...]

    @property
    def main_tables(self) -> str:
        """In Markdown."""
        return "\n".join(line for table in self.tables for line in table_lines(table))


def write_results(design: Design, results: Results, out: Path) -> Page:
    """The files of a design's results."""
    page = Page(
        design.name,
        design.question,
        results.command,
        tuple(design_sections(design, results)),
        tuple(main_tables(results)),
    )
    write_page(page, results, out)
    return page


def write_page(page: Page, results: Record, out: Path) -> None:
    """Write results.json, table.md, experiment.md and experiment.html."""
    write_json(out / "results.json", results.model_dump(mode="json"))
    write_text_atomically(out / "table.md", f"    {page.command}\n\n{page.main_tables}")
    write_text_atomically(out / "experiment.md", as_markdown(page))
    write_text_atomically(out / "experiment.html", as_html(page))


def show(page: Page, out: Path) -> None:
    """Print the main tables, and say where the rest is."""
    print_result(page.main_tables)
    console.print(f"results: {out / 'experiment.html'}", markup=False, soft_wrap=True)


def as_html(page: Page) -> str:
    """One self-contained page: no script, no request."""
    return page_template("experiment.html.jinja").render(
        name=page.name,
        question=page.question,
        command=page.command,
        research_use=RESEARCH_USE,
        sections=page.sections,
    )


def as_markdown(page: Page) -> str:
    """The same without charts, command first."""
    lines = [f"# {page.name}: {page.question}", "", f"    {page.command}", ""]
    for section in page.sections:
        lines += [*_section_lines(section)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section_lines(section: Section) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    for text in ([section.absent] if section.absent else []) + [*section.warnings, *section.notes]:
        yield from (text, "")
    folded: Sequence[Table] = [table for fold in section.folds for table in fold.tables]
    for table in (*section.tables, *folded):
        yield from table_lines(table)


def table_lines(table: Table) -> Iterator[str]:
    """A Markdown table below its caption, and an empty line."""
    yield from (f"**{table.caption}**", "")
    yield f"| {' | '.join(map(_cell, table.header))} |"
    yield "|" + " --- |" * len(table.header)
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ") or " "
