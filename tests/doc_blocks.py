"""Code blocks of README and docs, and the commands in them: what tests run, check or know not to run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((REPOSITORY / "docs").glob("*.md"))))
PYTHON = re.compile(r"^(from|import) \w", re.MULTILINE)
COMMAND = re.compile(r"^(radflow|make|python|pip) ")
YAML = re.compile(r"^\w+:( |$)")


@dataclass(frozen=True)
class Block:
    """One indented or fenced block.

    Attributes:
        page: file, from the repository's root.
        line: where its first line stands, from 1.
    """

    page: str
    line: int
    text: str

    @property
    def first(self) -> str:
        return self.text.split("\n", 1)[0]

    @property
    def kind(self) -> str:
        """python, commands, yaml or other, by its first line."""
        if PYTHON.match(self.text):
            return "python"
        if COMMAND.match(self.first):
            return "commands"
        return "yaml" if YAML.match(self.first) else "other"

    def commands(self) -> Iterator[list[str]]:
        """The words of each command, lines joined at backslashes, without what explains it at its end."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        for line in joined.split("\n"):
            if COMMAND.match(line):
                words = re.split(r"\s{2,}(?!-)", line, maxsplit=1)[0]  # two spaces: an explanation follows
                yield shlex.split(words, comments=True)


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page; an indented one begins after an empty line or a heading, outside of lists."""
    lines = (REPOSITORY / page).read_text(encoding="utf-8").split("\n")
    found: list[Block] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("```"):
            end = lines.index("```", number + 1)
            found.append(Block(page, number + 2, "\n".join(lines[number + 1 : end])))
            number = end + 1
            continue
        before = lines[number - 1] if number else ""
        if line.startswith("    ") and (not before.strip() or before.startswith("#")):
            if _is_in_list(lines, number):
                number += 1
                continue
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            text = "\n".join(part[4:] for part in lines[number:end]).rstrip()
            found.append(Block(page, number + 1, text))
            number = end
            continue
        number += 1
    return found


def _is_in_list(lines: list[str], number: int) -> bool:
    """Whether the indented line continues an entry of a list, an admonition or a definition."""
    above = (line for line in reversed(lines[:number]) if line.strip() and not line.startswith("    "))
    return bool(re.match(r"(\s*[-*] |\d+\. |!!! |:   )", next(above, "")))


def table_rows(text: str) -> dict[str, dict[str, str]]:
    """Page -> beginning of a block -> why it isn't run."""
    import yaml

    rows: dict[str, dict[str, str]] = yaml.safe_load(text)
    return rows


NOT_RUN = table_rows((Path(__file__).parent / "doc_blocks.yaml").read_text(encoding="utf-8"))


def reason_not_to_run(block: Block) -> str | None:
    """What the table says of this block."""
    rows = NOT_RUN.get(block.page, {})
    return next((why for start, why in rows.items() if block.text.startswith(start)), None)


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page)]
