"""Rows for reinforcement fine-tuning: a study's prompt and images, its reference, and how critical it is"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image

from radflow.clinical.criticality import probability
from radflow.config import ModelConfig
from radflow.errors import DataError
from radflow.models.generation import load_image
from radflow.models.prompts import prompt_messages, target_text
from radflow.records import Criticality, SelectedStudy, Study
from radflow.training.report_rows import rows_made_when_read

KEPT_STUDIES = 256


class RolloutRows:
    """Turns row numbers into the rows that CAPOTrainer takes; images are read when asked for.

    TRL asks for a study once per completion and pass, so the last few hundred studies' images are kept.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        model: ModelConfig,
        *,
        image_root: Path,
        criticality: Mapping[str, Criticality],
        chosen_as: Mapping[str, str],
    ) -> None:
        self.studies = studies
        self.model = model
        self.image_root = image_root
        self.criticality = criticality
        self.chosen_as = chosen_as
        self._images = lru_cache(maxsize=KEPT_STUDIES)(self._read_images)

    def as_dataset(self) -> Dataset:
        return rows_made_when_read(self, len(self.studies))

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        studies = [self.studies[row] for row in batch["row"]]
        verdicts = [self.criticality[study.study_id] for study in studies]
        return {
            "images": [list(self._images(row)) for row in batch["row"]],
            "prompt": [prompt_messages(study, self.model) for study in studies],
            "study_id": [study.study_id for study in studies],
            "reference": [target_text(study.report) for study in studies],
            "is_critical": [verdict.is_critical for verdict in verdicts],
            "criticality": [probability(verdict) for verdict in verdicts],
            "chosen_as": [self.chosen_as.get(study.study_id) for study in studies],
        }

    def _read_images(self, row: int) -> tuple[Image.Image, ...]:
        return tuple(load_image(self.image_root / name) for name in self.studies[row].images)


def training_studies(
    studies: Sequence[Study],
    selected: Sequence[SelectedStudy],
    criticality: Mapping[str, Criticality],
    *,
    undecided: Collection[str] = (),
) -> list[Study]:
    """The selected studies, in the order of the selection.

    Args:
        undecided: studies on which the judge failed: they are left out, since a failure is no verdict.

    Raises:
        DataError: nothing is selected, or a selected study is unknown, no training study, or not annotated.
    """
    selected = [row for row in selected if row.study_id in criticality or row.study_id not in undecided]
    known = {study.study_id: study for study in studies if study.split == "train"}
    for row in selected:
        if row.study_id not in known:
            raise DataError(
                "a selected study is no training study of this run",
                where=f"hard.jsonl: {row.study_id}",
                next_step="Run explore again: --redo explore",
            )
        if row.study_id not in criticality:
            raise DataError(
                "a selected study has no verdict on its criticality",
                where=f"criticality.jsonl: {row.study_id}",
                next_step="Run annotate again: --redo annotate",
            )
    if not selected:
        raise DataError(
            "no studies are selected", where="hard.jsonl", next_step="Check the explore settings."
        )
    return [known[row.study_id] for row in selected]
