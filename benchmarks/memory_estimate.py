"""The doctor's estimate of memory beside what runs measured: python benchmarks/memory_estimate.py RUN [RUN]

A manifest holds the peak of its process up to that stage, so that of the stages of one command each has the
largest so far: the estimate is taken likewise. Runs on the CPU alone are compared: there a process has all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from radflow.config import RunConfig
from radflow.doctor.memory import stage_parts, total
from radflow.doctor.shapes import model_shape

MIB = 2**20


def rows(folder: Path) -> list[tuple[str, float, float]]:
    """Stage, estimate and measured peak in MiB of each finished stage that trains or writes."""
    found: list[tuple[str, float, float]] = []
    largest = 0.0
    for stage in ("sft", "explore", "rft", "control", "evaluate"):
        path = folder / "manifests" / f"{stage}.json"
        if not path.is_file():
            continue
        manifest = json.loads(path.read_text(encoding="utf-8"))
        config = RunConfig.model_validate(manifest["config"])
        parts = stage_parts(config, model_shape(config), kind="RAM").get(stage, {})
        # Worker processes have memory of their own, which the peak of the main process leaves out.
        largest = max(largest, total({name: size for name, size in parts.items() if name != "workers"}))
        found.append((stage, largest / MIB, manifest["process_peak_memory_mib"]))
    return found


def main() -> None:
    print("| run | stage | estimated, MiB | measured, MiB | ratio |\n| --- | --- | ---: | ---: | ---: |")
    for folder in map(Path, sys.argv[1:]):
        for stage, estimate, measured in rows(folder):
            print(
                f"| {folder.name} | {stage} | {estimate:.0f} | {measured:.0f} | {estimate / measured:.2f} |"
            )


if __name__ == "__main__":
    main()
