"""A fitted reward on disk and at work: plain numbers in one JSON file, applied with numpy

    f(x) = w . (x / scale), or a sum of trees          rises with every feature, be it by little
    P(at least k errors) = 1 / (1 + exp(-(slope f(x) + intercept_k))),   k = 1, 2, 3
    score = (1 - mean of P over k) / (the same of the reference itself)

so that the reference scores 1 and nothing scores more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from radflow.clinical.fitted_card import CardKind
from radflow.metrics.learned_features import FEATURES, LearnedFeatures
from radflow.metrics.resampling import Matrix
from radflow.records import Record

FILE = "model.json"
KIND = CardKind(
    name="reward",
    file=FILE,
    format="radflow-learned-reward",
    version=1,
    max_bytes=50_000_000,
    command="radflow reward fit REPORTS -o FOLDER",
)


class Linear(Record):
    """w . (x / scale), every weight >= 0."""

    kind: Literal["linear"] = "linear"
    weights: tuple[float, ...]
    scales: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Linear:
        if len(self.weights) != len(self.scales) or min(self.weights) < 0 or min(self.scales) <= 0:
            raise ValueError("a weight is negative, a scale isn't positive, or their numbers differ")
        return self

    @property
    def width(self) -> int:
        return len(self.weights)

    def __call__(self, features: Matrix) -> Matrix:
        """(pairs, features) -> (pairs,)."""
        return np.asarray(features / np.array(self.scales) @ np.array(self.weights))


class Tree(Record):
    """A binary tree as columns, node 0 at the top; a leaf has feature -1.

    Attributes:
        left, right: places of the children; where the feature is at most the threshold, left.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Tree:
        count = len(self.feature)
        columns = (self.threshold, self.left, self.right, self.value)
        if not count or any(len(column) != count for column in columns):
            raise ValueError("the columns of a tree differ in length")
        for place, feature in enumerate(self.feature):
            # children stand behind their parent, so that walking down ends
            if feature >= 0 and not (place < self.left[place] < count and place < self.right[place] < count):
                raise ValueError("a child of a tree does not stand behind its parent")
        return self


class Trees(Record):
    """The sum of trees, none of which falls when a feature rises, and of a small linear part.

    Trees know steps only; floor . (x / scale) tells two reports on one step apart.
    """

    kind: Literal["trees"] = "trees"
    trees: tuple[Tree, ...]
    floor: float = Field(ge=0)
    scales: tuple[float, ...] = Field(min_length=1)

    @property
    def width(self) -> int:
        return len(self.scales)

    @model_validator(mode="after")
    def _check(self) -> Trees:
        if min(self.scales) <= 0:
            raise ValueError("a scale isn't positive")
        if any(max(tree.feature) >= self.width for tree in self.trees):
            raise ValueError("a tree asks for a feature that isn't there")
        return self

    def __call__(self, features: Matrix) -> Matrix:
        """(pairs, features) -> (pairs,)."""
        total: Matrix = self.floor * (features / np.array(self.scales)).sum(axis=1)
        for tree in self.trees:
            total += _walk(tree, features)
        return np.asarray(total)


def _walk(tree: Tree, features: Matrix) -> Matrix:
    feature, left, right = np.array(tree.feature), np.array(tree.left), np.array(tree.right)
    threshold, value = np.array(tree.threshold), np.array(tree.value)
    place = np.zeros(len(features), dtype=np.int64)
    while (inner := feature[place] >= 0).any():
        rows = np.flatnonzero(inner)
        here = place[rows]
        goes_left = features[rows, feature[here]] <= threshold[here]
        place[rows] = np.where(goes_left, left[here], right[here])
    return np.asarray(value[place])


class RewardModel(Record):
    """All that is needed to score; the rest of the card tells how it came about.

    Attributes:
        features: names, in the order of the model's columns.
        model: f(x).
        slope, intercepts: from f(x) to the probabilities of at least 1, 2, 3 errors.
        ontology: what the features are read with.
    """

    features: tuple[str, ...]
    model: Linear | Trees = Field(discriminator="kind")
    slope: float = Field(ge=0)
    intercepts: tuple[float, ...] = Field(min_length=1)
    ontology: str

    @model_validator(mode="after")
    def _check(self) -> RewardModel:
        if self.model.width != len(self.features):
            raise ValueError("the model has another number of columns than features are named")
        return self

    def probabilities(self, features: Matrix) -> Matrix:
        """(pairs, features) -> (pairs, intercepts): how likely at least 1, 2, ... errors are."""
        logits = self.slope * self.model(features)[:, None] + np.array(self.intercepts)
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))

    def scores(self, features: Matrix) -> Matrix:
        """(pairs, features) -> (pairs,) in [0, 1]; 1 where all features are 0."""
        own = self.probabilities(np.zeros((1, len(self.features))))
        rest = 1 - self.probabilities(features).mean(axis=1)
        return np.asarray(np.minimum(1.0, rest / (1 - own.mean())))


class LearnedReward:
    """A fitted reward from its folder: pairs of texts -> scores.

    Raises:
        ModelError: no such file, another format, one of a newer radflow, or features that this one lacks.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.card = read_card(self.folder)
        try:
            self.model = RewardModel.model_validate(self.card["reward"])
        except ValidationError as error:
            raise KIND.unusable(self.folder, error.errors()[0]["msg"]) from None
        if unknown := sorted(set(self.model.features) - set(FEATURES)):
            raise KIND.unusable(self.folder, f"it asks for the feature {unknown[0]!r}, which radflow hasn't")
        self._columns = [FEATURES.index(name) for name in self.model.features]
        self._features = _features(self.model.ontology)

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> list[float | None]:
        """In [0, 1], 1 for the reference itself; ``None`` where the reference is empty.

        Args:
            reference: canonical texts, see `learned_features.canonical_text`.
            prediction: what was written, headers included.
        """
        if not reference:
            return []
        features = self._features(reference=reference, prediction=prediction)[:, self._columns]
        values = self.model.scores(features).tolist()
        return [value if text.strip() else None for value, text in zip(values, reference, strict=True)]


@lru_cache(maxsize=4)
def _features(ontology: str) -> LearnedFeatures:
    """One reader per process and ontology: several fitted rewards read each text once."""
    return LearnedFeatures(ontology)


def read_card(folder: Path) -> dict[str, Any]:
    """The whole of a fitted reward's file.

    Raises:
        ModelError: as `LearnedReward`.
    """
    card = KIND.read(folder)
    if "reward" not in card:
        raise KIND.unusable(folder, f"{FILE} holds no model")
    return card
