"""Several runs on one page: what differs is shown, what can't be compared is said, nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.reporting.made_run import HOSTILE, SFT_ONLY, make_run
from tests.unit.reporting.test_page import Page
from typer.testing import CliRunner

from radflow.cli import app
from radflow.errors import RunError
from radflow.reporting.runs_page import read_runs, render_runs


def change(root: Path, stage: str, **settings: object) -> None:
    path = root / f"manifests/{stage}.json"
    manifest = json.loads(path.read_text())
    manifest["config"] |= settings
    path.write_text(json.dumps(manifest))


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Three seeds: of the third only the supervised model."""
    roots = [make_run(tmp_path / f"seed-{seed}") for seed in range(2)]
    roots.append(make_run(tmp_path / "seed-2", SFT_ONLY))
    for seed, root in enumerate(roots):
        change(root, "evaluate", seed=seed)
    return roots


def test_gains_values_curves_and_differing_settings_stand_side_by_side(runs: list[Path]) -> None:
    page = Page(render_runs(read_runs(runs)))
    assert page.sections == ["overview", "gains", "values", "curves", "settings"]
    told = " ".join(str(svg.get("aria-label")) for svg in page.named("svg"))
    assert "seed-0: 0.040 [0.020, 0.060]; seed-1: 0.040 [0.020, 0.060]" in told
    assert "RFT: validation reward" in page.text
    assert "SFT: validation loss" in page.text
    assert "1 failure signature seen" in page.text


def test_settings_that_are_the_same_are_left_out(runs: list[Path]) -> None:
    text = Page(render_runs(read_runs(runs))).text
    settings = text[text.rindex("Settings that differ") :]
    assert "seed" in settings
    assert "data.source" not in settings
    change(runs[1], "evaluate", rft={"algorithm": "grpo", "note": HOSTILE})
    settings = Page(render_runs(read_runs(runs))).text.rpartition("Settings that differ")[2]
    assert "rft.algorithm" in settings
    assert '"grpo"' in settings


def test_runs_of_other_studies_are_said_to_be(runs: list[Path]) -> None:
    told = "not evaluated on the same studies"
    assert told not in Page(render_runs(read_runs(runs))).text
    scores = runs[1] / "scores.jsonl"
    scores.write_text(scores.read_text().replace('"s3"', '"other"'))
    assert told in Page(render_runs(read_runs(runs))).text


def test_nothing_runs_and_nothing_is_fetched(runs: list[Path]) -> None:
    text = render_runs(read_runs(runs))
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"script", "iframe", "img", "link", "form"} == set()
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    roots = [make_run(tmp_path / name / "run") for name in ("one", "two")]
    assert list(read_runs(roots)) == ["one/run", "two/run"]


def test_what_cannot_be_compared_is_refused(runs: list[Path], tmp_path: Path) -> None:
    for folders in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(RunError, match="can't be compared"):
            read_runs(folders)
    with pytest.raises(RunError, match="no finished evaluation"):
        read_runs([runs[0], tmp_path])


def test_the_command_writes_the_page(runs: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["runs", *map(str, runs), "-o", str(tmp_path / "runs.html")])
    assert result.exit_code == 0
    assert "3 runs" in (tmp_path / "runs.html").read_text()
