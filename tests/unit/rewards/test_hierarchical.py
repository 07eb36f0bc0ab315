"""The rules of the reward: missing sections, failures, what is computed once, and the callers it serves."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from tests.judge_server import JudgeServer, Reply, completion
from tests.unit.rewards.own_reports import OWN_REPORTS

from radflow.config import JudgeConfig, RewardConfig
from radflow.data.sections import parse_report
from radflow.errors import ConfigError, DataError, JudgeError
from radflow.metrics.lexical import BleuReference, tokenize
from radflow.metrics.remembered import Remembered
from radflow.records import Report, RewardScore
from radflow.rewards import terms
from radflow.rewards.adapters import SwiftReward, compute_score, score_texts
from radflow.rewards.hierarchical import FAILED, TERMS, HierarchicalReward, OwnTerm, has_failed

FINDINGS = "Small left pleural effusion. The heart is normal in size."
IMPRESSION = "Small left pleural effusion."
BOTH = f"FINDINGS: {FINDINGS}\nIMPRESSION: {IMPRESSION}"
ONLY_FINDINGS, ONLY_IMPRESSION = f"FINDINGS: {FINDINGS}", f"IMPRESSION: {IMPRESSION}"
NO_HEADERS = f"{FINDINGS} {IMPRESSION}"
COMBINED = f"FINDINGS AND IMPRESSION: {FINDINGS} {IMPRESSION}"
INCONSISTENT = f"FINDINGS: No pleural effusion.\nIMPRESSION: {IMPRESSION}"
REWARD = HierarchicalReward()


def scored(reference: str, *predictions: str, reward: HierarchicalReward = REWARD) -> list[RewardScore]:
    return reward.score(
        references=[parse_report(reference)] * len(predictions),
        predictions=predictions,
        study_ids=["study"] * len(predictions),
    )


def values(record: RewardScore) -> tuple[float | None, float | None]:
    """R_con and R_imp."""
    return record.terms["consistency"].value, record.terms["impression"].value


@pytest.mark.parametrize(
    ("reference", "prediction", "con", "imp"),
    [
        (BOTH, BOTH, 1.0, 1.0),
        (BOTH, INCONSISTENT, -1.0, 1.0),
        (BOTH, ONLY_FINDINGS, -1.0, 0.0),
        (BOTH, ONLY_IMPRESSION, -1.0, 1.0),
        (BOTH, NO_HEADERS, -1.0, 0.0),
        (BOTH, COMBINED, -1.0, 0.0),
        (BOTH, "", -1.0, 0.0),
        (ONLY_FINDINGS, BOTH, None, None),
        (ONLY_FINDINGS, ONLY_FINDINGS, None, None),
        (ONLY_FINDINGS, "", None, None),
        (ONLY_IMPRESSION, BOTH, None, 1.0),
        (ONLY_IMPRESSION, ONLY_IMPRESSION, None, 1.0),
        (ONLY_IMPRESSION, ONLY_FINDINGS, None, 0.0),
        (COMBINED, COMBINED, 1.0, 1.0),
        (NO_HEADERS, BOTH, None, None),
    ],
)
def test_the_table_of_missing_sections(
    reference: str, prediction: str, con: float | None, imp: float | None
) -> None:
    assert values(scored(reference, prediction)[0]) == (con, imp)


@pytest.mark.parametrize("pair", OWN_REPORTS, ids=lambda pair: pair.kind)
def test_dropping_a_section_never_pays(pair: Any) -> None:
    """Not even for a report whose sections contradict each other, or whose Impression is wrong."""
    report = pair.report
    wrong = f"FINDINGS: {report.findings}\nIMPRESSION: Large right pneumothorax. Acute rib fracture."
    kept, no_impression, no_findings = scored(
        pair.reference, wrong, f"FINDINGS: {report.findings}", f"IMPRESSION: {report.impression}"
    )
    whole = scored(pair.reference, pair.reference)[0]
    assert kept.terms["consistency"].value == -1.0
    for dropped in (no_impression, no_findings):
        assert dropped.terms["consistency"].value == -1.0
        assert dropped.total is not None
        assert whole.total is not None
        assert dropped.total < whole.total - 2
    assert no_impression.terms["impression"].value == 0.0


COMPLETIONS = (BOTH, INCONSISTENT, ONLY_FINDINGS, ONLY_IMPRESSION, NO_HEADERS, COMBINED, "", "FINDINGS:")


@pytest.mark.parametrize("reference", [BOTH, ONLY_FINDINGS, ONLY_IMPRESSION, NO_HEADERS, COMBINED, "XXXX."])
def test_a_term_is_there_or_missing_for_all_completions_of_a_prompt_alike(reference: str) -> None:
    records = scored(reference, *COMPLETIONS)
    for name in TERMS:
        assert len({record.terms[name].value is None for record in records}) == 1, name
    assert all(record.total is not None for record in records)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_every_report_has_a_reward_and_every_term_its_range(reference: str, prediction: str) -> None:
    record = scored(reference, prediction)[0]
    assert record.total is not None
    for name, term in record.terms.items():
        assert (term.value is None) == (term.reason is not None)
        if term.value is not None:
            assert (-1.0 if name == "consistency" else 0.0) <= term.value <= 1.0


def test_the_total_is_the_weighted_sum_and_weight_0_leaves_a_term_out() -> None:
    config = RewardConfig(language=0.5, domain=2, consistency=3, impression=0)
    record = scored(BOTH, ONLY_IMPRESSION, reward=HierarchicalReward(config))[0]
    found = [record.terms[name] for name in TERMS]
    assert [term.weight for term in found] == [0.5, 2, 3, 0]
    assert record.total == pytest.approx(sum(term.weight * (term.value or 0) for term in found))


def test_two_normal_impressions_agree_and_doubt_counts_as_set() -> None:
    none, some = {"Edema": 0, "Fracture": None}, {"Edema": 1, "Fracture": -1}
    assert terms.impression(reference=none, prediction=none) == 1.0  # type: ignore[arg-type]
    assert terms.impression(reference=none, prediction=some) == 0.0  # type: ignore[arg-type]
    doubt = {"Edema": 1, "Fracture": 1}
    for uncertain, expected in (("absent", 2 / 3), ("present", 1.0), ("dropped", 1.0)):
        value = terms.impression(reference=some, prediction=doubt, uncertain=uncertain)  # type: ignore[arg-type]
        assert value == pytest.approx(expected)


def test_weighted_by_severity_a_missed_pneumothorax_costs_more_than_a_missed_effusion() -> None:
    config = RewardConfig(impression_weighting="severity")
    said = "Right pneumothorax. Small left pleural effusion."
    text = f"FINDINGS: {said}\nIMPRESSION: "
    missed = [text + "Small left pleural effusion.", text + "Right pneumothorax."]
    weighted = scored(text + said, *missed, reward=HierarchicalReward(config))
    equal = scored(text + said, *missed)
    assert values(weighted[0])[1] < values(weighted[1])[1]  # type: ignore[operator]
    assert values(equal[0])[1] == values(equal[1])[1]


@settings(max_examples=300, deadline=None)
@given(st.text("ab .", max_size=24), st.text("ab .", max_size=24), st.sampled_from((1, 2, 4)))
def test_counted_bleu_is_nltks(reference: str, prediction: str, order: int) -> None:
    expected = sentence_bleu(
        [tokenize(reference)],
        tokenize(prediction),
        (1 / order,) * order,
        smoothing_function=SmoothingFunction().method1,
    )
    assert BleuReference(reference, order=order).score(prediction) == pytest.approx(expected, abs=1e-12)


def test_equal_texts_are_computed_once_and_the_oldest_forgotten() -> None:
    asked: list[list[str]] = []

    def lengths(texts: Sequence[str]) -> list[int]:
        asked.append(list(texts))
        return [len(text) for text in texts]

    remembered = Remembered(lengths, size=2)
    assert remembered(["a", "bb", "a"]) == [1, 2, 1]
    assert remembered(["bb", "ccc"]) == [2, 3]
    assert remembered(["bb", "a"]) == [2, 1]
    assert asked == [["a", "bb"], ["ccc"], ["a"]]


def test_references_are_read_once_however_many_completions_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from radflow.clinical.graph import LexiconGraph

    asked: list[str] = []
    read = LexiconGraph.read

    def counting(self: LexiconGraph, texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return read(self, texts)

    monkeypatch.setattr(LexiconGraph, "read", counting)
    reward = HierarchicalReward()
    for _ in range(3):
        scored(BOTH, BOTH, INCONSISTENT, INCONSISTENT, ONLY_FINDINGS, reward=reward)
    assert sorted(asked) == sorted({BOTH, INCONSISTENT, ONLY_FINDINGS})


def test_a_pickled_reward_scores_the_same() -> None:
    reward = HierarchicalReward(own_terms={"length": OwnTerm(_is_short)})
    before = scored(BOTH, INCONSISTENT, reward=reward)
    assert scored(BOTH, INCONSISTENT, reward=pickle.loads(pickle.dumps(reward))) == before  # noqa: S301


def _is_short(*, reference: Report, prediction: Report) -> float | None:
    return None if prediction.text == "unreadable" else float(len(prediction.text) < 200)


def test_an_own_term_counts_drops_out_by_reference_and_fails_without_a_value() -> None:
    own = OwnTerm(_is_short, weight=2, applies=lambda reference: reference.impression is not None)
    reward = HierarchicalReward(own_terms={"short": own})
    record = scored(BOTH, BOTH, reward=reward)[0]
    assert record.total == pytest.approx(6.0)
    assert scored(ONLY_FINDINGS, BOTH, reward=reward)[0].terms["short"].value is None
    failed = scored(BOTH, "unreadable", reward=reward)[0]
    assert failed.total is None
    assert failed.terms["language"].value is not None
    with pytest.raises(ConfigError):
        HierarchicalReward(own_terms={"domain": own})


def test_trl_and_others_call_it_as_they_do() -> None:
    logged: dict[str, float] = {}
    conversation = [{"role": "assistant", "content": [{"type": "text", "text": BOTH}]}]
    rewards = REWARD(
        prompts=[None] * 3,
        completions=[BOTH, conversation, [{"role": "assistant", "content": ONLY_FINDINGS}]],
        completion_ids=[[1]] * 3,
        reference=[BOTH] * 3,
        study_id=["a", "a", "a"],
        trainer_state=None,
        log_extra=None,
        log_metric=logged.__setitem__,
    )
    assert rewards[:2] == pytest.approx([4.0, 4.0])
    assert logged["reward/consistency"] == pytest.approx(1 / 3)
    assert REWARD.__name__ == "hierarchical_reward"
    assert [record.study_id for record in REWARD.records] == ["a", "a", "a"]
    assert compute_score("iu", BOTH, BOTH, {"study_id": "a"}) == pytest.approx(4.0)
    assert SwiftReward()([BOTH, ""], [BOTH, BOTH]) == pytest.approx([4.0, -1.0])
    suite = score_texts(refs=[BOTH, BOTH], hyps=[BOTH, ""])
    assert suite["radflow_reward"] == pytest.approx(1.5)
    assert suite["radflow_consistency"] == 0.0
    with pytest.raises(DataError):
        REWARD.score(references=[parse_report(BOTH)], predictions=[], study_ids=[])


@pytest.mark.parametrize(
    "config",
    [
        RewardConfig(language_metric="bleu-3"),
        RewardConfig(domain_reader="radgraf"),
        RewardConfig(impression_labeler="chexpert"),
        RewardConfig(consistency_backend="judge"),
    ],
)
def test_what_nothing_can_serve_is_refused_at_once(config: RewardConfig) -> None:
    with pytest.raises(ConfigError):
        HierarchicalReward(config)


def answer(request: dict[str, Any], number: int) -> Reply:
    """A judge that objects to every Impression with "pneumothorax", and can't answer about "edema"."""
    payload = json.loads(request["messages"][1]["content"])
    entries = payload.get("candidates", [payload])
    verdicts = []
    for entry in entries:
        said = entry["impression"].lower()
        problem = {
            "kind": "unsupported",
            "label": "pneumothorax",
            "findings_quote": None,
            "impression_quote": "pneumothorax",
        }
        problems = [problem] if "pneumothorax" in said else []
        verdict: Any = {"problems": problems, "verdict": "inconsistent" if problems else "consistent"}
        if "edema" in said:
            verdict = {"nonsense": True}
        verdicts.append({"candidate": entry.get("candidate", 1), "verdict": verdict})
    body = {"verdicts": verdicts} if "candidates" in payload else verdicts[0]["verdict"]
    return completion(json.dumps(body))


