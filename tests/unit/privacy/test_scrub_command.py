"""`radflow scrub` keeps a file's shape, counts by kind, and never tells what it found."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radflow.cli import app
from radflow.errors import RadflowError

TEXT = 'Seen by Dr. Quibblethwaite on 3/4/2019, "clear".\nNo effusion.'
CLEAN = 'Seen by Dr. [NAME] on [DATE], "clear".\nNo effusion.'


def scrub(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["scrub", *map(str, arguments)], catch_exceptions=False)
    assert "Quibble" not in done.output
    return done.output


def test_a_table_keeps_its_other_columns_and_says_so(tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("id", "report", "note"), (7, TEXT, "Dr. Smith"), (8, "", "")])
    told = scrub(tmp_path / "in.csv", "-o", tmp_path / "new/out.csv")
    with (tmp_path / "new/out.csv").open(newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["id", "report", "note"],
            ["7", CLEAN, "Dr. Smith"],
            ["8", "", ""],
        ]
    assert "1 texts, 1 changed (1 date, 1 name)" in told
    assert "not looked at: id, note" in told
    assert "read docs/privacy.md" in told
    assert stat.S_IMODE((tmp_path / "new/out.csv").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_named_columns_only_and_null_stays_null(tmp_path: Path) -> None:
    rows = [{"id": 1, "a": TEXT, "report": TEXT}, {"id": 2, "a": None, "report": "x"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scrub(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--column", "a")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == [{**rows[0], "a": CLEAN}, rows[1]]


def test_text_files_and_folders_of_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"in/{name}.txt").write_text(TEXT)
    scrub(tmp_path / "in", "-o", tmp_path / "out")
    scrub(tmp_path / "in/a.txt", "-o", tmp_path / "one.txt")
    texts = {path.name: path.read_text() for path in (*(tmp_path / "out").iterdir(), tmp_path / "one.txt")}
    assert texts == dict.fromkeys(("a.txt", "b.txt", "one.txt"), CLEAN)


def test_rules_are_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Herr Müller, March 4, 2019")
    scrub(tmp_path / "a.txt", "-o", tmp_path / "b.txt", "--rules", "en")
    assert (tmp_path / "b.txt").read_text() == "Herr Müller, [DATE]"


@pytest.mark.parametrize(
    ("name", "content", "more", "told"),
    [
        ("in.csv", "id,text\n1,Quibble\n", ("-o", "out.csv"), "--column"),
        ("in.csv", "id,report\n", ("-o", "out.csv"), "no row"),
        ("in.csv", "id,report\n1,a\n", ("-o", "out.parquet"), ".csv or .tsv or .jsonl"),
        ("in.csv", "id,report\n1,a\n", ("-o", "in.csv"), "its own input"),
        ("in.jsonl", '{"report": "a"}\n{"other": "Quibble"}\n', ("-o", "out.csv"), "other columns"),
        ("in.jsonl", '{"report": "a"}\n{"other": "Quibble"}\n', ("-o", "out.jsonl"), "no column 'report'"),
        ("in.jsonl", '{"report": ["Quibble"]}\n', ("-o", "out.jsonl"), "no text but a list"),
        ("in.docx", "Quibble", ("-o", "out.csv"), ".docx"),
        ("in.txt", "a", ("-o", "out.csv"), ".txt"),
    ],
)
def test_mistakes_are_told_without_text_and_leave_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, more: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content)
    with pytest.raises(RadflowError) as caught:
        scrub(name, *more)
    assert told in str(caught.value)
    assert "Quibble" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
