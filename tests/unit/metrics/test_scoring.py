"""Scoring a set: all numbers follow from what is stored per study, and nothing is dropped silently."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import radflow
from radflow.errors import ConfigError, DataError, ModelError
from radflow.metrics.as_reward import MetricReward
from radflow.metrics.declaration import stored_matrix
from radflow.metrics.registry import PRESETS, find_metric
from radflow.metrics.resampling import bootstrap_sums, cluster_sums
from radflow.metrics.score import Options, ScoreResult, score
from radflow.metrics.statistics import bootstrap_interval
from radflow.records import MetricRow

REFERENCE = [
    "FINDINGS: Small left pleural effusion. Heart size is normal.\nIMPRESSION: Left pleural effusion.",
    "FINDINGS: Large right tension pneumothorax.\nIMPRESSION: Tension pneumothorax.",
    "IMPRESSION: No acute disease.",
    "FINDINGS: Mild cardiomegaly. No pneumothorax.\nIMPRESSION: Cardiomegaly.",
    "",
]
PREDICTION = [
    "FINDINGS: Small right pleural effusion. Heart size is normal.\nIMPRESSION: Pleural effusion.",
    "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease.",
    "IMPRESSION: No acute disease.",
    "",
    "FINDINGS: The lungs are clear.",
]
OPTIONS = Options(samples=200, seed=3)
NAMES = ("bleu-2", "rouge-l", "cider", "rules-radeval-micro-14", "omission-rate", "laterality-error-rate")


@pytest.fixture(scope="module")
def result() -> ScoreResult:
    return score(reference=REFERENCE, prediction=PREDICTION, metrics=NAMES, options=OPTIONS)


def test_studies_without_a_reference_are_excluded_and_listed(result: ScoreResult) -> None:
    assert result.excluded == {"report": ["4"], "findings": ["2", "4"], "impression": ["4"]}
    assert result.summary.studies["all"] == {"report": 4, "findings": 3, "impression": 4}
    assert not [row for row in result.per_study if row.study_id == "4"]


def test_a_missing_prediction_counts_as_the_worst(result: ScoreResult) -> None:
    row = next(row for row in result.per_study if (row.study_id, row.part) == ("3", "report"))
    assert row.values["bleu-2"] == row.values["rouge-l"] == row.values["rules-radeval-micro-14"] == 0
    assert row.values["omission-rate"] == 1


def test_errors_are_counted_where_both_sides_say_something(result: ScoreResult) -> None:
    sides = {
        row.study_id: row.values["laterality-error-rate"] for row in result.per_study if row.part == "report"
    }
    assert sides == {"0": 1, "1": None, "2": None, "3": None}
    assert result["omission-rate"].value == pytest.approx(2 / 3)  # of effusion, pneumothorax, cardiomegaly


def test_the_critical_subset_is_summed_up_apart(result: ScoreResult) -> None:
    assert result.summary.studies["critical"]["report"] == 1
    critical = result.summary.scores["critical"]["report"]
    assert critical["omission-rate"].value == 1
    assert {row.study_id for row in result.per_study if row.is_critical} == {"1"}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_intervals_follow_from_the_stored_rows_alone(result: ScoreResult, name: str) -> None:
    metric = find_metric(name)
    stored = [MetricRow.model_validate_json(row.model_dump_json()) for row in result.per_study]
    mine = [
        {key: tuple(np.nan if n is None else n for n in numbers) for key, numbers in row.statistics.items()}
        for row in stored
        if row.part == "report"
    ]
    rows = metric.sums.rows(stored_matrix(mine, metric.reads))
    expected = bootstrap_interval(rows, metric.sums.aggregate, samples=200, confidence=0.95, seed=3)
    assert expected == result[name]


def test_every_label_has_its_own_rate(result: ScoreResult) -> None:
    rates = result.summary.per_label["report"]["omission-rate"]
    assert rates["Pneumothorax"].value == rates["Cardiomegaly"].value == 1
    assert rates["Pleural Effusion"].value == 0
    assert "Fracture" not in rates  # asserted nowhere: undefined, not 0


def test_intervals_draw_patients_where_they_are_known() -> None:
    reference, prediction = REFERENCE[:4], PREDICTION[:4]
    people = ["p", "p", "p", "q"]
    found = score(
        reference=reference, prediction=prediction, metrics="rouge-l", patients=people, options=OPTIONS
    )
    rows = np.array([[row.values["rouge-l"], 1.0] for row in found.per_study if row.part == "report"])
    sums = bootstrap_sums(cluster_sums(rows, people), samples=200, seed=3)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    assert (found["rouge-l"].low, found["rouge-l"].high) == pytest.approx((low, high))


@pytest.mark.slow
def test_processes_change_nothing(result: ScoreResult) -> None:
    two = score(
        reference=REFERENCE,
        prediction=PREDICTION,
        metrics=NAMES,
        options=Options(samples=200, seed=3, workers=2),
    )
    assert two.per_study == result.per_study
    assert two.summary == result.summary


def test_reports_by_id_are_matched_by_id() -> None:
    names = [str(place) for place in range(4)]
    reference = dict(zip(names, REFERENCE, strict=False))
    prediction = dict(reversed(list(zip(names, PREDICTION, strict=False))))
    by_id = score(reference=reference, prediction=prediction, metrics="rouge-l", options=OPTIONS)
    in_order = score(reference=REFERENCE[:4], prediction=PREDICTION[:4], metrics="rouge-l", options=OPTIONS)
    assert by_id.summary == in_order.summary
    with pytest.raises(DataError, match="1 ids"):
        score(reference=reference, prediction=dict.fromkeys(names[1:], ""), metrics="rouge-l")


def test_positional_arguments_are_impossible() -> None:
    with pytest.raises(TypeError):
        score(REFERENCE, PREDICTION)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("reference", "prediction", "message"),
    [
        (["a"], ["a", "b"], "1 references but 2"),
        ("text", ["text"], "not one text"),
        (["", " "], ["a", "b"], "no study"),
    ],
)
def test_sides_that_cannot_be_compared_are_refused(
    reference: list[str], prediction: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score(reference=reference, prediction=prediction, metrics="rouge-l")


def test_what_a_preset_cannot_run_is_listed_and_what_was_asked_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("radflow.metrics.meteor.find_spec", lambda name: None)
    monkeypatch.setitem(PRESETS, "some", ("rouge-1", "meteor"))
    found = score(reference=["a b"], prediction=["a b"], metrics=("rouge-l", "some"), sections=["report"])
    assert "pycocoevalcap" in found.not_run["meteor"]
    assert "meteor" not in found.per_study[0].values
    with pytest.raises(ModelError, match="pycocoevalcap"):
        score(reference=["a b"], prediction=["a b"], metrics="fast,meteor")


def test_unknown_metrics_get_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean rouge-l"):
        score(reference=["a"], prediction=["a"], metrics="rouge_l")
    with pytest.raises(ConfigError, match="no metric"):
        score(reference=["a"], prediction=["a"], metrics=" ")
    for members in PRESETS.values():
        assert [find_metric(name).name for name in members] == list(members)


def test_the_one_line_api_is_lazy_and_needs_no_torch() -> None:
    code = (
        "import sys, radflow\n"
        "assert 'numpy' not in sys.modules and 'pydantic' not in sys.modules\n"
        "result = radflow.score(reference=['No effusion.'], prediction=['No effusion.'])\n"
        "assert result['rouge-l'].value == 1 and result.rows()[0]['rouge-l'] == 1\n"
        "metric = radflow.load_metric('bleu-1')\n"
        "assert metric.compute(references=['a b'], predictions=['a b']) == {'bleu-1': 1.0}\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    with pytest.raises(AttributeError):
        _ = radflow.scores


def test_a_metric_as_reward_is_the_metric_of_each_completion() -> None:
    reward = MetricReward("rouge-l", part="impression")
    chat = [{"role": "assistant", "content": PREDICTION[0]}]
    values = reward(
        prompts=["", "", ""],
        completions=[chat, "no headers at all", PREDICTION[2]],
        reference=[REFERENCE[0], REFERENCE[0], ""],
        study_id=["a", "a", "b"],
    )
    assert values == [pytest.approx(0.8), 0.0, None]
    assert reward.__name__ == "rouge-l"


def test_a_reward_of_errors_is_negative_and_rarity_is_no_reward() -> None:
    (value,) = MetricReward("omission-rate")(completions=[PREDICTION[1]], reference=[REFERENCE[1]])
    assert value == -1
    with pytest.raises(ConfigError, match="depends on the other"):
        MetricReward("cider")
    with pytest.raises(ConfigError, match="column 'reference'"):
        MetricReward("rouge-l")(completions=["a"], text=["a"])
    with pytest.raises(ConfigError, match="isn't defined for"):
        MetricReward("consistency-rate", part="impression")


def test_a_reward_survives_pickling() -> None:
    import pickle  # what a trainer's worker processes use

    again = pickle.loads(pickle.dumps(MetricReward("bleu-1", column="text")))  # noqa: S301
    assert again(completions=["a b"], text=["a b"]) == [1.0]
