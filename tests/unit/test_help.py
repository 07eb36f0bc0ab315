"""Help of every command shows an example; what needs no model answers without loading torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from radflow.cli import app
from radflow.terminal import Bars, progress_bar, rate_text, set_manner, with_late_bar


def commands(command: click.Command, name: str = "radflow") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for own, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {own}")


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    text = " ".join((ALL[name].help or "").split())
    _, found, example = text.partition("Example: ")
    assert found, f"{name} --help has no example"
    assert example.startswith(name)


def test_there_are_commands_to_look_at() -> None:
    assert {"radflow run", "radflow config show", "radflow watch", "radflow doctor"} <= ALL.keys()


def test_shell_completion_is_on() -> None:
    command = [sys.executable, "-m", "radflow", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--install-completion" in done.stdout


SCORE = """
import sys
from radflow.cli import main
sys.argv = ["radflow", "score", "--reference", "r.csv", "--prediction", "p.csv", "-o", "out",
            "--metrics", "fast", "--samples", "100", "--workers", "1"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({"torch", "transformers", "datasets", "trl", "openai"} & set(sys.modules))
assert not heavy, heavy
"""


def test_scores_by_words_and_rules_load_no_torch(tmp_path: Path) -> None:
    for name in ("r", "p"):
        (tmp_path / f"{name}.csv").write_text(
            'id,report\n1,"FINDINGS: Small left effusion. IMPRESSION: Effusion."\n'
            '2,"FINDINGS: Clear lungs. IMPRESSION: Normal."\n'
        )
    command = [sys.executable, "-c", SCORE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "value and interval" in done.stdout
    assert (tmp_path / "out" / "summary.json").is_file()


@pytest.fixture
def spoken(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capsys
    set_manner()


def test_json_lines_tell_how_far_and_how_fast(spoken: pytest.CaptureFixture[str]) -> None:
    set_manner(as_json=True)
    with progress_bar() as bars:
        task = bars.add_task("made", total=4, note="")
        for _ in range(4):
            bars.update(task, advance=1, note="reward 1.0")
    lines = [json.loads(line) for line in spoken.readouterr().out.splitlines()]
    assert lines[-1]["completed"] == lines[-1]["total"] == 4
    assert lines[-1]["note"] == "reward 1.0"
    assert {"per_second", "seconds_left"} <= lines[-1].keys()


def test_quiet_says_nothing(spoken: pytest.CaptureFixture[str]) -> None:
    from radflow.terminal import console

    set_manner(quiet=True)
    console.print("hello")
    with progress_bar() as bars:
        bars.update(bars.add_task("made", total=1, note=""), advance=1)
    assert spoken.readouterr() == ("", "")


def test_into_a_file_a_bar_leaves_nothing(spoken: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as bars:
        bars.update(bars.add_task("made", total=1, note=""), advance=1)
    assert spoken.readouterr() == ("", "")


def test_a_bar_comes_late_and_only_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radflow.terminal.LATE_S", 0.0)
    asked: list[int] = []

    def total() -> int:
        asked.append(1)
        return 3

    assert list(with_late_bar(range(3), "rows", total=total)) == [0, 1, 2]
    assert asked == [1]
    assert Bars.shown == 0
    with progress_bar():
        assert list(with_late_bar(range(3), "rows", total=total)) == [0, 1, 2]
    assert asked == [1]
    monkeypatch.setattr("radflow.terminal.LATE_S", 1e9)
    list(with_late_bar(range(3), "rows", total=total))
    assert asked == [1]


def test_throughput_is_told_the_way_round_that_reads_best() -> None:
    assert [rate_text(rate) for rate in (None, 0.0, 12.34, 0.25)] == ["", "", "12.3/s", "4.0 s each"]
