"""The official section rules of MIMIC-CXR, on invented reports of each shape that they speak of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.data.sources.mimic_sections import official_report, official_sections


def sections(*lines: str) -> dict[str, str]:
    return official_sections("\n ".join(["FINAL REPORT", *lines, ""]))


def test_findings_and_impression_by_their_headers() -> None:
    found = sections("INDICATION:  Cough.", "", "FINDINGS:  Clear.", "", "IMPRESSION:  Normal.")
    assert found == {"findings": "Clear.", "impression": "Normal."}


def test_of_several_the_last_that_says_anything_counts() -> None:
    found = sections(
        "IMPRESSION:  First.", "", "IMPRESSION:  Second.", "", "FINDINGS:  A.", "", "IMPRESSION:  "
    )
    assert found == {"impression": "Second.", "findings": "A."}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("IMPRESSION", "impression"),
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("IMPRESSON", "impression"),
        ("MPRESSION", "impression"),
        ("CORRECTED IMPRESSION", "impression"),
        ("FINDINGS", "findings"),
        ("FINDING", "findings"),
        ("FINIDNGS", "findings"),
        ("REFERENCE FINDINGS", "findings"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PA AND LATERAL CHEST", "findings"),
        ("FRONTAL UPRIGHT", "findings"),
    ],
)
def test_header_is_read_as_the_official_scripts_read_it(header: str, name: str) -> None:
    assert sections(f"{header}:  Clear.") == {name: "Clear."}


@pytest.mark.parametrize(
    "header", ["INDICATION", "HISTORY", "TECHNIQUE", "RECOMMENDATION(S)", "NOTIFICATION"]
)
def test_other_headers_end_a_section_and_open_none(header: str) -> None:
    assert sections("FINDINGS:  Clear.", "", f"{header}:  Text.") == {"findings": "Clear."}


def test_misspelt_indication_never_becomes_an_impression() -> None:
    """A known fault of the scripts, not taken over."""
    assert "impression" not in sections("NDICATION:  Fall.", "", "FINDINGS:  Clear.")


def test_small_letters_and_mid_line_headers_are_text() -> None:
    found = sections("FINDINGS:  Clear. IMPRESSION: normal.", "Impression: still findings")
    assert found == {"findings": "Clear. IMPRESSION: normal.\n Impression: still findings"}


def test_line_behind_a_header_that_stands_alone_is_its_text() -> None:
    assert sections("FINDINGS:", "CHEST:  Clear.")["findings"] == "CHEST:  Clear."


def test_empty_view_title_is_no_findings() -> None:
    found = sections("CHEST, PA AND LATERAL:", "", "INDICATION:  Cough.", "", "IMPRESSION:  Normal.")
    assert found == {"impression": "Normal."}


def test_without_either_the_last_paragraphs_are_kept_apart() -> None:
    found = sections("EXAMINATION:  CHEST", "", "Clear lungs.", "", "No change.")
    assert found == {"last_paragraph": "Clear lungs.\n \n No change."}


def test_report_takes_the_last_paragraph_only_when_told() -> None:
    text = "\n EXAMINATION:  CHEST\n \n Clear lungs.\n"
    assert official_report(text).impression is None
    report = official_report(text, fallback="last_paragraph")
    assert (report.findings, report.impression, report.impression_found_by) == (
        None,
        "Clear lungs.",
        "fallback",
    )


def test_comparison_is_the_last_resort() -> None:
    text = "\n COMPARISON:  None. Lungs are clear.\n"
    assert official_report(text, fallback="last_paragraph").impression == "None. Lungs are clear."
    both = "\n COMPARISON:  Old film.\n \n FINDINGS:  Clear.\n"
    assert official_report(both, fallback="last_paragraph").impression is None


def test_indication_is_read_by_our_rules() -> None:
    report = official_report("\n INDICATION:  Cough.\n \n FINDINGS:  Clear.\n")
    assert report.other["indication"] == "Cough."


@given(st.text(alphabet="AB:/ \n\tFINDGSMPREO(),-aé\r"))
def test_any_text_is_read_and_kept(text: str) -> None:
    report = official_report(text, fallback="last_paragraph")
    assert report.text == text
    for section in (report.findings, report.impression):
        assert section is None or section in text.replace("\r\n", "\n")
