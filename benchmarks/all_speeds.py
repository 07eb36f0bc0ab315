"""All speed benchmarks as one table with machine and versions: python benchmarks/all_speeds.py

Each runs in a process of its own with one thread, in the shortest setting that still has several rounds. One
that fails or takes too long is a row that says so, and the exit code is 1. For an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil

HERE = Path(__file__).parent
PACKAGES = ("radflow", "torch", "transformers", "trl", "peft", "numpy")
SHORT = {
    "bertscore_speed": ("--pairs", "64", "256"),
    "capo_speed": ("--rounds", "3"),
    "generation_speed": ("--rounds", "3"),
    "length_chunks_speed": ("--rounds", "3"),
    "ray_speed": ("--rows", "5000", "--rounds", "3", "--many", "20000"),
    "score_speed": ("--large", "10000"),
    "sft_speed": ("--rounds", "3"),
    "statistics_speed": ("--studies", "3000"),
}
"""Arguments of those that would take long as they stand."""
LIMIT_S = 300


def machine() -> str:
    """Processors, memory, load before it began: whether numbers of two tables can stand beside each other."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    cores = psutil.cpu_count(logical=True)
    return f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, load {load:.1f} before it began"


def versions() -> str:
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def measured(script: Path, limit: float) -> tuple[str, bool]:
    """The table's row of one benchmark, and whether it went well."""
    command = [sys.executable, str(script), *SHORT.get(script.stem, ())]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _row(command, [f"not finished in {limit:.0f} s"], limit), False
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    if done.returncode:
        lines = [f"failed with exit code {done.returncode}", *done.stderr.splitlines()[-1:]]
    return _row(command, lines, time.monotonic() - begun), not done.returncode


def _row(command: list[str], lines: list[str], seconds: float) -> str:
    told = "<br>".join(line.replace("|", "\\|") for line in lines)
    return f"| `{' '.join([Path(command[1]).name, *command[2:]])}` | {told} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks without .py; default: all of *_speed.py")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/bench.md"))
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for each")
    options = parser.parse_args()
    scripts = [HERE / f"{name}.py" for name in options.names] or sorted(HERE.glob("*_speed.py"))
    head = [machine() + ".", versions() + ".", "", "| benchmark | measured | s |", "| --- | --- | ---: |"]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print("\n".join(head), flush=True)
    is_well = True
    with options.out.open("w", encoding="utf-8") as file:
        file.write("\n".join(head) + "\n")
        for script in scripts:
            row, went_well = measured(script, options.limit)
            is_well &= went_well
            print(row, flush=True)
            file.write(row + "\n")
            file.flush()
    print(f"\n-> {options.out}")
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
