"""The lexical metrics equal the packages whose conventions they carry, on pairs and on sets."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, modified_precision, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from tests.conftest import REPOSITORY

from radflow.errors import ModelError
from radflow.metrics import cider, meteor
from radflow.metrics.lexical import CountedReference, common_length, smoothed_bleu, tokenize
from radflow.metrics.meteor import Meteor
from radflow.metrics.score import load_metric

GOLDEN = json.loads((REPOSITORY / "tests" / "golden" / "captioning.json").read_text(encoding="utf-8"))
RADEVAL = json.loads((REPOSITORY / "tests" / "golden" / "radeval.json").read_text(encoding="utf-8"))
WORDS = st.sampled_from(
    ["No", "effusion", "effusions", "pneumothorax.", "heart,", "1.5", "cm", "the", "the", "is", "."]
)
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
FILLED = st.lists(WORDS, min_size=1, max_size=14).map(" ".join)
SETS = st.lists(st.tuples(FILLED, TEXTS), min_size=1, max_size=5)


def of_set(name: str, pairs: Sequence[tuple[str, str]]) -> float | None:
    references, predictions = zip(*pairs, strict=True)
    return load_metric(name).compute(references=references, predictions=predictions)[name]


def of_studies(name: str, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
    references, predictions = zip(*pairs, strict=True)
    return load_metric(name).per_study(references=references, predictions=predictions)


@pytest.mark.parametrize("order", range(1, 5))
def test_captioning_bleu_equals_pycocoevalcap(order: int) -> None:
    assert of_set(f"coco-bleu-{order}", GOLDEN["pairs"]) == pytest.approx(GOLDEN["bleu"][order - 1], rel=1e-9)
    expected = GOLDEN["sentence_bleu"][order - 1]
    name = f"coco-sentence-bleu-{order}"
    assert of_studies(name, GOLDEN["pairs"]) == pytest.approx(expected, rel=1e-9)
    assert of_set(name, GOLDEN["pairs"]) == pytest.approx(np.mean(expected), rel=1e-9)


@pytest.mark.parametrize("name", ["rouge-l", "cider"])
def test_captioning_rouge_and_cider_equal_pycocoevalcap(name: str) -> None:
    ours, theirs = ("coco-rouge-l" if name == "rouge-l" else name), name.replace("-", "_")
    assert of_set(ours, GOLDEN["pairs"]) == pytest.approx(GOLDEN[theirs], rel=1e-9)
    assert of_studies(ours, GOLDEN["pairs"]) == pytest.approx(GOLDEN[f"sentence_{theirs}"], rel=1e-9)


def test_radeval_bleu_and_rouge_equal_radeval() -> None:
    for order in range(1, 5):
        expected = RADEVAL["bleu"][order - 1]
        assert of_set(f"radeval-bleu-{order}", RADEVAL["pairs"]) == pytest.approx(expected, rel=1e-9)
    for kind, expected in zip("12l", RADEVAL["rouge"], strict=True):
        assert of_set(f"radeval-rouge-{kind}", RADEVAL["pairs"]) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(SETS)
def test_radeval_rouge_equals_rouge_score_with_stems(pairs: list[tuple[str, str]]) -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    single = [scorer.score(reference, prediction) for reference, prediction in pairs]
    for ours, theirs in (("1", "rouge1"), ("2", "rouge2"), ("l", "rougeL")):
        expected = float(np.mean([score[theirs].fmeasure for score in single]))
        found = of_set(f"radeval-rouge-{ours}", pairs)
        assert found == pytest.approx(expected)


def test_meteor_equals_pycocoevalcap() -> None:
    try:
        Meteor()
    except ModelError as error:
        pytest.skip(error.what)
    pairs = [pair for pair in GOLDEN["pairs"] if pair[1]]
    assert of_set("meteor", pairs) == pytest.approx(GOLDEN["meteor_without_empty"], abs=1e-9)
    assert of_studies("meteor", pairs) == pytest.approx(GOLDEN["sentence_meteor_without_empty"], abs=1e-9)


def test_meteor_of_the_program_s_own_counts_equals_pycocoevalcap_without_java() -> None:
    """What is ours is the score of the counts; these were recorded from the program, with its scores."""
    counts = np.array([meteor._without_whole_chunk(tuple(own)) for own in GOLDEN["meteor_counts"]])
    assert meteor.meteor_score(counts) == pytest.approx(GOLDEN["sentence_meteor_without_empty"], abs=1e-9)
    of_set = meteor.meteor_score(counts.sum(axis=0))
    assert of_set == pytest.approx(GOLDEN["meteor_without_empty"], abs=1e-9)


def test_meteor_of_counts_as_the_program_prints_them() -> None:
    # "the heart is mildly enlarged . no effusion" against "heart is enlarged mildly . no effusions seen"
    counts = np.array([8, 8, 3, 4, 3, 3, 3, 3, 1, 1, *[0] * 10, 4, 7, 7], dtype=np.float64)
    matched = 0.75 * 3 + 0.25 * 3 + 0.6 * 0.75
    precision, recall = matched / (0.75 * 5 + 0.25 * 3), matched / (0.75 * 4 + 0.25 * 4)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert float(meteor.meteor_score(counts)) == pytest.approx(mean * (1 - 0.6 * (4 / 7) ** 0.2))


@pytest.mark.parametrize("missing", ["java", "package"])
def test_meteor_says_in_one_line_what_it_lacks(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "package":
        monkeypatch.setattr(meteor, "find_spec", lambda name: None)
        expected = "pycocoevalcap"
    else:
        monkeypatch.setattr(meteor, "find_spec", lambda name: json.__spec__)
        monkeypatch.setattr(meteor, "which", lambda name: None)
        expected = "Java"
    with pytest.raises(ModelError, match=expected) as caught:
        Meteor()
    assert "\n" not in caught.value.what


@settings(deadline=None)
@given(SETS)
def test_sacrebleu_equals_the_package(pairs: list[tuple[str, str]]) -> None:
    references, predictions = map(list, zip(*pairs, strict=True))
    expected = BLEU().corpus_score(predictions, [references]).score
    assert of_set("sacrebleu", pairs) == pytest.approx(expected, abs=1e-9)
    single = [BLEU(effective_order=True).sentence_score(p, [r]).score for r, p in pairs]
    assert of_studies("sacrebleu-sentence", pairs) == pytest.approx(single, abs=1e-9)


@settings(deadline=None)
@given(SETS)
def test_chrf_equals_the_package(pairs: list[tuple[str, str]]) -> None:
    references, predictions = map(list, zip(*pairs, strict=True))
    assert of_set("chrf", pairs) == pytest.approx(CHRF().corpus_score(predictions, [references]).score)
    single = [CHRF().sentence_score(p, [r]).score for r, p in pairs]
    assert of_studies("sentence-chrf", pairs) == pytest.approx(single)


@settings(deadline=None)
@given(FILLED, TEXTS)
def test_rouge_equals_the_package(reference: str, prediction: str) -> None:
    kinds = {"rouge-1": "rouge1", "rouge-2": "rouge2", "rouge-l": "rougeL"}
    expected = RougeScorer(list(kinds.values())).score(target=reference, prediction=prediction)
    for ours, theirs in kinds.items():
        (value,) = of_studies(ours, [(reference, prediction)])
        assert value == pytest.approx(expected[theirs].fmeasure)


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=9))
def test_common_subsequence_equals_the_textbook(first: list[int], second: list[int]) -> None:
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    assert common_length(first, second) == table[-1, -1]


@settings(deadline=None)
@given(FILLED, TEXTS)
def test_bleu_has_the_counts_and_sentence_scores_of_nltk(reference: str, prediction: str) -> None:
    expected, written = tokenize(reference), tokenize(prediction)
    counts = CountedReference(expected).counts(written)
    smoothing = SmoothingFunction().method1
    for order in range(1, 5):
        precision = modified_precision([expected], written, order)
        assert counts[order - 1] == precision.numerator
        assert counts[3 + order] == max(0, len(written) - order + 1)
        score = sentence_bleu([expected], written, (1 / order,) * order, smoothing_function=smoothing)
        assert float(smoothed_bleu(np.array(counts), order=order)) == pytest.approx(score, abs=1e-12)
    assert counts[8:] == (len(expected), len(written))


def test_radcliq_bleu_sets_only_full_stops_apart_and_keeps_double_spaces_as_tokens() -> None:
    (value,) = of_studies("radcliq-bleu-2", [("No effusion.", "no effusion .")])
    # "no effusion .".split(" ") of the prediction holds an empty token where the stop is set apart
    precision = np.sqrt((3 / 4) * (1 / 3))
    assert value == pytest.approx(precision)


@settings(deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=14).map(" ".join), min_size=1, max_size=12))
def test_cider_knows_in_how_many_references_an_n_gram_is_however_it_counts(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cider, "WAITING", 3)  # counted in many steps, as in a large set
        rarity = cider.Rarity()
        for text in texts:
            rarity.add(text)
        rarity.seal()
    own = [cider.ngrams_of(text) for text in texts]
    asked = cider.ngrams_of(" ".join(texts))
    for order, weights in enumerate(rarity.weigh(asked)):
        assert weights.keys() == asked[order].keys()
        for gram, weight in weights.items():
            having = max(1, sum(gram in counts[order] for counts in own))
            expected = asked[order][gram] * (math.log(len(texts)) - math.log(having))
            assert weight == pytest.approx(expected, abs=1e-12)


def test_cider_depends_on_the_other_references_and_forgets_the_last_set() -> None:
    metric = load_metric("cider")
    first = metric.per_study(references=["a b c d", "x y"], predictions=["a b c d", "x y"])
    again = metric.per_study(references=["a b c d", "a b"], predictions=["a b c d", "a b"])
    assert first[0] == pytest.approx(10)
    assert again[1] == 0  # all of its words are in every reference
    assert metric.per_study(references=["a b c d", "x y"], predictions=["a b c d", "x y"]) == first
