"""Other Pythons, and the oldest and newest allowed libraries: an environment each, a short test run

A cell is LIBRARY=oldest or LIBRARY=newest, by the bounds of pyproject.toml, or LIBRARY=VERSION; all=oldest
(every direct dependency but torch); python=3.12. A library's environment holds that version and what it needs
beyond what this script runs with; all else, torch above all, is shared. Rows go into the table of a page.
Usage: python benchmarks/compat.py [CELL ...] [--folder FOLDER] [--page docs/compat.md]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("transformers", "trl", "peft", "pydantic")
PYTHONS = ("3.11", "3.12", "3.13")
CELLS = (
    *(f"python={version}" for version in PYTHONS),
    *(f"{library}={end}" for library in LIBRARIES for end in ("oldest", "newest")),
    "all=oldest",
)
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "nltk", "scipy")
TESTS = (
    "tests/unit/test_config.py",
    "tests/unit/test_import_order.py",
    "tests/unit/rewards/test_hierarchical.py",
    "tests/integration/test_capo.py",
    "tests/integration/test_generation.py",
    "tests/integration/test_rft.py",
)
HEAD = "| cell | Python | versions | facts | seen |"
RULE = "| --- | --- | --- | --- | --- |"


class Row(NamedTuple):
    """What was seen in one environment.

    Attributes:
        versions: what the environment has of its own.
        facts: how many tests passed, and which failed first; or why there is no environment.
    """

    cell: str
    python: str
    versions: str
    facts: str

    def line(self) -> str:
        day = datetime.now(UTC).date().isoformat()
        return f"| {self.cell} | {self.python} | {self.versions} | {self.facts} | {day} |"


class MissingError(Exception):
    """An environment that can't be made, and why."""


def dependencies() -> dict[str, str]:
    """Direct dependencies of pyproject.toml: name -> its bounds."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["project"]["dependencies"]
    split = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", line) for line in listed)
    return {found[1].lower(): found[2] for found in split if found}


def oldest(bounds: str) -> str:
    found = re.search(r">=([\w.]+)", bounds)
    if found is None:
        raise MissingError(f"no lower bound in {bounds!r}")
    return found[1]


def run(
    *command: str | Path, timeout_s: float = 3600, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True,
        text=True, check=False, timeout=timeout_s,
    )  # fmt: skip


def install(python: Path, *what: str) -> None:
    done = run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise MissingError((said or done.stderr.strip().splitlines() or ["pip failed"])[-1][:160])


def interpreter(version: str) -> str:
    """An interpreter of that version: of this name on the path, or kept by pyenv or uv."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    found = shutil.which(f"python{version}")
    for candidate in [*map(str, kept), *([found] if found else [])]:
        if run(candidate, "-c", "import venv, ensurepip").returncode == 0:
            return candidate
    raise MissingError(f"no Python {version} on this machine")


def python_environment(place: Path, version: str) -> Path:
    """All of constraints.txt under another Python; torch is that Python's own."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    python = place / "bin" / "python"
    if not (place / ".made").exists():
        made = run(interpreter(version), "-m", "venv", "--clear", place)
        if made.returncode:
            raise MissingError(made.stderr.strip()[-160:])
        install(python, "-c", str(ROOT / "constraints.txt"), "-e", str(ROOT), *TOOLS)
        (place / ".made").touch()
    return python


def library_environment(place: Path, requirements: list[str]) -> Path:
    """The requirements, in front of the packages that this script runs with."""
    python = place / "bin" / "python"
    if not (place / ".made").exists():
        made = run(sys.executable, "-m", "venv", "--clear", place)
        if made.returncode:
            raise MissingError(made.stderr.strip()[-160:])
        packages = next(place.glob("lib/python*/site-packages"))
        (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        install(python, *requirements)
        (place / ".made").touch()
    return python


def environment(folder: Path, cell: str) -> Path:
    """The Python of the cell's environment, made where it isn't there yet.

    Raises:
        MissingError: it can't be made.
    """
    name, _, version = cell.partition("=")
    place, bounds = folder / cell.replace("=", "-"), dependencies()
    if name == "python":
        return python_environment(place, version)
    if name == "all":
        wanted = [f"{library}=={oldest(bound)}" for library, bound in bounds.items() if library != "torch"]
        return library_environment(place, wanted)
    if version == "newest":
        return library_environment(place, ["--upgrade", f"{name}{bounds[name]}"])
    return library_environment(place, [f"{name}=={oldest(bounds[name]) if version == 'oldest' else version}"])


OWN = """
import importlib.metadata as m, json, sys
places = [place for place in sys.path if sys.prefix in place]
own = {found.metadata["Name"].lower(): found.version for found in m.distributions(path=places)}
print(json.dumps([sys.version.split()[0], own]))
"""


def versions_of(python: Path, cell: str) -> tuple[str, str]:
    """Of the interpreter, and of what the environment has of its own, the libraries in question first."""
    number, own = json.loads(run(python, "-c", OWN).stdout)
    name = cell.partition("=")[0]
    named = LIBRARIES if name in ("python", "all") else (name,)
    shown = [f"{library} {own[library]}" for library in named if library in own]
    others = [library for library in own if library not in (*named, "pip", "setuptools")]
    if name not in ("python", "all"):
        shown += [f"{library} {own[library]}" for library in sorted(others)]
    elif others:
        shown.append(f"and {len(others)} more")
    return number, ", ".join(shown) or "as in constraints.txt"


def facts(python: Path) -> str:
    """Pytest's counts, and the first facts that fail."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-m", "not slow"]
    done = run(*command, *TESTS, PYTHONPATH=path, OMP_NUM_THREADS="1")
    lines = (done.stdout + done.stderr).strip().splitlines()
    counts = re.findall(r"(\d+) (passed|failed|error)", lines[-1]) if lines else []
    shown = ", ".join(f"{number} {kind}" for number, kind in counts) or (
        lines[-1][:100] if lines else "no output"
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?", done.stdout, re.MULTILINE)
    if not failed:
        return shown
    first, why = failed[0]
    return f"{shown}; first {first.rpartition('/')[2]}: {why[:120]}".replace("|", "/")


def examine(folder: Path, cell: str) -> Row:
    try:
        python = environment(folder, cell)
    except MissingError as error:
        return Row(cell, "", "", f"not made: {error}".replace("|", "/"))
    number, versions = versions_of(python, cell)
    return Row(cell, number, versions, facts(python))


def write_row(page: Path, row: Row) -> None:
    """Put the row into the page's table: in the place of the cell's older one, else at the end."""
    lines = page.read_text(encoding="utf-8").splitlines()
    if HEAD not in lines:
        lines += ["", HEAD, RULE]
    start = lines.index(HEAD) + 2
    end = start
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    table = {line.split("|")[1].strip(): line for line in lines[start:end]}
    table[row.cell] = row.line()
    page.write_text("\n".join([*lines[:start], *table.values(), *lines[end:]]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", default=list(CELLS), metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "radflow-compat")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "compat.md")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for cell in chosen.cells or CELLS:
        row = examine(chosen.folder, cell)
        print(row.line(), flush=True)
        write_row(chosen.page, row)


if __name__ == "__main__":
    main()
