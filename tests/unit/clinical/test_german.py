"""The German chest ontology on sentences written for it, and German reports through the commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radflow.cli import app
from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology_file import load_ontology, read_ontology
from radflow.data.sections import parse_report
from radflow.errors import ConfigError

GERMAN = "chest-xray-de"
EFFUSION, HEART = "Pleural Effusion", "Cardiomegaly"

SAID = [
    ("Pleuraerguss rechts.", {EFFUSION: "present right"}),
    ("Kein Pleuraerguss.", {EFFUSION: "absent"}),
    ("Keine Pleuraergüsse beidseits.", {EFFUSION: "absent bilateral"}),
    ("Kein Nachweis eines Pneumothorax.", {"Pneumothorax": "absent"}),
    ("Kein Anhalt für einen Pneumothorax oder Pleuraerguss.", {"Pneumothorax": "absent", EFFUSION: "absent"}),
    (
        "Kein Erguss, kein Infiltrat und keine Stauung.",
        {EFFUSION: "absent", "Infiltration": "absent", "Vascular Congestion": "absent"},
    ),
    ("Kein Erguss, aber Infiltrat links.", {EFFUSION: "absent", "Infiltration": "present left"}),
    ("Ein Pneumothorax ist nicht nachweisbar.", {"Pneumothorax": "absent"}),
    ("Ein Pneumothorax liegt nicht vor.", {"Pneumothorax": "absent"}),
    ("Frische Infiltrate lassen sich nicht abgrenzen.", {"Infiltration": "absent"}),
    ("Pneumothorax ausgeschlossen.", {"Pneumothorax": "absent"}),
    ("Ausschluss Pneumothorax.", {"Pneumothorax": "absent"}),
    ("Zum Ausschluss einer Pneumonie.", {}),
    ("Pneumonie rechts wahrscheinlich.", {"Pneumonia": "uncertain right"}),
    ("Wahrscheinlich kleiner Pleuraerguss links.", {EFFUSION: "uncertain left"}),
    ("Pneumonie unwahrscheinlich.", {"Pneumonia": "uncertain"}),
    ("Pneumonie nicht sicher auszuschließen.", {"Pneumonia": "uncertain"}),
    ("Eine Pneumonie kann nicht ausgeschlossen werden.", {"Pneumonia": "uncertain"}),
    ("V. a. Pneumonie im rechten Unterlappen.", {"Pneumonia": "uncertain right"}),
    ("V.a. Lungenödem.", {"Edema": "uncertain"}),
    ("Verdacht auf Rippenfraktur links.", {"Fracture": "uncertain left"}),
    ("Kein Verdacht auf Pneumonie.", {"Pneumonia": "absent"}),
    ("Fragliche Verschattung rechtsbasal.", {"Lung Opacity": "uncertain right"}),
    ("Atelektase möglich.", {"Atelectasis": "uncertain"}),
    ("Z. n. Rippenfraktur.", {}),
    ("Zustand nach Pneumonie.", {}),
    ("Herz normal groß.", {HEART: "absent"}),
    ("Das Herz ist nicht vergrößert.", {HEART: "absent"}),
    ("Das Herz ist deutlich vergrößert.", {HEART: "present"}),
    ("Kardiomegalie.", {HEART: "present"}),
    (
        "Herz und Mediastinum unauffällig.",
        {HEART: "absent", "Enlarged Cardiomediastinum": "absent"},
    ),
    ("Mediastinum nicht verbreitert.", {"Enlarged Cardiomediastinum": "absent"}),
    ("Die Lungen sind frei.", {"Lung Opacity": "absent"}),
    ("Plattenatelektase im linken Unterfeld.", {"Atelectasis": "present left"}),
    ("Regelrechte Lage des ZVK.", {"Support Devices": "present"}),
    (
        "Kein Pneumothorax bei liegender Thoraxdrainage.",
        {"Pneumothorax": "absent", "Support Devices": "present"},
    ),
    ("Der Pleuraerguss ist nicht mehr nachweisbar.", {EFFUSION: "absent"}),
    ("Keine Zunahme des Pleuraergusses.", {EFFUSION: "present"}),
    ("Rundherd im linken Oberlappen.", {"Lung Lesion": "present left"}),
    ("Weichteilverschattung durch Mammae.", {}),
    (
        "Beidseitige Pleuraergüsse und Stauungszeichen.",
        {EFFUSION: "present bilateral", "Vascular Congestion": "present"},
    ),
    ("Kleiner Mantelpneumothorax rechts apikal.", {"Pneumothorax": "present right"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler(GERMAN)


@pytest.mark.parametrize(("sentence", "expected"), SAID)
def test_sentence_says(labeler: RuleLabeler, sentence: str, expected: dict[str, str]) -> None:
    found = {
        mention.observation: f"{mention.assertion} {mention.side or ''}".strip()
        for mention in labeler.label(sentence)
    }
    assert found == expected


@pytest.mark.parametrize(
    ("sentence", "change", "severity"),
    [
        ("Neu aufgetretener Pleuraerguss.", "new", None),
        ("Rückläufiger kleiner Pleuraerguss.", "improved", "small"),
        ("Progredientes Infiltrat.", "worse", None),
        ("Unveränderte geringe Stauung.", "unchanged", "small"),
        ("Ausgedehnter Pleuraerguss.", None, "large"),
        ("Der Pleuraerguss ist zurückgebildet.", "resolved", None),
    ],
)
def test_course_and_severity_are_read(
    labeler: RuleLabeler, sentence: str, change: str | None, severity: str | None
) -> None:
    (mention,) = labeler.label(sentence)
    assert (mention.change, mention.severity) == (change, severity)


REPORT = (
    "Klinische Angaben: Husten, Fieber. Pneumonie?\n"
    "Befund: Herz nicht vergrößert. Infiltrat im rechten Unterlappen. Kein Pleuraerguss.\n"
    "Beurteilung: {}"
)
PNEUMONIA = REPORT.format("Pneumonie im rechten Unterlappen.")


def test_headers_of_the_ontology_open_sections() -> None:
    report = parse_report(PNEUMONIA, headers=load_ontology(GERMAN).headers)
    assert report.findings == PNEUMONIA.split("\n")[1].removeprefix("Befund: ")
    assert report.impression == "Pneumonie im rechten Unterlappen."
    assert list(report.other) == ["history"]


def test_question_of_the_referring_doctor_is_no_finding(labeler: RuleLabeler) -> None:
    labels = labels_of(labeler.label(REPORT.format("Infiltrat rechts.")), labeler.ontology)
    assert labels["Pneumonia"] is None
    assert (labels["Lung Opacity"], labels[EFFUSION], labels[HEART]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("impression", "verdict"),
    [
        ("Pneumonie im rechten Unterlappen.", "consistent"),
        ("Infiltrat rechts.", "consistent"),
        ("Infiltrat rechts, Pleuraerguss rechts.", "inconsistent"),
        ("Infiltrat links.", "inconsistent"),
        ("Kardiomegalie.", "inconsistent"),
    ],
)
def test_consistency_is_decided_in_german(impression: str, verdict: str) -> None:
    report = parse_report(REPORT.format(impression), headers=load_ontology(GERMAN).headers)
    assert LabelConsistency(GERMAN).check(report).verdict == verdict


def test_criticality_is_decided_in_german() -> None:
    rules = RuleCriticality(GERMAN)
    text = "Fragestellung: Pneumothorax?\nBefund: {}"
    present, absent = (
        rules.decide("s1", text.format(said)) for said in ("Pneumothorax links.", "Kein Pneumothorax.")
    )
    assert (present.is_critical, absent.is_critical) == (True, False)


def test_graph_reads_german() -> None:
    (graph,) = LexiconGraph(GERMAN).read(["Kein Pleuraerguss. Infiltrat rechts."])
    assert {(entity.text.lower(), entity.label) for entity in graph.entities} >= {
        ("pleuraerguss", "Observation::definitely absent"),
        ("infiltrat", "Observation::definitely present"),
    }


def test_words_of_another_language_stand_alone() -> None:
    """English "no", "was" or "but" would be misread in German."""
    cues = load_ontology(GERMAN).cues
    assert "no" not in cues.negation_before
    assert "but" not in cues.breaks
    assert [m.assertion for m in RuleLabeler(GERMAN).label("No Pleuraerguss.")] == ["present"]


def test_header_must_open_a_known_section() -> None:
    text = "name: a\ntitle: b\nheaders: {Befund: finding}\ncolumns: [A]\nobservations: {A: {phrases: [a]}}\n"
    with pytest.raises(ConfigError, match=r"a\.yaml:3: headers\.Befund"):
        read_ontology(text, where="a.yaml")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    rows = [("a", PNEUMONIA), ("b", REPORT.format("Kardiomegalie.")), ("c", "BEFUND:\nKein Pneumothorax.")]
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("id", "report"), *rows])
    return path


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def test_sections_command_takes_the_headers_of_an_ontology(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "sections.jsonl"
    run("sections", reports, "-o", out, "--ontology", GERMAN)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["impression"] for row in rows] == [
        "Pneumonie im rechten Unterlappen.",
        "Kardiomegalie.",
        None,
    ]
    assert rows[2]["findings"] == "Kein Pneumothorax."


def test_label_command_reads_german(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    run("label", reports, "-o", out, "--ontology", GERMAN)
    with out.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["Pneumonia"] for row in rows] == ["1", "", ""]
    assert [row["Cardiomegaly"] for row in rows] == ["0", "1", ""]
    assert [row["Pneumothorax"] for row in rows] == ["", "", "0"]


def test_consistency_command_reads_german(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "consistency.jsonl"
    run("consistency", reports, "-o", out, "--ontology", GERMAN)
    verdicts = [json.loads(line)["verdict"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert verdicts == ["consistent", "inconsistent", "not_applicable"]
