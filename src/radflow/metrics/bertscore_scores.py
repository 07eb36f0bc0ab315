"""BERTScore among the metrics: one per encoder, each under the encoder's name"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from radflow.metrics.declaration import Metric, Pair, Statistics, declared
from radflow.metrics.sums import Mean
from radflow.registry import resolve

ENCODERS = {"bertscore": "radflow.metrics.embedding:BERTScore"}


class BertScores:
    """Statistics of one encoder: F1.

    Args:
        name: a named convention of the encoders.

    Raises:
        ModelError: its weights are not on this machine.
    """

    in_process = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.encoder: Any = resolve("encoder", ENCODERS, "bertscore")(name)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        scores = self.encoder.score(
            reference=[pair.reference for pair in pairs], prediction=[pair.prediction for pair in pairs]
        )
        return [{self.name: (float("nan") if score is None else score.f1,)} for score in scores]


MINILM = partial(BertScores, "bertscore-minilm")
DISTILROBERTA = partial(BertScores, "bertscore-distilroberta")

_make = partial(
    Metric,
    family="embedding",
    sums=Mean(),
    inputs="the two texts; a text longer than the encoder reads is cut",
    citation="Zhang et al., ICLR 2020",
    package="transformers",
    empty="0",
    symmetric=True,
)
METRICS = declared(
    [
        _make(
            name="bertscore-minilm",
            title="BERTScore MiniLM",
            meaning="Mean F1 of matched token vectors of MiniLM; hardly sees negation.",
            scorers=("radflow.metrics.bertscore_scores:MINILM",),
            reads=("bertscore-minilm",),
            low=-1.0,
            backend="all-MiniLM-L6-v2, layer 6, not rescaled",
            cost="5 ms on a core",
        ),
        _make(
            name="bertscore-distilroberta",
            title="BERTScore DistilRoBERTa",
            meaning="Mean F1 of matched token vectors of DistilRoBERTa, rescaled; hardly sees negation.",
            scorers=("radflow.metrics.bertscore_scores:DISTILROBERTA",),
            reads=("bertscore-distilroberta",),
            low=None,
            backend="distilroberta-base, layer 5, rescaled",
            cost="10 ms on a core",
        ),
    ]
)
