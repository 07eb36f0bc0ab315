"""RadCliQ reproduces the leaderboard, its published constants, and never lends its name to other inputs."""

from __future__ import annotations

import numpy as np
import pytest

from radflow.errors import DataError
from radflow.metrics.bertscore_scores import METRICS as BERTSCORES
from radflow.metrics.bleu import METRICS as BLEUS
from radflow.metrics.chexbert_scores import METRICS as SEMBSCORES
from radflow.metrics.graph_scores import METRICS as GRAPHS
from radflow.metrics.radcliq import MODELS, PUBLISHED_INPUTS, Version, composite_name, composites, radcliq
from radflow.metrics.registry import find_metric

LEADERBOARD = [  # ReXrank, 2025-09-05, findings only: BLEU-2, BERTScore, SembScore, RadGraph, 1/RadCliQ-v1
    ("MIMIC UniRG-CXR", 0.248, 0.493, 0.487, 0.265, 1.217),
    ("MIMIC MedVersa", 0.209, 0.448, 0.466, 0.273, 1.103),
    ("MIMIC Libra", 0.232, 0.402, 0.403, 0.218, 0.898),
    ("MIMIC CXRMate-ED", 0.208, 0.383, 0.396, 0.223, 0.872),
    ("MIMIC MedGemma", 0.165, 0.346, 0.339, 0.159, 0.744),
    ("MIMIC CheXagent", 0.113, 0.346, 0.347, 0.148, 0.741),
    ("MIMIC MAIRA-2", 0.088, 0.308, 0.339, 0.131, 0.694),
    ("MIMIC GPT4V", 0.068, 0.207, 0.214, 0.084, 0.558),
    ("IU UniRG-CXR", 0.265, 0.565, 0.659, 0.286, 1.977),
    ("IU MoERad-IU", 0.277, 0.525, 0.641, 0.341, 1.922),
    ("IU MedVersa", 0.206, 0.527, 0.606, 0.235, 1.460),
    ("IU CXRMate-RRG24", 0.245, 0.456, 0.638, 0.302, 1.458),
]
ROUNDED = 0.0005  # of the published features


@pytest.mark.parametrize("row", LEADERBOARD, ids=lambda row: row[0])
def test_leaderboard_rows_reproduce_within_the_rounding_of_their_features(
    row: tuple[str, float, float, float, float, float],
) -> None:
    _, bleu, bert, semb, graph, published = row
    ends = [
        1 / radcliq(radgraph=graph + off, bertscore=bert + off, sembscore=semb + off, bleu_2=bleu)
        for off in (-ROUNDED, ROUNDED)
    ]
    assert ends[0] - ROUNDED <= published <= ends[1] + ROUNDED
    assert ends[1] - ends[0] < 0.02  # else the test would say nothing


@pytest.mark.parametrize(
    ("version", "all_ones", "all_zeros"), [("v1", -1.44069, 2.45014), ("v0", -0.24213, 5.51616)]
)
def test_published_end_points(version: Version, all_ones: float, all_zeros: float) -> None:
    for value, expected in ((1.0, all_ones), (0.0, all_zeros)):
        found = radcliq(radgraph=value, bertscore=value, sembscore=value, bleu_2=value, version=version)
        assert found == pytest.approx(expected, abs=5e-6)


def test_an_identical_report_without_relations_looks_bad_when_inverted_alone() -> None:
    value = radcliq(radgraph=0.5, bertscore=1, sembscore=1, bleu_2=1)
    assert value == pytest.approx(-0.818, abs=5e-4)


def test_the_inverse_is_of_the_mean_and_undefined_below_zero() -> None:
    metric = find_metric("inverse-radcliq-v1")
    stored = np.array([[0.2, 0.4, 0.4, *[0] * 10], [0.4, 0.6, 0.7, *[0] * 10]])
    means = [radcliq(radgraph=a, bertscore=b, sembscore=c, bleu_2=0) for a, b, c in stored[:, :3]]
    assert metric.of_set(stored) == pytest.approx(1 / np.mean(means))
    assert metric.of_set(stored) != pytest.approx(np.mean(1 / np.array(means)))
    perfect = np.array([[1.0, 1.0, 1.0, *[0] * 10]])
    assert metric.of_set(perfect) is None


def test_bleu_moves_v0_but_not_v1() -> None:
    features = {"radgraph": 0.3, "bertscore": 0.4, "sembscore": 0.5}
    difference = [
        radcliq(**features, bleu_2=0.5, version=version) - radcliq(**features, bleu_2=0, version=version)
        for version in MODELS
    ]
    assert difference == pytest.approx([0.7139419 / 2, 0], abs=1e-6)


def test_only_the_published_inputs_are_called_radcliq() -> None:
    assert composite_name("v1", PUBLISHED_INPUTS) == "radcliq-v1"
    other = {**PUBLISHED_INPUTS, "radgraph": "lexicon-graph-mean", "bertscore": "bertscore-minilm"}
    name = composite_name("v1", other)
    assert "radcliq" not in name
    assert "radgraph=lexicon-graph-mean" in name
    assert "bertscore=bertscore-minilm" in name
    with pytest.raises(DataError):
        composite_name("v1", {"radgraph": "radgraph-mean"})


def test_a_composite_of_other_backends_carries_them_in_name_and_backend() -> None:
    made = composites(
        {
            "radgraph": GRAPHS["lexicon-graph-mean"],
            "bertscore": BERTSCORES["bertscore-minilm"],
            "sembscore": SEMBSCORES["sembscore"],
            "bleu-2": BLEUS["radcliq-bleu-2"],
        }
    )
    assert all("radcliq" not in metric.name for metric in made)
    assert all("lexicon-graph" in metric.backend and "MiniLM" in metric.backend for metric in made)
