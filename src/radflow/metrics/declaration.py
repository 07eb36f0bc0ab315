"""What a metric declares of itself: meaning, range, what it needs, how it is computed from what is stored"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES
from radflow.config import JudgeConfig
from radflow.metrics.report_parts import PARTS
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import Sums
from radflow.records import Finding, LeftOut, Part, Report

Statistics = dict[str, tuple[float, ...]]
"""What a scorer finds out about one pair, by name; NaN where nothing could be scored."""


class Pair(NamedTuple):
    """One part of a reference and of the report that a system wrote for the same study.

    Attributes:
        reference: never empty: a study whose reference lacks the part is left out and counted.
        prediction: empty where the written report lacks the part.
        expected, written: both reports whole, for metrics that need both sections of one.
        truth: what a phantom has, whatever its reference says; ``None`` where nobody knows.
    """

    study_id: str
    part: Part
    reference: str
    prediction: str
    expected: Report
    written: Report
    truth: tuple[Finding, ...] | None = None


class Vocabulary(NamedTuple):
    """The names of one kind of examination, which decide how many numbers are stored of a study.

    Attributes:
        ontology: what rules read by.
        columns: its labels, in the order in which they are stored.
        no_finding: the label that says that there is nothing.
    """

    ontology: str = "chest-xray"
    columns: tuple[str, ...] = CHEXPERT_CLASSES
    no_finding: str | None = CHEXPERT_CLASSES[0]

    @property
    def findings(self) -> tuple[str, ...]:
        """The columns that can be made up or left out."""
        return tuple(name for name in self.columns if name != self.no_finding)


CHEST = Vocabulary()


class Scorer(Protocol):
    """Pairs -> the statistics of each, in their order. Opened by `scoring.open_scorer`."""

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]: ...


@runtime_checkable
class Fitted(Protocol):
    """A scorer whose numbers depend on the whole set, which it has to see before it scores."""

    def fit(self, pairs: Iterable[Pair]) -> None: ...


class JudgeSettings(NamedTuple):
    """Whom metrics ask that need a language model, and where answers are kept (`judge.cache` goes first)."""

    config: JudgeConfig = JudgeConfig()
    cache: Path = Path("judge-cache")


DEFAULT_JUDGE = JudgeSettings()


@runtime_checkable
class Accounting(Protocol):
    """A scorer that asks somebody who may not answer.

    Attributes:
        backend: who that is, which nothing but the settings tells.
        not_scored: a line for each pair without an answer.
    """

    backend: str
    not_scored: list[LeftOut]

    def account(self) -> dict[str, Any]:
        """What was asked and what came of it, for summary.json."""
        ...


REFERENCE = "The heart is mildly enlarged. Small left pleural effusion. No pneumothorax."
PREDICTION = "The heart is enlarged. Small right pleural effusion. There is no pneumothorax."
OTHER = "The lungs are clear. No pleural effusion."
EXAMPLE = ((REFERENCE, PREDICTION), (OTHER, OTHER))
"""References and predictions of a worked example, made up."""


@dataclass(frozen=True)
class Metric:
    """One metric: what it means, what it needs, and how it is computed from what is stored per study.

    Attributes:
        name: what `--metrics` takes; metrics that differ in backend or convention have different names.
        title: its head in tables.
        family: its page in the docs.
        meaning: one sentence.
        low, high: its range; ``None`` where it has no bound.
        direction: which is better.
        inputs: what of the reports it reads.
        empty: what a report that lacks the part gets.
        identical: what a text gets against itself, where that isn't the best value for every text.
        scorers: "module:attribute" of what finds the statistics; a scorer of several metrics runs once.
        reads: names of the statistics that it is computed from, side by side in this order.
        sums: how.
        sections: the parts that it is computed for.
        cost: a rough figure, in milliseconds a pair on one core.
        citation: who defined it.
        backend: what decides: a formula, an ontology, or a model by name.
        package: whose version is recorded.
        symmetric: whether reference and prediction can be exchanged without a change.
        corpus_dependent: whether a study's value depends on the other references of the set.
        per_label: the same metric of single labels.
        of: the same metric for the names of another examination, ``None`` where they have no such metric.
            Metrics without it read no ontology.
        example: pairs for the worked example.
    """

    name: str
    title: str
    family: str
    meaning: str
    scorers: tuple[str, ...]
    reads: tuple[str, ...]
    sums: Sums
    cost: str
    citation: str
    low: float | None = 0.0
    high: float | None = 1.0
    direction: Literal["higher", "lower"] = "higher"
    inputs: str = "the two texts"
    empty: str = "the worst value"
    identical: str = ""
    sections: tuple[Part, ...] = PARTS
    backend: str = "radflow"
    package: str = "radflow"
    symmetric: bool = False
    corpus_dependent: bool = False
    per_label: dict[str, Sums] = field(default_factory=dict)
    of: Callable[[Metric, Vocabulary], Metric | None] | None = None
    example: tuple[tuple[str, str], ...] = EXAMPLE

    @property
    def version(self) -> str:
        """Version of the package whose behaviour the numbers depend on; "not installed" without it."""
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return f"{self.package} not installed"

    @property
    def worst(self) -> float | None:
        return self.low if self.direction == "higher" else self.high

    @property
    def best(self) -> float | None:
        return self.high if self.direction == "higher" else self.low

    @property
    def range_text(self) -> str:
        low, high = (
            "-inf" if self.low is None else f"{self.low:g}",
            "inf" if self.high is None else f"{self.high:g}",
        )
        return f"{low} to {high}, {self.direction} is better"

    def bound(self, vocabulary: Vocabulary) -> Metric | None:
        """This metric as that examination has it; ``None`` where it can't have it."""
        return self if self.of is None or vocabulary == CHEST else self.of(self, vocabulary)

    def described(self) -> dict[str, object]:
        """What a reader of the numbers has to know."""
        return {
            "meaning": self.meaning,
            "range": [self.low, self.high],
            "direction": self.direction,
            "backend": self.backend,
            "version": self.version,
            "citation": self.citation,
        }

    def values(self, stored: Matrix) -> Matrix:
        """(studies, numbers) as stored, `reads` side by side -> (studies,) the metric of each study alone."""
        return self.sums.aggregate(self.sums.rows(stored))

    def of_set(self, stored: Matrix) -> float | None:
        """The metric of all these studies; ``None`` where it is undefined."""
        value = float(self.sums.aggregate(self.sums.rows(stored).sum(axis=0)))
        return value if np.isfinite(value) else None


def declared(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """By name."""
    return {metric.name: metric for metric in metrics}


def read_by(metric: Metric, vocabulary: Vocabulary) -> Metric:
    """A `Metric.of` for rules that work alike with any ontology."""
    return replace(metric, backend=metric.backend.replace(CHEST.ontology, vocabulary.ontology))


def only_chest(metric: Metric, vocabulary: Vocabulary) -> Metric | None:
    """A `Metric.of` for conventions on the 14 CheXpert classes."""
    return read_by(metric, vocabulary) if vocabulary.columns == CHEXPERT_CLASSES else None


def stored_matrix(rows: Sequence[Statistics], reads: Sequence[str]) -> Matrix:
    """Statistics of pairs -> (pairs, numbers), those of `reads` side by side."""
    blocks = [np.array([row[name] for row in rows], dtype=np.float64) for name in reads]
    return np.concatenate(blocks, axis=1) if len(blocks) > 1 else blocks[0]


Maker = Callable[..., Scorer]


def as_maker(found: object) -> Maker:
    """What a "module:attribute" of `Metric.scorers` stands for."""
    return cast(Maker, found)