def judged(tmp_path: Path, server: JudgeServer, **settings: Any) -> HierarchicalReward:
    judge = JudgeConfig(base_url=server.url, retries=0, breaker_window=1000)
    return HierarchicalReward(RewardConfig(**settings), judge=judge, judge_cache=tmp_path)


EDEMA = "FINDINGS: Pulmonary edema.\nIMPRESSION: Pulmonary edema."
OBJECTED = f"FINDINGS: {FINDINGS} No pneumothorax.\nIMPRESSION: {IMPRESSION} No pneumothorax."


@pytest.mark.parametrize("calls", ["group", "single"])
def test_a_failed_judge_is_not_a_score_of_0_and_leaves_the_rest_alone(tmp_path: Path, calls: str) -> None:
    with JudgeServer(answer) as server:
        reward = judged(tmp_path, server, consistency_backend="judge", judge_calls=calls)
        good, failed, bad, dropped = scored(BOTH, BOTH, EDEMA, OBJECTED, ONLY_FINDINGS, reward=reward)
        sent = len(server.requests)
        assert scored(BOTH, BOTH, OBJECTED, reward=reward)[0] == good
        assert len(server.requests) == sent, "answers are kept"
    assert failed.total is None
    term = failed.terms["consistency"]
    assert term.value is None
    assert has_failed(term)
    assert term.reason == FAILED + "judge malformed"
    labels = scored(BOTH, EDEMA)[0].terms
    assert {name: failed.terms[name] for name in TERMS if name != "consistency"} == {
        name: labels[name] for name in TERMS if name != "consistency"
    }
    assert good.total == pytest.approx(4.0)
    assert bad.terms["consistency"].value == -1.0
    assert dropped.terms["consistency"].value == -1.0


