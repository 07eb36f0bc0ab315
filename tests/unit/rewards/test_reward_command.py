"""radflow reward and the examples do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from typer.testing import CliRunner

from radflow.cli import app
from radflow.errors import DataError

EXAMPLES = REPOSITORY / "examples"
GOLD = "FINDINGS: Small left effusion. Heart is normal. IMPRESSION: Small left effusion."


def write_reports(path: Path, rows: dict[str, str | None]) -> str:
    path.write_text("".join(json.dumps({"id": key, "report": text}) + "\n" for key, text in rows.items()))
    return str(path)


def test_files_are_matched_by_id_and_what_is_missing_is_listed(tmp_path: Path) -> None:
    reference = write_reports(tmp_path / "r.jsonl", {"a": GOLD, "b": GOLD, "c": GOLD, "d": None})
    prediction = write_reports(tmp_path / "p.jsonl", {"b": None, "a": GOLD, "e": GOLD})
    out = tmp_path / "out.jsonl"
    command = ["reward", "--reference", reference, "--prediction", prediction, "-o", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["study_id"], round(row["total"], 6)) for row in rows] == [("a", 4.0), ("b", -1.0)]
    assert "1 predictions without a reference: e" in result.stdout
    assert "2 references without a prediction: c, d" in result.stdout
    assert "1 references without text: d" in result.stdout
    assert "effusion" not in result.stdout


def test_one_set_is_an_ablation(tmp_path: Path) -> None:
    reference = write_reports(tmp_path / "r.jsonl", {"a": GOLD})
    prediction = write_reports(tmp_path / "p.jsonl", {"a": ""})
    command = ["reward", "--reference", reference, "--prediction", prediction]
    result = CliRunner().invoke(app, [*command, "--set", "reward.consistency=0"], catch_exceptions=False)
    assert result.stdout.splitlines()[-1].split()[:2] == ["reward", "0.000"]


def test_files_without_a_common_id_are_an_error(tmp_path: Path) -> None:
    reference = write_reports(tmp_path / "r.jsonl", {"a": GOLD})
    prediction = write_reports(tmp_path / "p.jsonl", {"b": GOLD})
    with pytest.raises(DataError):
        CliRunner().invoke(
            app, ["reward", "--reference", reference, "--prediction", prediction], catch_exceptions=False
        )


def run_example(name: str, folder: Path) -> str:
    path = os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(EXAMPLES / name)]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_plain_trl_trains_with_the_reward(tmp_path: Path) -> None:
    printed = run_example("plain_trl.py", tmp_path)
    for name in ("rewards/hierarchical_reward/mean", "reward/consistency", "reward/impression"):
        assert name in printed
    assert len((EXAMPLES / "plain_trl.py").read_text().splitlines()) < 30


def test_a_term_of_ones_own_is_added(tmp_path: Path) -> None:
    assert "value=1.0 weight=0.5" in run_example("own_reward.py", tmp_path)
