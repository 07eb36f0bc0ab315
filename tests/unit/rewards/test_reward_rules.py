"""Each term as a number of its own, the totals and tables made of them, and what other callers get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radflow.clinical.ontology_file import load_ontology
from radflow.config import RewardConfig
from radflow.data.sections import parse_report
from radflow.errors import ConfigError, DataError
from radflow.records import RewardScore, RewardTerm
from radflow.rewards import terms
from radflow.rewards.adapters import SwiftReward, compute_score, score_texts
from radflow.rewards.hierarchical import (
    FAILED,
    HierarchicalReward,
    completion_text,
    has_failed,
    mean_terms,
    total_of,
)
from radflow.rewards.language import open_language_metric
from radflow.rewards.reward_file import BATCH, RewardTable, reward_files
from radflow.rewards.scorers import asks_judge, severity_weights

EFFUSION = ("Pleural Effusion", "present", "left", None, None, None)
OTHER_SIDE = ("Pleural Effusion", "present", "right", None, None, None)
DENIED = ("Edema", "absent", None, None, None, None)
NODULE = ("Nodule", "present", None, None, None, None)
TEXT = "FINDINGS: Small left pleural effusion. No edema.\nIMPRESSION: Small left pleural effusion."
REWARD = HierarchicalReward()


@pytest.mark.parametrize(
    ("reference", "similarity", "value"),
    [("a b", 0.4, 0.4), ("a b", -0.2, 0.0), ("a b", 1.3, 1.0), (" \n", 0.4, None), ("a b", None, None)],
)
def test_language_is_a_share_and_absent_without_a_reference(
    reference: str, similarity: float | None, value: float | None
) -> None:
    assert terms.language(reference=reference, similarity=similarity) == value


def test_statements_and_observations_by_hand() -> None:
    reference: Any = frozenset({EFFUSION, DENIED})
    prediction: Any = frozenset({OTHER_SIDE, DENIED, NODULE})
    assert terms.statements(reference=reference, prediction=prediction) == pytest.approx(2 / 5)
    assert terms.statements(reference=reference, prediction=reference) == 1
    assert terms.statements(reference=frozenset(), prediction=prediction) is None
    # by name only, denied ones left out: {effusion} against {effusion, nodule}
    assert terms.observations(reference=reference, prediction=prediction) == pytest.approx(2 / 3)
    assert terms.observations(reference=frozenset({DENIED}), prediction=frozenset()) == 1  # type: ignore[arg-type]
    assert terms.observations(reference=frozenset(), prediction=prediction) == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 1.0),
        ("Clear lungs. No edema.", 1.0),
        ("Clear lungs. No edema. Clear lungs.", 2 / 3),
        ("Clear lungs.\nclear lungs", 1 / 2),
        ("FINDINGS: Clear lungs.\nIMPRESSION: Clear lungs.", 1 / 2),
        ("Clear lungs! Clear lungs? Clear lungs...", 1 / 3),
        ("Effusion: 3.5 cm.", 1.0),
    ],
)
def test_novelty_is_the_share_of_sentences_not_said_before(text: str, share: float) -> None:
    assert terms.novelty(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("reference", "prediction", "kept"), [(1.0, 0.5, 0.5), (0.5, 0.5, 1.0), (0.5, 1.0, 1.0), (0.8, 0.4, 0.5)]
)
def test_a_report_may_repeat_as_much_as_its_reference(
    reference: float, prediction: float, kept: float
) -> None:
    assert terms.repetition_factor(reference=reference, prediction=prediction) == kept


def test_impression_f1_by_hand() -> None:
    reference: Any = {"Edema": 1, "Fracture": 1, "Pneumothorax": 1, "Nodule": 0, "Pneumonia": None}
    prediction: Any = {"Edema": 1, "Fracture": 0, "Pneumothorax": 1, "Nodule": 1, "Pneumonia": 1}
    assert terms.impression(reference=reference, prediction=prediction) == pytest.approx(4 / 7)
    weighted = terms.impression(reference=reference, prediction=prediction, weights={"Pneumothorax": 4.0})
    assert weighted == pytest.approx(2 * 5 / (6 + 7))
    assert terms.impression(reference=None, prediction=prediction) is None
    assert terms.impression(reference=reference, prediction=None) == 0


def test_a_total_without_what_failed_would_be_a_score_of_0() -> None:
    said = {"a": RewardTerm(value=0.5, weight=2), "b": RewardTerm(value=-1.0, weight=3)}
    assert total_of(said) == -2.0
    absent = RewardTerm(value=None, weight=1, reason="the reference has no Impression")
    failed = RewardTerm(value=None, weight=1, reason=FAILED + "judge timeout")
    assert total_of({**said, "c": absent}) == -2.0
    assert total_of({**said, "c": failed}) is None
    assert total_of({**said, "c": failed.model_copy(update={"weight": 0.0})}) == -2.0
    assert [has_failed(term) for term in (absent, failed, said["a"])] == [False, True, False]
    assert total_of({}) == 0


def record(total: float | None, **values: float | None) -> RewardScore:
    named = {
        name: RewardTerm(
            value=value, weight=1, reason=None if value is not None else FAILED + "judge malformed"
        )
        for name, value in values.items()
    }
    return RewardScore(study_id="s", total=total, terms=named)


def test_means_are_over_the_rows_that_a_term_applies_to() -> None:
    records = [record(1.0, language=0.5, domain=0.5), record(None, language=0.1, domain=None)]
    assert mean_terms(records) == pytest.approx({"language": 0.3, "domain": 0.5, "failed": 0.5})
    assert mean_terms([]) == {}


def test_the_table_of_a_file_counts_what_was_not_scored_and_why() -> None:
    table = RewardTable()
    table.add(record(1.0, language=0.5, domain=0.25))
    table.add(record(None, language=0.1, domain=None))
    absent = RewardTerm(value=None, weight=1, reason="the reference names no entity")
    table.add(RewardScore(study_id="t", total=0.5, terms={"domain": absent}))
    table.without_prediction = [str(number) for number in range(6)]
    table.empty_references = ["a", "b", "c", "d", "e"]
    assert table.lines() == [
        "term            mean  reports  not scored",
        "language       0.300        2",
        "domain         0.250        1  1 failed, 1 the reference names no entity",
        "reward         0.750        2  1 undefined",
        "6 references without a prediction: 0, 1, 2, 3, 4, ...",
        "5 references without text: a, b, c, d, e",
    ]
    assert RewardTable().lines()[-1].split() == ["reward", "-", "0"]


def files(folder: Path, count: int) -> tuple[Path, Path]:
    paths = folder / "r.csv", folder / "p.csv"
    for path in paths:
        path.write_text("name,text\n" + "".join(f"{n},IMPRESSION: Edema.\n" for n in range(count)))
    return paths


def test_files_of_more_than_a_batch_are_scored_whole_and_never_replaced(tmp_path: Path) -> None:
    reference, prediction = files(tmp_path, BATCH + 3)
    columns = {"id_column": "name", "report_column": "text"}
    table = reward_files(reference, prediction, None, REWARD, **columns)
    assert len(table.totals) == BATCH + 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "r.csv"]
    with pytest.raises(DataError, match="replace its own input"):
        reward_files(reference, prediction, prediction, REWARD, **columns)
    out = tmp_path / "out.jsonl"
    reward_files(reference, prediction, out, REWARD, **columns)
    reward_files(reference, prediction, out, REWARD, **columns)  # an earlier output may be replaced
    assert len(out.read_text().splitlines()) == BATCH + 3


def test_severity_is_that_of_the_observation_of_the_columns_name() -> None:
    config = RewardConfig(severity_urgent=3, severity_critical=7)
    weights = severity_weights(load_ontology("chest-xray"), config)
    assert (weights["Pneumothorax"], weights["Edema"], weights["Fracture"]) == (7, 3, 3)
    assert weights["Pleural Effusion"] == 1, "a hemothorax stands under it, and is rarer"
    assert weights["Cardiomegaly"] == 1


def test_capital_letters_count_only_where_asked_for() -> None:
    loud = TEXT.replace("Small left pleural effusion", "SMALL LEFT PLEURAL EFFUSION")

    def domain(**settings: Any) -> float | None:
        reward = HierarchicalReward(RewardConfig(**settings))
        scored = reward.score(references=[parse_report(TEXT)], predictions=[loud], study_ids=["s"])
        return scored[0].terms["domain"].value

    assert domain() == 1.0
    counted = domain(domain_case="counted")
    assert counted is not None
    assert counted < 1


def test_no_finding_is_no_label_of_its_own() -> None:
    (labels,) = REWARD._scorers.labels(["No acute disease."])
    assert "No Finding" not in labels
    assert "Edema" in labels


@pytest.mark.parametrize(
    ("backend", "weight", "asks"),
    [("labels", 1, False), ("judge", 1, True), ("both", 0.5, True), ("judge", 0, False)],
)
def test_a_judge_is_asked_where_its_answer_counts(backend: Any, weight: float, asks: bool) -> None:
    assert asks_judge(RewardConfig(consistency_backend=backend, consistency=weight)) is asks


@pytest.mark.parametrize("name", ["bleu-2", "rouge-l"])
def test_the_words_of_a_text_are_most_like_themselves(name: str) -> None:
    metric = open_language_metric(name, encoder="none")
    same, near, far = metric.score(reference=["a b c d"] * 3, prediction=["a b c d", "a b x d", "x y z"])
    assert same == 1.0
    assert near is not None
    assert far is not None
    assert 1 > near > far >= 0


def test_unknown_language_metrics_are_refused() -> None:
    with pytest.raises(ConfigError, match="rouge-l"):
        open_language_metric("rouge-1", encoder="none")


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("as it is", "as it is"),
        ([{"content": "first"}, {"content": "last"}], "last"),
        (
            [{"content": [{"type": "image"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "ab",
        ),
    ],
)
def test_the_report_is_the_last_message(completion: Any, text: str) -> None:
    assert completion_text(completion) == text


@pytest.mark.parametrize("completion", [None, 3, [], [{"role": "assistant"}], {"content": "x"}])
def test_what_holds_no_report_is_refused(completion: Any) -> None:
    with pytest.raises(DataError):
        completion_text(completion)


def test_rows_without_ids_are_named_by_their_place() -> None:
    REWARD([None] * 2, [TEXT, ""], reference=[TEXT] * 2)
    assert [one.study_id for one in REWARD.records] == ["row 0", "row 1"]
    SwiftReward(reward=REWARD)([TEXT], [TEXT], study_id=["a"])
    assert [one.study_id for one in REWARD.records] == ["a"]
    assert compute_score("iu", TEXT, TEXT, reward=REWARD) == pytest.approx(4.0)
    assert [one.study_id for one in REWARD.records] == ["iu"]
    score_texts(refs=[TEXT] * 2, hyps=[TEXT, ""], reward=REWARD)
    assert [one.study_id for one in REWARD.records] == ["row 0", "row 1"]


@pytest.mark.parametrize(("references", "predictions", "ids"), [(2, 1, 1), (1, 2, 1), (1, 1, 2)])
def test_every_prediction_has_one_reference_and_one_id(references: int, predictions: int, ids: int) -> None:
    with pytest.raises(DataError, match=f"{references} references, {predictions} predictions, {ids} ids"):
        REWARD.score(
            references=[parse_report(TEXT)] * references,
            predictions=[TEXT] * predictions,
            study_ids=["s"] * ids,
        )


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (TEXT, {}),
        ("IMPRESSION: Edema.", {"consistency": "the reference has no Findings"}),
        (
            "FINDINGS: Edema.",
            {
                "consistency": "the reference has no Impression",
                "impression": "the reference has no Impression",
            },
        ),
    ],
)
def test_a_term_that_does_not_apply_says_why(text: str, reasons: dict[str, str]) -> None:
    (found,) = REWARD.score(references=[parse_report(text)], predictions=[TEXT], study_ids=["s"])
    assert {name: term.reason for name, term in found.terms.items() if term.reason} == reasons


def test_an_empty_report_is_worth_the_least_and_an_empty_reference_nothing() -> None:
    empty, nothing = REWARD.score(
        references=[parse_report(TEXT), parse_report("")], predictions=["", TEXT], study_ids=["s", "s"]
    )
    assert empty.total == -1.0
    assert nothing.total == 0.0
    assert nothing.terms["language"].reason == "the reference is empty"
