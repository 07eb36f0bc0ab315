"""Installed packages beside those that the tests ran with: constraints.txt, which the wheel carries"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path

from radflow.doctor.check import Check, ok, problem, warning

CONSTRAINTS = "constraints.txt"
OLDEST_PYTHON = (3, 11)
TESTED_PYTHON = ((3, 11), (3, 12), (3, 13))
TRAINS = ("torch", "transformers", "trl", "peft", "accelerate")
"""Where another version may change what is trained, not only whether it runs."""


def python_check(running: tuple[int, int] = sys.version_info[:2]) -> Check:
    shown = f"Python {platform.python_version()}"
    if running < OLDEST_PYTHON:
        return problem("python", f"{shown} is too old", "Install Python 3.11 or newer.")
    if running not in TESTED_PYTHON:
        return warning("python", f"{shown} is newer than those tested", "Take Python 3.11 to 3.13.")
    return ok("python", shown)


def known_versions() -> dict[str, str]:
    """Package -> version that the tests ran with; from the wheel, or from the checkout; empty in neither."""
    packaged = files("radflow") / CONSTRAINTS
    checkout = Path(__file__).parents[3] / CONSTRAINTS
    for file in (packaged, checkout):
        if file.is_file():
            return dict(_pins(file.read_text(encoding="utf-8")))
    return {}


def _pins(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;#]+)", line):
            yield _canonical(match[1]), match[2]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required_packages() -> list[str]:
    """What radflow itself needs, extras aside."""
    needed = (line for line in requires("radflow") or () if "extra ==" not in line)
    return [_canonical(re.split(r"[\s<>=!~\[;(]", line, maxsplit=1)[0]) for line in needed]


def installed_of(names: list[str]) -> dict[str, str | None]:
    """Version of each package without what a build adds to it (+cpu); ``None``: not installed."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = None
    return found


def version_checks(installed: Mapping[str, str | None], tested: Mapping[str, str]) -> list[Check]:
    """What is missing, and what differs from the tested versions.

    Args:
        installed: package -> version, ``None`` where it isn't there.
        tested: package -> version.
    """
    missing = [name for name, found in installed.items() if found is None]
    if missing:
        return [problem("packages", f"not installed: {', '.join(missing)}", "pip install radflow")]
    other = [
        f"{name} {found} (tested {tested[name]})"
        for name, found in installed.items()
        if name in tested and found != tested[name]
    ]
    if not tested:
        return [warning("packages", "the list of tested versions is gone", "Install radflow again.")]
    if not other:
        return [ok("packages", f"all {len(installed)} needed packages are at their tested versions")]
    trains = any(item.split()[0] in TRAINS for item in other)
    why = "other versions may train differently" if trains else "other versions were not tested"
    return [warning("packages", f"{why}: {', '.join(other)}", f"pip install -c {CONSTRAINTS} radflow")]


def torchvision_check(torch_version: str, torchvision: str | None) -> list[Check]:
    """torchvision beside a CPU build of torch breaks transformers' imports (operator nms does not exist)."""
    if torchvision is None or "cu" in torch_version.partition("+")[2]:
        return []
    remedy = "pip uninstall torchvision, which nothing here needs."
    return [warning("torchvision", f"torchvision {torchvision} may break transformers' imports", remedy)]
