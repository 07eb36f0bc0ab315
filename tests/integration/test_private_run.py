"""A whole run on reports with planted phrases: these are nowhere but where report text belongs, all files are
their owner's alone, and the run can't speak to another machine.

The run is a child process that the kernel forbids the internet: a socket of IPv4 kills it at once, and its
children, whatever they are written in.
"""

from __future__ import annotations

import csv
import ctypes
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner

from radflow.cli import app
from radflow.config_file import load_config, show_config
from radflow.errors import RunError
from radflow.jsonl import read_jsonl
from radflow.records import Report, Study
from tests.conftest import REPOSITORY
from tests.integration.small import SMALL

pytestmark = pytest.mark.slow

CANARIES = ("zyxomorph", "quibblethwaite", "vorpalquist", "brimblecombe")
"""Words that no rule, page or model of radflow has by itself."""
FINDINGS = (
    ("The heart is enlarged with a zyxomorph border. No pleural effusion.", "Zyxomorph cardiomegaly."),
    ("Small quibblethwaite pleural effusion on the right.", "Quibblethwaite right pleural effusion."),
    ("Large left pneumothorax, vorpalquist in shape.", "Vorpalquist left pneumothorax."),
    ("The lungs are clear.", "Normal zyxomorph chest."),
)
HOLDS_TEXT = {
    "studies.jsonl", "candidates.jsonl", "predictions.jsonl", "report.html",
    "model-base/tokenizer.json", "model-sft/tokenizer.json", "model-rft/tokenizer.json",
}  # fmt: skip
"""Files of a run in which report text belongs: references, written reports, the page's cases, and the words
that a model made from these reports knows. docs/privacy.md lists the same."""
CASES = re.compile(r'<section id="cases".*?(?=<section id="provenance")', re.DOTALL)


class Ran(NamedTuple):
    """The run, and all that it wrote outside of its folder."""

    root: Path
    home: Path
    table: Path
    stdout: str
    stderr: str


def forbid_internet() -> None:
    """From now on a socket of IPv4 kills this process or child of it, and IPv6 is unknown to the machine.

    A filter of system calls (seccomp), in the instructions of the Berkeley packet filter. IPv6 is only
    denied: urllib3 asks once, when imported, whether there is any.
    """
    call = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    kill, deny, allow = 0x80000000, 0x00050000 | 97, 0x7FFF0000
    load, equals, end = 0x20, 0x15, 0x06
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 0),  # which system call
            (equals, 0, 5, call),  # not socket(): allow
            (load, 0, 0, 16),  # its first argument
            (equals, 2, 0, int(socket.AF_INET)),
            (equals, 0, 2, int(socket.AF_INET6)),
            (end, 0, 0, deny),
            (end, 0, 0, kill),
            (end, 0, 0, allow),
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    told = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.create_string_buffer(told, len(told)), 0, 0):
        os._exit(77)


@pytest.fixture(scope="module")
def child() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a child without internet; skips where the kernel has no such filter."""
    if sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the filter of system calls is Linux's, written for x86_64 and aarch64")

    def run(*arguments: str, home: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": f"{REPOSITORY / 'src'}",
        }  # fmt: skip

        def prepare() -> None:
            os.umask(0o022)
            forbid_internet()

        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=cwd,
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 77:
            pytest.skip("this machine lets no process filter its system calls")
        return done

    return run


@pytest.fixture(scope="module")
def ran(
    child: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    root = tmp_path_factory.mktemp("private")
    table, home = root / "reports.csv", root / "home"
    home.mkdir(mode=0o700)
    write_table(table)
    overrides = [
        *(item for item in SMALL if not item.startswith("data.phantoms")),
        "data.source=table", f"data.root={table}", "data.table.patient_column=patient",
        "data.require=both", "explore.selection=all",
    ]  # fmt: skip
    (root / "config.yaml").write_text(show_config(load_config(None, overrides=overrides)))
    done = child("-m", "radflow", "--json", "run", "config.yaml", "-o", "runs/x", home=home, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    return Ran(root / "runs", home, table, done.stdout, done.stderr)


def write_table(table: Path) -> None:
    """48 studies, and five that can't be used, each in its own way."""
    rows = []
    for number in range(53):
        findings, impression = FINDINGS[number % len(FINDINGS)]
        text = f"HISTORY: Mrs Brimblecombe fell.\nFINDINGS: {findings}\nIMPRESSION: {impression}"
        pixels = np.full((32, 32), 40 + 50 * (number % len(FINDINGS)), np.uint8)
        Image.fromarray(pixels).save(table.parent / f"{number}.png")
        rows.append([f"s{number}", f"{number}.png", text, f"p{number}"])
    (table.parent / "48.png").write_text("zyxomorph is no image")
    (table.parent / "49.png").unlink()
    rows[50][2] = "FINDINGS: Quibblethwaite without an end."
    rows[51][2] = "Vorpalquist without a header."
    rows[52][2] = ""
    with table.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("id", "image", "report", "patient"), *rows])


def told(text: str) -> list[str]:
    """The planted words that a text holds."""
    return [word for word in CANARIES if word in text.lower()]


def with_text(root: Path) -> dict[str, list[str]]:
    """File -> planted words in its name or content, of those that have any."""
    found = {}
    for path in root.rglob("*"):
        content = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        if words := told(f"{path.name} {content}"):
            found[str(path.relative_to(root))] = words
    return found