def test_one_group_is_one_call_and_a_missing_section_asks_nobody(tmp_path: Path) -> None:
    with JudgeServer(answer) as server:
        reward = judged(tmp_path, server, consistency_backend="judge")
        scored(BOTH, BOTH, OBJECTED, BOTH, ONLY_FINDINGS, "", reward=reward)
        assert len(server.requests) == 1
        asked = json.loads(server.requests[0]["messages"][1]["content"])["candidates"]
    assert len(asked) == 2


def test_with_both_backends_the_judge_decides_where_the_rules_are_unsure(tmp_path: Path) -> None:
    carried = "FINDINGS: Left basilar opacity.\nIMPRESSION: Left basilar pneumonia. No pneumothorax."
    with JudgeServer(answer) as server:
        reward = judged(tmp_path, server, consistency_backend="both", judge_calls="single")
        sure, denied, unsure = scored(BOTH, BOTH, INCONSISTENT, carried, reward=reward)
        assert len(server.requests) == 1
        tally = reward.judge_summary()
        assert tally is not None
        assert (tally["requests"], tally["answered"]) == (1, 1)
    assert REWARD.judge_summary() is None
    found = [record.terms["consistency"].value for record in (sure, denied, unsure)]
    assert found == [1.0, -1.0, -1.0]
    assert scored(BOTH, carried)[0].terms["consistency"].value == 1.0, "which the rules alone would not"


