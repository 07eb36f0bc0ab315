"""A run that is killed with -9 and started again: its command, its files, and what must come out the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.small import SMALL

LARGER = (
    "data.phantoms.train=160", "data.phantoms.test=40", "engine.workers=2", "model.tiny.warmup_epochs=1",
    "sft.epochs=1", "sft.evaluations=5", "explore.composite.encoder=rouge-l", "rft.steps=8",
    "evaluate.generation.batch_size=2", "evaluate.generation.max_new_tokens=48",
)  # fmt: skip
SAME = (
    "studies.jsonl", "left_out.jsonl", "sft_history.jsonl", "candidates.jsonl", "hard.jsonl",
    "unscored.jsonl", "criticality.jsonl", "predictions.jsonl", "scores.jsonl", "summary.json",
)  # fmt: skip
"""What a run that was killed and went on has byte for byte as an undisturbed one, up to RFT's sampling."""
KEYS = ("study_id", "system", "part", "subset", "reason", "detail", "step")


def arguments(folder: Path, config: Path, *options: str) -> list[str]:
    """Of the radflow command."""
    overrides = [part for setting in (*SMALL, *LARGER) for part in ("--set", setting)]
    return ["run", str(config), "-o", str(folder), *overrides, *options]


def start(folder: Path, config: Path, *options: str) -> subprocess.Popen[bytes]:
    """The command as a process group of its own."""
    command = [sys.executable, "-m", "radflow", *arguments(folder, config, *options)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads on busy cores wait for each other, spinning
    return subprocess.Popen(
        command, env=one_thread, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def differing(folder: Path, whole: Path, *, names: tuple[str, ...] = SAME) -> list[str]:
    """What is not byte for byte as in the undisturbed run: files of those names, and the list of images."""
    different = [name for name in names if (folder / name).read_bytes() != (whole / name).read_bytes()]
    images, expected = (sorted(path.relative_to(root) for path in (root / "images").rglob("*.png"))
                        for root in (folder, whole))  # fmt: skip
    return different if images == expected else [*different, "images"]


def torn_or_double(path: Path) -> tuple[int, list[str]]:
    """Rows of a finished file, and what is wrong: a line that is no object, a row that stands there twice."""
    content = path.read_text(encoding="utf-8")
    wrong = [] if not content or content.endswith("\n") else [f"{path.name}: no line end at its end"]
    seen: set[tuple[object, ...]] = set()
    lines = content.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            wrong.append(f"{path.name}:{number}: torn")
            continue
        key = (*(str(row.get(name)) for name in KEYS), "validation_reward" in row)
        if key in seen:
            wrong.append(f"{path.name}:{number}: twice")
        seen.add(key)
    return len(lines), wrong
