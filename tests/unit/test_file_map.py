"""The README's file map names every file of the project, and no file that is gone."""

from __future__ import annotations

import re
import subprocess

import pytest
from tests.conftest import REPOSITORY

MAPPED = ("src/", "configs/", "benchmarks/", "docs/", "examples/")


def _mapped_files() -> set[str]:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme.split("## File map", 1)[1].split("\n## ", 1)[0]
    folder = ""
    files = set()
    for line in section.splitlines():
        if match := re.fullmatch(r"    (\S+/)", line):
            folder = match[1]
        elif match := re.fullmatch(r"      (\S+)\s{2,}\S.*", line):
            files.add(folder + match[1])
    return files


def _files() -> set[str]:
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the list of files comes from git")
    files = {name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()}
    empty = {"__init__.py", "py.typed"}
    return {
        name
        for name in files
        if name.startswith(MAPPED)
        and not (name.rsplit("/", 1)[1] in empty and not (REPOSITORY / name).read_text().strip())
    }


def test_every_file_is_in_the_map() -> None:
    assert sorted(_files() - _mapped_files()) == []


def test_the_map_names_no_missing_file() -> None:
    assert sorted(_mapped_files() - _files()) == []
