"""Identifiers go, what a report says of the patient's body stays, and every place leads back."""

from __future__ import annotations

import pickle
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doc_blocks import blocks_of

from radflow.errors import ConfigError
from radflow.privacy.rules import load_rules
from radflow.privacy.scrub import Scrubber

BOTH = Scrubber()

HIDDEN = [
    ("Compared to March 4, 2019 and 4 Mar 2019.", "Compared to [DATE] and [DATE]."),
    ("COMPARISON: 03/04/2019, 2019-03-04, 3-4-19.", "COMPARISON: [DATE], [DATE], [DATE]."),
    ("Bild vom 04.03.2019, vom 3.4. und 12. März 2019.", "Bild vom [DATE], vom [DATE] und [DATE]."),
    ("Seen at 3:45 pm. Clear on 4 Mar. Normal.", "Seen at [TIME]. Clear on [DATE]. Normal."),
    ("CT from 3/4, film of May 2018.", "CT from [DATE], film of [DATE]."),
    ("at 3:45 pm, at 1530 hours, 4 p.m.", "at [TIME], at [TIME], [TIME]"),
    ("um 15:45 Uhr und gegen 9 Uhr", "um [TIME] und gegen [TIME]"),
    ("Discussed with Dr. Anna van der Berg.", "Discussed with Dr. [NAME]."),
    ("DISCUSSED WITH DR SMITH AT NOON.", "DISCUSSED WITH DR [NAME] AT NOON."),
    ("discussed with dr. smith by phone", "discussed with dr. [NAME] by phone"),
    ("Called to Sarah O'Neil at once.", "Called to [NAME] at once."),
    ("Electronically signed by: John A. Doe, M.D.", "Electronically signed by: [NAME], M.D."),
    ("Patient name: MILLER, JANE\nLungs clear.", "Patient name: [NAME]\nLungs clear."),
    ("Drs. Smith and Jones were told.", "Drs. [NAME] were told."),
    ("Sehr geehrte Frau Dr. med. Müller-Lüdenscheidt,", "Sehr geehrte Frau Dr. med. [NAME],"),
    ("mit Herrn von Hohenfels, Prof. Dr. Huber.", "mit Herrn [NAME], Prof. Dr. [NAME]."),
    ("Call 317-555-1234 x12 or (317) 555-1234.", "Call [PHONE] or [PHONE]."),
    ("Tel.: 030/1234567, +49 30 1234567.", "Tel.: [PHONE], [PHONE]."),
    ("MRN: 1234567, accession CR-19-12345.", "MRN: [ID], accession [ID]."),
    ("Fall-Nr. 4711-2020, SSN 123-45-6789", "Fall-Nr. [ID], SSN [ID]"),
    ("at 12 Main Street, Springfield, IL 62704.", "at [ADDRESS]."),
    ("Musterstraße 12, 12345 Bad Tölz", "[ADDRESS]"),
    ("to a.b@c.example and https://x.example/y", "to [EMAIL] and [URL]"),
    ("A 92-year-old woman, 101 yo man, aged 90.", "A [AGE]-year-old woman, [AGE] yo man, aged [AGE]."),
    ("93-jährige Patientin, Alter: 91", "[AGE]-jährige Patientin, Alter: [AGE]"),
    ("From Wishard Memorial Hospital, St. Mary's Hospital.", "From [HOSPITAL], [HOSPITAL]."),
    ("Universitätsklinikum Heidelberg, St.-Josefs-Krankenhaus", "[HOSPITAL], [HOSPITAL]"),
]  # fmt: skip

