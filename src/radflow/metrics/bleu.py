"""BLEU in the conventions that reports are scored with, each under its own name, from counts stored per study

They differ in what a token is, in smoothing, and in whether a set's score is that of all n-grams together
(corpus) or the mean over studies (sentence).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np

from radflow.metrics.declaration import Metric, Pair, Statistics, declared
from radflow.metrics.lexical import (
    MAX_ORDER,
    CountedReference,
    bleu_from_counts,
    smoothed_bleu,
    split_counts,
    tokenize,
)
from radflow.metrics.resampling import Matrix
from radflow.metrics.sums import MeanOf, SumOf

PAPINENI = "Papineni et al., ACL 2002"
TINY, SMALL = 1e-15, 1e-9
"""What pycocoevalcap adds to the matches and to the n-grams of each order."""

REMEMBERED_REFERENCES = 64
"""The reports of several systems for one study come one after the other."""

Tokens = Callable[[str], Sequence[str]]


def coco_tokens(text: str) -> list[str]:
    """Lower-cased, split at white space: punctuation stays with its word, as no tokenizer runs before it."""
    return text.lower().split()


def cased_tokens(text: str) -> list[str]:
    """Split at white space, case kept."""
    return text.split()


def radcliq_tokens(text: str) -> list[str]:
    """Lower-cased, full stops set apart, split at single spaces."""
    return text.lower().replace(".", " .").split(" ")


class Bleu:
    """Statistics of BLEU: n-gram counts of one kind of token."""

    def __init__(self, name: str, tokens: Tokens) -> None:
        self.name, self.tokens = name, tokens
        self._counted = lru_cache(maxsize=REMEMBERED_REFERENCES)(self._count)

    def __call__(self, pairs: Sequence[Pair]) -> list[Statistics]:
        return [
            {self.name: self._counted(pair.reference).counts(self.tokens(pair.prediction))} for pair in pairs
        ]

    def _count(self, text: str) -> CountedReference:
        return CountedReference(self.tokens(text))


@lru_cache(maxsize=1)
def _tokenizer_13a() -> Callable[[str], str]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a  # slow to import

    tokenizer: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    return tokenizer


def sacrebleu_tokens(text: str) -> list[str]:
    """mteval-v13a's tokens, case kept."""
    return _tokenizer_13a()(text.rstrip()).split()


WORDS = partial(Bleu, "bleu", tokenize)
COCO = partial(Bleu, "coco-bleu", coco_tokens)
CASED = partial(Bleu, "cased-bleu", cased_tokens)
SACRE = partial(Bleu, "sacrebleu", sacrebleu_tokens)
RADCLIQ = partial(Bleu, "radcliq-bleu", radcliq_tokens)


def coco_bleu(counts: Matrix, *, order: int) -> Matrix:
    """(..., 10) counts -> (...) BLEU as pycocoevalcap computes it, of a pair and of a set alike."""
    matches, totals, reference, written = split_counts(counts)
    precision = (matches[..., :order] + TINY) / (totals[..., :order] + SMALL)
    ratio = (written + TINY) / (reference + SMALL)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(precision.prod(axis=-1) ** (1 / order) * np.exp(np.minimum(0.0, 1 - 1 / ratio)))


def sacrebleu_score(counts: Matrix, *, effective_order: bool) -> Matrix:
    """(..., 10) counts -> (...) BLEU-4 in [0, 100] with sacreBLEU's exponential smoothing.

    Args:
        effective_order: average only the orders that the prediction is long enough for: sacreBLEU's advice
            for single sentences.
    """
    matches, totals, reference, written = split_counts(counts)
    has = totals > 0
    misses = np.cumsum((matches == 0) & has, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches / totals, 1 / (2.0**misses * totals))
        logs = np.where(has, np.log(precision), 0.0 if effective_order else -np.inf)
        orders = np.maximum(has.sum(axis=-1), 1) if effective_order else MAX_ORDER
        brevity = np.where(written < reference, 1.0 - reference / written, 0.0)
        score = 100 * np.exp(logs.sum(axis=-1) / orders + brevity)
    return np.where((matches > 0).any(axis=-1) & (written > 0), score, 0.0)


