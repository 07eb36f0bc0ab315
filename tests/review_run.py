"""A run with two systems for tests of the review pages, and text and file names that try to break out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from radflow.data.images import write_png
from radflow.data.sections import parse_report
from radflow.records import Criticality, Prediction, Study

STUDIES = 10
HOSTILE = '<script>document.title="broken out"</script><b onmouseover=alert(1)>"&'
HOSTILE_FILE = '"><img src=x onerror=alert(1)><script>.png'
CRITICAL = "FINDINGS: Large left tension pneumothorax.\nIMPRESSION: Large left tension pneumothorax."
NORMAL = "FINDINGS: The lungs are clear. No effusion.\nIMPRESSION: Normal chest."


def reference_of(number: int) -> str:
    """Every third study is critical; the fourth's text is hostile."""
    text = CRITICAL if number % 3 == 0 else NORMAL
    return f"{text} {HOSTILE}" if number == 4 else f"{text} Case {number}."


def written_by(system: str, number: int) -> str:
    """Both write for every study, the same for the last; SFT's odd ones contradict themselves."""
    if number == STUDIES - 1:
        return "FINDINGS: Clear lungs.\nIMPRESSION: Normal."
    impression = (
        "Large pneumothorax." if system == "sft" and number % 2 else f"No acute disease. {system.upper()}"
    )
    return f"FINDINGS: No pneumothorax. No effusion.\nIMPRESSION: {impression}"


def make_review_run(root: Path) -> Path:
    """Ten studies, predictions, and verdicts of a language model "a-model", which flags the first only."""
    (root / "images").mkdir(parents=True)
    studies = []
    for number in range(STUDIES):
        name = HOSTILE_FILE if number == 4 else f"{number}.png"
        write_png(np.full((64, 48, 3), 20 * number, np.uint8), root / "images" / name)
        study = Study(
            study_id=f"s{number}",
            patient_id=f"p{number // 2}",
            split="test",
            images=(f"images/{name}",),
            report=parse_report(reference_of(number)),
        )
        studies.append(study)
    predictions = [
        Prediction(
            study_id=f"s{number}", system=system, text=written_by(system, number), tokens=9, finished=True
        )
        for system in ("sft", "rft")
        for number in range(STUDIES)
    ]
    verdicts = [
        Criticality(
            study_id=f"s{number}", is_critical=number == 0, confidence=0.9, reason="said so", source="a-model"
        )
        for number in range(STUDIES)
    ]
    for name, rows in (("studies", studies), ("predictions", predictions), ("criticality", verdicts)):
        (root / f"{name}.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    (root / "manifests").mkdir()
    settings = {"seed": 7, "annotate": {"ontology": "chest-xray", "levels": ["critical"], "judge": "rules"}}
    manifest = {"fingerprint": "f", "identity": {}, "outputs": {}, "config": settings}
    (root / "manifests/evaluate.json").write_text(json.dumps(manifest))
    return root
