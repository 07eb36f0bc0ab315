"""docs/reliability.md's table of faults: written from what the cases saw, read to compare with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.faults.bench import Case, Seen

PAGE = REPOSITORY / "docs" / "reliability.md"
START, END = "<!-- table of faults: start -->", "<!-- table of faults: end -->"
HEAD = (
    "| stage | fault | what the person sees | exit | what is kept | the same command again |\n"
    + "| --- " * 6
    + "|\n"
)


def cells(case: Case, seen: Seen) -> str:
    """A row in Markdown."""
    says = seen.says.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") or "(nothing)"
    again = seen.again.replace("|", "\\|")
    return f"| {case.stage} | {case.fault} | {says} | {seen.exit} | {seen.keeps} | {again} |"


def known_rows(page: Path = PAGE) -> dict[tuple[str, str], str]:
    """(stage, fault) -> its committed row."""
    table = page.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    lines = [line for line in table.strip().splitlines()[2:] if line.startswith("| ")]
    return {(line.split(" | ")[0].removeprefix("| "), line.split(" | ")[1]): line for line in lines}


def write_rows(rows: Mapping[tuple[str, str], str], order: Sequence[Case], page: Path = PAGE) -> None:
    """Put the rows of all cases into the page, in the cases' order; rows of cases that are gone go."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    body = "".join(rows[case.key] + "\n" for case in order if case.key in rows)
    page.write_text(f"{before}{START}\n{HEAD}{body}{END}{after}", encoding="utf-8")
