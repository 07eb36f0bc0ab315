"""Entities and relations of sentences, in RadGraph's schema: which words, what label, how related."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.clinical import graph as graph_module
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.ontology_file import read_ontology
from radflow.clinical.readers import open_graph_reader
from radflow.clinical.report_graph import ReportGraph
from radflow.clinical.tokens import tokens

CHEST, CAROTID = LexiconGraph("chest-xray"), LexiconGraph("carotid-ultrasound")
SHORT = {
    "Observation::definitely present": "+",
    "Observation::definitely absent": "-",
    "Observation::uncertain": "?",
    "Anatomy::definitely present": "",
    "Observation::measurement::definitely present": "#",
    "Anatomy::measurement::definitely present": "@",
}


def entities(text: str, reader: LexiconGraph = CHEST) -> list[str]:
    """ "+effusion" present, "-" absent, "?" uncertain, "#" and "@" measured; anatomy bare."""
    return [f"{SHORT[entity.label]}{entity.text}" for entity in reader.read([text])[0].entities]


def relations(text: str, reader: LexiconGraph = CHEST) -> set[tuple[str, str, str]]:
    graph = reader.read([text])[0]
    return {
        (graph.entities[item.source].text, item.kind, graph.entities[item.target].text)
        for item in graph.relations
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No acute cardiopulmonary abnormality.", "-acute cardiopulmonary -abnormality"),
        ("The lungs are clear.", "lungs +clear"),
        ("Pneumonia cannot be excluded.", "?Pneumonia"),
        ("Possible small effusion.", "?small ?effusion"),
        ("Likely atelectasis.", "?atelectasis"),
        ("The heart is not enlarged.", "heart -enlarged"),
        ("No significant change.", "-significant -change"),
        ("No other abnormality.", "-abnormality"),
        ("No change in the effusion.", "-change +effusion"),
        ("Evaluate for pneumonia.", "?pneumonia"),
        ("The effusion has resolved.", "-effusion +resolved"),
        ("Moderately large size hernia.", "+Moderately +large +size +hernia"),
        ("Heart size is normal.", "Heart size +normal"),
        ("Thank you for this referral.", ""),
    ],
)
def test_words_and_labels(text: str, expected: str) -> None:
    assert entities(text) == expected.split()


def test_devices_and_measurements_are_one_entity() -> None:
    assert entities("A 2.5 x 3 cm nodule.") == ["#2.5 x 3 cm", "+nodule"]
    assert entities("Feeding tube 2 cm above the carina.") == ["+Feeding tube", "@2 cm", "above", "carina"]
    text = "Right ICA: calcified plaque with 50-69 % stenosis, PSV 185 cm/s, ICA/CCA ratio 3.2"
    found = entities(text, CAROTID)
    assert [entity for entity in found if entity[0] in "#@"] == ["#50 - 69 %", "#185 cm / s", "@3.2"]


@pytest.mark.parametrize(
    ("text", "source", "kind", "targets"),
    [
        ("Mild right basilar atelectasis.", "Mild", "modify", {"atelectasis"}),
        ("Mild right basilar atelectasis.", "right", "modify", {"basilar"}),
        ("Mild right basilar atelectasis.", "atelectasis", "located_at", {"basilar"}),
        ("Opacity is seen in the right lower lobe.", "Opacity", "located_at", {"lobe"}),
        ("Heart and mediastinum are normal.", "normal", "located_at", {"Heart", "mediastinum"}),
        ("The lungs are well expanded and clear.", "clear", "located_at", {"lungs"}),
        ("Clear lungs.", "Clear", "located_at", {"lungs"}),
        ("Atelectasis and scarring at the left base.", "Atelectasis", "located_at", {"base"}),
        ("The effusion is unchanged.", "unchanged", "modify", {"effusion"}),
        ("Apex of the left lung is clear.", "Apex", "modify", {"lung"}),
        ("Focal areas of consolidation.", "Focal", "modify", {"consolidation"}),
        ("Heart is normal, no effusion.", "effusion", "located_at", set()),
        ("Opacity may represent edema or pneumonia.", "Opacity", "suggestive_of", {"edema", "pneumonia"}),
        ("Opacity consistent with pneumonia.", "Opacity", "suggestive_of", {"pneumonia"}),
        ("A nodule measuring 3 cm.", "3 cm", "modify", {"nodule"}),
        ("Small left and moderate right pleural effusions.", "Small", "modify", {"effusions"}),
        ("Opacity, likely atelectasis, has improved.", "improved", "modify", {"Opacity"}),
        ("Heart is normal in size and contour.", "contour", "modify", {"Heart"}),
        ("Lungs are clear bilaterally.", "clear", "located_at", {"Lungs", "bilaterally"}),
        ("Tube 2 cm above the carina.", "Tube", "located_at", {"carina"}),
    ],
)
def test_relations(text: str, source: str, kind: str, targets: set[str]) -> None:
    assert {end for start, name, end in relations(text) if (start, name) == (source, kind)} == targets


def test_sections_that_do_not_say_what_the_image_shows_are_not_read() -> None:
    text = "INDICATION: Pneumonia.\nFINDINGS: The lungs are clear.\nIMPRESSION: No acute disease."
    assert entities(text) == ["lungs", "+clear", "-acute", "-disease"]


def test_an_ontology_without_words_for_graphs_uses_its_own_phrases() -> None:
    own = read_ontology(
        "name: knees\ntitle: Knees\ncolumns: [Break]\nobservations:\n  Break:\n    column: Break\n"
        "    phrases:\n      - broken kneecap\n      - torn [right] ligament\nanatomy: {patella: [patella]}\n"
        "sides: {right: [dexter]}\nseverities: {mild: [faint|wee]}\n",
        where="knees",
    )
    reader = LexiconGraph(own)
    assert entities("No wee kneecap at the dexter patella.", reader) == [
        *("-wee", "-kneecap", "dexter", "patella"),
    ]


def test_it_is_opened_by_its_own_name() -> None:
    reader = open_graph_reader("lexicon-graph", ontology="carotid-ultrasound")
    assert [entity.text for entity in reader.read(["No plaque."])[0].entities] == ["plaque"]


HYPHENS_AND_SPACES = re.compile(r"[-‐‑–—\s]")
VOCABULARY = """no not possible may represent in of the lungs heart size effusion small right left clear
    3 cm 50 % x - , . ; : ( ) and or but is are enlarged unchanged XXXX FINDINGS: İ psv ratio plaque 2.5"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n"])
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_never_raises_and_entities_stand_in_the_text(text: str) -> None:
    found = tokens(text)
    for reader in (CHEST, CAROTID):
        graph = reader.read([text])[0]
        for entity in graph.entities:
            covered = text[found.starts[entity.start] : found.ends[entity.end]]
            assert HYPHENS_AND_SPACES.sub("", entity.text) in HYPHENS_AND_SPACES.sub("", covered)
        for relation in graph.relations:
            assert relation.source != relation.target


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_graphs_do_not_depend_on_other_reports(texts: list[str]) -> None:
    """Neither on those beside it nor on those read before: CHEST has read all earlier examples."""
    together = CHEST.read(texts)
    assert together == [CHEST.read([text])[0] for text in texts]
    assert together[-1:] == LexiconGraph("chest-xray").read(texts[-1:])


def test_memory_of_sentences_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "REMEMBERED_SENTENCES", 10)
    reader = LexiconGraph()
    reader.read([f"Effusion of {number} cm." for number in range(100)])
    assert len(reader._remembered) == 10


def test_nothing_said_is_an_empty_graph() -> None:
    assert CHEST.read(["", " \n", "..."]) == [ReportGraph()] * 3
