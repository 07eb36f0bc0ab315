"""What is shipped: wheel and sdist are whole, their metadata are right, and the wheel runs by itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.conftest import REPOSITORY

from radflow import __version__

DATA = {".yaml", ".md", ".jinja", ".css", ".typed"}


def tracked(folder: str) -> set[str]:
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the list of files comes from git")
    return set(listed.stdout.splitlines())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel and the sdist of this tree."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def names_in_wheel(built: Path) -> set[str]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_the_wheel_holds_every_source_and_data_file(built: Path) -> None:
    ours = {name.removeprefix("src/") for name in tracked("src")}
    names = names_in_wheel(built)
    assert ours <= names
    assert {Path(name).suffix for name in ours} >= DATA
    assert "radflow/constraints.txt" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "configs/", "docs/")) for name in names)


@pytest.mark.slow
def test_the_sdist_builds_tests_and_documents_by_itself(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("src", "tests", "configs", "docs", "examples", "benchmarks"):
        assert tracked(folder) <= names, folder
    assert {"constraints.txt", "Makefile", "LICENSE", "CITATION.cff", "README.md"} <= names
    assert not any(name.startswith(("runs", ".venv", "site/")) for name in names)


@pytest.mark.slow
def test_metadata_pass_the_registry_s_check(built: Path) -> None:
    pytest.importorskip("twine")
    files = [str(path) for path in built.iterdir() if path.suffix in (".whl", ".gz")]
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_alone_labels_a_report(built: Path, tmp_path: Path) -> None:
    """Unpacked somewhere else: data files are found inside the package, not in the checkout."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "r.csv").write_text('id,report\n1,"FINDINGS: Small left effusion."\n')
    code = (
        "import sys; sys.path.insert(0, 'site'); import radflow; assert 'site' in radflow.__file__; "
        "from radflow.doctor.versions import known_versions; assert known_versions()['torch']; "
        "sys.argv = ['radflow', 'label', 'r.csv', '-o', 'l.csv']; from radflow.cli import main; main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={})
    assert done.returncode == 0, done.stderr
    assert "Pleural Effusion" in (tmp_path / "l.csv").read_text()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert project["version"] == __version__ == citation["version"]
    assert project["license"] == citation["license"]
    assert "2511.10065" in citation["references"][0]["identifiers"][0]["value"]


def test_the_container_is_pinned_and_runs_without_root() -> None:
    lines = [
        line.strip()
        for line in (REPOSITORY / "Dockerfile").read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
    users = [line for line in lines if line.startswith("USER")]
    assert users[-1] not in ("USER root", "USER 0")
    assert not any(line.startswith(("ADD ", "RUN sudo")) for line in lines)
    assert json.loads((REPOSITORY / ".devcontainer/devcontainer.json").read_text())["postCreateCommand"]
