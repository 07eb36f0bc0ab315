"""Finished stages of other run folders, taken over by hard links where the fingerprints agree

"The same" is what `radflow run` means by it when it skips a stage: settings, seed and hashes of inputs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from radflow.config import RunConfig
from radflow.errors import RunError
from radflow.jsonl import write_json
from radflow.run_dir import RunDir, fingerprint
from radflow.stages import Stage
from radflow.stages.pipeline import identity_of


def take_over(
    stage: Stage, config: RunConfig, folder: Path, donors: Iterable[Path], *, whole: bool = False
) -> Path | None:
    """Give a run folder a stage that another one has finished with the same settings, seed and inputs.

    Files are hard-linked, or copied where the file system has no links; the manifest, written last, is a copy
    with this run's settings and ``taken_from``. All stages write their files whole and rename them, or delete
    them first, so that no run alters another's.

    Args:
        folder: run folder in which the stages before this one are done.
        whole: leave out stages that were cut and went on, whose wall time is not that of all their work.

    Returns:
        The folder that it came from; ``None`` where none has it, or the stage is begun here already.
    """
    with RunDir.open(folder) as run:
        if run.manifest(stage.name) is not None or _is_begun(stage, run):
            return None
        wanted = fingerprint(identity_of(stage, config, run))
        for donor in donors:
            manifest = _finished(stage, donor)
            if manifest is None or manifest["fingerprint"] != wanted or (whole and manifest.get("was_cut")):
                continue
            run.forget(stage.name, stage.files)  # what an earlier attempt linked before it was killed
            for name in (*stage.outputs, *stage.keeps, *stage.logs):
                link_tree(donor / name, run.path(name))
            own = {"config": config.model_dump(mode="json"), "taken_from": str(donor)}
            write_json(run.path(f"manifests/{stage.name}.json"), manifest | own)
            return donor
    return None


def _is_begun(stage: Stage, run: RunDir) -> bool:
    return run.path(f"manifests/{stage.name}.started.json").exists()


def _finished(stage: Stage, donor: Path) -> dict[str, Any] | None:
    other = RunDir(donor)
    try:
        return None if other.lost(stage.name) else other.manifest(stage.name)
    except RunError:
        return None  # damaged: the stage is made here instead


def link_tree(source: Path, target: Path) -> None:
    """Hard-link a file, or the files of a folder into a folder of its own; nothing where there is none."""
    if source.is_dir():
        for entry in sorted(source.iterdir()):
            link_tree(entry, target / entry.name)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def run_folders(roots: Sequence[Path]) -> Iterator[Path]:
    """The run folders at or below these folders, in order of their names."""
    for root in roots:
        yield from sorted({path.parent.parent for path in root.rglob("manifests/prepare.json")})