def test_a_judge_whose_term_weighs_nothing_is_not_asked(tmp_path: Path) -> None:
    with JudgeServer(answer) as server:
        reward = judged(tmp_path, server, consistency_backend="judge", consistency=0)
        assert scored(BOTH, EDEMA, reward=reward)[0].total is not None
        assert not server.requests


def test_an_undefined_reward_is_an_error_where_the_caller_knows_no_none(tmp_path: Path) -> None:
    with JudgeServer(answer) as server:
        reward = judged(tmp_path, server, consistency_backend="judge")
        assert reward([None], [EDEMA], reference=[EDEMA]) == [None]
        with pytest.raises(JudgeError):
            compute_score("iu", EDEMA, EDEMA, reward=reward)


def test_a_share_of_the_domain_term_may_be_the_f1_of_asserted_observations() -> None:
    two = "FINDINGS: Small left pleural effusion. Cardiomegaly.\nIMPRESSION: Left pleural effusion."
    omitted = "FINDINGS: Small left pleural effusion.\nIMPRESSION: Left pleural effusion."
    graph, mixed, only = (
        [
            record.terms["domain"].value
            for record in scored(
                two,
                two,
                omitted,
                two.replace("Cardiomegaly", "Edema"),
                reward=HierarchicalReward(RewardConfig(domain_observations=share)),
            )
        ]
        for share in (0.0, 0.5, 1.0)
    )
    assert only == [1.0, pytest.approx(2 / 3), pytest.approx(1 / 2)]
    for plain, half, whole in zip(graph, mixed, only, strict=True):
        assert plain is not None
        assert whole is not None
        assert half == pytest.approx((plain + whole) / 2)


@pytest.mark.parametrize(
    ("reference", "prediction", "value"),
    [
        ("The lungs are clear.", "No pleural effusion.", 1.0),
        ("The lungs are clear.", "There is a pneumothorax.", 0.0),
        ("There is a pneumothorax.", "The lungs are clear.", 0.0),
        ("There is a pneumothorax.", "No pneumothorax.", 0.0),
        ("Small left pleural effusion.", "Large right pleural effusion.", 1.0),
    ],
)
def test_observations_count_as_present_or_not_at_all(reference: str, prediction: str, value: float) -> None:
    first, second = REWARD._scorers.statements([reference, prediction])
    assert terms.observations(reference=first, prediction=second) == value
