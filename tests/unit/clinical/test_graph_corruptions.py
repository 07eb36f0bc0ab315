"""Every clinical corruption of a report lowers each level of its graph's F1; an identical report scores 1."""

from __future__ import annotations

import re
from functools import lru_cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from radflow.clinical.graph import LexiconGraph
from radflow.clinical.tokens import sentences
from radflow.data.phantoms.chest import make_chest_report
from radflow.metrics.graph_f1 import GraphF1, graph_f1

CHEST, CAROTID = LexiconGraph("chest-xray"), LexiconGraph("carotid-ultrasound")
ONE = GraphF1(1.0, 1.0, 1.0)
INVENTED = "There is a large azygos lobe aneurysm with old hemorrhage."
"""Nothing that a phantom report says."""


def scores(reference: str, prediction: str, reader: LexiconGraph = CHEST) -> GraphF1:
    one, other = reader.read([reference, prediction])
    return graph_f1(reference=one, prediction=other)


def is_lower(reference: str, prediction: str, reader: LexiconGraph = CHEST) -> bool:
    """Whether every level is below 1."""
    return all(level < 1 for level in scores(reference, prediction, reader))


def said(text: str) -> set[tuple[str, str]]:
    return {(entity.text.lower(), entity.label) for entity in CHEST.read([text])[0].entities}


@lru_cache(maxsize=512)
def phantom(index: int) -> str:
    report = make_chest_report(index, seed=5)
    return "\n".join(part for part in (report.findings, report.impression) if part)


PHANTOMS = st.integers(0, 400).map(phantom)


@pytest.mark.parametrize(
    ("kind", "reference", "corrupted"),
    [
        ("negation", "No pleural effusion.", "Pleural effusion."),
        ("negation", "The heart is enlarged.", "The heart is not enlarged."),
        ("negation", "There is a nodule in the left lung.", "There is no nodule in the left lung."),
        ("negation", "Edema has resolved.", "Edema has not resolved."),
        ("doubt", "Pneumonia in the left base.", "Possible pneumonia in the left base."),
        ("side", "Small right pleural effusion.", "Small left pleural effusion."),
        ("side", "Opacity in the right lower lobe.", "Opacity in the left lower lobe."),
        ("side", "Right-sided pneumothorax.", "Left-sided pneumothorax."),
        ("side", "The left lung is clear.", "The right lung is clear."),
        ("omission", "Mild cardiomegaly. Small effusion.", "Mild cardiomegaly."),
        ("omission", "Small effusion and atelectasis.", "Small effusion."),
        ("omission", "Severe pulmonary edema.", "Pulmonary edema."),
        ("invention", "The lungs are clear.", "The lungs are clear. Rib fracture."),
        ("invention", "The heart is normal.", "The heart is normal. There is a 3 cm nodule."),
        ("place", "Nodule in the right upper lobe.", "Nodule in the right lower lobe."),
        ("size", "A 3 cm nodule.", "A 4 cm nodule."),
        ("change", "Effusion has increased.", "Effusion is unchanged."),
    ],
)
def test_a_corruption_lowers_every_level(kind: str, reference: str, corrupted: str) -> None:
    assert scores(reference, reference) == scores(corrupted, corrupted) == ONE, kind
    assert is_lower(reference, corrupted), kind


@pytest.mark.parametrize(
    ("reference", "corrupted"),
    [
        ("No stenosis of the left ICA.", "Stenosis of the left ICA."),
        ("Calcified plaque in the right carotid bulb.", "Calcified plaque in the left carotid bulb."),
        ("50-69 % stenosis of the right ICA.", "70-99 % stenosis of the right ICA."),
        ("Right ICA PSV 185 cm/s, ratio 3.2.", "Right ICA PSV 185 cm/s."),
        ("No plaque.", "No plaque. Occlusion of the left ICA."),
    ],
)
def test_other_ontologies_notice_corruptions_too(reference: str, corrupted: str) -> None:
    assert scores(reference, reference, CAROTID) == ONE
    assert is_lower(reference, corrupted, CAROTID)


@settings(max_examples=100, deadline=None)
@given(PHANTOMS)
def test_a_report_scores_one_against_itself(text: str) -> None:
    assert scores(text, text) == ONE


@settings(max_examples=100, deadline=None)
@given(PHANTOMS, PHANTOMS)
def test_the_pair_is_symmetric(one: str, other: str) -> None:
    assert scores(one, other) == scores(other, one)


@settings(max_examples=100, deadline=None)
@given(PHANTOMS, st.integers(0, 20))
def test_flipping_a_denial_of_a_phantom_lowers_every_level(text: str, which: int) -> None:
    denials = list(re.finditer(r"\b[Nn]o (?=[a-z])", text))
    assume(denials)
    denial = denials[which % len(denials)]
    assert is_lower(text, text[: denial.start()] + text[denial.end() :])


@settings(max_examples=100, deadline=None)
@given(PHANTOMS)
def test_moving_a_phantom_to_one_side_lowers_every_level(text: str) -> None:
    """All left becomes right; a full exchange in a report with both is invisible to sets of words."""
    assume(re.search(r"\bleft\b", text, re.IGNORECASE))
    moved = re.sub(r"\bleft\b", "right", re.sub(r"\bLeft\b", "Right", text))
    assert is_lower(text, moved)


@settings(max_examples=100, deadline=None)
@given(PHANTOMS, st.integers(0, 20))
def test_omitting_a_sentence_of_a_phantom_lowers_every_level(text: str, which: int) -> None:
    spans = list(sentences(text))
    start, end = spans[which % len(spans)]
    rest = text[:start] + text[end:]
    words = said(text[start:end])
    kept = said(rest)
    assume(words - kept)  # what is said twice is still said; the complete level knows no case
    assert is_lower(text, rest)


@settings(max_examples=100, deadline=None)
@given(PHANTOMS)
def test_inventing_a_finding_in_a_phantom_lowers_every_level(text: str) -> None:
    assert is_lower(text, f"{text} {INVENTED}")
