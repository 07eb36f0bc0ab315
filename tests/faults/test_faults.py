"""Every fault of the table: what the person sees, what is kept, what comes of the same command afterwards.

docs/reliability.md holds what was seen, written by ``python -m tests.faults.record``; here it is seen again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.bench import Bench, Case, observe
from tests.faults.cases import CASES
from tests.faults.page import cells, known_rows, write_rows
from tests.faults.tables import make_data, table_settings
from tests.integration.small import SMALL

IS_ALL = os.environ.get("RADFLOW_FAULTS") == "all"
RECORD = os.environ.get("RADFLOW_RECORD_FAULTS")
"""The page that what is seen is written into, instead of being compared with it."""


@pytest.fixture(scope="session")
def whole_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared run of the table without a fault, beside its data and config."""
    home = tmp_path_factory.mktemp("table")
    make_data(home / "data")
    (home / "config.yaml").write_text("seed: 0\n")
    bench = Bench(home, home / "run", home / "config.yaml", table_settings(home / "data"))
    code, told = bench.run("prepare")
    assert code == 0, told
    return home


def bench_for(case: Case, folder: Path, request: pytest.FixtureRequest) -> Bench:
    config = folder / "config.yaml"
    config.write_text("seed: 0\n")
    if case.on == "table":
        home: Path = request.getfixturevalue("whole_table")
        shutil.copytree(home / "data", folder / "data")
        settings = (*table_settings(folder / "data"), *case.settings)
        return Bench(home / "run", folder / "run", config, settings, data=folder / "data", home=folder)
    whole: Path = request.getfixturevalue("small_run")
    bench = Bench(whole, folder / "run", config, (*SMALL, *case.settings), home=folder)
    bench.take_over(before=case.stage)
    return bench


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stage}: {case.fault}")
def test_fault_is_met_as_the_table_says(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if case.is_dear and not IS_ALL:
        pytest.skip("takes long: RADFLOW_FAULTS=all")
    bench = bench_for(case, tmp_path, request)
    with bench.closing:
        row = cells(case, observe(case, bench))
    if RECORD is not None:
        write_rows({**known_rows(Path(RECORD)), case.key: row}, CASES, Path(RECORD))
        return
    assert row == known_rows().get(case.key), "python -m tests.faults.record writes what was seen"


def test_the_table_has_a_row_for_every_case() -> None:
    assert RECORD is not None or list(known_rows()) == [case.key for case in CASES]
