"""ROUGE-1, ROUGE-2, ROUGE-L and chrF: shared words, word pairs, subsequences and characters of two texts"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from radflow.metrics.bleu import coco_tokens
from radflow.metrics.declaration import Metric, Pair, Statistics, declared
from radflow.metrics.lexical import common_length, f_measure, words
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import Mean, MeanOf, SumOf

COCO_BETA = 1.2
CHRF_ORDER, CHRF_BETA = 6, 2.0


STEMS = 2**16
"""Words whose stems are kept: stemming costs more than all the rest."""


def rouge(reference: str, prediction: str) -> tuple[float, float, float]:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L: rouge-score's without stemming, for any alphabet."""
    return rouge_of(words(reference), words(prediction))


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem


@lru_cache(maxsize=STEMS)
def stemmed(word: str) -> str:
    """Porter's stem of a word of more than three letters, as rouge-score takes it."""
    return _stemmer()(word) if len(word) > 3 else word


def rouge_of(expected: Sequence[str], written: Sequence[str]) -> tuple[float, float, float]:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L of two lists of tokens."""
    pairs = [list(pairwise(tokens)) for tokens in (expected, written)]
    return (
        f_measure(_shared(expected, written), len(expected), len(written)),
        f_measure(_shared(*pairs), len(pairs[0]), len(pairs[1])),
        f_measure(common_length(expected, written), len(expected), len(written)),
    )


def _shared(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    counts, others = Counter(first), Counter(second)
    return sum(min(count, others[token]) for token, count in counts.items() if token in others)


def coco_rouge_l(reference: str, prediction: str) -> float:
    """F-measure of the longest common subsequence with beta 1.2, of lower-cased tokens at white space."""
    expected, written = coco_tokens(reference), coco_tokens(prediction)
    shared = common_length(expected, written)
    if not shared:
        return 0.0
    precision, recall = shared / len(written), shared / len(expected)
    return (1 + COCO_BETA**2) * precision * recall / (recall + COCO_BETA**2 * precision)


class Rouge:
    """Statistics of both ROUGEs."""

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [
            {
                "rouge": rouge(pair.reference, pair.prediction),
                "coco-rouge-l": (coco_rouge_l(pair.reference, pair.prediction),),
            }
            for pair in pairs
        ]


class StemmedRouge:
    """Statistics of ROUGE on stems."""

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [
            {"stemmed-rouge": rouge_of(_stems(pair.reference), _stems(pair.prediction))} for pair in pairs
        ]


def _stems(text: str) -> list[str]:
    return [stemmed(word) for word in words(text)]


def chrf_counts(reference: str, prediction: str) -> tuple[float, ...]:
    """(18,) n-grams of the prediction, of the reference, and matches, for characters of order 1 to 6.

    White space doesn't count. As in sacreBLEU, a prediction's n-grams count only where the reference has any.
    """
    expected, written = "".join(reference.split()), "".join(prediction.split())
    counts: list[float] = []
    for order in range(1, CHRF_ORDER + 1):
        grams = [
            Counter(text[start : start + order] for start in range(len(text) - order + 1))
            for text in (expected, written)
        ]
        matches = sum(min(count, grams[0][gram]) for gram, count in grams[1].items() if gram in grams[0])
        counts += [grams[1].total() if grams[0] else 0, grams[0].total(), matches]
    return tuple(counts)


class Chrf:
    """Statistics of chrF."""

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [{"chrf": chrf_counts(pair.reference, pair.prediction)} for pair in pairs]


def chrf_score(counts: Matrix) -> Matrix:
    """(..., 18) counts -> (...) chrF2 in [0, 100], over the orders that both sides are long enough for."""
    written, expected, matches = counts[..., 0::3], counts[..., 1::3], counts[..., 2::3]
    both = (written > 0) & (expected > 0)
    orders = np.maximum(both.sum(axis=-1), 1)
    precision = (np.where(both, matches, 0) / np.where(both, written, 1)).sum(axis=-1) / orders
    recall = (np.where(both, matches, 0) / np.where(both, expected, 1)).sum(axis=-1) / orders
    factor = CHRF_BETA**2
    below = factor * precision + recall
    return np.asarray(100 * (1 + factor) * precision * recall / np.where(below > 0, below, 1))


_HERE = "radflow.metrics.overlap:"
_rouge = partial(
    Metric,
    family="lexical",
    scorers=(_HERE + "Rouge",),
    reads=("rouge",),
    citation="Lin, ACL workshop 2004; behaviour of rouge-score 0.1.2",
    cost="0.1 ms",
    symmetric=True,
)
_chrf = partial(
    Metric,
    family="lexical",
    scorers=(_HERE + "Chrf",),
    reads=("chrf",),
    citation="Popović, WMT 2015; behaviour of sacreBLEU 2.6",
    cost="0.6 ms",
    high=100.0,
)
METRICS = declared(
    [
        _rouge(
            name="rouge-1",
            title="ROUGE-1",
            meaning="Mean F-measure of shared words, without stemming.",
            sums=Mean(0),
        ),
        _rouge(
            name="rouge-2",
            title="ROUGE-2",
            meaning="Mean F-measure of shared pairs of neighbouring words.",
            sums=Mean(1),
            identical="the best value from two words on",
        ),
        _rouge(
            name="rouge-l",
            title="ROUGE-L",
            meaning="Mean F-measure of the longest common subsequence of words.",
            sums=Mean(2),
        ),
        *(
            _rouge(
                name=f"radeval-{name}",
                title=f"RadEval {title}",
                meaning=f"Mean F-measure of ROUGE-{title[6:]} on Porter's stems, as RadEval computes it.",
                sums=Mean(place),
                scorers=(_HERE + "StemmedRouge",),
                reads=("stemmed-rouge",),
                identical="the best value from two words on" if name == "rouge-2" else "",
                citation="Lin, ACL workshop 2004; behaviour of rouge-score 0.1.2 and RadEval 2.2.1",
            )
            for place, (name, title) in enumerate(
                [("rouge-1", "ROUGE-1"), ("rouge-2", "ROUGE-2"), ("rouge-l", "ROUGE-L")]
            )
        ),
        Metric(
            name="coco-rouge-l",
            title="COCO ROUGE-L",
            family="lexical",
            meaning="Mean F-measure (beta 1.2) of the longest common subsequence, captioning convention.",
            scorers=(_HERE + "Rouge",),
            reads=("coco-rouge-l",),
            sums=Mean(),
            citation="Lin, ACL workshop 2004; behaviour of pycocoevalcap 1.2",
            cost="0.1 ms",
        ),
        _chrf(
            name="chrf",
            title="chrF",
            meaning="Corpus chrF2: F-measure of character n-grams of order 1 to 6.",
            sums=SumOf(chrf_score),
        ),
        _chrf(
            name="sentence-chrf",
            title="sent. chrF",
            meaning="Mean over studies of chrF2.",
            sums=MeanOf(chrf_score),
        ),
    ]
)
