"""Shapes of reports: at least fifty, read as a reader would, and never against the table of gates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

from radflow.config import RewardConfig, RunConfig
from radflow.data.sections import parse_report, report_from_fields
from radflow.errors import ConfigError
from radflow.experiments.declaration import Request
from radflow.experiments.section_stress import SECTION_STRESS, breaks_table, global_reward, results_of
from radflow.experiments.shapes import CLEAN, SHAPES, Shape
from radflow.records import RewardScore, RewardTerm
from radflow.rewards.hierarchical import HierarchicalReward

PAIRS = [
    ("The heart is enlarged. Small left pleural effusion.", "Cardiomegaly. Left pleural effusion."),
    ("The lungs are clear. No pneumothorax.", "No acute disease."),
]


def test_there_are_fifty_malformed_shapes_and_all_are_different() -> None:
    assert sum(shape is not CLEAN for shape in SHAPES) >= 50
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert len({shape.write(*PAIRS[0]) for shape in SHAPES}) == len(SHAPES)
    assert {shape.has for shape in SHAPES} == {(True, True), (True, False), (False, True), (False, False)}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_shape_is_read_as_a_reader_would(shape: Shape) -> None:
    for pair in PAIRS:
        report = parse_report(shape.write(*pair))
        assert (report.findings is not None, report.impression is not None) == shape.has


def test_terms_are_there_or_skipped_as_the_table_says_whatever_the_shape() -> None:
    found = list(results_of(PAIRS, RewardConfig(), RunConfig()))
    assert [shape.shape for shape in found] == [shape.name for shape in SHAPES]
    for shape in found:
        assert shape.breaches == shape.undefined == 0, shape.shape
        assert shape.skipped == {"both": 0.0, "only Findings": 1.0, "only Impression": 0.0}
        if shape.has != (True, True):
            assert shape.consistency == -1, "dropping a section must not dodge the check"
            assert shape.loss > 0, f"{shape.shape} must not pay"
        if not shape.has[1]:
            assert shape.impression == 0
    assert found[0].loss == 0
    assert all(shape.loss >= -1e-9 for shape in found), "no shape pays more than the clean one"


def test_the_check_notices_a_term_against_the_table() -> None:
    """Every way in which a gate can be wrong, made by hand from a right score."""
    both = report_from_fields(findings=PAIRS[0][0], impression=PAIRS[0][1])
    lacks = report_from_fields(findings=PAIRS[0][0], impression=None)
    reward = RewardConfig()
    right = HierarchicalReward(reward).score(references=[both], predictions=[lacks.text], study_ids=["a"])[0]
    assert not breaks_table(right, both, lacks, reward)

    def with_term(name: str, value: float | None) -> RewardScore:
        terms = right.terms | {name: RewardTerm(value=value, weight=1.0)}
        return right.model_copy(update={"terms": terms})

    assert breaks_table(with_term("impression", None), both, lacks, reward)
    assert breaks_table(with_term("impression", 0.5), both, lacks, reward)
    assert breaks_table(with_term("consistency", None), both, lacks, reward)
    assert breaks_table(with_term("consistency", 1.0), both, lacks, reward)
    assert breaks_table(right, lacks, lacks, reward), "the reference lacks what was scored"
    assert breaks_table(right.model_copy(update={"total": None}), both, lacks, reward)
    nothing = {name: RewardTerm(value=None, weight=1.0) for name in right.terms}
    assert global_reward(right.model_copy(update={"terms": nothing})) is None


def test_the_command_writes_its_table(tmp_path: Path) -> None:
    config = REPOSITORY / "configs" / "experiments.yaml"
    SECTION_STRESS.run(Request(config=config, out=tmp_path / "out", seeds=(3,)))
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(found["shapes"]) == len(SHAPES)
    assert sum(shape["breaches"] + shape["undefined"] for shape in found["shapes"]) == 0
    assert "| Markdown bold |" in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(ConfigError, match="--arms would change nothing"):
        SECTION_STRESS.run(Request(config=config, out=tmp_path / "out", arms=("a",)))
