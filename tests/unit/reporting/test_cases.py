"""Which cases are shown, and that marking a text changes no character of it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.reporting.made_run import ALL, REPORT, make_run

from radflow.clinical.labeler import RuleLabeler
from radflow.records import Mention
from radflow.reporting.cases import build_cases, spread
from radflow.reporting.marked_text import marked
from radflow.reporting.run_files import read_run
from radflow.run_dir import RunDir


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler()


def without_marks(html: str) -> str:
    return unescape(re.sub(r"</?mark[^>]*>", "", re.sub(r"<sup>.*?</sup>", "", html)))


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
