"""The 14 CheXpert observations in their published order."""

from __future__ import annotations

from typing import Literal

CHEXPERT_CLASSES: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)

FIVE_CLASSES: tuple[str, ...] = (
    "Cardiomegaly",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pleural Effusion",
)

LabelValue = Literal[1, 0, -1] | None
"""1 present, 0 absent, -1 uncertain, ``None`` not mentioned."""
