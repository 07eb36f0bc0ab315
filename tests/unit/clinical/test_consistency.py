"""Facts of the consistency rules that hold for any text, and those that single sentences show."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.clinical.test_labeler_properties import TEXTS

from radflow.clinical.consistency import LabelConsistency
from radflow.records import Conflict, Consistency, Report

CHEST, CAROTID = LabelConsistency("chest-xray"), LabelConsistency("carotid-ultrasound")
NAMES = [
    "pleural effusion",
    "pneumothorax",
    "consolidation",
    "pulmonary edema",
    "mass",
    "nodule",
    "fracture",
    "pneumonia",
    "pneumomediastinum",
    "atelectasis",
]
SENTENCES = st.sampled_from(
    [
        "The lungs are clear.",
        "No pneumothorax or effusion.",
        "Small left effusion.",
        "Right apical pneumothorax.",
        "Mild cardiomegaly.",
        "Heart size is normal.",
        "Possible left basilar pneumonia.",
        "Severe edema.",
        "No acute disease.",
        "Endotracheal tube in the right mainstem bronchus.",
        "Tube in satisfactory position.",
        "Normal chest.",
        "The effusion has resolved.",
        "New right upper lobe mass.",
        "Old rib fractures.",
        "Stable left nodule.",
        "RIGHT CAROTID: 60% stenosis of the ICA.",
        "No plaque in the left bulb.",
    ]
)
REPORT_TEXTS = st.one_of(TEXTS, st.lists(SENTENCES, max_size=8).map(" ".join))


def check(findings: str | None, impression: str | None) -> Consistency:
    return CHEST.check(Report(text="", findings=findings, impression=impression))


def kinds(findings: str, impression: str) -> set[str]:
    return {problem.kind for problem in check(findings, impression).problems}


@settings(max_examples=150, deadline=None)
@given(REPORT_TEXTS, REPORT_TEXTS)
def test_never_raises_and_spans_lie_in_their_section(findings: str, impression: str) -> None:
    report = Report(text="", findings=findings, impression=impression)
    for rules in (CHEST, CAROTID):
        found = rules.check(report)
        assert (found.verdict == "inconsistent") == bool(found.problems)
        for problem in found.problems:
            assert _lies_in(problem.findings_span, findings)
            assert _lies_in(problem.impression_span, impression)


def _lies_in(span: tuple[int, int] | None, text: str) -> bool:
    return span is None or 0 <= span[0] < span[1] <= len(text)


@settings(max_examples=150, deadline=None)
@given(REPORT_TEXTS)
def test_a_section_never_disagrees_with_itself(text: str) -> None:
    for rules in (CHEST, CAROTID):
        assert rules.check(Report(text="", findings=text, impression=text)).problems == ()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(REPORT_TEXTS, REPORT_TEXTS), min_size=1, max_size=4))
def test_a_verdict_depends_on_its_report_alone(pairs: list[tuple[str, str]]) -> None:
    reports = [Report(text="", findings=first, impression=second) for first, second in pairs]
    fresh = LabelConsistency("chest-xray")
    assert list(map(fresh.check, reports)) == list(map(CHEST.check, reports))


@pytest.mark.parametrize("section", [None, "", "  \n"])
def test_without_a_section_nothing_applies(section: str | None) -> None:
    for report in ((section, "No acute disease."), ("Lungs are clear.", section)):
        assert check(*report) == Consistency(verdict="not_applicable")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("findings", ["There is a left {}.", "The heart is normal. {} on the right."])
def test_a_denied_finding_is_a_contradiction_and_so_is_the_reverse(name: str, findings: str) -> None:
    there = findings.format(name.capitalize() if findings.startswith("The h") else name)
    assert kinds(there, f"No {name}.") == {"contradicted"}
    assert kinds(f"There is no {name}.", there) == {"contradicted"}


@pytest.mark.parametrize("name", NAMES)
def test_another_side_is_a_conflict_the_same_side_none(name: str) -> None:
    assert kinds(f"There is a right {name}.", f"Left {name}.") == {"side_or_severity_conflict"}
    assert not kinds(f"There is a right {name}.", f"Right {name}.")
    assert not kinds(f"Bilateral {name}.", f"Left {name}.")


@pytest.mark.parametrize("name", ["pleural effusion", "pneumothorax", "pulmonary edema", "consolidation"])
def test_another_severity_is_a_conflict(name: str) -> None:
    assert kinds(f"Minimal {name}.", f"Severe {name}.") == {"side_or_severity_conflict"}
    assert not kinds(f"Moderate {name}.", f"Moderate {name}.")


@pytest.mark.parametrize("name", NAMES)
def test_what_only_the_impression_asserts_has_no_support(name: str) -> None:
    found = check("There is a hiatal hernia.", f"Hiatal hernia. Right {name}.").problems
    assert [problem.kind for problem in found] == ["unsupported"]


@pytest.mark.parametrize("name", ["pneumothorax", "tension pneumothorax", "pneumoperitoneum", "lung mass"])
def test_what_is_critical_must_not_be_left_out_unless_it_is_old(name: str) -> None:
    assert kinds(f"There is a {name}. Cardiomegaly.", "Cardiomegaly.") == {"critical_omitted"}
    assert not kinds(f"Stable {name}. Cardiomegaly.", "Cardiomegaly.")


@pytest.mark.parametrize(
    "minor",
    [
        "Calcified granuloma.",
        "Degenerative changes of the spine.",
        "Unchanged small left effusion.",
        "Biapical scarring.",
        "Mild cardiomegaly.",
        "Hiatal hernia.",
        "Old healed rib fractures.",
        "Left pacemaker.",
    ],
)
def test_no_acute_disease_says_nothing_of_what_is_chronic_or_minor(minor: str) -> None:
    assert check(f"No focal airspace disease. {minor}", "No acute cardiopulmonary disease.").verdict == (
        "consistent"
    )


def test_doubt_about_what_was_denied_counts_and_doubt_that_is_shared_does_not() -> None:
    assert kinds("No pneumothorax.", "Possible pneumothorax.") == {"contradicted"}
    assert not kinds("Possible pneumothorax.", "Pneumothorax cannot be excluded.")


def test_a_conclusion_needs_what_it_is_drawn_from() -> None:
    assert not kinds("Dense opacity in the right lower lobe.", "Right lower lobe pneumonia.")
    assert kinds("Calcified granuloma. Hiatal hernia.", "Right lower lobe pneumonia.") == {"unsupported"}


def test_rules_say_when_they_are_unsure() -> None:
    def is_sure(findings: str, impression: str) -> bool:
        return CHEST.examine(Report(text="", findings=findings, impression=impression)).is_sure

    assert is_sure("Small left effusion.", "Small left effusion.")
    assert is_sure("Small left effusion.", "No effusion.")
    assert not is_sure("Left basilar opacity.", "Left basilar pneumonia.")
    assert not is_sure("Moderate pneumothorax.", "No acute disease.")
    assert not is_sure("No pneumothorax.", "Possible pneumothorax.")


def test_the_problem_shows_the_words() -> None:
    findings, impression = "Heart normal. Small right effusion.", "Clear. No pleural effusion."
    assert check(findings, impression).problems == (
        Conflict(
            kind="contradicted", label="Pleural Effusion", findings_span=(26, 34), impression_span=(18, 26)
        ),
    )


def test_it_can_be_sent_to_worker_processes() -> None:
    copy = pickle.loads(pickle.dumps(CHEST))  # noqa: S301 (our own bytes, of this test)
    report = Report(text="", findings="Small left effusion.", impression="No effusion.")
    assert copy.check(report) == CHEST.check(report)
