"""The published aggregation, the declared deviations from it, and CheXpert's own four sample reports."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, FIVE_CLASSES
from radflow.clinical.label_table import aggregate, labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology_file import load_ontology

CHEST = load_ontology("chest-xray")


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler("chest-xray")


def known(labels: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in labels.items() if value is not None}


def test_columns_are_chexperts_in_its_order() -> None:
    assert CHEST.columns == CHEXPERT_CLASSES
    assert set(FIVE_CLASSES) < set(CHEXPERT_CLASSES)


def test_positive_wins_over_uncertain_and_uncertain_over_negative() -> None:
    edema = [("Edema", "absent"), ("Edema", "uncertain")]
    assert aggregate(edema, CHEST)["Edema"] == -1
    assert aggregate([*edema, ("Edema", "present")], CHEST)["Edema"] == 1
    assert aggregate([("Edema", "present"), *edema], CHEST)["Edema"] == 1


def test_heart_failure_leaves_cardiomegaly_uncertain_unless_it_is_said() -> None:
    assert known(aggregate([("Heart Failure", "present")], CHEST)) == {"Edema": 1, "Cardiomegaly": -1}
    said = [("Heart Failure", "present"), ("Cardiomegaly", "present")]
    assert aggregate(said, CHEST)["Cardiomegaly"] == 1
    assert known(aggregate([("Heart Failure", "absent")], CHEST)) == {"No Finding": 1, "Edema": 0}


def test_pneumonia_implies_an_opacity_in_the_table_only(labeler: RuleLabeler) -> None:
    mentions = labeler.label("Left lower lobe pneumonia.")
    assert [mention.observation for mention in mentions] == ["Pneumonia"]
    assert known(labels_of(mentions, CHEST)) == {"Pneumonia": 1, "Lung Opacity": 1}
    assert known(labels_of(mentions, CHEST, parents=False)) == {"Pneumonia": 1}


@pytest.mark.parametrize(
    ("text", "is_no_finding"),
    [
        ("Clear lungs.", True),
        ("No effusion. Right PICC line in place.", True),
        ("Possible pneumonia.", False),
        ("Calcified granuloma.", False),  # suppresses, without a column of its own
        ("Emphysema.", False),
        ("Nothing to say.", True),  # as published: no mention is no finding
    ],
)
def test_no_finding_is_said_when_only_devices_are_there(
    labeler: RuleLabeler, text: str, is_no_finding: bool
) -> None:
    assert labels_of(labeler.label(text), CHEST)["No Finding"] == (1 if is_no_finding else None)


def test_extra_observations_come_on_request() -> None:
    assert "Granuloma" not in aggregate((), CHEST)
    assert aggregate([("Granuloma", "present")], CHEST, extras=True)["Granuloma"] == 1


@pytest.mark.data
def test_chexperts_sample_reports_get_their_labels_exactly(real_data: Path, labeler: RuleLabeler) -> None:
    path = real_data / "text" / "chexpert_labeler" / "labeled_reports.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        expected = {name: int(float(row[name])) if row[name] else None for name in CHEXPERT_CLASSES}
        assert labels_of(labeler.label(row["Reports"]), CHEST) == expected
