"""CIDEr as pycocoevalcap computes it: n-grams weighted by how rare they are among the references of the set

Vedantam et al., CVPR 2015. A study's value depends on the other references, so it can't be compared between
sets, nor taken for a reward. Intervals keep the weights of the whole set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from radflow.metrics.bleu import coco_tokens
from radflow.metrics.declaration import EXAMPLE, Metric, Pair, Statistics, declared
from radflow.metrics.lexical import ngrams
from radflow.metrics.sums import Mean
from radflow.records import Part

ORDERS = (1, 2, 3, 4)
SIGMA = 6.0
"""Width of the penalty for another length, in tokens."""

Ngrams = tuple[Counter[tuple[str, ...]], ...]


def ngrams_of(text: str) -> Ngrams:
    """Counts of the n-grams of order 1 to 4, lower-cased tokens at white space."""
    tokens = coco_tokens(text)
    return tuple(ngrams(tokens, order) for order in ORDERS)


class Rarity:
    """In how many references each n-gram occurs; grows with their vocabulary."""

    def __init__(self) -> None:
        self.references = 0
        self._with: Counter[tuple[str, ...]] = Counter()
        self._weights: dict[tuple[str, ...], float] = {}

    def add(self, reference: str) -> None:
        self.references += 1
        self._weights.clear()
        for counts in ngrams_of(reference):
            self._with.update(counts.keys())

    def weigh(self, counts: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
        """Each n-gram's count times the log of references / references that have it."""
        return {gram: count * self._weight(gram) for gram, count in counts.items()}

    def _weight(self, gram: tuple[str, ...]) -> float:
        weight = self._weights.get(gram)
        if weight is None:
            weight = math.log(self.references) - math.log(max(1, self._with[gram]))
            if gram in self._with:  # those of predictions alone could be any number
                self._weights[gram] = weight
        return weight


def cider(*, reference: str, prediction: str, rarity: Rarity) -> float:
    """CIDEr of one pair in [0, 10]; 0 where every n-gram of the reference is in all references."""
    expected, written = ngrams_of(reference), ngrams_of(prediction)
    apart = expected[1].total() - written[1].total()  # lengths are counted in pairs of words, as published
    penalty = math.exp(-(apart**2) / (2 * SIGMA**2))
    similar = [_cosine(rarity.weigh(a), rarity.weigh(b)) for a, b in zip(expected, written, strict=True)]
    return 10 * penalty * sum(similar) / len(similar)


def _cosine(expected: dict[tuple[str, ...], float], written: dict[tuple[str, ...], float]) -> float:
    """Of two weighted vectors, a prediction's weight counting no more than the reference's."""
    lengths = [math.sqrt(sum(weight**2 for weight in side.values())) for side in (expected, written)]
    if not all(lengths):
        return 0.0
    shared = (
        min(weight, expected[gram]) * expected[gram] for gram, weight in written.items() if gram in expected
    )
    return sum(shared) / (lengths[0] * lengths[1])


class Cider:
    """Statistics of CIDEr; each part of the reports has its own rarities."""

    def __init__(self) -> None:
        self._rarity: dict[Part, Rarity] = {}

    def fit(self, pairs: Iterable[Pair]) -> None:
        """Count the n-grams of a set's references; those of an earlier set are forgotten."""
        self._rarity = {}
        for pair in pairs:
            self._rarity.setdefault(pair.part, Rarity()).add(pair.reference)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [
            {
                "cider": (
                    cider(
                        reference=pair.reference, prediction=pair.prediction, rarity=self._rarity[pair.part]
                    ),
                )
            }
            for pair in pairs
        ]


METRICS = declared(
    [
        Metric(
            name="cider",
            title="CIDEr",
            family="lexical",
            meaning="Mean cosine, times 10, of n-grams, weighted by rarity in the set's references.",
            scorers=("radflow.metrics.cider:Cider",),
            reads=("cider",),
            sums=Mean(),
            high=10.0,
            inputs="the two texts and all references of the set",
            identical="the best value where no n-gram order lacks words that only some references have",
            cost="0.3 ms",
            citation="Vedantam et al., CVPR 2015; behaviour of pycocoevalcap 1.2",
            corpus_dependent=True,
            example=(*EXAMPLE, ("Normal heart size.", "The heart is normal.")),
        )
    ]
)
