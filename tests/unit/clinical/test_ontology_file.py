"""An ontology's mistakes come back together, each with its line; what is right loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology_file import load_ontology, read_ontology, shipped_ontologies
from radflow.clinical.phrases import expand
from radflow.errors import ConfigError

SMALL = """name: knees
title: Knees
columns: [Fracture]
observations:
  Fracture:
    column: Fracture
    phrases:
      - fracture*
"""


@pytest.mark.parametrize("name", ["chest-xray", "carotid-ultrasound"])
def test_shipped_ontologies_load(name: str) -> None:
    assert name in shipped_ontologies()
    assert load_ontology(name).name == name


def test_an_ontology_of_your_own_labels_reports(tmp_path: Path) -> None:
    path = tmp_path / "knees.yaml"
    path.write_text(
        SMALL + "capitals_open_sentences: false\ncues:\n  negation_before:\n    - keine|kein\n",
        encoding="utf-8",
    )
    labeler = RuleLabeler(str(path))
    assert [m.assertion for m in labeler.label("Keine Fracture. No fracture. Fractures.")] == [
        "absent",
        "absent",
        "present",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("column: Fracture", "colum: Fracture", 6, "unknown key"),
        ("column: Fracture", "column: Break", 6, "'Break' is no column"),
        ("- fracture*", "- Fracture", 8, "capitals"),
        ("- fracture*", "- '[fracture]'", 8, "may be empty"),
        ("- fracture*", "- t-spine", 8, "hyphen"),
        ("column: Fracture", "column: Fracture\n    column: Fracture", 7, "stands twice"),
        ("columns: [Fracture]", "columns: [Fracture]\nno_finding: None at all", 4, "is no column"),
        ("phrases:", "parents: [Bone]\n    phrases:", 7, "'Bone' is no column"),
        ("title: Knees", "title: [", 4, "not valid YAML"),
        (
            "title: Knees",
            "title: Knees\ngraph:\n  anatomy: [clear]",
            3,
            "'clear' already stands for 'anatomy'",
        ),
        ("title: Knees", "title: Knees\ngraph:\n  organs: [knee]", 4, "unknown key"),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_ontology(SMALL.replace(old, new, 1), where="knees.yaml")
    assert f"knees.yaml:{line}" in str(caught.value)


def test_a_phrase_stands_for_one_observation() -> None:
    twice = SMALL + "  Crack:\n    phrases:\n      - fracture*\n"
    with pytest.raises(ConfigError, match=r"knees\.yaml:11.*already stands for 'Fracture'"):
        read_ontology(twice, where="knees.yaml")


def test_grades_must_rise() -> None:
    wrong = SMALL + (
        "measures:\n  - phrases: [gap]\n    unit: percent\n    grades:\n"
        "      - {below: 50, observation: Fracture}\n      - {below: 20, observation: Fracture}\n"
        "      - {observation: Fracture}\n"
    )
    with pytest.raises(ConfigError, match="bounds must rise"):
        read_ontology(wrong, where="knees.yaml")


def test_unknown_ontologies_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean chest-xray"):
        load_ontology("chest_xray")


def test_phrases_expand_to_all_their_variants() -> None:
    assert set(expand("a|b [c] d*")) == {("a", "d*"), ("b", "d*"), ("a", "c", "d*"), ("b", "c", "d*")}


def test_names_in_agreement_must_exist_and_the_line_is_said() -> None:
    text = """name: knees
title: Knees
columns: [Effusion]
observations:
  Effusion:
    column: Effusion
    phrases: [effusion]
agreement:
  follows:
    Effusion: [Swelling]
  ranks: {huge: 3}
"""
    with pytest.raises(ConfigError) as caught:
        read_ontology(text, where="mine.yaml")
    assert "mine.yaml:10: agreement.follows.Effusion.0: 'Swelling' is no observation" in str(caught.value)
    assert "mine.yaml:11: agreement.ranks.huge: 'huge' is no severity" in str(caught.value)
