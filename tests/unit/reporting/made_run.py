"""A run folder as the stages leave it, written by hand: small, and with text that tries to break out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radflow.data.images import write_png
from radflow.data.sections import parse_report
from radflow.records import Study

HOSTILE = '<script>alert("&")</script><img src="https://example.org/x.png" onerror=alert(1)>'
REPORT = "FINDINGS: There is a small left pleural effusion. No pneumothorax.\nIMPRESSION: Possible pneumonia."
SFT_ONLY = ("prepare", "sft", "evaluate")
ALL = ("prepare", "sft", "explore", "annotate", "rft", "evaluate")
STUDIES = 8


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def interval(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "studies": STUDIES}


def make_run(root: Path, stages: tuple[str, ...] = ALL) -> Path:
    """A finished run of these stages; all test reports are `REPORT`, the last ends with `HOSTILE`."""
    (root / "manifests").mkdir(parents=True)
    studies = [_study(root, number, "test") for number in range(STUDIES)]
    studies += [_study(root, STUDIES + number, "train") for number in range(STUDIES)]
    (root / "studies.jsonl").write_text("".join(study.model_dump_json() + "\n" for study in studies))
    _write_evaluation(root, with_rft="rft" in stages)
    write_rows(
        root / "sft_history.jsonl", ({"step": n, "loss": 2 / n, "eval_loss": 2.5 / n} for n in (1, 2, 3))
    )
    if "rft" in stages:
        _write_rft(root)
    for name in stages:
        facts: dict[str, Any] = {"steps": 3, "image_gap": 0.2} if name == "sft" else {}
        if name == "rft":
            facts = {"steps": 4, "signatures": [{"sign": HOSTILE, "cause": "a cause", "remedy": "a remedy"}]}
        manifest = {
            "fingerprint": "f",
            "identity": {},
            "outputs": {},
            "facts": facts,
            "config": {"seed": 5, "data": {"source": "table"}, "rft": {"algorithm": "capo"}},
            "wall_time_s": 1.0,
        }
        (root / f"manifests/{name}.json").write_text(json.dumps(manifest))
    return root


def _study(root: Path, number: int, split: str) -> Study:
    study_id = f"s{number}"
    (root / "images").mkdir(exist_ok=True)
    write_png(np.full((40, 30, 3), 10 * number, np.uint8), root / f"images/{study_id}.png")
    text = REPORT + (HOSTILE if number == STUDIES - 1 else "")
    return Study.model_validate(
        {
            "study_id": study_id,
            "split": split,
            "images": [f"images/{study_id}.png"],
            "report": parse_report(text),
        }
    )


def _write_evaluation(root: Path, *, with_rft: bool) -> None:
    systems = ("sft", "rft") if with_rft else ("model",)
    write_rows(
        root / "predictions.jsonl",
        (
            {"study_id": f"s{n}", "text": f"FINDINGS: Clear lungs.{HOSTILE}", "system": name}
            if with_rft
            else {"study_id": f"s{n}", "text": f"FINDINGS: Clear lungs.{HOSTILE}"}
            for name in systems
            for n in range(STUDIES)
        ),
    )
    write_rows(
        root / "scores.jsonl",
        (
            {
                "study_id": f"s{n}",
                "system": name,
                "part": "report",
                "values": {"rouge-l": n / 10, "lexicon-graph-partial": None},
                "is_critical": n == 0,
            }
            for name in (*systems, "most frequent")
            for n in range(STUDIES)
        ),
    )
    metrics = {
        "scores": {
            "all": {"report": {"rouge-l": interval(0.3)}, "odd": {"new_metric": interval(0.7)}},
            "critical": {"report": {"rouge-l": interval(0.1)}},
        },
        "per_label": {"report": {"truth-f1": {"edema": interval(0.5)}}},
    }
    summary: dict[str, Any] = {
        "split": "test",
        "studies": STUDIES,
        "unfinished_reports": 0,
        "confidence": 0.95,
        "systems": dict.fromkeys(("most frequent", *systems, HOSTILE), metrics),
    }
    if with_rft:
        gain = {"all": {"report": {"rouge-l": {**interval(0.04), "p": 0.01}}}, "critical": {}}
        summary["differences"] = {"rft - sft": {"scores": gain, "per_label": {}}}
    (root / "summary.json").write_text(json.dumps(summary))


def _write_rft(root: Path) -> None:
    train = [f"s{STUDIES + n}" for n in range(STUDIES)]
    write_rows(
        root / "candidates.jsonl", ({"study_id": name, "composite": n / 10} for n, name in enumerate(train))
    )
    ways = ("hardest", "hardest", "anchor")
    write_rows(
        root / "hard.jsonl",
        (
            {"study_id": name, "chosen_as": way, "composite": 0.1}
            for name, way in zip(train, ways, strict=False)
        ),
    )
    write_rows(root / "criticality.jsonl", ({"study_id": name, "is_critical": True} for name in train[:1]))
    write_rows(root / "rft_history.jsonl", (rft_row(step) for step in range(1, 5)))


def rft_row(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "all/reward": 1.5 + step / 10,
        "hardest/reward": 1.2,
        "anchor/reward": 1.7,
        "critical/kl": 0.01 * step,
        "all/reward_language": 0.4,
        "critical/reward_language": 0.3,
        "normal/reward_language": 0.5,
        "all/applies_language": 1.0,
        "critical/clip_fraction": 0.0,
        "normal/clip_fraction": 0.002,
        "validation_reward": 1.4,
        "num_tokens": 100 * step,
        HOSTILE: 1.0,
    }
