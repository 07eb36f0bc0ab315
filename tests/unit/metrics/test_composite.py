"""The composite: a weighted mean of scored components, and None with a reason where one can't be scored."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from radflow.config import CompositeConfig
from radflow.data.sections import parse_report
from radflow.metrics.composite import Composite, CompositeScorer, Pair, PairChunk, compared_text
from radflow.metrics.lexical import rouge_l, sentence_bleu
from radflow.records import Report

REFERENCE = "FINDINGS: Small left pleural effusion. Enlarged heart.\nIMPRESSION: Left pleural effusion."
CLOSE = "FINDINGS: Small left pleural effusion. Normal heart.\nIMPRESSION: Left pleural effusion."
FAR = "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease."


def score(*predictions: str, reference: str = REFERENCE, **settings: object) -> list[Composite]:
    config = CompositeConfig.model_validate({"encoder": "rouge-l", **settings})
    report = parse_report(reference)
    pairs = [Pair(str(place), report, text) for place, text in enumerate(predictions)]
    return CompositeScorer(config)(PairChunk(tuple(pairs)))


def test_gold_scores_one_and_errors_less() -> None:
    gold, close, far, empty = score(REFERENCE, CLOSE, FAR, "")
    assert gold[:4] == (1, 1, 1, 1)
    assert close.composite is not None
    assert far.composite is not None
    assert 1 > close.composite > far.composite > 0
    assert empty == (0, 0, 0, 0, None), "an empty prediction scores its minimum, and is scored"


def test_composite_is_the_weighted_mean() -> None:
    (row,) = score(CLOSE, bleu_2=1, bertscore=2, graph_f1=3)
    reference, prediction = compared_text(parse_report(REFERENCE)), compared_text(parse_report(CLOSE))
    assert row.bleu_2 == pytest.approx(
        sentence_bleu(reference=reference, prediction=prediction, order=2), abs=1e-6
    )
    assert row.bertscore == pytest.approx(rouge_l(reference=reference, prediction=prediction), abs=1e-6)
    assert row.bleu_2 is not None
    assert row.bertscore is not None
    assert row.graph_f1 is not None
    assert row.composite == pytest.approx((row.bleu_2 + 2 * row.bertscore + 3 * row.graph_f1) / 6, abs=1e-6)


@pytest.mark.parametrize("left_out", ["bleu_2", "bertscore", "graph_f1"])
def test_weight_0_leaves_a_component_out(left_out: str) -> None:
    (row,) = score(CLOSE, **{left_out: 0})
    assert getattr(row, left_out) is None
    assert row.reason is None
    assert row.composite is not None
    config = CompositeConfig.model_validate({"encoder": "rouge-l", left_out: 0})
    assert left_out not in CompositeScorer(config).scorers


@pytest.mark.parametrize(
    ("reference", "reason"),
    [("", "empty_reference"), ("...", "empty_reference"), ("As discussed.", "reference_without_entities")],
)
def test_what_can_not_be_scored_has_no_composite_but_a_reason(reference: str, reason: str) -> None:
    (row,) = score(CLOSE, reference=reference)
    assert row.composite is None
    assert row.reason == reason


def test_headers_do_not_count() -> None:
    (row,) = score("FINDINGS: XXXX.\nIMPRESSION: XXXX.", reference="FINDINGS: Edema.\nIMPRESSION: Edema.")
    assert row.bertscore == 0


def test_scorers_are_named_and_survive_pickling() -> None:
    scorer = CompositeScorer(CompositeConfig(encoder="rouge-l", graph_level="simple"))
    assert scorer.scorers == {"bleu_2": "bleu-2", "bertscore": "rouge-l", "graph_f1": "lexicon-graph-simple"}
    chunk = PairChunk((Pair("a", Report(text="Edema."), "No edema."),))
    scorer(chunk)
    assert pickle.loads(pickle.dumps(scorer))(chunk) == scorer(chunk)  # noqa: S301


@pytest.mark.parametrize(
    "settings",
    [
        {"bleu_2": 0, "bertscore": 0, "graph_f1": 0},
        {"encoder": "rouge-l", "encoder_layer": 3},
        {"bleu_2": -1},
    ],
)
def test_settings_that_score_nothing_or_contradict_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CompositeConfig.model_validate(settings)
