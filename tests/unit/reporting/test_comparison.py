"""radflow compare: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radflow.cli import app, main
from radflow.clinical.ontology_file import load_ontology
from radflow.data.sections import parse_report
from radflow.jsonl import write_jsonl
from radflow.metrics.report_parts import PARTS
from radflow.metrics.rule_findings import vocabulary_of
from radflow.metrics.run_scores import RunScores, Written, cases_of
from radflow.metrics.scoring import make_plan
from radflow.records import MetricRow, Study

Run = Callable[..., tuple[int, str, str]]
STUDIES = 30


def study(number: int, patient: str | None = None) -> Study:
    report = parse_report(f"Findings: Heart number {number} is big. Impression: Cardiomegaly grade {number}.")
    return Study(study_id=f"s{number:02}", patient_id=patient, split="test", images=("a.png",), report=report)


PLAN = make_plan("bleu-4,rouge-l,rules-label-f1", PARTS)


def rows(
    system: str,
    text: str,
    studies: range = range(STUDIES),
    patient: Callable[[int], str | None] = lambda number: None,
) -> list[MetricRow]:
    written = [Written(study(number, patient(number)), system, text) for number in studies]
    scores = RunScores(PLAN, [system], samples=100, confidence=0.95, seed=0)
    return [row for rows in scores.score(cases_of(written, {})) for row in rows]


GOOD = "Findings: Heart number is big. Impression: Cardiomegaly grade."
POOR = "Findings: Heart. Impression: Normal."


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs ``radflow compare`` with these arguments: exit code, stdout, stderr in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["radflow", "compare", *map(str, arguments), "--samples", "100"])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err.replace("\n", " ")

    return call


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    write_jsonl(first / "scores.jsonl", [*rows("sft", GOOD), *rows("nearest image", POOR)])
    write_jsonl(second / "scores.jsonl", rows("other", POOR))
    return first, second


def test_table_is_printed_and_everything_written(run: Run, folders: tuple[Path, Path]) -> None:
    code, out, err = run(*folders)
    assert code == 0
    assert "report/rouge-l" in out
    assert "compare.json" in err
    written = json.loads((folders[0] / "compare.json").read_text())
    assert (written["studies"], written["patients"], written["only_first"]) == (STUDIES, None, [])
    assert (written["first"]["system"], written["second"]["system"]) == ("sft", "other")
    assert {"seed", "samples", "confidence", "radflow"} <= written.keys()
    by_name = {row["metric"]: row for row in written["metrics"]}
    assert by_name["report/rouge-l"]["difference"]["low"] > 0
    assert 0 < by_name["report/rouge-l"]["p"] <= by_name["report/rouge-l"]["p_holm"] <= 1
    markdown = (folders[0] / "compare.md").read_text()
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(written["metrics"])
    assert {line.count("|") for line in table} == {10}


def test_two_systems_of_one_folder(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    code, _, _ = run(folders[0], "--system-a", "nearest image", "--system-b", "sft", "-o", tmp_path / "new")
    assert code == 0
    found = json.loads((tmp_path / "new/compare.json").read_text())["metrics"][0]
    assert found["difference"]["value"] < 0
    assert not (folders[0] / "compare.json").exists()


def test_a_folder_of_radflow_score_stands_beside_a_run(
    run: Run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    for name, text in (("truth.csv", None), ("mine.csv", POOR)):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["study_id", "report"])
            writer.writerows([f"s{n:02}", text or study(n).report.text] for n in range(STUDIES))
    arguments = ["score", "--reference", "truth.csv", "--prediction", "mine.csv", "-o", "scored"]
    names = ["--metrics", "rouge-l,bleu-4,chrf", "--workers", "1", "--samples", "100"]
    result = CliRunner().invoke(app, [*arguments, *names])
    assert result.exit_code == 0, result.exception
    code, out, _ = run(folders[0], "scored", "--system-a", "sft", "--metric", "rouge-l")
    assert code == 0
    assert "only one was scored with it: chrf, rules-label-f1" in out
    found = json.loads((folders[0] / "compare.json").read_text())
    assert {row["metric"] for row in found["metrics"]} == {
        "report/rouge-l", "findings/rouge-l", "impression/rouge-l",
    }  # fmt: skip
    assert all(row["difference"]["value"] > 0 for row in found["metrics"])
    code, _, err = run("scored")
    assert code == 1
    assert "only one system" in err


def test_scores_of_an_older_version_say_what_to_do(run: Run, folders: tuple[Path, Path]) -> None:
    old = {"study_id": "s00", "system": "sft", "part": "report", "bleu": [0, 0, 0, 0], "rouge_l": 0.5}
    (folders[1] / "scores.jsonl").write_text(json.dumps(old) + "\n")
    code, out, err = run(*folders)
    assert (code, out) == (1, "")
    assert "another version of radflow" in err
    assert "--redo evaluate" in err


def test_other_labels_are_refused(run: Run, folders: tuple[Path, Path]) -> None:
    for folder, ontology in zip(folders, ("chest-xray", "carotid-ultrasound"), strict=True):
        vocabulary = vocabulary_of(load_ontology(ontology))._asdict()
        (folder / "summary.json").write_text(json.dumps({"vocabulary": vocabulary}))
    code, _, err = run(*folders)
    assert code == 1
    assert "different labels: chest-xray and carotid-ultrasound" in err


def test_same_command_writes_the_same_bytes(run: Run, folders: tuple[Path, Path]) -> None:
    run(*folders)
    before = (folders[0] / "compare.json").read_bytes()
    run(*folders)
    assert (folders[0] / "compare.json").read_bytes() == before


def test_mistakes_say_what_where_and_what_next(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, told in (
        ((folders[0], "nowhere"), ("no scores.jsonl", "nowhere", "radflow run")),
        ((folders[0],), ("both sides", "'nearest image'")),
        ((folders[0], "--system-b", "nearest"), ("no system 'nearest'", "Did you mean nearest image?")),
        ((*folders, "--metric", "report/blue-4"), ("Did you mean report/bleu-4?",)),
        ((*folders, "-o", tmp_path / "file"), ("can't be written", "-o")),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert all(words in err for words in told), err


def test_other_studies_are_refused_unless_the_shared_ones_are_asked_for(
    run: Run, folders: tuple[Path, Path]
) -> None:
    write_jsonl(folders[1] / "scores.jsonl", rows("other", POOR, range(4, STUDIES + 1)))
    code, out, err = run(*folders)
    assert (code, out) == (1, "")
    assert "4 have rows only in the first, 1 only in the second, e.g. s00, s01, s02, s30" in err
    assert "--shared-only" in err
    code, out, _ = run(*folders, "--shared-only")
    assert code == 0
    assert "26 studies" in out
    assert "5 left out" in out
    written = json.loads((folders[0] / "compare.json").read_text())
    assert (written["only_first"], written["only_second"]) == (["s00", "s01", "s02", "s03"], ["s30"])


def test_patients_of_a_run_folder_are_drawn_as_a_whole(run: Run, folders: tuple[Path, Path]) -> None:
    pairs = rows("sft", GOOD, patient=lambda number: f"p{number // 2}")
    write_jsonl(folders[0] / "scores.jsonl", pairs)
    code, out, _ = run(*folders)
    assert code == 0
    assert "30 studies of 15 patients, drawn by patient" in out
    write_jsonl(folders[1] / "scores.jsonl", rows("other", POOR, patient=lambda number: "p0"))
    code, _, err = run(*folders)
    assert code == 1
    assert "different patients" in err


def test_report_text_is_in_no_file_and_no_output(run: Run, folders: tuple[Path, Path]) -> None:
    _, out, err = run(*folders)
    written = (folders[0] / "compare.json").read_text() + (folders[0] / "compare.md").read_text()
    assert "Cardiomegaly" not in out + err + written
