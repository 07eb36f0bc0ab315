"""Carotid duplex reports: plaque, stenosis grades from words, percent, velocities and ratios, sides, flow."""

from __future__ import annotations

import pytest

from radflow.clinical.labeler import RuleLabeler


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler("carotid-ultrasound")


def read(labeler: RuleLabeler, text: str) -> set[tuple[str, str, str | None]]:
    return {(m.observation, m.assertion, m.side) for m in labeler.label(text)}


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Left ICA: 40% stenosis.", "Stenosis Under 50%"),
        ("Left ICA: less than 50% stenosis.", "Stenosis Under 50%"),
        ("Left ICA: stenosis of <50 %.", "Stenosis Under 50%"),
        ("Left ICA: 50-69% stenosis.", "Stenosis 50-69%"),
        ("Left ICA: greater than 50 percent stenosis.", "Stenosis 50-69%"),
        ("Left ICA: 70 to 99% diameter reduction.", "Stenosis 70-99%"),
        ("Left ICA: at least 70% narrowing.", "Stenosis 70-99%"),
        ("Left ICA: 100% stenosis.", "Occlusion"),
        ("Left ICA PSV 110 cm/s.", "Stenosis Under 50%"),
        ("Left ICA PSV: 125 cm/sec.", "Stenosis 50-69%"),
        ("Peak systolic velocity in the left ICA is 2.6 m/s.", "Stenosis 70-99%"),
        ("Left ICA/CCA ratio: 1.4", "Stenosis Under 50%"),
        ("Left ICA/CCA ratio 4.6", "Stenosis 70-99%"),
        ("High grade stenosis of the left ICA.", "Stenosis 70-99%"),
        ("The left ICA is occluded.", "Occlusion"),
        ("No flow in the left ICA.", "Occlusion"),
        ("Near occlusion of the left ICA.", "Near Occlusion"),
    ],
)
def test_stenosis_is_graded(labeler: RuleLabeler, text: str, grade: str) -> None:
    assert read(labeler, text) == {(grade, "present", "left")}


def test_percent_wins_over_velocity_and_velocity_over_ratio_per_side(labeler: RuleLabeler) -> None:
    text = (
        "RIGHT CAROTID:\n- ICA: 30% stenosis\n- ICA PSV: 300 cm/s\n- ICA/CCA ratio: 4.5\n"
        "LEFT CAROTID:\n- ICA PSV: 180 cm/s\n- ICA/CCA ratio: 1.5\n"
    )
    assert read(labeler, text) == {
        ("Stenosis Under 50%", "present", "right"),
        ("Stenosis 50-69%", "present", "left"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Calcified plaque in the right bulb.", {("Calcified Plaque", "present", "right")}),
        ("Soft plaque on the left.", {("Soft Plaque", "present", "left")}),
        (
            "No plaque or stenosis bilaterally.",
            {("Plaque", "absent", "bilateral"), ("Stenosis", "absent", "bilateral")},
        ),
        ("No hemodynamically significant stenosis.", {("Significant Stenosis", "absent", None)}),
        ("Vertebral arteries: antegrade flow.", {("Abnormal Vertebral Flow", "absent", None)}),
        ("Retrograde flow in the left vertebral artery.", {("Abnormal Vertebral Flow", "present", "left")}),
        ("Intima-media thickness 1.2 mm on the right.", {("Intimal Thickening", "present", "right")}),
        ("Intima-media thickness 0.7 mm on the right.", {("Intimal Thickening", "absent", "right")}),
        ("PSV of the right CCA is 140 cm/s.", set()),  # only the internal carotid is graded
        ("Right ICA: possible occlusion.", {("Occlusion", "uncertain", "right")}),
    ],
)  # fmt: skip
def test_plaque_flow_and_thickness(
    labeler: RuleLabeler, text: str, expected: set[tuple[str, str, str | None]]
) -> None:
    assert read(labeler, text) == expected


def test_a_bare_stenosis_beside_its_number_is_one_mention(labeler: RuleLabeler) -> None:
    assert len(labeler.label("Right ICA: 60% stenosis.")) == 1
