"""Every metric that needs no model keeps what it declares: range, identity, empty predictions, symmetry."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.metrics.declaration import Metric
from radflow.metrics.explain import FAMILIES, all_metrics
from radflow.metrics.score import LoadedMetric, load_metric

SENTENCES = (
    "There is a small left pleural effusion.",
    "The heart is mildly enlarged.",
    "No pneumothorax.",
    "Right lower lobe atelectasis and possible pneumonia.",
    "Moderate pulmonary edema with bilateral effusions.",
    "Focal consolidation in the left upper lobe.",
    "Opacity at the right base.",
    "Acute fracture of a right rib. The lungs are otherwise clear.",
    "The tip of the central venous catheter lies in the superior vena cava.",
)
REPORTS = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5, unique=True).map(" ".join)
WHOLE = " ".join(SENTENCES)
SHORTER = "Small right pleural effusion. Normal heart size. Severe edema. No fracture."
NEED_MODELS = (
    "chexbert-",
    "radgraph-",
    "modern-",
    "bertscore-",
    "sembscore",
    "radcliq-v",
    "inverse-",
    "meteor",
    "judge-",  # see test_judge_scores.py
)
NEED_TRUTH = ("truth-",)  # of phantoms, see test_run_scores.py
OFFLINE = [metric for metric in all_metrics() if not metric.name.startswith(NEED_MODELS + NEED_TRUTH)]
NAMED = pytest.mark.parametrize("metric", OFFLINE, ids=lambda metric: metric.name)
LOADED: dict[str, LoadedMetric] = {}


def value(metric: Metric, reference: str, prediction: str) -> float | None:
    """Of one study, beside one that shares nothing with it, so that metrics of rarity are defined."""
    loaded = LOADED.setdefault(metric.name, load_metric(metric.name))
    references, predictions = [reference, "unrelated words entirely"], [prediction, "nothing in common"]
    return loaded.per_study(references=references, predictions=predictions)[0]


def test_nearly_all_metrics_run_offline() -> None:
    assert len(OFFLINE) > 60
    assert {metric.family for metric in OFFLINE} >= FAMILIES.keys() - {
        "embedding",
        "composite",
        "truth",
        "judge",
    }


@NAMED
@settings(deadline=None, max_examples=5)
@given(reference=REPORTS, prediction=REPORTS)
def test_values_stay_in_the_declared_range(metric: Metric, reference: str, prediction: str) -> None:
    found = value(metric, reference, prediction)
    if found is not None:
        assert metric.low is None or found >= metric.low - 1e-9
        assert metric.high is None or found <= metric.high + 1e-6


@NAMED
@settings(deadline=None, max_examples=5)
@given(report=REPORTS)
def test_no_prediction_beats_the_reference_itself(metric: Metric, report: str) -> None:
    itself, other = value(metric, report, report), value(metric, report, SHORTER)
    if metric.family == "consistency":
        return  # of the prediction alone
    if metric.identical.startswith("the best value from") and len(report.split()) < 4:
        return  # declared: a text too short for the order
    if itself is not None and other is not None:
        sign = 1 if metric.direction == "higher" else -1
        assert sign * itself >= sign * other - 1e-9
    if not metric.identical and itself is not None:
        assert itself == pytest.approx(metric.best, abs=1e-6)


@NAMED
def test_a_long_report_against_itself_gets_the_best_value(metric: Metric) -> None:
    exceptions = ("macro", "weighted")
    if metric.family == "consistency" or any(word in metric.name for word in exceptions):
        pytest.skip("declared: needs more than one text")
    if metric.name == "lexicon-graph-mean" or "-5" not in metric.name:
        assert value(metric, WHOLE, WHOLE) == pytest.approx(metric.best, abs=1e-6)


@NAMED
@pytest.mark.parametrize("prediction", ["", " \n"])
def test_an_empty_prediction_gets_the_worst_value_or_what_is_declared(
    metric: Metric, prediction: str
) -> None:
    found = value(metric, WHOLE, prediction)
    if metric.empty.startswith("the worst value"):
        expected = metric.worst if metric.family != "consistency" else None  # without sections: not scored
        assert found == (expected if expected is None else pytest.approx(expected, abs=1e-9))
    elif "not scored" in metric.empty:
        assert found is None
    else:
        assert metric.family == "labels"
        whole = value(metric, WHOLE, WHOLE)
        assert whole is not None
        assert found is not None
        assert found < whole


@NAMED
@pytest.mark.parametrize("reference", ["", "  "])
def test_an_empty_reference_is_not_scored(metric: Metric, reference: str) -> None:
    assert value(metric, reference, SHORTER) is None


@NAMED
@settings(deadline=None, max_examples=5)
@given(first=REPORTS, second=REPORTS)
def test_declared_symmetry_holds(metric: Metric, first: str, second: str) -> None:
    if metric.symmetric:
        assert value(metric, first, second) == pytest.approx(value(metric, second, first))


@pytest.mark.parametrize("metric", [m for m in OFFLINE if m.family == "lexical"], ids=lambda m: m.name)
def test_metrics_that_are_not_declared_symmetric_are_not(metric: Metric) -> None:
    if metric.symmetric or metric.name == "cider":
        return
    long, short = "There is no pleural effusion or edema today.", "There is no pleural effusion."
    assert value(metric, long, short) != pytest.approx(value(metric, short, long))