def open_to_others(root: Path) -> list[str]:
    """What others than the owner could read."""
    return [str(path) for path in (root, *root.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_report_text_is_only_where_it_belongs(ran: Ran) -> None:
    assert told(ran.stdout) == told(ran.stderr) == []
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {"stage", "message"} <= {event["event"] for event in events}
    found = with_text(ran.root / "x")
    assert set(found) == HOLDS_TEXT
    page = (ran.root / "x/report.html").read_text(encoding="utf-8")
    assert told(CASES.search(page)[0])  # type: ignore[index]
    assert told(CASES.sub("", page)) == []
    assert list((ran.root / "x").glob("logs/*/events*"))
    assert with_text(ran.home) == {}
    reasons = {json.loads(line)["reason"] for line in (ran.root / "x/left_out.jsonl").open()}
    assert {"unreadable_image", "no_impression", "no_report"} <= reasons


def test_all_that_a_run_writes_is_its_owner_s_alone(ran: Ran) -> None:
    assert open_to_others(ran.root) == []
    assert open_to_others(ran.home) == []


def test_a_run_keeps_no_file_that_could_hold_code(ran: Ran) -> None:
    kept = {path.suffix for path in ran.root.rglob("*") if path.is_file()}
    assert kept <= {
        ".jsonl", ".json", ".safetensors", ".jinja", ".html", ".png", ".txt", ".model", ".lock", "",
        *(suffix for suffix in kept if re.fullmatch(r"\.\d+", suffix)),  # events.out.tfevents.1.0
    }  # fmt: skip


def test_the_guard_kills_whoever_asks_for_the_internet(
    child: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    asks = {
        "python": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "name": "import socket; socket.getaddrinfo('example.org', 443)",
        "child": "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', "
        "'import socket; socket.socket()']).returncode)",
    }
    codes = {name: child("-c", code, home=tmp_path, cwd=tmp_path).returncode for name, code in asks.items()}
    assert codes["python"] == codes["child"] - 256 == -31  # SIGSYS; an exit code is a byte
    assert codes["name"] != 0
    assert child("-c", "import socket; socket.socketpair()", home=tmp_path, cwd=tmp_path).returncode == 0


def test_commands_on_reports_tell_numbers_and_close_their_files(ran: Ran, tmp_path: Path) -> None:
    """All that holds numbers only; under an umask that opens files to all, as a library that is imported."""
    run, out = ran.root / "x", tmp_path / "deep/out"
    scored = ("--reference", str(run / "studies.jsonl"), "--prediction", str(run / "predictions.jsonl"))
    commands = [
        ("label", str(ran.table), "-o", str(out / "labels.csv")),
        ("consistency", str(ran.table), "-o", str(out / "consistency.jsonl")),
        ("criticality", str(ran.table), "-o", str(out / "criticality.jsonl")),
        ("score", *scored, "--system", "sft", "-o", str(out / "score"), "--samples", "100", "--workers", "1"),
        (
            "audit",
            str(ran.table),
            "-o",
            str(out / "audit"),
            "--limit",
            "5",
            "--metrics",
            "bleu-2",
            "--workers",
            "1",
        ),
        ("compare", str(run), str(run), "-o", str(out / "compare"), "--samples", "100"),
        ("watch", str(run), "--once"),
    ]
    before = os.umask(0)
    try:
        for command in commands:
            done = CliRunner().invoke(app, list(command))
            assert done.exit_code == 0, command[0]
            assert told(done.output) == [], command[0]
    finally:
        os.umask(before)
    written = {path.name for path in out.iterdir()}
    assert {"labels.csv", "consistency.jsonl", "criticality.jsonl", "score", "audit", "compare"} <= written
    assert with_text(out) == {}
    assert open_to_others(tmp_path / "deep") == []


def failing(folder: Path) -> Iterator[list[str]]:
    """Commands that fail on what stands in a file."""
    text = 'id,report\n1,"FINDINGS: zyxomorph heart."\n'
    files = {
        "quote.csv": text + '2,"open vorpalquist\n',
        "cells.csv": text + "2,vorpalquist,brimblecombe\n",
        "torn.jsonl": '{"id": "1", "report": "zyxomorph',
        "number.jsonl": '{"id": "1", "report": ["zyxomorph"]}\n',
        "latin.csv": text,
    }
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content.encode() + (b"3,vorpalquist \xe9\n" if name == "latin.csv" else b""))
        yield ["label", str(path), "-o", str(folder / "l.csv")]
        yield ["criticality", str(path), "-o", str(folder / "c.jsonl")]
        yield ["scrub", str(path), "-o", str(folder / "scrubbed.jsonl")]
    yield ["score", "--reference", str(path), "--prediction", str(path), "-o", str(folder / "s")]


def test_failures_quote_no_report(tmp_path: Path) -> None:
    """Neither in the message nor in what ``--debug`` or a bug's traceback would show of it."""
    for command in failing(tmp_path):
        done = CliRunner().invoke(app, command)
        assert done.exception is not None, command
        shown = "".join(traceback.format_exception(done.exception))
        assert told(done.output + shown) == [], (command, shown)


def test_a_damaged_row_of_a_run_is_not_quoted(tmp_path: Path) -> None:
    report = Report(text="FINDINGS: A zyxomorph heart.", findings="A zyxomorph heart.")
    line = Study(study_id="s1", split="train", images=(), report=report).model_dump_json()
    damaged = line.replace('"findings":', '"findings": 7, "findings_of":', 1)
    assert told(damaged)
    assert damaged != line
    (tmp_path / "studies.jsonl").write_text(damaged + "\n")
    with pytest.raises(RunError) as caught:
        list(read_jsonl(Study, tmp_path / "studies.jsonl"))
    assert told("".join(traceback.format_exception(caught.value))) == []
    with pytest.raises(ValidationError) as raw:
        Study.model_validate_json(damaged)
    assert told(str(raw.value)) == []
