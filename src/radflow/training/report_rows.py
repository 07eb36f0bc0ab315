"""Training rows for TRL: images read when asked for, alike lengths in a batch, an order that resumes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radflow.config import ModelConfig
from radflow.models.generation import load_image
from radflow.models.prompts import completion_messages, prompt_messages
from radflow.records import Study
from radflow.training.augment import augment_image

LENGTH_GROUP_BATCHES = 16
RowMaker = Callable[[dict[str, list[int]]], dict[str, list[Any]]]


def rows_made_when_read(make: RowMaker, count: int) -> Dataset:
    """A data set of row numbers whose transform makes the rows: TRL takes only `datasets.Dataset`."""
    dataset = Dataset.from_dict({"row": list(range(count))})
    dataset.set_transform(make)
    return dataset


class ReportRows:
    """Turns row numbers into TRL's prompt-completion rows; images are read (and augmented) when asked for."""

    def __init__(
        self, studies: Sequence[Study], model: ModelConfig, *, image_root: Path, augment: bool, seed: int
    ) -> None:
        self.studies = studies
        self.model = model
        self.image_root = image_root
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def as_dataset(self) -> Dataset:
        return rows_made_when_read(self, len(self.studies))

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        studies = [self.studies[row] for row in batch["row"]]
        return {
            "images": [self._images(study) for study in studies],
            "prompt": [prompt_messages(study, self.model) for study in studies],
            "completion": [completion_messages(study.report) for study in studies],
        }

    def _images(self, study: Study) -> list[Image.Image]:
        images = [load_image(self.image_root / name) for name in study.images]
        if not self.augment:
            return images
        generator = random.Random(f"{self.seed}-{self.epoch}-{study.study_id}")
        return [augment_image(image, generator) for image in images]


class NewEpoch(TrainerCallback):
    """Tells the training rows their epoch: augmentation depends on (seed, epoch, study) alone."""

    def __init__(self, rows: ReportRows) -> None:
        self.rows = rows

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.rows.epoch = int(state.epoch or 0)


class LengthGroupedSampler(Sampler[int]):
    """A new order every epoch, in which rows of alike length stand together, so that little is padded.

    The order depends on (seed, epoch) alone: a resumed epoch goes on exactly where it stopped.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}-{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        group = self.batch_size * LENGTH_GROUP_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), group):
            members = sorted(order[start : start + group], key=lambda row: (self.lengths[row], row))
            batches += [members[at : at + self.batch_size] for at in range(0, len(members), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        generator.shuffle(full)
        for batch in full + rest:
            yield from batch


def with_others_images(studies: Sequence[Study]) -> list[Study]:
    """Each study with the images of the next one that has as many; where no other has, it keeps its own.

    What the loss loses by it is what the model takes from the images.
    """
    exchanged = dict(enumerate(studies))
    for count in {len(study.images) for study in studies}:
        rows = [row for row, study in enumerate(studies) if len(study.images) == count]
        for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
            exchanged[row] = studies[row].model_copy(update={"images": studies[other].images})
    return list(exchanged.values())
