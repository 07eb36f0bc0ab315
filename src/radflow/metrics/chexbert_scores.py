"""What CheXbert finds in both texts of a pair: 14 labels each, and SembScore, the cosine of its vectors"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.hub_chexbert import CheXbert
from radflow.metrics.declaration import Metric, Pair, Statistics, declared
from radflow.metrics.label_scores import label_statistics
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import Mean


class ChexbertScores:
    """Statistics of CheXbert's label metrics and of SembScore; the network is loaded at once.

    Raises:
        ModelError: its weights are not on this machine.
    """

    in_process = True

    def __init__(self, model: CheXbert | None = None) -> None:
        self.model = model or CheXbert()

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        texts = [pair.reference for pair in pairs] + [pair.prediction for pair in pairs]
        labels, vectors = self.model.read(texts)
        count = len(pairs)
        found = []
        for place, pair in enumerate(pairs):
            is_empty = not pair.prediction.strip()
            written: dict[str, LabelValue] = dict.fromkeys(labels[0]) if is_empty else labels[count + place]
            cosine = 0.0 if is_empty else cosine_of(vectors[place], vectors[count + place])
            found.append(
                {**label_statistics("chexbert-labels", labels[place], written), "sembscore": (cosine,)}
            )
        return found


def cosine_of(first: Matrix, second: Matrix) -> float:
    """In [-1, 1]; 0 where either vector is 0."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0


METRICS = declared(
    [
        Metric(
            name="sembscore",
            title="SembScore",
            family="embedding",
            meaning="Mean cosine of CheXbert's [CLS] vectors of the two texts.",
            scorers=("radflow.metrics.chexbert_scores:ChexbertScores",),
            reads=("sembscore",),
            sums=Mean(),
            low=-1.0,
            empty="0: no text, no vector",
            symmetric=True,
            cost="2 ms on a GPU, 200 ms on a core",
            citation="Yu et al., Patterns 2023; Smit et al., EMNLP 2020",
            backend="CheXbert",
            package="transformers",
        )
    ]
)
