"""BLEU and ROUGE-L. Per-study scores and counts are computed once; corpus scores only re-aggregate them.

Tokens of BLEU: lower-cased words and single punctuation marks. Both are higher-is-better, in [0, 1].
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, modified_precision, sentence_bleu
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer

MAX_ORDER = 4
TOKEN = re.compile(r"\w+|[^\w\s]")
WORD = re.compile(r"[^\W_]+")


class _AnyAlphabet:
    """rouge-score's own tokens for Latin text; its default drops every letter beyond a to z."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


_ROUGE = RougeScorer(["rougeL"], tokenizer=_AnyAlphabet())
_SMOOTHING = SmoothingFunction().method1


class BleuCounts(NamedTuple):
    """What corpus BLEU sums over studies: clipped n-gram matches and n-grams (orders 1 to 4), lengths."""

    matches: tuple[int, ...]
    totals: tuple[int, ...]
    reference_length: int
    prediction_length: int

    def row(self) -> list[int]:
        return [*self.matches, *self.totals, self.reference_length, self.prediction_length]


def tokenize(text: str) -> list[str]:
    return TOKEN.findall(text.lower())


def bleu_counts(*, reference: str, prediction: str) -> BleuCounts:
    """Sufficient statistics of corpus BLEU for one pair (Papineni et al. 2002, one reference)."""
    expected, written = tokenize(reference), tokenize(prediction)
    precisions = [modified_precision([expected], written, order) for order in range(1, MAX_ORDER + 1)]
    totals = [max(0, len(written) - order + 1) for order in range(1, MAX_ORDER + 1)]
    return BleuCounts(
        matches=tuple(int(precision.numerator) for precision in precisions),
        totals=tuple(totals),
        reference_length=len(expected),
        prediction_length=len(written),
    )


def bleu_from_counts(counts: NDArray[np.float64], *, order: int) -> NDArray[np.float64]:
    """Corpus BLEU of given order from summed counts, no smoothing: the captioning convention.

    Args:
        counts: (..., 10) sums of `BleuCounts.row` over studies.
        order: 1 to 4; the geometric mean of the precisions up to this order.

    Returns:
        (...) scores in [0, 1]; 0 where any precision is 0 or nothing was written.
    """
    matches, totals = counts[..., :order], counts[..., MAX_ORDER : MAX_ORDER + order]
    reference, written = counts[..., 2 * MAX_ORDER], counts[..., 2 * MAX_ORDER + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_precision = np.log(matches / totals).mean(axis=-1)
        brevity = np.minimum(0.0, 1.0 - reference / written)
        score = np.exp(log_precision + brevity)
    return np.where((matches > 0).all(axis=-1) & (written > 0), score, 0.0)


def sentence_bleu_score(*, reference: str, prediction: str, order: int) -> float:
    """BLEU of one pair with NLTK's smoothing method 1, in [0, 1]; 0 for an empty prediction.

    As published, a text shorter than ``order`` tokens scores below 1 even against itself.
    """
    weights = (1 / order,) * order
    score = sentence_bleu([tokenize(reference)], tokenize(prediction), weights, smoothing_function=_SMOOTHING)
    return float(score)


def rouge_l(*, reference: str, prediction: str) -> float:
    """F-measure of the longest common subsequence (rouge-score, no stemming), in [0, 1]."""
    return float(_ROUGE.score(target=reference, prediction=prediction)["rougeL"].fmeasure)