def _bleu(name: str, meaning: str, **more: object) -> Metric:
    return Metric(name=name, meaning=meaning, family="lexical", symmetric=False, **more)  # type: ignore[arg-type]


_HERE = "radflow.metrics.bleu:"
_SHORT = "the best value from four tokens on; below it for shorter texts"
_of_words = {
    "scorers": (_HERE + "WORDS",),
    "reads": ("bleu",),
    "citation": PAPINENI,
    "cost": "0.1 ms",
    "identical": _SHORT,
}
_of_coco = {
    "scorers": (_HERE + "COCO",),
    "reads": ("coco-bleu",),
    "citation": f"{PAPINENI}; behaviour of pycocoevalcap 1.2",
    "cost": "0.1 ms",
    "identical": _SHORT,
}
_of_sacre = {
    "scorers": (_HERE + "SACRE",),
    "reads": ("sacrebleu",),
    "citation": f"{PAPINENI}; Post, WMT 2018",
    "cost": "0.2 ms",
    "high": 100.0,
    "package": "sacrebleu",
    "identical": _SHORT,
}

METRICS = declared(
    [
        *(
            _bleu(
                f"bleu-{n}",
                f"Corpus BLEU-{n} on lower-cased words and punctuation marks, no smoothing.",
                title=f"BLEU-{n}",
                sums=SumOf(partial(bleu_from_counts, order=n)),
                **_of_words,
            )
            for n in range(1, MAX_ORDER + 1)
        ),
        *(
            _bleu(
                f"sentence-bleu-{n}",
                f"Mean over studies of BLEU-{n} on lower-cased words and marks, smoothing method 1.",
                title=f"sent. BLEU-{n}",
                sums=MeanOf(partial(smoothed_bleu, order=n)),
                **_of_words,
            )
            for n in range(1, MAX_ORDER + 1)
        ),
        *(
            _bleu(
                f"coco-bleu-{n}",
                f"Corpus BLEU-{n} in the captioning convention: lower-cased, split at white space only.",
                title=f"COCO BLEU-{n}",
                sums=SumOf(partial(coco_bleu, order=n)),
                **_of_coco,
            )
            for n in range(1, MAX_ORDER + 1)
        ),
        *(
            _bleu(
                f"coco-sentence-bleu-{n}",
                f"Mean over studies of BLEU-{n} in the captioning convention.",
                title=f"COCO sent. BLEU-{n}",
                sums=MeanOf(partial(coco_bleu, order=n)),
                **_of_coco,
            )
            for n in range(1, MAX_ORDER + 1)
        ),
        *(
            _bleu(
                f"radeval-bleu-{n}",
                f"Corpus BLEU-{n} as RadEval computes it: the captioning convention with case kept.",
                title=f"RadEval BLEU-{n}",
                sums=SumOf(partial(coco_bleu, order=n)),
                scorers=(_HERE + "CASED",),
                reads=("cased-bleu",),
                citation=f"{PAPINENI}; behaviour of RadEval 2.2.1",
                cost="0.1 ms",
                identical=_SHORT,
            )
            for n in range(1, MAX_ORDER + 1)
        ),
        _bleu(
            "sacrebleu",
            "Corpus BLEU-4 as sacreBLEU's defaults give it: 13a tokens, case kept, exponential smoothing.",
            title="sacreBLEU",
            sums=SumOf(partial(sacrebleu_score, effective_order=False)),
            **_of_sacre,
        ),
        _bleu(
            "sacrebleu-sentence",
            "Mean over studies of sacreBLEU's sentence BLEU (13a tokens, case kept, effective order).",
            title="sacreBLEU sent.",
            sums=MeanOf(partial(sacrebleu_score, effective_order=True)),
            **{**_of_sacre, "identical": ""},
        ),
        _bleu(
            "radcliq-bleu-2",
            "Mean over studies of BLEU-2 as RadCliQ takes it in: full stops set apart, smoothing method 1.",
            title="RadCliQ BLEU-2",
            scorers=(_HERE + "RADCLIQ",),
            reads=("radcliq-bleu",),
            sums=MeanOf(partial(smoothed_bleu, order=2)),
            citation="Yu et al., Patterns 2023; rajpurkarlab/CXR-Report-Metric",
            cost="0.1 ms",
            identical="the best value from two tokens on",
        ),
    ]
)
