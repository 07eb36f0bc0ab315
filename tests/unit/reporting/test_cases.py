"""Which cases are shown, that marking a text changes no character of it, and that its problems are drawn."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from tests.unit.reporting.made_run import ALL, REPORT, make_run

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.labeler import RuleLabeler
from radflow.data.sections import parse_report
from radflow.records import Mention
from radflow.reporting.cases import build_cases, spread
from radflow.reporting.conflict_marks import Drawn, Outline, drawn_conflicts
from radflow.reporting.marked_text import marked
from radflow.reporting.run_files import read_run
from radflow.run_dir import RunDir


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler()


def without_marks(html: str) -> str:
    html = re.sub(r'<span class="bridge">.*?</span></span></span>|<sup.*?</sup>', "", html)
    return unescape(re.sub(r"</?(mark|span)[^>]*>", "", html))


mentions = st.lists(
    st.builds(
        lambda start, length, kind: Mention(
            observation="Edema", assertion=kind, start=start, end=start + length, cue='"<no>"'
        ),
        st.integers(0, 20),
        st.integers(1, 20),
        st.sampled_from(["present", "absent", "uncertain"]),
    ),
    max_size=5,
)


@given(st.text(min_size=40, max_size=60), mentions)
def test_marking_changes_no_character(text: str, found: list[Mention]) -> None:
    assert without_marks(str(marked(text, found))) == text


outlines = st.lists(
    st.builds(
        lambda start, length: Outline(start, start + length, 1, '"<title>"'),
        st.integers(0, 20),
        st.integers(1, 20),
    ),
    max_size=3,
)


@given(st.text(min_size=40, max_size=60), mentions, outlines, st.integers(0, 40))
def test_drawing_problems_changes_no_character_either(
    text: str, found: list[Mention], around: list[Outline], place: int
) -> None:
    line = Markup('<span class="problem"><b>1</b> <span aria-hidden="true">↑</span></span>')
    bridge = Markup('<span class="bridge">{}</span>').format(line)
    html = str(marked(text, found, Drawn(tuple(around), min(place, len(text)), bridge)))
    assert html.count("bridge") == 1
    assert without_marks(html.replace("<b>1</b> ", "")) == text


def test_a_contradiction_is_numbered_in_both_sections_and_told_between_them() -> None:
    report = parse_report(
        "FINDINGS: No pneumothorax. No effusion.\nIMPRESSION: Large left pneumothorax. No effusion."
    )
    found = LabelConsistency().check(report)
    drawn = drawn_conflicts(report, found)
    assert [problem.kind for problem in found.problems] == ["contradicted"]
    assert ["pneumothorax" in report.text[one.start : one.end] for one in drawn.outlines] == [True, True]
    assert {one.number for one in drawn.outlines} == {1}
    html = marked(report.text, (), drawn)
    before, bridge, after = re.split(r'(<span class="bridge">.*?</span></span>)', html)
    assert "↑↓</span> Pneumothorax: said in one section, denied in the other" in bridge
    assert "FINDINGS" in before
    assert "IMPRESSION" in after
    assert before.count("problem-number") == after.count("problem-number") == 1


def test_a_consistent_report_has_nothing_drawn() -> None:
    report = parse_report("FINDINGS: No pneumothorax.\nIMPRESSION: Normal.")
    assert drawn_conflicts(report, LabelConsistency().check(report)) == Drawn()


def test_of_turned_sections_the_bridge_still_stands_between() -> None:
    report = parse_report("IMPRESSION: Large left pneumothorax.\nFINDINGS: No pneumothorax.")
    html = marked(report.text, (), drawn_conflicts(report, LabelConsistency().check(report)))
    before, after = html.split('<span class="bridge">')
    assert "IMPRESSION" in before
    assert "FINDINGS" in after


def test_assertions_are_marked_by_sign_and_class(labeler: RuleLabeler) -> None:
    html = marked(REPORT, labeler.label(REPORT))
    assert re.search(r'<mark class="present"[^>]*><sup>\+</sup>effusion</mark>', html)
    assert re.search(r'<mark class="absent"[^>]*because of &#34;No&#34;[^>]*><sup>−</sup>pneumothorax', html)
    assert re.search(r'<mark class="uncertain"[^>]*><sup>\?</sup>pneumonia', html)


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 3), max_size=50), st.integers(0, 60))
def test_cases_are_spread_over_the_whole_ranking(quality: dict[str, float], count: int) -> None:
    chosen = spread(quality, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(quality))
    assert [quality[name] for name in chosen] == sorted(quality[name] for name in chosen)
    if count >= 2 and quality:
        assert quality[chosen[0]] == min(quality.values())
        assert quality[chosen[-1]] == max(quality.values())


def test_a_case_says_what_was_missed_and_that_it_is_critical(tmp_path: Path, labeler: RuleLabeler) -> None:
    files = read_run(RunDir(make_run(tmp_path / "run")), ALL)
    cases = build_cases(files, labeler, count=3).cases
    assert [case.study_id for case in cases] == ["s0", "s4", "s7"]
    assert [case.is_critical for case in cases] == [True, False, False]
    first = cases[0]
    assert [text.name for text in first.texts] == ["Reference", "SFT", "RadFlow (RFT)"]
    assert {"Pleural Effusion", "Pneumonia"} <= set(first.texts[1].missed)
    assert first.texts[0].missed == ()
    assert first.change == "ROUGE-L, whole report +0.00"


def test_cases_carry_what_they_are_chosen_and_ordered_by(tmp_path: Path, labeler: RuleLabeler) -> None:
    cases = build_cases(read_run(RunDir(make_run(tmp_path / "run")), ALL), labeler, count=3)
    assert cases.is_gain
    assert dict(cases.labels) == {"Pleural Effusion": 3, "Pneumonia": 3}
    assert {len(case.labels) for case in cases.cases} == {2}
    assert [case.lowest for case in cases.cases] == [0.0, 0.4, 0.7]
