"""Label F1 per convention: exact against a slow count, scikit-learn and published numbers."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, FIVE_CLASSES, LabelValue
from radflow.errors import ConfigError, DataError
from radflow.metrics.label_conventions import (
    DROPPED_MICRO_14,
    F1CHEXBERT_EXACT_MATCH_5,
    RADEVAL_MACRO_14,
    RADEVAL_MICRO_14,
    RADEVAL_SAMPLE_ACCURACY_5,
    RGRG_EXAMPLE_14,
)
from radflow.metrics.labels import LabelMetric, Labels, count_studies, label_counts, label_f1
from radflow.metrics.registry import LABEL_METRICS
from radflow.metrics.statistics import bootstrap_interval
from radflow.registry import resolve

STUDY = st.lists(st.sampled_from([1, 0, -1, None]), min_size=14, max_size=14)
PAIRS = st.lists(st.tuples(STUDY, STUDY), min_size=1, max_size=6)
MEASURES = ("f1", "precision", "recall", "accuracy", "exact_match")
Study = list[LabelValue]


def study(**values: LabelValue) -> dict[str, LabelValue]:
    """A study's labels, the rest not mentioned; spaces of class names are underscores."""
    return dict.fromkeys(CHEXPERT_CLASSES) | {name.replace("_", " "): value for name, value in values.items()}


def metrics() -> dict[str, LabelMetric]:
    return {name: resolve("metric", LABEL_METRICS, name) for name in LABEL_METRICS}


def by_hand(metric: LabelMetric, pairs: list[tuple[Study, Study]]) -> float | None:
    """The same score one pair of study and class at a time."""
    places = [CHEXPERT_CLASSES.index(name) for name in metric.classes]

    def asserted(value: LabelValue) -> bool:
        return value == 1 or (value == -1 and metric.uncertain != "absent")

    def score(cells: list[tuple[bool, bool]]) -> float | None:
        if not cells:
            return None
        if metric.measure == "accuracy":
            return sum(a == b for a, b in cells) / len(cells)
        if metric.measure == "exact_match":
            return float(all(a == b for a, b in cells))
        both = sum(a and b for a, b in cells)
        true, claimed = sum(a for a, _ in cells), sum(b for _, b in cells)
        out_of = {"f1": (true + claimed) / 2, "precision": claimed, "recall": true}[metric.measure]
        return both / out_of if out_of else metric.zero_division

    grid = {
        (row, place): (asserted(pairs[row][0][place]), asserted(pairs[row][1][place]))
        for row, place in product(range(len(pairs)), places)
        if not (metric.uncertain == "dropped" and pairs[row][0][place] == -1)
    }
    if metric.average == "micro":
        return score(list(grid.values()))
    axis, groups = (0, range(len(pairs))) if metric.average == "example" else (1, places)
    scores = [(score([c for key, c in grid.items() if key[axis] == group]), group) for group in groups]
    defined = [(value, group) for value, group in scores if value is not None]
    if not defined:
        return None
    weights = [1.0] * len(defined)
    if metric.average == "weighted":
        weights = [sum(a for key, (a, _) in grid.items() if key[1] == group) for _, group in defined]
        weights = weights if sum(weights) else [1.0] * len(defined)
    return sum(v * w for (v, _), w in zip(defined, weights, strict=True)) / sum(weights)


@pytest.mark.parametrize("name", LABEL_METRICS)
@settings(max_examples=20)
@given(pairs=PAIRS)
def test_every_named_convention_equals_the_slow_count(name: str, pairs: list[tuple[Study, Study]]) -> None:
    metric = metrics()[name]
    references, predictions = zip(*pairs, strict=True)
    expected = by_hand(metric, pairs)
    assert metric(references=references, predictions=predictions) == (
        None if expected is None else pytest.approx(expected)
    )


@given(
    pairs=PAIRS,
    uncertain=st.sampled_from(["absent", "present", "dropped"]),
    average=st.sampled_from(["micro", "macro", "weighted", "example"]),
    measure=st.sampled_from(MEASURES),
    classes=st.sampled_from([CHEXPERT_CLASSES, FIVE_CLASSES]),
    zero_division=st.sampled_from([0.0, 1.0, None]),
)
def test_every_setting_equals_the_slow_count(pairs: list[tuple[Study, Study]], **choices: Any) -> None:
    metric = LabelMetric(**choices)
    references, predictions = zip(*pairs, strict=True)
    expected = by_hand(metric, pairs)
    assert metric(references=references, predictions=predictions) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "example"])
