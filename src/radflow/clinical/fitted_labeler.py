"""An expert model fitted on labelled reports, on disk (JSON and safetensors) and at work (numpy)

For each observation a linear head over what stands in a text gives probabilities of the states that its
labelled reports have: present (1), absent (0), uncertain (-1), not mentioned (``None``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_card import CardKind
from radflow.clinical.fitted_text import TextReader, TextSettings
from radflow.owner_only import make_private, private_files
from radflow.records import Record

CARD, WEIGHTS = "labeler.json", "weights.safetensors"
KIND = CardKind(
    name="labeler",
    file=CARD,
    format="radflow-fitted-labeler",
    version=1,
    max_bytes=500_000_000,
    command="radflow labeler fit LABELLED -o FOLDER",
)

Floats = NDArray[np.float32]


class Head(Record):
    """One observation and the states that its head tells apart; a single one is always said."""

    name: str
    states: tuple[LabelValue, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Head:
        if len(set(self.states)) != len(self.states):
            raise ValueError("a head names a state twice")
        return self


class LabelerModel(Record):
    """All of a fitted labeler but its weights.

    Attributes:
        heads: in the order of the table's columns; their states stand side by side in the weights.
        names: what texts are looked through for, in the order of the rows of the weights.
        temperature: what logits are divided by, so that probabilities are as sure as they are right.
    """

    text: TextSettings
    heads: tuple[Head, ...] = Field(min_length=1)
    names: tuple[str, ...]
    temperature: float = Field(gt=0)

    @property
    def width(self) -> int:
        """States of all heads together."""
        return sum(len(head.states) for head in self.heads)

    @property
    def vectors(self) -> int:
        """Numbers of a sentence vector; 0 where none is used."""
        return 384 if "sentence-vectors" in self.text.groups else 0


class FittedLabeler:
    """Labels texts with a fitted model, behind `readers.Labeler`, in the columns that it was fitted on.

    Args:
        model: what was fitted.
        weights: (names and numbers of a sentence vector, states) float32.
        bias: (states,) float32.
    """

    def __init__(self, model: LabelerModel, weights: Floats, bias: Floats) -> None:
        rows = len(model.names) + model.vectors
        if weights.shape != (rows, model.width) or bias.shape != (model.width,):
            raise ValueError("the weights are of another shape than the names and states")
        self.model, self.weights, self.bias = model, weights, bias
        self._places = {name: place for place, name in enumerate(model.names)}
        self._read = TextReader(model.text)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(head.name for head in self.model.heads)

    def label(self, texts: Sequence[str]) -> list[dict[str, LabelValue]]:
        """The likeliest state of every column for each text; a text that says nothing has only blank ones."""
        found = self.probabilities(texts)
        blank: dict[str, LabelValue] = dict.fromkeys(self.columns)
        return [
            {name: max(states, key=lambda state: states[state]) for name, states in row.items()}
            if text.strip()
            else dict(blank)
            for text, row in zip(texts, found, strict=True)
        ]

    def probabilities(self, texts: Sequence[str]) -> list[dict[str, dict[LabelValue, float]]]:
        """For each text and column, the probability of each state that the column knows."""
        logits = self.logits(texts) / self.model.temperature
        rows: list[dict[str, dict[LabelValue, float]]] = [{} for _ in texts]
        begin = 0
        for head in self.model.heads:
            own = softmax(logits[:, begin : begin + len(head.states)])
            begin += len(head.states)
            for row, values in zip(rows, own.tolist(), strict=True):
                row[head.name] = dict(zip(head.states, values, strict=True))
        return rows

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(texts, states)."""
        found = np.zeros((len(texts), self.model.width))
        for row, names in enumerate(self._read(texts)):
            places = sorted(self._places[name] for name in names if name in self._places)
            found[row] = self.weights[places].sum(axis=0, dtype=np.float64)
        if self.model.vectors and len(texts):
            from radflow.clinical.sentence_vectors import sentence_vectors

            found += sentence_vectors(texts) @ self.weights[len(self.model.names) :].astype(np.float64)
        return found + self.bias

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the model with what its card tells of it; each file appears whole, the names last."""
        from safetensors.numpy import save

        from radflow.jsonl import write_json

        make_private(folder)
        temporary = folder / f".{WEIGHTS}.tmp"
        with private_files():
            temporary.write_bytes(save({"weights": self.weights, "bias": self.bias}))
        temporary.replace(folder / WEIGHTS)
        write_json(folder / CARD, {**KIND.head, **card, "labeler": self.model.model_dump(mode="json")})

    @classmethod
    def load(cls, folder: str | Path) -> FittedLabeler:
        """From the folder that `radflow labeler fit` wrote.

        Raises:
            ModelError: nothing there, another format, one of a newer radflow, damaged.
        """
        folder = Path(folder)
        card = read_card(folder)
        try:
            model = LabelerModel.model_validate(card["labeler"])
            tensors = _tensors(folder)
            return cls(model, tensors["weights"], tensors["bias"])
        except ValidationError as error:
            raise KIND.unusable(folder, str(error.errors()[0]["msg"])) from None
        except (KeyError, ValueError) as error:
            what = str(error) if isinstance(error, ValueError) else f"{error} is missing"
            raise KIND.unusable(folder, f"the fitted labeler is damaged: {what}") from None


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(texts, states) -> probabilities; 1 where there is a single state."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def is_folder(name: str) -> bool:
    """Whether the name of a labeler is that of a folder: it starts like a path."""
    return name.startswith((".", "/", "~"))


def read_card(folder: Path) -> dict[str, Any]:
    """The whole of a fitted labeler's JSON.

    Raises:
        ModelError: as `FittedLabeler.load`.
    """
    return KIND.read(folder)


def _tensors(folder: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / WEIGHTS
    try:
        if path.stat().st_size > KIND.max_bytes:
            raise KIND.unusable(folder, f"{WEIGHTS} is larger than any that radflow writes")
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError):
        raise KIND.unusable(folder, f"{WEIGHTS} can't be read") from None
    if any(tensor.dtype != np.float32 or not np.isfinite(tensor).all() for tensor in tensors.values()):
        raise KIND.unusable(folder, f"{WEIGHTS} holds something else than finite float32 numbers")
    return tensors
