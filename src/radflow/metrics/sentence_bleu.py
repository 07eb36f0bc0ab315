"""Sentence BLEU against a reference whose n-grams are counted once, for many predictions of one study

The same numbers as `lexical.sentence_bleu_score` (NLTK, smoothing method 1), at a tenth of its time: a test
compares the two.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from radflow.metrics.lexical import tokenize

EPSILON = 0.1
"""What a precision without any match counts as in smoothing method 1 (Chen and Cherry 2014)."""


class BleuReference:
    """A reference text, ready to be compared with.

    Args:
        order: longest n-gram; the geometric mean of the precisions up to it, all weighted alike.
    """

    __slots__ = ("_counts", "length", "order")

    def __init__(self, text: str, *, order: int = 2) -> None:
        tokens = tokenize(text)
        self.order = order
        self.length = len(tokens)
        self._counts = [_ngrams(tokens, n) for n in range(1, order + 1)]

    def score(self, prediction: str) -> float:
        """BLEU in [0, 1]; 0 for an empty prediction, and for one that shares no word."""
        tokens = tokenize(prediction)
        if not tokens:
            return 0.0
        log_sum = 0.0
        for n, expected in enumerate(self._counts, 1):
            matches = 0
            for ngram, count in _ngrams(tokens, n).items():
                allowed = expected.get(ngram, 0)
                matches += count if count < allowed else allowed
            if n == 1 and not matches:
                return 0.0
            log_sum += math.log((matches or EPSILON) / max(1, len(tokens) - n + 1))
        brevity = min(0.0, 1.0 - self.length / len(tokens))
        return math.exp(brevity + log_sum / self.order)


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
