"""What a finished run left in its folder, read for its report; what a run doesn't have is empty.

Rows of other stages are read as plain JSON objects, not as their records: a report shows the fields that it
knows and must not fail over one that is new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radflow.errors import RunError
from radflow.records import Study
from radflow.run_dir import RunDir

Rows = list[dict[str, Any]]
MADE_BY = {
    "sft_history.jsonl": "sft",
    "candidates.jsonl": "explore",
    "hard.jsonl": "explore",
    "criticality.jsonl": "annotate",
    "rft_history.jsonl": "rft",
}
"""Files that only some runs have, and the stage that writes each."""


AUDIT = Path("audit/audit.json")
"""Where an audit lies that belongs to a run."""


@dataclass(frozen=True)
class RunFiles:
    """A run as its report sees it.

    Attributes:
        name: of the run folder.
        root: the run folder, for images.
        stages: finished stages in order.
        manifests: stage -> what it wrote about itself.
        predictions: study id -> system -> text.
        optional: file name -> rows, of those in `MADE_BY` that this run has.
        audit: the result of `radflow audit` in the run's folder; ``None`` without one.
    """

    name: str
    root: Path
    stages: tuple[str, ...]
    manifests: dict[str, dict[str, Any]]
    studies: list[Study]
    predictions: dict[str, dict[str, str]]
    scores: Rows
    summary: dict[str, Any]
    optional: dict[str, Rows] = field(default_factory=dict)
    audit: dict[str, Any] | None = None

    def rows(self, name: str) -> Rows:
        """Rows of an optional file; empty where the run has none."""
        return self.optional.get(name, [])

    def facts(self, stage: str) -> dict[str, Any]:
        return dict(self.manifests.get(stage, {}).get("facts", {}))


def read_run(run: RunDir, stages: Sequence[str]) -> RunFiles:
    """Read what the given stages have finished.

    Args:
        stages: those of the run's config, in order: what others left in the folder is none of it.

    Raises:
        RunError: a file that every report needs is missing, or one is damaged.
    """
    manifests = {name: manifest for name in stages if (manifest := run.manifest(name)) is not None}
    predictions: dict[str, dict[str, str]] = {}
    for row in read_rows(run.path("predictions.jsonl")):
        predictions.setdefault(row["study_id"], {})[row.get("system", "model")] = row["text"]
    return RunFiles(
        name=run.root.resolve().name,
        root=run.root,
        stages=tuple(manifests),
        manifests=manifests,
        studies=run.read(Study, "studies.jsonl"),
        predictions=predictions,
        scores=list(read_rows(run.path("scores.jsonl"))),
        summary=_read_summary(run.path("summary.json")),
        optional={
            name: read_rows(run.path(name))
            for name, stage in MADE_BY.items()
            if stage in manifests and run.path(name).exists()
        },
        audit=_read_audit(run.root / AUDIT),
    )


def _read_audit(path: Path) -> dict[str, Any] | None:
    """
    Raises:
        RunError: it is damaged, or of another version of radflow.
    """
    if not path.is_file():
        return None
    try:
        audit: dict[str, Any] = json.loads(path.read_bytes())
        known = {term: result["kinds"] for term, result in audit["terms"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        known = {}
    if not known:
        raise RunError(
            "not an audit of this version", where=str(path), next_step="Make it again, or move it."
        )
    return audit


def _read_summary(path: Path) -> dict[str, Any]:
    """
    Raises:
        RunError: it is of a version of radflow that named its metrics otherwise.
    """
    summary: dict[str, Any] = json.loads(path.read_bytes())
    tables = [*summary["systems"].values(), *(summary.get("differences") or {}).values()]
    if not all("scores" in table and "per_label" in table for table in tables):
        raise RunError(
            "this evaluation is of another version of radflow",
            where=str(path),
            next_step="Evaluate again: radflow run CONFIG --redo evaluate.",
        )
    return summary


def read_rows(path: Path) -> Rows:
    """The objects of a JSONL file.

    Raises:
        RunError: a line is no JSON object; its text isn't shown.
    """
    rows: Rows = []
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise RunError("not a JSON object", where=f"{path}:{number}")
            rows.append(row)
    return rows
