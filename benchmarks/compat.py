"""Other Pythons, and the oldest and newest allowed libraries: an environment each, a short test run

A cell is python=3.12 (all as in constraints.txt), LIBRARY=oldest or LIBRARY=newest by the bounds of
pyproject.toml, LIBRARY=VERSION, or all=oldest and all=newest (every direct dependency). uv, which must be on
the path, makes each in a minute, of files that all share. Rows go into the table of a page.
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
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# With what a library's older or newer versions bring with them.
LIBRARIES = {
    "torch": ("sympy", "networkx", "setuptools"),
    "transformers": ("tokenizers", "huggingface-hub", "safetensors", "hf-xet", "trl"),
    "trl": (),
    "peft": (),
    "pydantic": ("pydantic-core", "typing-inspection", "annotated-types"),
}
CELLS = (
    *(f"python={version}" for version in ("3.11", "3.12", "3.13")),
    *(f"{library}={end}" for library in LIBRARIES for end in ("oldest", "newest")),
    "all=oldest",
    "all=newest",
)
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "nltk", "scipy")
CAPO = "tests/integration/test_capo.py::test_"
RFT = "tests/integration/test_rft.py::test_"
TESTS = (
    "tests/unit/test_config.py",
    "tests/unit/test_import_order.py",
    "tests/unit/training/test_capo_rules.py",
    "tests/unit/rewards/test_reward_rules.py",
    f"{CAPO}loss_and_gradients_are_the_formula",
    f"{CAPO}kappa_one_is_grpo_to_the_bit",
    f"{CAPO}a_whole_training_with_kappa_one_is_grpo",
    f"{CAPO}a_failed_score_is_its_own_row_s_alone",
    f"{CAPO}strata_are_logged_apart",
    "tests/integration/test_generation.py",
    f"{RFT}only_the_language_model_learns",
    f"{RFT}the_history_starts_with_the_sft_model_and_has_every_step",
    f"{RFT}lora_sits_on_the_merged_model_and_comes_out_whole",
)
HEAD = "| cell | Python | versions | tests | seen |"
INSTALLED = """
import importlib.metadata as m, json, sys
found = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in m.distributions()}
print(json.dumps([sys.version.split()[0], found]))
"""


class Row(NamedTuple):
    """What was seen in one environment.

    Attributes:
        versions: of the libraries in question, and of what else differs from constraints.txt.
        tests: how many passed, and which failed first; or why there is no environment.
    """

    cell: str
    python: str
    versions: str
    tests: str

    def line(self) -> str:
        day = datetime.now(UTC).date().isoformat()
        return f"| {self.cell} | {self.python} | {self.versions} | {self.tests.replace('|', '/')} | {day} |"


class MissingError(Exception):
    """An environment that can't be made, and why."""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def uv(*command: str | Path) -> None:
    done = run("uv", *command)
    if done.returncode:
        raise MissingError(" ".join(done.stderr.split())[-240:])


def bounds_of(library: str) -> str:
    """What pyproject.toml allows, e.g. ">=1.16,<2"."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["project"]["dependencies"]
    return next(line.removeprefix(library) for line in listed if re.match(rf"{library}[<>=]", line))


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.partition("==") for line in lines if not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, _, version in found}


def interpreter(version: str) -> str:
    """An interpreter of that version: kept by pyenv, or of this name on the path."""
    kept = [str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    found = shutil.which(f"python{version}")
    for candidate in [*sorted(kept), *([found] if found else [])]:
        if run(candidate, "-c", "import venv, ensurepip").returncode == 0:
            return candidate
    raise MissingError(f"no Python {version} on this machine")


def requirements(cell: str, folder: Path) -> list[str]:
    """What uv installs: by constraints.txt, but for the libraries in question and what they bring."""
    name, _, version = cell.partition("=")
    radflow = ["-e", str(ROOT)]
    if name == "python":
        return ["-c", str(ROOT / "constraints.txt"), *radflow, *TOOLS]
    if name == "all":
        return ["--resolution", "lowest-direct" if version == "oldest" else "highest", *radflow]
    wanted = bounds = bounds_of(name)
    if version != "newest":
        lowest = re.search(r">=([\w.]+)", bounds)
        wanted = f"=={version if version != 'oldest' else lowest[1] if lowest else ''}"
    kept = [f"{one}=={pin}" for one, pin in pins().items() if one not in (name, *LIBRARIES.get(name, ()))]
    constraints = folder / f"{cell.replace('=', '-')}.txt"
    constraints.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return ["-c", str(constraints), *radflow, *TOOLS, name + wanted]


def environment(folder: Path, cell: str) -> Path:
    """The Python of the cell's environment, made where it isn't there yet.

    Raises:
        MissingError: it can't be made.
    """
    place = folder / cell.replace("=", "-")
    python = place / "bin" / "python"
    if (place / ".made").exists():
        return python
    name, _, version = cell.partition("=")
    uv("venv", "--clear", "--python", interpreter(version) if name == "python" else sys.executable, place)
    uv("pip", "install", "--python", python, *requirements(cell, folder))
    if name == "all":
        uv("pip", "install", "--python", python, *TOOLS)  # which radflow's users don't need
    (place / ".made").touch()
    return python


def versions_of(python: Path, cell: str) -> tuple[str, str]:
    """Of the interpreter; and of the libraries in question and of what else differs from constraints.txt."""
    number, own = json.loads(run(python, "-c", INSTALLED).stdout)
    name = cell.partition("=")[0]
    named = {"all": tuple(LIBRARIES), "python": ()}.get(name, (name,))
    pinned = pins()
    others = [
        f"{one} {version}"
        for one, version in sorted(own.items())
        if one in pinned and one not in named and pinned[one] != version.partition("+")[0]
    ]
    if len(others) > 6:
        others = [f"{len(others)} others"]
    return number, ", ".join([*(f"{one} {own[one]}" for one in named), *others]) or "as in constraints.txt"


def tests_pass(python: Path) -> str:
    """Pytest's counts, and the first test that fails."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-m", "not slow"]
    done = run(*command, *TESTS, PYTHONPATH=path, OMP_NUM_THREADS="1")
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
    counts = re.findall(r"(\d+) (passed|failed|error)", lines[-1])
    shown = ", ".join(f"{number} {kind}" for number, kind in counts) or lines[-1][:160]
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?", done.stdout, re.MULTILINE)
    return f"{shown}; first {failed[1].rpartition('/')[2]}: {(failed[2] or '')[:160]}" if failed else shown


def examine(folder: Path, cell: str) -> Row:
    try:
        python = environment(folder, cell)
    except MissingError as error:
        return Row(cell, "", "", f"not made: {error}")
    return Row(cell, *versions_of(python, cell), tests_pass(python))


def write_row(page: Path, row: Row) -> None:
    """Put the row into the page's table: in the place of the cell's older one, else at the end."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEAD) + 2
    end = next((place for place in range(start, len(lines)) if not lines[place].startswith("|")), len(lines))
    table = {line.split("|")[1].strip(): line for line in lines[start:end]}
    table[row.cell] = row.line()
    page.write_text("\n".join([*lines[:start], *table.values(), *lines[end:]]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", default=list(CELLS), metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "radflow-compat")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "compat.md")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for cell in chosen.cells:
        row = examine(chosen.folder, cell)
        print(row.line(), flush=True)
        write_row(chosen.page, row)


if __name__ == "__main__":
    main()
