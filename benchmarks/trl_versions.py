"""CAPO's facts against other TRL versions: test_capo.py runs in an environment of its own for each

Each environment holds only that TRL; all else comes from the one that this script runs in.
Usage: python benchmarks/trl_versions.py 1.15.0 1.14.0 [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(folder: Path, version: str) -> Path:
    """The Python of an environment with this TRL in front of the packages installed here."""
    place = folder / f"trl-{version}"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        packages = next(place.glob("lib/python*/site-packages"))
        (packages / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]
        subprocess.run([*install, f"trl=={version}"], check=True)
    return python


def facts(python: Path) -> tuple[str, list[str]]:
    """Pytest's closing line and the facts that fail."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_capo.py"]
    done = subprocess.run(
        [*command, "-m", "not slow", "--tb=line"], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)(?: - (.*))?", done.stdout, re.MULTILINE)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else "no output", [f"{name}: {why[:100]}" for name, why in failed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="+")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "radflow-trl")
    chosen = parser.parse_args()
    for version in chosen.versions:
        python = environment(chosen.folder, version)
        check = "import trl; print(trl.__version__)"
        found = subprocess.run([str(python), "-c", check], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == version, f"{found.stdout.strip()} instead of {version}"
        summary, failed = facts(python)
        print(f"trl {version}: {summary}")
        for name in failed:
            print(f"  {name}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
