"""Reports of carotid phantoms are read as their truth says: labels, consistency and criticality."""

from __future__ import annotations

import re
from functools import cache

import pytest

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.carotid import CarotidCase, make_carotid_case
from radflow.data.phantoms.carotid_truth import OBSERVATIONS
from radflow.data.sections import parse_report, report_from_fields
from radflow.metrics.truth_findings import TRUTHS
from radflow.records import Mention, Report

COUNT = 1000
ONTOLOGY = "carotid-ultrasound"
Said = set[tuple[str, str | None]]
OTHER = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
SIDES = re.compile("|".join(OTHER))


@cache
def cases() -> tuple[tuple[CarotidCase, Report], ...]:
    made = (make_carotid_case(index, seed=21) for index in range(COUNT))
    return tuple(
        (case, report_from_fields(findings=case.report.findings, impression=case.report.impression))
        for case in made
    )


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler(ONTOLOGY)


def said(mentions: list[Mention], assertion: str) -> Said:
    return {
        (mention.observation, side)
        for mention in mentions
        if mention.assertion == assertion and mention.observation in OBSERVATIONS
        for side in (("left", "right") if mention.side == "bilateral" else (mention.side,))
    }


def truth(case: CarotidCase) -> Said:
    return {(finding.observation, finding.side) for finding in case.truth}


def test_reports_are_read_as_their_truth_says(labeler: RuleLabeler) -> None:
    wrong = [
        (case.study_id, sorted(map(str, said(labeler.label(report), "present") ^ truth(case))))
        for case, report in cases()
        if report.findings is not None and said(labeler.label(report), "present") != truth(case)
    ]
    assert len(wrong) <= 0.02 * COUNT, wrong


def test_impressions_are_read_as_their_writer_recorded_them(labeler: RuleLabeler) -> None:
    wrong = []
    for case, report in cases():
        if report.impression is not None:
            read = labeler.label(report.impression)
            recorded = (set(case.report.present), set(case.report.uncertain))
            if (said(read, "present"), said(read, "uncertain")) != recorded:
                wrong.append(case.study_id)
    assert len(wrong) <= 0.02 * COUNT, wrong


def test_the_label_table_has_what_the_truth_implies(labeler: RuleLabeler) -> None:
    ontology = labeler.ontology
    agreed = cells = 0
    for case, report in cases():
        if report.findings is None:
            continue
        labels = labels_of(labeler.label(report), ontology)
        expected = {"No Abnormality"} if not case.truth else set()
        for finding in case.truth:
            item = ontology.observations[finding.observation]
            expected |= {*([item.column] if item.column else []), *item.parents}
        for column, value in labels.items():
            cells += 1
            agreed += (value == 1) == (column in expected)
    assert agreed / cells >= 0.98


def test_reports_without_a_flaw_are_consistent() -> None:
    rules = LabelConsistency(ONTOLOGY)
    sound = [
        (case.study_id, rules.check(report).verdict)
        for case, report in cases()
        if report.findings and report.impression and not case.report.is_flawed
    ]
    flagged = [study for study, verdict in sound if verdict != "consistent"]
    assert len(flagged) <= 0.01 * len(sound), flagged


def test_a_critical_finding_left_out_of_the_impression_is_no_agreement() -> None:
    rules = LabelConsistency(ONTOLOGY)
    critical = {"Stenosis 70-99%", "Near Occlusion", "Occlusion", "Thrombus"}
    left_out = [
        report
        for case, report in cases()
        if report.findings and report.impression
        if {name for name, _ in case.report.omitted} & critical
    ]
    assert len(left_out) >= 5
    assert all(rules.check(report).verdict == "inconsistent" for report in left_out)


def test_exchanged_sides_in_the_impression_are_no_agreement() -> None:
    rules = LabelConsistency(ONTOLOGY)
    grave = [
        report
        for case, report in cases()
        if report.findings
        and report.impression
        and {side.grade for side in case.sides} == {"none", "70-99"}
        and not case.report.is_flawed
    ]
    assert len(grave) >= 10
    for report in grave:
        turned = SIDES.sub(lambda found: OTHER[found[0]], str(report.impression))
        assert rules.check(report.model_copy(update={"impression": turned})).verdict == "inconsistent"


def test_grave_findings_are_critical_and_others_are_not() -> None:
    rules = RuleCriticality(ONTOLOGY)
    wrong = [
        case.study_id
        for case, report in cases()
        if report.findings is not None
        and rules.decide(case.study_id, report).is_critical
        != any(finding.is_critical for finding in case.truth)
    ]
    assert len(wrong) <= 0.01 * COUNT, wrong


@pytest.mark.parametrize(
    "text",
    [
        "High-grade stenosis of the left ICA.",
        "Occlusion of the right internal carotid artery.",
        "Free-floating thrombus in the left ICA.",
    ],
)
def test_what_somebody_must_be_told_at_once(text: str) -> None:
    assert RuleCriticality(ONTOLOGY).decide("a", text).is_critical


def test_rendered_reports_parse_back_to_their_sections() -> None:
    for case, report in cases():
        parsed = parse_report(report.text)
        assert (parsed.findings, parsed.impression) == (case.report.findings, case.report.impression)


def test_the_truth_reader_finds_exactly_the_truth_in_the_findings() -> None:
    for case, report in cases()[:200]:
        if report.findings is not None:
            found = {
                (name, each)
                for name, side in TRUTHS["carotid"].said(report.findings)
                for each in (("left", "right") if side == "bilateral" else (side,))
            }
            assert found == truth(case)


def test_a_normal_velocity_is_no_stenosis_where_the_report_says_that_there_is_none(
    labeler: RuleLabeler,
) -> None:
    def read(text: str) -> set[tuple[str, str, str | None]]:
        return {(m.observation, m.assertion, m.side) for m in labeler.label(text)}

    assert read("Left ICA: no stenosis. Left ICA PSV 90 cm/s, ICA/CCA ratio 1.1.") == {
        ("Stenosis", "absent", "left")
    }
    discordant = read("Left ICA: no stenosis. Left ICA PSV 290 cm/s.")
    assert ("Stenosis 70-99%", "present", "left") in discordant
    other_side = read("Right ICA: no stenosis. Left ICA PSV 90 cm/s.")
    assert ("Stenosis Under 50%", "present", "left") in other_side


def test_a_grade_in_words_wins_over_velocities_and_a_wall_is_no_grade(labeler: RuleLabeler) -> None:
    trickle = labeler.label("Left ICA: near occlusion. Left ICA PSV 25 cm/s.")
    assert {mention.observation for mention in trickle} == {"Near Occlusion"}
    wall = labeler.label("Left CCA: IMT 0.7 mm. Left ICA PSV 300 cm/s.")
    assert ("Stenosis 70-99%", "present") in {(m.observation, m.assertion) for m in wall}


def test_a_heading_in_capitals_gives_its_side_to_what_follows_in_its_line(labeler: RuleLabeler) -> None:
    text = "RIGHT CAROTID: ICA: 60% stenosis. ICA/CCA ratio 2.9. LEFT CAROTID: ICA: 80% stenosis."
    assert said(labeler.label(text), "present") == {("Stenosis 50-69%", "right"), ("Stenosis 70-99%", "left")}
