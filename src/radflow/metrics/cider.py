"""CIDEr as pycocoevalcap computes it: n-grams weighted by how rare they are among the references of the set

Vedantam et al., CVPR 2015. A study's value depends on the other references, so it can't be compared between
sets, nor taken for a reward. Intervals keep the weights of the whole set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from radflow.metrics.bleu import coco_tokens
from radflow.metrics.declaration import EXAMPLE, Metric, Pair, Statistics, declared
from radflow.metrics.lexical import ngrams
from radflow.metrics.sums import Mean
from radflow.records import Part

ORDERS = (1, 2, 3, 4)
SIGMA = 6.0
"""Width of the penalty for another length, in tokens."""

WAITING = 2**20
"""N-grams that wait to be counted, 8 MB of them; more where more are known."""

Ngrams = tuple[Counter[tuple[str, ...]], ...]


def ngrams_of(text: str) -> Ngrams:
    """Counts of the n-grams of order 1 to 4, lower-cased tokens at white space."""
    tokens = coco_tokens(text)
    return tuple(ngrams(tokens, order) for order in ORDERS)


class Rarity:
    """In how many references each n-gram occurs: 12 bytes for each that more than one has.

    N-grams are known by their hashes of 64 bits: of ten million, two share one with a chance of 1 in 400,000.
    Those of a single reference weigh as much as those of none, so that they are let go of, which are most.
    """

    def __init__(self) -> None:
        self.references = 0
        self._keys, self._counts = np.empty(0, np.int64), np.empty(0, np.int32)
        self._new: list[NDArray[np.int64]] = []
        self._waiting = 0
        self._is_sealed = False
        self._weights: dict[int, float] = {}

    def add(self, reference: str) -> None:
        """Count one more reference; not after `seal`."""
        assert not self._is_sealed, "n-grams of single references are gone"
        self.references += 1
        self._new.append(_keys_of(ngrams_of(reference)))
        self._waiting += len(self._new[-1])
        if self._waiting > max(WAITING, len(self._keys)):  # of twice the size: sorted few times in all
            self._merge()

    def seal(self) -> None:
        """All references are counted."""
        self._merge()
        kept = self._counts > 1
        self._keys, self._counts = self._keys[kept], self._counts[kept]
        self._is_sealed = True

    def _merge(self) -> None:
        keys, counts = np.unique(np.concatenate([np.empty(0, np.int64), *self._new]), return_counts=True)
        self._new, self._waiting = [], 0
        places, is_known = self._find(keys)
        self._counts[places[is_known]] += counts[is_known].astype(np.int32)
        self._keys = np.insert(self._keys, places[~is_known], keys[~is_known])
        self._counts = np.insert(self._counts, places[~is_known], counts[~is_known].astype(np.int32))

    def _find(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where each of these keys stands or belongs among the counted ones, and whether it stands there."""
        places = np.searchsorted(self._keys, keys)
        last = len(self._keys) - 1
        is_known = self._keys[np.minimum(places, last)] == keys if last >= 0 else np.zeros(len(keys), bool)
        return places, is_known

    def weigh(self, counted: Ngrams) -> list[dict[tuple[str, ...], float]]:
        """Each n-gram's count times the log of references / references that have it, order by order."""
        found = iter(self._frequencies(_keys_of(counted)).tolist())
        return [{gram: count * self._weight(next(found)) for gram, count in own.items()} for own in counted]

    def _frequencies(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """(n,) references that have each n-gram; 1 for none."""
        places, is_known = self._find(keys)
        found = np.ones(len(keys), np.int32)
        found[is_known] = self._counts[places[is_known]]
        return found

    def _weight(self, references: int) -> float:
        weight = self._weights.get(references)
        if weight is None:
            weight = self._weights[references] = math.log(self.references) - math.log(references)
        return weight


def _keys_of(counted: Ngrams) -> NDArray[np.int64]:
    """Hashes of all n-grams, order by order; the same in this process only."""
    size = sum(map(len, counted))
    return np.fromiter((hash(gram) for own in counted for gram in own), np.int64, count=size)


def cider(*, reference: str, prediction: str, rarity: Rarity) -> float:
    """CIDEr of one pair in [0, 10]; 0 where every n-gram of the reference is in all references."""
    expected, written = ngrams_of(reference), ngrams_of(prediction)
    apart = expected[1].total() - written[1].total()  # lengths are counted in pairs of words, as published
    penalty = math.exp(-(apart**2) / (2 * SIGMA**2))
    weighed = zip(rarity.weigh(expected), rarity.weigh(written), strict=True)
    similar = [_cosine(first, second) for first, second in weighed]
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
        for rarity in self._rarity.values():
            rarity.seal()

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
