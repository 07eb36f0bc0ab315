"""What compares the words of two reports, by name: BLEU-2, ROUGE-L, BERTScore, all in [0, 1]"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

from radflow.errors import ConfigError
from radflow.metrics.lexical import rouge_l
from radflow.metrics.sentence_bleu import BleuReference
from radflow.registry import resolve

REMEMBERED_REFERENCES = 4096


class LanguageMetric(Protocol):
    """Pairs of texts -> the similarity of each in [0, 1], in order."""

    def score(self, *, references: Sequence[str], predictions: Sequence[str]) -> Sequence[float]: ...


LANGUAGE_METRICS = {
    "bleu-2": "radflow.rewards.language:Bleu2",
    "rouge-l": "radflow.rewards.language:RougeL",
    "bertscore": "radflow.metrics.embedding:BertScore",
}


def open_language_metric(name: str) -> LanguageMetric:
    """The metric of that name.

    Raises:
        ConfigError: unknown name, or its module isn't installed.
        ModelError: its weights are missing.
    """
    try:
        return cast(LanguageMetric, resolve("language metric", LANGUAGE_METRICS, name)())
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"reward.language_metric {name} needs the module {error.name}, which is not installed",
            next_step="Set reward.language_metric: bleu-2 or rouge-l, or install it.",
        ) from None


class Bleu2:
    """Sentence BLEU-2 (smoothing method 1, lower-cased); a reference's n-grams are counted once."""

    def score(self, *, references: Sequence[str], predictions: Sequence[str]) -> list[float]:
        pairs = zip(references, predictions, strict=True)
        return [_counted(reference).score(prediction) for reference, prediction in pairs]


class RougeL:
    """F-measure of the longest common subsequence of words."""

    def score(self, *, references: Sequence[str], predictions: Sequence[str]) -> list[float]:
        pairs = zip(references, predictions, strict=True)
        return [rouge_l(reference=reference, prediction=prediction) for reference, prediction in pairs]


@lru_cache(maxsize=REMEMBERED_REFERENCES)
def _counted(reference: str) -> BleuReference:
    return BleuReference(reference, order=2)
