"""BLEU and ROUGE-L equal the field's own implementations and behave at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu, sentence_bleu
from sacrebleu.metrics import BLEU

from radflow.metrics.lexical import (
    MAX_ORDER,
    CountedReference,
    bleu_from_counts,
    rouge_l,
    smoothed_bleu,
    tokenize,
)
from radflow.metrics.lexical import sentence_bleu as sentence_bleu_score  # NLTK's has that name

ORDERS = range(1, MAX_ORDER + 1)
WORDS = st.sampled_from(["no", "effusion", "pneumothorax", "heart", "."])
REFERENCE = "The heart is mildly enlarged. No pleural effusion or pneumothorax."
SHORTER = "The heart is mildly enlarged."

Pairs = list[tuple[list[str], list[str]]]


def pairs(shortest: int) -> st.SearchStrategy[Pairs]:
    """(reference, prediction) token lists, predictions of at least so many tokens."""
    reference = st.lists(WORDS, min_size=1, max_size=12)
    return st.lists(
        st.tuples(reference, st.lists(WORDS, min_size=shortest, max_size=12)), min_size=1, max_size=6
    )


def bleu_row(reference: str, prediction: str) -> np.ndarray:
    return np.array(CountedReference(tokenize(reference)).counts(tokenize(prediction)), dtype=np.float64)


def corpus_score(texts: Pairs, order: int) -> float:
    rows = [bleu_row(" ".join(reference), " ".join(prediction)) for reference, prediction in texts]
    return float(bleu_from_counts(np.sum(rows, axis=0, dtype=np.float64), order=order))


@pytest.mark.filterwarnings("ignore:\\s*The hypothesis contains:UserWarning")
@settings(deadline=None)
@given(pairs(shortest=MAX_ORDER))  # NLTK counts one n-gram in a prediction too short to hold any
def test_corpus_bleu_equals_nltk(texts: Pairs) -> None:
    references, predictions = [[reference] for reference, _ in texts], [written for _, written in texts]
    for order in ORDERS:
        expected = corpus_bleu(references, predictions, weights=(1 / order,) * order)
        assert corpus_score(texts, order) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(pairs(shortest=0))
def test_corpus_bleu_equals_sacrebleu(texts: Pairs) -> None:
    references, predictions = zip(*((" ".join(a), " ".join(b)) for a, b in texts), strict=True)
    for order in ORDERS:
        peer = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order, force=True)
        expected = peer.corpus_score(list(predictions), [list(references)]).score / 100
        assert corpus_score(texts, order) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), st.lists(WORDS, max_size=12))
def test_sentence_bleu_equals_nltk_method_1(reference: list[str], prediction: list[str]) -> None:
    for order in ORDERS:
        score = sentence_bleu_score(
            reference=" ".join(reference), prediction=" ".join(prediction), order=order
        )
        smoothing = SmoothingFunction().method1
        expected = sentence_bleu([reference], prediction, (1 / order,) * order, smoothing_function=smoothing)
        assert score == pytest.approx(expected, abs=1e-12)
        row = bleu_row(" ".join(reference), " ".join(prediction))
        assert float(smoothed_bleu(row, order=order)) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.text(), st.text())
def test_scores_lie_between_0_and_1_for_any_text(reference: str, prediction: str) -> None:
    row = bleu_row(reference, prediction)
    scores = [
        *(float(bleu_from_counts(row, order=order)) for order in ORDERS),
        *(sentence_bleu_score(reference=reference, prediction=prediction, order=order) for order in ORDERS),
        rouge_l(reference=reference, prediction=prediction),
    ]
    assert all(0 <= score <= 1 + 1e-12 for score in scores)


def test_tokens_are_lower_case_words_and_single_marks() -> None:
    assert tokenize("Heart: 1.5 cm, T-wave...") == [
        "heart", ":", "1", ".", "5", "cm", ",", "t", "-", "wave", ".", ".", ".",
    ]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_identical_text_scores_1(order: int) -> None:
    row = bleu_row(REFERENCE, REFERENCE)
    assert float(bleu_from_counts(row, order=order)) == pytest.approx(1)
    assert sentence_bleu_score(reference=REFERENCE, prediction=REFERENCE, order=order) == pytest.approx(1)
    assert rouge_l(reference=REFERENCE, prediction=REFERENCE) == 1


@pytest.mark.parametrize("prediction", ["", " \n", "Zebra!"])
def test_empty_or_unrelated_prediction_scores_0(prediction: str) -> None:
    row = bleu_row(REFERENCE, prediction)
    for order in ORDERS:
        assert float(bleu_from_counts(row, order=order)) == 0
        assert sentence_bleu_score(reference=REFERENCE, prediction=prediction, order=order) == 0
    assert rouge_l(reference=REFERENCE, prediction=prediction) == 0


def test_bleu_counts_are_matches_totals_and_lengths() -> None:
    counts = CountedReference(tokenize("no effusion no edema")).counts(tokenize("no no no effusion"))
    assert counts == (3, 1, 0, 0, 4, 3, 2, 1, 4, 4)


def test_short_prediction_pays_the_brevity_penalty_and_a_swap_does_not() -> None:
    right = sentence_bleu_score(reference=REFERENCE, prediction=SHORTER, order=1)
    swapped = sentence_bleu_score(reference=SHORTER, prediction=REFERENCE, order=1)
    assert right == pytest.approx(np.exp(1 - 12 / 6))
    assert swapped == pytest.approx(6 / 12)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        ("the cat sat on the mat", "the cat on the mat", 10 / 11),  # LCS 5, precision 1, recall 5/6
        ("a b c d", "d c b a", 1 / 4),
        ("police killed the gunman", "police kill the gunman", 3 / 4),
        ("Effusion, small.", "effusion SMALL", 1),
    ],
)
def test_rouge_l_of_known_pairs(reference: str, prediction: str, expected: float) -> None:
    assert rouge_l(reference=reference, prediction=prediction) == pytest.approx(expected)