@pytest.mark.parametrize("measure", ["f1", "precision", "recall"])
@pytest.mark.parametrize("zero_division", [0.0, 1.0, None])
def test_scikit_learn_agrees(average: Any, measure: Any, zero_division: float | None) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        references, predictions = generator.random((2, 5, 14)) < generator.choice([0.0, 0.1, 0.5])
        metric = LabelMetric("absent", average, measure=measure, zero_division=zero_division)
        ours = metric(references=list(references.astype(float)), predictions=list(predictions.astype(float)))
        theirs = getattr(sklearn.metrics, f"{measure}_score")(
            references.astype(int),
            predictions.astype(int),
            average="samples" if average == "example" else average,
            zero_division=np.nan if zero_division is None else zero_division,
        )
        assert (math.nan if ours is None else ours) == pytest.approx(theirs, nan_ok=True)


def published_labels() -> tuple[list[Labels], list[Labels]]:
    """Labels of five reports, as the per-class tables in the test that f1chexbert 0.0.2 ships imply them."""
    references = [
        study(No_Finding=1),
        study(Cardiomegaly=1),
        study(Cardiomegaly=1),
        study(Consolidation=1),
        study(Lung_Opacity=1, Lung_Lesion=1),
    ]
    predictions = [
        study(No_Finding=1),
        study(No_Finding=1),
        study(Edema=1, Atelectasis=1),
        study(Consolidation=1),
        study(),
    ]
    return list(references), list(predictions)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("radeval-micro-14", 0.36363636363636365),
        ("radeval-macro-14", 0.11904761904761904),
        ("radeval-weighted-14", 0.27777777777777773),
        ("f1chexbert-example-14", 0.4),
        ("radeval-micro-5", 1 / 3),
        ("radeval-macro-5", 0.2),
        ("radeval-weighted-5", 1 / 3),
        ("f1chexbert-example-5", 0.2),
        ("f1chexbert-exact-match-5", 0.6),
    ],
)
def test_the_numbers_that_f1chexbert_publishes_come_out(name: str, value: float) -> None:
    references, predictions = published_labels()
    assert metrics()[name](references=references, predictions=predictions) == pytest.approx(value, abs=1e-15)


def test_sample_accuracy_of_radeval_is_the_share_of_agreeing_classes() -> None:
    references, predictions = published_labels()
    shares = [5 / 5, 4 / 5, 2 / 5, 5 / 5, 5 / 5]
    scores = RADEVAL_SAMPLE_ACCURACY_5(references=references, predictions=predictions)
    assert scores == pytest.approx(np.mean(shares))
    assert F1CHEXBERT_EXACT_MATCH_5(references=references, predictions=predictions) == pytest.approx(3 / 5)


def test_the_conventions_disagree_on_one_uncertain_label() -> None:
    references = [study(Edema=-1, Fracture=1)]
    predictions = [study(Edema=1, Fracture=1)]
    scores = {
        name: metrics()[name](references=references, predictions=predictions)
        for name in ("r2gen-micro-14", "llava-rad-rrg-micro-14", "radeval-micro-14", "dropped-micro-14")
    }
    assert scores == {
        "r2gen-micro-14": pytest.approx(2 / 3),
        "llava-rad-rrg-micro-14": pytest.approx(2 / 3),
        "radeval-micro-14": 1.0,
        "dropped-micro-14": 1.0,
    }
    assert RGRG_EXAMPLE_14(references=references, predictions=predictions) == pytest.approx(2 / 3)


def test_hedging_drops_nothing() -> None:
    """With the prediction's own doubts dropped too, a model would score by doubting all it is unsure of."""
    references = [study(Edema=0, Fracture=1)]
    hedged = DROPPED_MICRO_14(references=references, predictions=[study(Edema=-1, Fracture=1)])
    asserted = DROPPED_MICRO_14(references=references, predictions=[study(Edema=1, Fracture=1)])
    assert hedged == asserted == pytest.approx(2 / 3)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "example"])
def test_nothing_to_score_is_not_zero(average: Any) -> None:
    assert label_f1(references=[], predictions=[], uncertain="absent", average=average) is None
    doubtful = [dict.fromkeys(CHEXPERT_CLASSES, -1)]
    sure = [dict.fromkeys(CHEXPERT_CLASSES, 1)]
    assert label_f1(references=doubtful, predictions=sure, uncertain="dropped", average=average) is None
    assert label_f1(references=doubtful, predictions=sure, uncertain="present", average=average) == 1.0


