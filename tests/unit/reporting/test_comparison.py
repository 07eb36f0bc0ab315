"""radflow compare: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from radflow.metrics.clinical_scores import ClinicalReaders
from radflow.metrics.report_scores import Written, score_report

from radflow.cli import main
from radflow.data.sections import parse_report
from radflow.jsonl import write_jsonl
from radflow.records import Score, Study

Run = Callable[..., tuple[int, str, str]]
STUDIES = 30


def study(number: int, patient: str | None = None) -> Study:
    report = parse_report(f"Findings: Heart number {number} is big. Impression: Cardiomegaly grade {number}.")
    return Study(study_id=f"s{number:02}", patient_id=patient, split="test", images=("a.png",), report=report)


def rows(system: str, text: str, studies: range = range(STUDIES)) -> list[Score]:
    return [
        row
        for number in studies
        for row in score_report(Written(study(number), system, text), readers=ClinicalReaders())
    ]


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
    assert "report/rouge_l" in out
    assert "compare.json" in err
    written = json.loads((folders[0] / "compare.json").read_text())
    assert (written["studies"], written["patients"], written["only_first"]) == (STUDIES, None, [])
    assert (written["first"]["system"], written["second"]["system"]) == ("sft", "other")
    assert {"seed", "samples", "confidence", "radflow"} <= written.keys()
    by_name = {row["metric"]: row for row in written["metrics"]}
    assert by_name["report/rouge_l"]["difference"]["low"] > 0
    assert 0 < by_name["report/rouge_l"]["p"] <= by_name["report/rouge_l"]["p_holm"] <= 1
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
        ((*folders, "--metric", "report/blue_4"), ("Did you mean report/bleu_4?",)),
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
    write_jsonl(folders[0] / "studies.jsonl", [study(number, f"p{number // 2}") for number in range(STUDIES)])
    code, out, _ = run(*folders)
    assert code == 0
    assert "30 studies of 15 patients, drawn by patient" in out
    write_jsonl(folders[1] / "studies.jsonl", [study(number, "p0") for number in range(STUDIES)])
    code, _, err = run(*folders)
    assert code == 1
    assert "different patients" in err


def test_report_text_is_in_no_file_and_no_output(run: Run, folders: tuple[Path, Path]) -> None:
    _, out, err = run(*folders)
    written = (folders[0] / "compare.json").read_text() + (folders[0] / "compare.md").read_text()
    assert "Cardiomegaly" not in out + err + written
