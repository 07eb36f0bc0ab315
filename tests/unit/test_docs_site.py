"""The documentation: every page has a place, generated pages are those of the code, nothing is fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.conftest import REPOSITORY
from tests.doc_blocks import NOT_RUN, all_blocks, blocks_of, reason_not_to_run

from radflow.cli import app
from radflow.config import RunConfig
from radflow.config_page import settings_page
from radflow.training.signature_page import EXAMPLES, shown_signatures, signatures_page
from radflow.training.signatures import CHECKS

DOCS = REPOSITORY / "docs"


def pages_of(nav: Any) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from pages_of(value)


def test_every_page_has_one_place() -> None:
    site = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())
    placed = list(pages_of(site["nav"]))
    assert len(placed) == len(set(placed))
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert written == set(placed), "mkdocs.yml: nav"


@pytest.mark.parametrize("written", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_links_and_pictures_exist_for_readers_of_the_repository_too(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)\s#]+)", text):
        assert (written.parent / target).resolve().is_file(), target
        assert (written.parent / target).resolve().is_relative_to(DOCS), f"{target} is outside of the site"


def test_settings_are_those_of_the_code() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: radflow config show --markdown > docs/settings.md"


def test_signatures_are_those_of_the_code() -> None:
    page = (DOCS / "signatures.md").read_text(encoding="utf-8")
    assert page == signatures_page(), "run: radflow signatures --markdown > docs/signatures.md"
    assert [one.name for one in shown_signatures()] == list(EXAMPLES)
    assert len(EXAMPLES) == len(CHECKS) + 1  # and inert_clip, which GRPO is not asked for


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//[^\"]+|<link[^>]+stylesheet[^>]+href=\"(?:https?:)?//[^\"]+",
            page.read_text(encoding="utf-8"),
        )
        assert not fetched, (page.name, fetched)
    shutil.rmtree(tmp_path / "site")


BLOCKS = all_blocks()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_every_block_is_run_checked_or_known_not_to_run(block: Any) -> None:
    assert block.kind != "other" or reason_not_to_run(block), (
        "add it to tests/doc_blocks.yaml with its reason"
    )


def test_no_reason_outlives_its_block() -> None:
    for page, rows in NOT_RUN.items():
        for start in rows:
            assert any(block.text.startswith(start) for block in blocks_of(page)), f"{page}: {start}"


YAML = [block for block in BLOCKS if block.kind == "yaml" and not reason_not_to_run(block)]
FOR_ONTOLOGIES = {"docs/labeler.md"}


@pytest.mark.parametrize("block", YAML, ids=lambda block: f"{block.page}:{block.line}")
def test_yaml_of_the_docs_is_what_radflow_reads(block: Any, tmp_path: Path) -> None:
    text = re.sub(r"\$\{\w+\}", str(tmp_path), block.text)
    if block.page in FOR_ONTOLOGIES:
        from radflow.clinical.ontology_file import load_ontology

        (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
        assert load_ontology(str(tmp_path / "own.yaml")).columns
    else:
        assert RunConfig.model_validate(yaml.safe_load(text))


def test_settings_of_judges_in_the_docs_are_accepted() -> None:
    """These stand below the command that starts the server, in one block with it."""
    found = 0
    for block in blocks_of("docs/judges.md"):
        _, is_there, settings = block.text.partition("\njudge:\n")
        if is_there:
            found += 1
            assert RunConfig.model_validate(yaml.safe_load(f"judge:\n{settings}"))
    assert found == 4


def test_commands_of_the_readme_s_synopsis_exist() -> None:
    command: Any = typer.main.get_command(app)
    known = set(command.commands)
    (synopsis,) = [
        block for block in blocks_of("README.md") if block.text.startswith("radflow run CONFIG -o RUN")
    ]
    named = [name for line in synopsis.text.split("\n") for name in line.split()[1].split("|")]
    assert set(named) <= known