def test_nobody_asserts_anything_is_zero_as_published_or_left_out() -> None:
    silent = [study()]
    assert RADEVAL_MICRO_14(references=silent, predictions=silent) == 0.0
    for average in ("micro", "macro", "weighted", "example"):
        left_out = LabelMetric("present", average, zero_division=None)  # type: ignore[arg-type]
        assert left_out(references=silent, predictions=silent) is None


def test_a_class_without_any_scored_pair_is_no_part_of_the_macro_average() -> None:
    metric = LabelMetric("dropped", "macro", ("Edema", "Fracture"))
    references = [study(Edema=-1, Fracture=1)]
    assert metric(references=references, predictions=[study(Fracture=1)]) == 1.0


def test_gold_scores_one_and_a_wrong_label_less() -> None:
    gold: list[Labels] = [study(Edema=1, Fracture=0), study(Pneumonia=1)]
    for name, metric in metrics().items():
        if metric.average != "macro" and "-5" not in name:
            assert metric(references=gold, predictions=gold) == 1.0
            worse = metric(references=gold, predictions=[study(Fracture=0), study(Pneumonia=1)])
            assert worse is not None
            assert worse < 1.0


def test_swapping_reference_and_prediction_swaps_precision_and_recall() -> None:
    references, predictions = published_labels()
    recall = LabelMetric("present", "micro", measure="recall")
    precision = LabelMetric("present", "micro", measure="precision")
    assert recall(references=references, predictions=predictions) == pytest.approx(1 / 3)
    assert precision(references=predictions, predictions=references) == pytest.approx(1 / 3)
    assert precision(references=references, predictions=predictions) == pytest.approx(2 / 5)


def test_stored_counts_resampled_equal_labels_resampled() -> None:
    generator = np.random.default_rng(1)
    labels = generator.choice([1.0, 0.0, -1.0, np.nan], size=(2, 8, 14))
    references, predictions = list(labels[0]), list(labels[1])
    counts = count_studies(references=references, predictions=predictions, uncertain="present")
    rows = np.concatenate([np.eye(8), RADEVAL_MACRO_14.rows(counts)], axis=1)
    checked = []

    def aggregate(sums: Any) -> Any:
        fast = RADEVAL_MACRO_14.aggregate(sums[..., 8:])
        for drawn, value in zip(np.atleast_2d(sums[..., :8]).astype(int), np.atleast_1d(fast), strict=True):
            chosen = np.repeat(np.arange(8), drawn)
            slow = RADEVAL_MACRO_14(
                references=[references[i] for i in chosen], predictions=[predictions[i] for i in chosen]
            )
            assert slow == pytest.approx(value)
            checked.append(slow)
        return fast

    interval = bootstrap_interval(rows, aggregate, samples=50, confidence=0.9, seed=0)
    assert interval is not None
    assert len(set(checked)) > 20


def test_arrays_and_mappings_mean_the_same() -> None:
    named = study(Edema=1, Fracture=-1, Pneumonia=0)
    array = np.array([np.nan if named[name] is None else named[name] for name in CHEXPERT_CLASSES])
    for uncertain in ("absent", "present", "dropped"):
        of_names = label_counts(reference=named, prediction=named, uncertain=uncertain)  # type: ignore[arg-type]
        of_array = label_counts(reference=array, prediction=named, uncertain=uncertain)  # type: ignore[arg-type]
        assert (of_names == of_array).all()


@pytest.mark.parametrize(
    "labels",
    [
        [1] * 13,
        [2] + [0] * 13,
        {"Edema": 1},
        dict.fromkeys((*CHEXPERT_CLASSES[:-1], "Suport Devices"), 0),
    ],
)
def test_what_is_no_label_is_refused(labels: Any) -> None:
    with pytest.raises(DataError):
        label_counts(reference=labels, prediction=study(), uncertain="absent")


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="1 references but 2"):
        RADEVAL_MICRO_14(references=[study()], predictions=[study(), study()])


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="radeval-micro-14"):
        resolve("metric", LABEL_METRICS, "radeval-mikro-14")


def test_a_name_says_its_classes_and_average() -> None:
    for name, metric in metrics().items():
        assert name.endswith(f"-{len(metric.classes)}")
        if metric.measure == "f1":
            assert metric.average in name
