"""Target Exploration on a small run: every training study is scored or listed, and a cut run ends alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import RunError
from radflow.jsonl import read_jsonl
from radflow.records import ExploredCandidate, LeftOut, SelectedStudy, Study
from radflow.stages.pipeline import run_stages
from tests.integration.small import SMALL

RESULTS = ("candidates.jsonl", "hard.jsonl", "unscored.jsonl")


def training_ids(run: Path) -> list[str]:
    return [study.study_id for study in read_jsonl(Study, run / "studies.jsonl") if study.split == "train"]


def facts_of(run: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((run / "manifests" / "explore.json").read_text())["facts"]
    return facts


@pytest.fixture
def copy(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the small run that may be written to."""
    shutil.copytree(small_run, tmp_path / "run")
    return tmp_path / "run"


def test_every_training_study_is_a_candidate_once_and_scored_or_listed(small_run: Path) -> None:
    candidates = list(read_jsonl(ExploredCandidate, small_run / "candidates.jsonl"))
    assert [row.study_id for row in candidates] == training_ids(small_run)
    listed = {row.study_id: row.reason for row in read_jsonl(LeftOut, small_run / "unscored.jsonl")}
    assert {row.study_id: row.reason for row in candidates if row.composite is None} == listed
    for row in candidates:
        parts = [row.bleu_2, row.bertscore, row.graph_f1]
        if row.composite is not None:
            assert row.composite == pytest.approx(sum(part or 0 for part in parts) / 3, abs=1e-5)
            assert None not in parts


def test_the_hard_set_is_the_lowest_tenth_and_twice_as_many_anchors(small_run: Path) -> None:
    chosen = list(read_jsonl(SelectedStudy, small_run / "hard.jsonl"))
    scores = {
        row.study_id: row.composite for row in read_jsonl(ExploredCandidate, small_run / "candidates.jsonl")
    }
    assert [row.chosen_as for row in chosen] == ["hardest"] * 5 + ["anchor"] * 10
    hardest = {row.study_id for row in chosen[:5]}
    assert max(scores[study] or 0 for study in hardest) <= min(
        score for study, score in scores.items() if score is not None and study not in hardest
    )


def test_the_manifest_says_what_the_selection_did(small_run: Path) -> None:
    facts = facts_of(small_run)
    groups = facts["groups"]
    assert isinstance(groups, dict)
    assert {name: group["studies"] for name, group in groups.items()} == {
        "all": 48, "hardest": 5, "anchor": 10, "selected": 15, "rest": 33,
    }  # fmt: skip
    assert groups["hardest"]["composite"]["mean"] < groups["rest"]["composite"]["mean"]


def test_a_cut_scoring_ends_in_the_same_bytes(small_run: Path, copy: Path, small_config: RunConfig) -> None:
    """As after a kill in the middle of scoring, in mid-line."""
    whole = (copy / "candidates.jsonl").read_bytes()
    candidates = list(read_jsonl(ExploredCandidate, copy / "candidates.jsonl"))
    generated = "".join(
        row.model_dump_json(include={"study_id", "text", "tokens", "finished"}) + "\n" for row in candidates
    )
    (copy / "generated.partial.jsonl").write_text(generated)
    (copy / "candidates.jsonl").write_bytes(whole[: len(whole) // 2])
    manifest = copy / "manifests" / "explore.json"
    marker = json.loads(manifest.read_text())
    started = {key: marker[key] for key in ("fingerprint", "identity")}
    (copy / "manifests" / "explore.started.json").write_text(json.dumps(started))
    manifest.unlink()
    run_stages(small_config, copy, names=("explore",))
    for name in RESULTS:
        assert (copy / name).read_bytes() == (small_run / name).read_bytes(), name


def test_another_encoder_does_not_go_on_with_the_scores_of_the_first(
    copy: Path, small_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row, *_) = read_jsonl(ExploredCandidate, copy / "candidates.jsonl")
    other = row.model_copy(update={"scorers": row.scorers | {"bertscore": "bertscore-other"}})
    marker = json.loads((copy / "manifests" / "explore.json").read_text())
    started = {key: marker[key] for key in ("fingerprint", "identity")}
    (copy / "manifests" / "explore.started.json").write_text(json.dumps(started))
    (copy / "manifests" / "explore.json").unlink()
    (copy / "candidates.jsonl").write_text(other.model_dump_json() + "\n")
    with pytest.raises(RunError, match="bertscore-other"):
        run_stages(small_config, copy, names=("explore",))


@pytest.mark.parametrize(
    ("selection", "expected"), [("all", {"all": 48}), ("random", {"random": 12, "anchor": 5})]
)
def test_other_selections(copy: Path, selection: str, expected: dict[str, int]) -> None:
    overrides = ("explore.fraction=0.25", "explore.anchor_fraction=0.1", "explore.composite.encoder=rouge-l")
    config = load_config(None, overrides=[*SMALL, f"explore.selection={selection}", *overrides])
    run_stages(config, copy, names=("explore",), redo="explore")
    chosen = [row.chosen_as for row in read_jsonl(SelectedStudy, copy / "hard.jsonl")]
    assert {kind: chosen.count(kind) for kind in chosen} == expected  # type: ignore[comparison-overlap]
    scorers = facts_of(copy)["scorers"]
    assert isinstance(scorers, dict)
    assert scorers["bertscore"] == "rouge-l"
