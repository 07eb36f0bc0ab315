"""The command line: results on stdout, a user's mistake is one message and exit code 1."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from radflow import __version__
from radflow.cli import main
from radflow.config_file import load_config
from radflow.run_dir import RunDir

REPORT = "FINDINGS: Clear lungs.\nIMPRESSION: No acute disease."
SMALL = "data:\n  phantoms: {train: 3, validation: 1, test: 1, size: 32}\nengine:\n  workers: 1\n"


class Cli:
    """Runs a command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, stdout, and stderr without line breaks, which depend on the terminal's width."""
        self.monkeypatch.setattr(sys, "argv", ["radflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self.capsys.readouterr()
        return int(caught.value.code or 0), out, err.replace("\n", "")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(monkeypatch, capsys)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_version_goes_to_stdout(cli: Cli) -> None:
    assert cli("--version")[:2] == (0, f"radflow {__version__}\n")


def test_mistakes_are_one_message_and_exit_code_1(cli: Cli, small: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("sft:\n  epoch: 1\n")
    (tmp_path / "excel.csv").write_text("id;report\n1;FINDINGS: Clear.\n")
    for arguments, told in (
        (("run", "nowhere.yaml"), "nowhere.yaml"),
        (("config", "check", wrong), "did you mean sft.epochs?"),
        (("run", wrong), "did you mean sft.epochs?"),
        (("config", "check", small, "--set", "seed"), "section.key=value"),
        (("config", "check", small, "--set", "reward.language_metric=blue"), "Did you mean bleu-2?"),
        (("run", small, "-o", "new", "--set", "evaluate.metrics=[blue-4]"), "Did you mean bleu-4?"),
        (("config", "show", "rfd"), "Did you mean rft?"),
        (("prepare", small, "--set", "data.source=phantom"), "Did you mean phantoms?"),
        (
            ("prepare", small, "--redo", "training"),
            "annotate, rft, control, evaluate, report",
        ),
        (("evaluate", small, "--redo", "prepare"), "radflow run CONFIG -o runs/small --redo prepare"),
        (("evaluate", small), "stage prepare has not finished"),
        (("prepare", small, "-o", small), "can't be written"),
        (("sections", "nowhere.csv", "-o", "out.jsonl"), "nowhere.csv"),
        (("sections", small, "-o", "out.jsonl"), ".yaml"),
        (("sections", tmp_path, "-o", "out.jsonl"), "no .txt file"),
        (("sections", tmp_path / "excel.csv", "-o", "out.jsonl"), "perhaps at ';': save it with commas"),
        (("sections", "nowhere.csv", "-o", "out.jsonl", "--fallback", "guess"), "last_paragraph"),
    ):
        code, out, err = cli(*arguments)
        assert (code, out) == (1, ""), arguments
        assert "error: " in err, arguments
        assert told in err.partition("error: ")[2], arguments
        assert "Traceback" not in err


def test_locked_folder_is_an_error(cli: Cli, small: Path, tmp_path: Path) -> None:
    with RunDir.open(tmp_path / "run"):
        code, _, err = cli("prepare", small, "-o", "run")
    assert code == 1
    assert "works in this folder" in err


@pytest.mark.parametrize("debug", [False, True])
def test_traceback_is_shown_on_demand_only(debug: bool) -> None:
    command = [sys.executable, "-m", "radflow", *["--debug"] * debug, "config", "check", "nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == debug
    assert "nowhere.yaml" in done.stderr


def test_square_brackets_of_a_path_are_shown(cli: Cli) -> None:
    assert "my[bold]file.yaml" in cli("config", "check", "my[bold]file.yaml")[2]


def test_config_show_prints_a_section_that_can_be_pasted(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("config", "show", "rft", "--set", "rft.kappa=2")
    (tmp_path / "pasted.yaml").write_text(out)
    assert code == 0
    assert out.startswith("rft:\n")
    assert "# Critical samples are clipped at epsilon / kappa. [>= 1]\n  kappa: 2.0\n" in out
    assert load_config(tmp_path / "pasted.yaml").rft.kappa == 2


def test_config_show_takes_values_of_a_file(cli: Cli, small: Path) -> None:
    assert "train: 3\n" in cli("config", "show", "data.phantoms", "--file", small)[1]


def test_config_check_says_ok(cli: Cli, small: Path) -> None:
    assert cli("config", "check", small)[:2] == (0, f"{small}: ok\n")


def test_prepare_fills_the_run_folder_named_after_the_config(cli: Cli, small: Path, tmp_path: Path) -> None:
    code, _, err = cli("prepare", small)
    assert code == 0
    assert "3 train, 1 validation, 1 test" in err
    assert len((tmp_path / "runs/small/studies.jsonl").read_text().splitlines()) == 5


def test_other_settings_in_the_same_folder_are_refused_by_name(cli: Cli, small: Path) -> None:
    cli("prepare", small)
    code, _, err = cli("prepare", small, "--set", "data.phantoms.size=48")
    assert code == 1
    assert "data.phantoms.size was 32, is 48" in err
    assert cli("prepare", small, "--set", "data.phantoms.size=48", "--redo", "prepare")[0] == 0


def write_reports(folder: Path, kind: str) -> Path:
    rows = [{"id": "a", "report": REPORT}, {"id": "b", "report": "Impression: Normal."}]
    path = folder / f"reports.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["id", "report"])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.mkdir()
        for row in rows:
            (path / f"{row['id']}.txt").write_text(row["report"])
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "folder"])
def test_sections_are_the_same_from_every_kind_of_file(cli: Cli, tmp_path: Path, kind: str) -> None:
    code, _, err = cli("sections", write_reports(tmp_path, kind), "-o", "new/out.jsonl")
    assert code == 0
    assert "2 reports: 1 with findings, 2 with impression, 1 with both" in err
    rows = [json.loads(line) for line in (tmp_path / "new/out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["findings"], row["impression"]) for row in rows] == [
        ("a", "Clear lungs.", "No acute disease."),
        ("b", None, "Normal."),
    ]


def test_sections_that_can_not_be_written_are_an_error(cli: Cli, tmp_path: Path) -> None:
    source = write_reports(tmp_path, "csv")
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    for out in ("taken", "file/out.jsonl"):
        code, _, err = cli("sections", source, "-o", out)
        assert code == 1
        assert err.startswith("error:")
        assert out in err


@pytest.mark.parametrize("command", ["consistency", "criticality"])
def test_a_judge_that_answers_nothing_is_an_error(cli: Cli, tmp_path: Path, command: str) -> None:
    (tmp_path / "reports.csv").write_text(f'id,report\n1,"{REPORT}"\n')
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = (f"judge.base_url={url}", "judge.retries=0")
    options = [word for setting in settings for word in ("--set", setting)]
    code, out, err = cli(command, "reports.csv", "-o", "out.jsonl", "--backend", "judge", *options)
    assert (code, out) == (1, "")
    assert "the judge answered none of 1 questions" in err
    assert url in err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