KEPT = [
    "T12 compression, L4-5 disc, C5/6, BWK 12, LWK 4/5.",
    "A 1.2 x 3.4 cm nodule, 12 mm, 3/4 of the lung, 50-69 % stenosis, 125 cm/s, ratio 2.5.",
    "Ribs 8-9-10, the 3rd to 5th ribs, 3.-5. Rippe, series 3 image 45.",
    "At the 10:30 position, 2:00, 5 cm from the nipple, at 3 o'clock.",
    "There may be 2 nodules; images 4 and 5 may represent scars.",
    "An 89-year-old man with 95 pack years, aged 45.",
    "MR brain, DR chest, multiple sclerosis (MS), MR. The lungs are clear.",
    "Swan-Ganz catheter, Dr. XXXX, XXXX-year-old, ___, Chiari, Kerley B lines.",
    "Mitralring 28 mm, Gallenweg 8 mm, Klinik: Husten, Herr Patient.",
    "Discussed with the referring physician, reviewed by Radiology, PATIENT: MALE.",
    "INDICATION: TESTIS CA\nCOMPARISON: None. OA Knee, AA Dissection.",
    "Since 2017 unchanged. Grade 2 of 4. FEV1 2.34. 10000 HU. 0.5 mg.",
]


@pytest.mark.parametrize(("text", "expected"), HIDDEN)
def test_identifiers_are_replaced_by_their_kind(text: str, expected: str) -> None:
    assert BOTH.scrub(text).text == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_the_image_shows_is_never_touched(text: str) -> None:
    assert BOTH.scrub(text).text == text


PIECES = st.sampled_from([text for text, _ in HIDDEN] + KEPT) | st.text(max_size=30)


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=6).map(" ".join))
def test_all_but_the_hidden_spans_stays_and_every_place_leads_back(text: str) -> None:
    done = BOTH.scrub(text)
    rebuilt, at = "", 0
    for one in done.hidden:
        assert done.text[one.at : one.until] == f"[{one.kind.upper()}]"
        rebuilt += done.text[at : one.at] + text[one.start : one.end]
        at = one.until
        assert done.span_before(one.at, one.until) == (one.start, one.end)
        assert done.span_before(one.at + 1, one.until - 1) == (one.start, one.end)
    assert rebuilt + done.text[at:] == text
    assert done.span_before(0, len(done.text)) == (0, len(text))
    for start in range(0, len(done.text), 7):
        first, last = done.span_before(start, start + 5)
        between = text[first:last]
        if not any(one.at < start + 5 and start < one.until for one in done.hidden):
            assert between == done.text[start : start + 5]


def test_no_text_takes_longer_than_its_length() -> None:
    """Patterns that try again and again would stand still on what a report may hold by accident."""
    for piece in (
        "A. ",
        "Aa ",
        "1",
        "1.",
        "1 ",
        "Dr. ",
        "A-",
        "AAAA ",
        "Aa'",
        "discussed ",
        "name: A ",
        "1/",
        "St. ",
    ):
        times = []
        for length in (2_000, 8_000):
            text = (piece * length)[:length]
            started = time.process_time()
            BOTH.scrub(text)
            times.append(time.process_time() - started)
        assert times[1] < 16 * times[0] + 0.5, piece  # quadratic would be 16 times, exponential never ends


def test_own_rules_and_words_are_added_to_the_shipped_ones(tmp_path: Path) -> None:
    """Those of docs/privacy.md."""
    own = tmp_path / "own.yaml"
    (shown,) = (block.text for block in blocks_of("docs/privacy.md") if block.first == "words:")
    own.write_text(shown, encoding="utf-8")
    scrubber = Scrubber(["en", str(own)])
    text = "Elm 3, Maple leaf sign, badge no 7, no 7, Dr. Smith"
    assert scrubber.scrub(text).text == "[WARD], Maple leaf sign, badge no [BADGE], no 7, Dr. [NAME]"
    assert pickle.loads(pickle.dumps(scrubber)).scrub(text) == scrubber.scrub(text)  # noqa: S301


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rules: [{kind: x, pattern: '('}]", "no regular expression"),
        ("rules: [{kind: x, pattern: '{nobody}'}]", "'nobody'"),
        ("words: {a: ['{a}x']}\nrules: [{kind: x, pattern: '{a}'}]", "name each other"),
        ("rules: [{kind: 'X Y', pattern: a}]", "rules.0.kind"),
        ("rule: []", "rule"),
        ("rules: [", "no valid YAML"),
    ],
)
def test_mistakes_in_own_rules_are_named(tmp_path: Path, content: str, told: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        load_rules([str(own)])
    assert "own.yaml" in str(caught.value)


def test_unknown_languages_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="en, de"):
        Scrubber(["fr"])
