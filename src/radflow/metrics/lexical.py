"""BLEU and ROUGE-L from words: n-grams of a pair are counted once, every score is computed from the counts

Tokens of BLEU: lower-cased words and single punctuation marks. All scores are higher-is-better, in [0, 1].
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MAX_ORDER = 4
TOKEN = re.compile(r"\w+|[^\w\s]")
WORD = re.compile(r"[^\W_]+")
EPSILON = 0.1
"""What a count of 0 becomes in smoothing method 1 of Chen and Cherry, 2014, at NLTK's default."""


def tokenize(text: str) -> list[str]:
    return TOKEN.findall(text.lower())


def words(text: str) -> list[str]:
    """Lower-cased words of any alphabet, without punctuation: ROUGE's tokens."""
    return WORD.findall(text.lower())


def ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


class CountedReference:
    """A reference whose n-grams are counted once, for any number of predictions.

    Args:
        orders: longest n-gram that is counted; counts of longer ones are 0.
    """

    __slots__ = ("_expected", "length")

    def __init__(self, tokens: Sequence[str], *, orders: int = MAX_ORDER) -> None:
        self.length = len(tokens)
        self._expected = [ngrams(tokens, order) for order in range(1, orders + 1)]

    def counts(self, prediction: Sequence[str]) -> tuple[float, ...]:
        """(10,) clipped matches and n-grams of the prediction for orders 1 to 4, then both lengths, the
        reference's first: sufficient statistics of BLEU (Papineni et al. 2002, one reference)."""
        matches, totals = [0] * MAX_ORDER, [0] * MAX_ORDER
        for place, expected in enumerate(self._expected):
            totals[place] = max(0, len(prediction) - place)
            for gram, count in ngrams(prediction, place + 1).items():
                allowed = expected.get(gram, 0)
                matches[place] += count if count < allowed else allowed
        return (*matches, *totals, self.length, len(prediction))


def split_counts(counts: Matrix) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """(..., 10) counts -> (..., 4) matches, (..., 4) totals, (...) lengths of reference and prediction."""
    return (
        counts[..., :MAX_ORDER],
        counts[..., MAX_ORDER : 2 * MAX_ORDER],
        counts[..., 2 * MAX_ORDER],
        counts[..., 2 * MAX_ORDER + 1],
    )


def bleu_from_counts(counts: Matrix, *, order: int) -> Matrix:
    """Corpus BLEU of given order from summed counts, no smoothing: the captioning convention.

    Args:
        counts: (..., 10) sums of `CountedReference.counts` over studies.
        order: 1 to 4; the geometric mean of the precisions up to this order.

    Returns:
        (...) scores in [0, 1]; 0 where any precision is 0 or nothing was written.
    """
    matches, totals, reference, written = split_counts(counts)
    matches, totals = matches[..., :order], totals[..., :order]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_precision = np.log(matches / totals).mean(axis=-1)
        brevity = np.minimum(0.0, 1.0 - reference / written)
        score = np.exp(log_precision + brevity)
    return np.where((matches > 0).all(axis=-1) & (written > 0), score, 0.0)


def smoothed_bleu(counts: Matrix, *, order: int) -> Matrix:
    """(..., 10) counts of one pair -> (...) BLEU with smoothing method 1; 0 where no token is shared.

    As published, a text shorter than ``order`` tokens scores below 1 even against itself.
    """
    matches, totals, reference, written = split_counts(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches, EPSILON) / np.maximum(totals, 1)
        score = np.exp(
            np.log(precision[..., :order]).mean(axis=-1) + np.minimum(0.0, 1.0 - reference / written)
        )
    return np.where((matches[..., 0] > 0) & (written > 0), score, 0.0)


class BleuReference:
    """A reference text for the sentence BLEU (smoothing method 1) of many predictions.

    Args:
        order: longest n-gram; the geometric mean of the precisions up to it, all weighted alike.
    """

    __slots__ = ("_counted", "order")

    def __init__(self, text: str, *, order: int = 2) -> None:
        self.order = order
        self._counted = CountedReference(tokenize(text), orders=order)

    def score(self, prediction: str) -> float:
        """In [0, 1]; 0 for an empty prediction, and for one that shares no word."""
        counts = self._counted.counts(tokenize(prediction))
        reference, written = counts[-2:]
        if not counts[0]:
            return 0.0
        # `smoothed_bleu` of a single pair: numpy's calls would take three times as long as the counting
        logs = [
            math.log((matches or EPSILON) / max(1, total))
            for matches, total in zip(counts[: self.order], counts[MAX_ORDER:], strict=False)
        ]
        return math.exp(min(0.0, 1.0 - reference / written) + sum(logs) / self.order)


def sentence_bleu(*, reference: str, prediction: str, order: int) -> float:
    """BLEU of one pair with smoothing method 1, in [0, 1]; 0 for an empty prediction."""
    return BleuReference(reference, order=order).score(prediction)


def f_measure(shared: int, reference: int, prediction: int) -> float:
    """2 PR / (P + R) of counts, in [0, 1]; 0 when either side has none."""
    return 2 * shared / (reference + prediction) if shared else 0.0


def common_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, all cells of a row at once in the bits of one integer.

    Hyyrö, 2004: a 0 bit of ``row`` marks a place of ``first`` at which the length grows.
    """
    places: dict[Hashable, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    everything = (1 << len(first)) - 1
    row = everything
    for token in second:
        matched = row & places.get(token, 0)
        row = (row + matched | row - matched) & everything
    return len(first) - row.bit_count()


def rouge_l(*, reference: str, prediction: str) -> float:
    """F-measure of the longest common subsequence (rouge-score's, without stemming), in [0, 1]."""
    expected, written = words(reference), words(prediction)
    return f_measure(common_length(expected, written), len(expected), len(written))
