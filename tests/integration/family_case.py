"""A run for the families' tests: studies of one to two images of many sizes, and settings for seconds."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from radflow.config import RunConfig
from radflow.config_file import load_config

REPORTS = (
    "FINDINGS: The lungs are clear. The heart size is normal. IMPRESSION: No acute disease.",
    "FINDINGS: There is a small right pleural effusion. IMPRESSION: Small right effusion.",
    "FINDINGS: A large left pneumothorax is seen. IMPRESSION: Left pneumothorax.",
    "FINDINGS: The heart is enlarged. There is mild edema. IMPRESSION: Cardiomegaly and mild edema.",
)
COMPLAINTS = ("Cough.", "Chest pain and shortness of breath for three days.", "", "Fever.")
SIZES = ((70, 40), (40, 64), (90, 33), (48, 48), (35, 96))
SPLITS = ("train",) * 4 + ("validation",) * 2 + ("test",) * 2
PROMPT = "Write the radiology report."
TEXTS = (*REPORTS, *COMPLAINTS, PROMPT, "Indication: Study 01234567. Findings: Impression:") * 20


def write_studies(folder: Path) -> Path:
    """A table of eight studies with their images; every second study has two, and each names itself."""
    folder.mkdir(parents=True)
    rows = []
    for number, split in enumerate(SPLITS):
        names = [f"{number}_{view}.png" for view in range(1 + number % 2)]
        for view, name in enumerate(names):
            size = SIZES[(number + 2 * view) % len(SIZES)]
            Image.linear_gradient("L").resize(size).rotate(40 * number + 90 * view).save(folder / name)
        row = {
            "id": f"s{number}", "report": REPORTS[number % 4], "patient": f"p{number}", "split": split,
            "indication": f"Study {number}. {COMPLAINTS[number % 4]}".strip(), "image": ";".join(names),
        }  # fmt: skip
        rows.append(json.dumps(row))
    table = folder / "studies.jsonl"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def family_config(table: Path, model: Path | str, *overrides: str, file: Path | None = None) -> RunConfig:
    """All stages on that table with two steps of each fine-tuning."""
    return load_config(
        file,
        overrides=[
            "data.source=table", f"data.root={table}", "data.views=all", "data.max_images=2",
            "data.split.method=source", "data.table.split_column=split",
            "data.table.patient_column=patient", "data.table.indication_column=indication",
            "engine.workers=1", f"model.name={model}", "model.device=cpu", "sft.epochs=1",
            "sft.batch_size=2", "sft.gradient_accumulation=1", "sft.evaluations=1",
            "sft.learning_rate=1e-2", "explore.selection=all", "explore.composite.encoder=rouge-l",
            "explore.generation.max_new_tokens=8", "explore.generation.batch_size=4", "rft.steps=2",
            "rft.prompts_per_step=2", "rft.group_size=2", "rft.gradient_accumulation=2",
            "rft.max_new_tokens=8", "rft.validate_every=2", "rft.validation_studies=2",
            "rft.learning_rate=1e-2", "evaluate.generation.max_new_tokens=8",
            "evaluate.bootstrap_samples=100", "evaluate.baselines=false", *overrides,
        ],
    )  # fmt: skip
