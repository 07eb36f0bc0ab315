"""What compares the words of two reports, by name: BLEU-2, ROUGE-L, BERTScore, all in [0, 1]"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

from radflow.errors import ConfigError
from radflow.metrics.lexical import BleuReference, rouge_l
from radflow.registry import resolve

REMEMBERED_REFERENCES = 4096


class LanguageMetric(Protocol):
    """Pairs of texts -> the similarity of each, in order; ``None`` where the reference has no words."""

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> Sequence[float | None]: ...


LANGUAGE_METRICS = {
    "bleu-2": "radflow.rewards.language:Bleu2",
    "rouge-l": "radflow.rewards.language:RougeL",
    "bertscore": "radflow.rewards.language:BertScoreF1",
}
ENCODERS = {"bertscore": "radflow.metrics.embedding:BERTScore"}


def open_language_metric(name: str, *, encoder: str) -> LanguageMetric:
    """The metric of that name; ``encoder`` is BERTScore's model.

    Raises:
        ConfigError: unknown name, or this installation has no BERTScore.
        ModelError: its model is missing.
    """
    metric = resolve("language metric", LANGUAGE_METRICS, name)
    return cast(LanguageMetric, metric(encoder) if name == "bertscore" else metric())


class Bleu2:
    """Sentence BLEU-2 (smoothing method 1, lower-cased); a reference's n-grams are counted once."""

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> list[float]:
        return [_counted(one).score(other) for one, other in zip(reference, prediction, strict=True)]


class RougeL:
    """F-measure of the longest common subsequence of words."""

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> list[float]:
        pairs = zip(reference, prediction, strict=True)
        return [rouge_l(reference=one, prediction=other) for one, other in pairs]


class BertScoreF1:
    """F1 of BERTScore with any encoder; it hardly sees negation, see `metrics.embedding`."""

    def __init__(self, encoder: str) -> None:
        try:
            self._bertscore = resolve("encoder metric", ENCODERS, "bertscore")(encoder)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"reward.language_metric bertscore needs the module {error.name}, which is not installed",
                next_step="Install it, or set reward.language_metric: bleu-2 or rouge-l.",
            ) from None

    def score(self, *, reference: Sequence[str], prediction: Sequence[str]) -> list[float | None]:
        pairs = self._bertscore.score(reference=reference, prediction=prediction)
        return [None if pair is None else pair.f1 for pair in pairs]


@lru_cache(maxsize=REMEMBERED_REFERENCES)
def _counted(reference: str) -> BleuReference:
    return BleuReference(reference, order=2)
