"""A reward and a labeler fitted once on phantom reports, for all tests here."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from radflow.clinical.fitted_labeler import FittedLabeler
from radflow.clinical.fitted_text import TextSettings
from radflow.data.phantoms.carotid import make_carotid_case
from radflow.data.phantoms.chest import make_chest_report
from radflow.fitting.labeler_files import FitFiles, fit_labeler_files
from radflow.fitting.labeler_fit import LabelerOptions
from radflow.fitting.reward_choice import candidates_of
from radflow.fitting.reward_files import Fitted, fit_reward, write_fit
from radflow.fitting.reward_rows import FitOptions

CHEST, HELD_OUT = 110, 30
CAROTID = 160
COLUMNS = ("Calcified Plaque", "Occlusion", "Stenosis 50-69%")


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(header), *map(list, rows)])
    return path


@pytest.fixture(scope="session")
def chest_reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of chest phantoms with Findings and Impression."""
    made = (make_chest_report(index, seed=9) for index in range(CHEST))
    rows = [(f"p{place}", one.findings, one.impression) for place, one in enumerate(made)]
    path = tmp_path_factory.mktemp("chest") / "chest.csv"
    return write_table(path, ("id", "findings", "impression"), rows)


@pytest.fixture(scope="session")
def fit_options() -> FitOptions:
    kinds = ("negation_flip", "omission", "invention", "side_swap")
    return FitOptions(limit=0, held_out=HELD_OUT, kinds=kinds, seed=3)


@pytest.fixture(scope="session")
def fitted_reward(chest_reports: Path, fit_options: FitOptions) -> Fitted:
    return fit_reward(chest_reports, fit_options, candidates_of("logistic"))


@pytest.fixture(scope="session")
def reward_folder(fitted_reward: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward") / "learned"
    write_fit(folder, fitted_reward)
    return folder


def carotid_rows(count: int, seed: int) -> list[tuple[str, str, dict[str, int]]]:
    """(id, report, presence of some observations) of phantoms whose report has Findings."""
    rows = []
    for index in range(count):
        case = make_carotid_case(index, seed=seed)
        if case.report.findings is not None:
            text = f"FINDINGS: {case.report.findings}\nIMPRESSION: {case.report.impression or 'As above.'}"
            truth = {finding.observation for finding in case.truth}
            rows.append((f"c{index}", text, {name: int(name in truth) for name in COLUMNS}))
    return rows


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of carotid phantoms with labels from their truth."""
    rows = carotid_rows(CAROTID, seed=5)
    path = tmp_path_factory.mktemp("carotid") / "labelled.csv"
    return write_table(
        path, ("id", "report", *COLUMNS), [(name, text, *labels.values()) for name, text, labels in rows]
    )


@pytest.fixture(scope="session")
def labeler_folder(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labeler") / "carotid"
    options = LabelerOptions(text=TextSettings(groups=("words",)), strengths=(0.3,))
    fit_labeler_files(FitFiles(labelled, None, folder), options)
    return folder


@pytest.fixture(scope="session")
def labeler(labeler_folder: Path) -> FittedLabeler:
    return FittedLabeler.load(labeler_folder)
