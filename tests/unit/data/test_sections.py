"""What counts as a section header and what never does, and the files that reports are read from."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radflow.data.report_files import SectionCounts, read_reports, split_file
from radflow.data.sections import parse_report, render_report, segments
from radflow.data.tables import read_rows
from radflow.errors import DataError
from radflow.records import Report

F, I = "Lungs are clear.", "No acute disease."  # noqa: E741

# (shape number and name, text, findings, impression, findings_found_by, impression_found_by)
H, T, C, V, N = "header", "typo", "combined", "view_title", "none"
SHAPES: list[tuple[str, str, str | None, str | None, str, str]] = [
    ("01 FINDINGS", f"FINDINGS: {F}\nIMPRESSION: {I}", F, I, H, H),
    ("02 FINDING", f"FINDING: {F}\nIMPRESSION: {I}", F, I, H, H),
    ("03 combined", f"FINDINGS AND IMPRESSION: {F}", F, F, C, C),
    ("04 combined slash", f"FINDINGS/IMPRESSION:\n{F}", F, F, C, C),
    ("05 combined slash space", f"FINDINGS/ IMPRESSION: {F}", F, F, C, C),
    ("06 combined typo", f"FINDINGS AND IMRPESSION: {F}", F, F, C, C),
    ("07 technique and findings", f"TECHNIQUE AND FINDINGS: {F}\nIMPRESSION: {I}", F, I, H, H),
    ("08 reference findings", f"REFERENCE FINDINGS: {F}", F, None, H, N),
    *[
        (f"09 {t}", f"{t}: {F}\nIMPRESSION: {I}", F, I, T, H)
        for t in ("FINSINGS", "FIDINGS", "FINDNGS", "FINIDNGS", "FIDING")
    ],
    ("10 IMPRESSIONS", f"FINDINGS: {F}\nIMPRESSIONS: {I}", F, I, H, H),
    *[
        (f"11-12 {t}", f"FINDINGS: {F}\n{t}: {I}", F, I, H, T)
        for t in (
            "IMPRESSON",
            "IMPRESION",
            "IMPERSSION",
            "IMPESSION",
            "MPRESSION",
            "FIMPRESSION",
            "IIMPRESSION",
            "PRESSION",
        )
    ],
    ("13 corrected", f"IMPRESSION: wrong text\nCORRECTED IMPRESSION: {I}", None, I, N, H),
    ("14 addendum two spaces", f"IMPRESSION: old text\n\nADDENDUM  IMPRESSION: {I}", None, I, N, H),
    ("15 should read", f"ADDENDUM: error.\nTHE IMPRESSION SHOULD READ: {I}", None, I, N, H),
    ("16 conclusion", f"FINDINGS: {F}\nCONCLUSION: {I}", F, I, H, H),
    *[(f"17 {t}", f"FINDINGS: {F}\n{t}: {I}", F, I, H, T) for t in ("COCLUSION", "CONLCUSION")],
    ("18 opinion", f"FINDINGS: {F}\nOPINION: {I}", F, I, H, H),
    ("19 assessment and plan", f"FINDINGS: {F}\nASSESSMENT AND PLAN: {I}", F, I, H, H),
    ("19 assessment", f"Findings: {F}\nAssessment: {I}", F, I, H, H),
    ("20 wet read", f"WET READ: {F}", None, None, N, N),
    ("20 wetread", f"WETREAD: wet text.\nIMPRESSION: {I}", None, I, N, H),
    ("21 preliminary report", f"PRELIMINARY REPORT: {F}", None, None, N, N),
    ("22 final report", f"FINAL REPORT\n FINDINGS:  {F}\n\n IMPRESSION:  {I}", F, I, H, H),
    ("23 report", f"REPORT: {F}", None, None, N, N),
    ("24 addendum", f"IMPRESSION: {I}\nADDENDUM: phoned to the ward.", None, I, N, H),
    ("24 amendment", f"IMPRESSION: {I}\nAMENDMENT: phoned to the ward.", None, I, N, H),
    ("25 recommendation(s)", f"IMPRESSION: {I}\nRECOMMENDATION(S): CT.", None, I, N, H),
    ("26 notification", f"IMPRESSION: {I}\nNOTIFICATION: by phone.\nTIFICATION: again.", None, I, N, H),
    *[
        (f"27 {t}", f"{t}: cough", None, None, N, N)
        for t in ("INDICATION", "NDICATION", "IDICATION", "INDCATION")
    ],
    *[
        (f"28 {t}", f"{t}: none\nFINDINGS: {F}", F, None, H, N)
        for t in ("COMPARISON", "COMPARISION", "OMPARISON", "COMPARSION", "COMAPRISON")
    ],
    ("29 PFI", f"PFI: {F}", None, None, N, N),
    ("30 view title", f"CHEST, TWO VIEWS: {F}\nIMPRESSION: {I}", F, I, V, H),
    ("30 portable", f"PORTABLE AP CHEST RADIOGRAPH:\n\n{F}\n\nIMPRESSION: {I}", F, I, V, H),
    ("30 misspelt", f"PA AND LATERAL VIES OF THE CHEST: {F}", F, None, V, N),
    ("31 empty view title", f"CHEST, TWO VIEWS:\n\nINDICATION: cough\nIMPRESSION: {I}", None, I, N, H),
    ("31 dated view title", f"CHEST RADIOGRAPH: ___\nIMPRESSION: {I}", None, I, N, H),
    ("32 text in comparison", f"COMPARISON: None.\n\nMild edema. {I}", None, None, N, N),
    ("32 text in recommendations", f"RECOMMENDATIONS: {I} Chest CT.", None, None, N, N),
    ("33 no headers", f"{F} The clinical impression of pneumonia is not supported.", None, None, N, N),
    ("34 impression only", f"IMPRESSION: {I}", None, I, N, H),
    ("34 findings only", f"FINDINGS: {F}", F, None, H, N),
    ("35 last empty", f"FINDINGS: {F}\nIMPRESSION: {I}\nFINDINGS:\nIMPRESSION:\n", F, I, H, H),
    ("35 first empty", f"FINDINGS:\nFINDINGS: {F}\nIMPRESSION: old.\nIMPRESSION: {I}", F, I, H, H),
    ("36 end of impression", f"IMPRESSION: {I}\n END OF IMPRESSION: SUMMARY: again", None, I, N, H),
    ("36 end in mid line", f"IMPRESSION: {I} END OF IMPRESSION: SUMMARY again", None, I, N, H),
    ("37 inline", f"INDICATION: Cough. FINDINGS: {F} IMPRESSION: {I}", F, I, H, H),
    ("37 inline title case", f"Comparison: None. Findings: {F} Impression: {I}", F, I, H, H),
    ("37 inline without stop", f"HISTORY: COPD FINDINGS: {F} IMPRESSION: {I}", F, I, H, H),
    ("38 lower case", f"findings: {F}\nimpression: {I}", F, I, H, H),
    ("38 title case", f"Findings:\n{F}\n\nImpression:\n{I}", F, I, H, H),
    ("38 bold", f"**Findings**\n{F}\n\n**Impression:** {I}", F, I, H, H),
    ("38 bold without colon", f"**Findings** {F}\n**Impression** {I}", F, I, H, H),
    ("38 headings", f"## Findings\n{F}\n\n## 2. Impression ##\n{I}\n\n---\n", F, I, H, H),
    ("38 underlined", f"Findings\n--------\n{F}\n\nImpression\n==========\n{I}", F, I, H, H),
    ("39 alone", f"FINDINGS\n{F}\nIMPRESSION\n{I}", F, I, H, H),
    ("39 alone title case", f"Findings\n{F}\n\nImpression\n{I}", F, I, H, H),
    ("39 capitals without colon", f"FINDINGS {F}\nIMPRESSION {I}", F, I, H, H),
    ("39 dash", f"FINDINGS - {F}\nImpression – {I}", F, I, H, H),
    ("39 colon dash", f"FINDINGS:- {F}\nIMPRESSION:-\n{I}", F, I, H, H),
    ("39 CRLF", f"FINDINGS:\r\n{F}\r\n\r\nIMPRESSION\r\n{I}\r\n", F, I, H, H),
    ("39 CR", f"FINDINGS:\r{F}\rIMPRESSION: {I}", F, I, H, H),
    ("39 tabs", f"\tFINDINGS\t:\t{F}\n\tIMPRESSION:\t{I}", F, I, H, H),
    ("39 non-breaking", f"\xa0FINDINGS\xa0:\xa0{F}\nFINAL\xa0IMPRESSION: {I}", F, I, H, H),
    ("39 byte order mark", f"\ufeffFINDINGS: {F}", F, None, H, N),
    ("39 full-width colon", f"FINDINGS：{F}", F, None, H, N),
    ("40 masks", "FINDINGS: ___\nIMPRESSION: XXXX", "___", "XXXX", H, H),
    ("40 None and NaN", "FINDINGS: None\nIMPRESSION: NaN", None, None, N, N),
    ("40 n/a", "FINDINGS: N/A\nIMPRESSION: .", None, None, N, N),
    ("40 tags", f"<findings>{F}</findings>\n<impression>{I}</impression>", F, I, H, H),
    ("40 brackets", f"[FINDINGS] {F}\n[IMPRESSION] {I}", F, I, H, H),
]


@pytest.mark.parametrize(
    ("text", "findings", "impression", "findings_by", "impression_by"),
    [shape[1:] for shape in SHAPES],
    ids=[shape[0] for shape in SHAPES],
)
def test_published_shape(
    text: str, findings: str | None, impression: str | None, findings_by: str, impression_by: str
) -> None:
    report = parse_report(text)
    assert (report.findings, report.impression) == (findings, impression)
    assert (report.findings_found_by, report.impression_found_by) == (findings_by, impression_by)
    assert Report.model_validate(report.model_dump()) == report


def test_all_forty_shapes_have_a_case() -> None:
    numbers = {int(n) for shape in SHAPES for n in re.findall(r"\d+", shape[0].split(" ")[0])}
    assert numbers == set(range(1, 41))


@pytest.mark.parametrize(
    "text",
    [
        "The clinical impression of pneumonia is not supported.",
        "The findings and impression were discussed: all agreed.",
        "No findings: the lungs are clear.",
        "Cough, consistent with the clinical\nimpression: pneumonia.",
        "NDICATION: pneumonia",
        "CLINICAL IMPRESSION: pneumonia",
        "PREVIOUS IMPRESSION: pneumonia",
        "INDICATION: cough, see IMPRESSION: of last week",
        "OCCLUSION: complete, of the right internal carotid artery.",
        "COMPRESSION: of the vein is complete",
        "CONTUSION: of the lung",
        "MEDICATIONS: aspirin",
        "NO ACUTE CHANGE FROM PREVIOUS\nIMPRESSION OF EDEMA",
        "FINDINGS ARE CONSISTENT WITH PNEUMONIA",
        "Impression of the stomach on the colon",
        "- Impression of the aorta: normal",
        "END OF IMPRESSION: SUMMARY: edema",
        "CHEST PAIN: for three days now",
        "- Impression: edema",
        "___ Impression: edema",
        "IMPRESSION edema is seen",
        "IMPRESSION PNEUMONIA OF THE LEFT LUNG",
        "Impression Edema is seen",
        "impression - edema",
        "Impression- edema",
        "CHEST ZEBRA VIEW: lungs are clear",
        "CHEST TWO ZEBRA ZEBRA VIEWS: lungs are clear",
        "ONE TWO THREE FOUR: lungs are clear",
        "Chest, two views: lungs are clear",
    ],
)
def test_words_in_a_sentence_open_no_section(text: str) -> None:
    report = parse_report(text)
    assert (report.findings, report.impression) == (None, None)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("CLINICAL HISTORY", "history"),
        ("CLINCAL HISTORY", "history"),
        ("REASON FOR EXAM", "indication"),
        ("NDICATION", "indication"),
        ("OMPARISON", "comparison"),
        ("TECHIQUE", "technique"),
        ("RECOMMENDATION(S)", "recommendation"),
        ("RECOMMEDATIONS", "recommendation"),
        ("TIFICATION", "notification"),
        ("ADDENDUM", "addendum"),
        ("AMENDMENT", "addendum"),
        ("PFI", "preliminary"),
        ("WETREAD", "wet_read"),
        ("REPORT", "report"),
        ("END OF IMPRESSION", "summary"),
        ("SUMMARY", "summary"),
        ("COMMENTS", "comment"),
        ("HISTROY", "history"),
        ("CHIEF COMPLAINT", "history"),
        ("PROCEDURE", "examination"),
        ("DATE OF EXAM", "date"),
    ],
)
def test_other_sections_get_canonical_names(header: str, name: str) -> None:
    assert parse_report(f"{header}: some text").other == {name: "some text"}


def test_one_of_four_words_of_a_view_title_may_be_unknown() -> None:
    report = parse_report("CHEST TWO ZEBRA VIEWS: lungs are clear")
    assert (report.findings, report.findings_found_by) == ("lungs are clear", "view_title")


def test_a_remark_in_brackets_belongs_to_its_header() -> None:
    report = parse_report("FINDINGS (limited): Clear.\nIMPRESSION (PRELIMINARY): Normal.")
    assert (report.findings, report.impression) == ("Clear.", "Normal.")
    assert parse_report("IMPRESSION (see above) is normal: yes").impression is None


def test_the_longest_header_counts() -> None:
    assert parse_report("COMPARISON STUDY - none before").other == {"comparison": "none before"}
    assert parse_report("FINDINGS AND IMPRESSION - Clear.").impression_found_by == "combined"


def test_markup_inside_a_section_is_no_text() -> None:
    report = parse_report("FINDINGS: **Clear** lungs<br>and <b>heart</b>.\nIMPRESSION: <i>None</i>")
    assert (report.findings, report.impression) == ("Clear lungs and heart.", None)
    assert parse_report("FINDINGS:\n## Lungs\nClear, # 2 as well.").findings == "Lungs\nClear, # 2 as well."


def test_comparison_none_is_a_statement_but_nan_is_not() -> None:
    assert parse_report("COMPARISON: None.\nINDICATION: nan").other == {"comparison": "None."}


def test_an_absent_section_on_the_same_line_does_not_swallow_the_next() -> None:
    for nothing in ("None", "NaN", "n/a"):
        report = parse_report(f"Findings: {nothing} Impression: {I}")
        assert (report.findings, report.impression) == (None, I)
    assert parse_report("Findings: There is none impression: x").impression is None


def test_subheaders_stay_inside_their_section() -> None:
    findings = "RIGHT CAROTID SYSTEM:\n- ICA/CCA ratio: 1.8\n\nCHEST: clear lungs here.\nNote: limited."
    report = parse_report(f"FINDINGS:\n\n{findings}\n\nIMPRESSION:\n1. Right ICA: mild stenosis")
    assert (report.findings, report.impression) == (findings, "1. Right ICA: mild stenosis")


def test_view_title_never_overrides_a_findings_header() -> None:
    report = parse_report(f"FINDINGS: {F}\nTECHNIQUE: digital.\nCHEST, TWO VIEWS: other text here.")
    assert (report.findings, report.findings_found_by) == (F, "header")


def test_report_quoted_inside_a_section_stays_there() -> None:
    quoted = "Edema. IMPRESSION: Exam: CHEST 2V FINDINGS: enlarged heart. IMPRESSION: edema."
    report = parse_report(f"FINDINGS: {F}\nIMPRESSION: {quoted}")
    assert (report.findings, report.impression) == (F, quoted)


def test_last_paragraph_is_taken_only_when_asked_for() -> None:
    text = "CHEST, TWO VIEWS\n\nCOMPARISON: None.\n \nMild edema.\n\nNo effusion."
    assert parse_report(text).impression is None
    report = parse_report(text, fallback="last_paragraph")
    assert (report.impression, report.impression_found_by) == ("Mild edema.\n\nNo effusion.", "fallback")
    assert report.other["comparison"] == "None."
    assert parse_report(f"FINDINGS: {F}\n\n{I}", fallback="last_paragraph").impression is None
    assert parse_report("one paragraph", fallback="last_paragraph").impression is None


def test_what_stands_before_the_last_paragraph_stays_where_it_was() -> None:
    title = parse_report("CHEST RADIOGRAPH: ___\n\nEdema.", fallback="last_paragraph")
    assert (title.findings, title.impression, title.other) == (None, "Edema.", {})
    silent = parse_report("COMPARISON: .\n\nMild edema.", fallback="last_paragraph")
    assert (silent.impression, silent.other) == ("Mild edema.", {})


def test_house_style_headers_are_read_and_override() -> None:
    headers = {"Befund:": "findings", "Beurteilung": "impression", "Opinion": "comment"}
    report = parse_report("Befund: Lunge frei.\nOpinion: x\nBEURTEILUNG\nKein Erguss.", headers=headers)
    assert (report.findings, report.impression) == ("Lunge frei.", "Kein Erguss.")
    assert report.other == {"comment": "x"}
    report = parse_report(
        "所见：双肺清晰。印象：未见异常。", headers={"所见": "findings", "印象": "impression"}
    )
    assert (report.findings, report.impression) == ("双肺清晰。", "未见异常。")


def test_absent_text_reads_as_an_empty_report() -> None:
    assert parse_report(None) == Report(text="")
    assert segments("") == []
    assert render_report(findings=None, impression="NaN") == ""


def test_rendering_changes_white_space_only() -> None:
    text = render_report(findings="a\n\nb; see. IMPRESSION: c", impression=None)
    assert text == "FINDINGS: a b; see. IMPRESSION : c"
    assert parse_report(text).impression is None
    assert render_report(findings=f"{F}\n", impression=I) == f"FINDINGS: {F}\nIMPRESSION: {I}"


@pytest.mark.parametrize(
    "piece",
    ["a", "IMPRESSION:", "IMPRESSION ", "*", "<b", "<findings>", "# ", "\n", "CHEST:\n", "the ", "--", "_"],
)
def test_very_long_texts_finish(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert parse_report(f"FINDINGS: {text}").text.endswith(text)


def test_five_megabytes_on_one_line_finish() -> None:
    body = "the lungs are clear: no effusion; " * 150_000
    assert parse_report(f"FINDINGS: {body}").findings == body.strip()
    assert parse_report(f"CHEST: {'x' * 5_000_000}").impression is None


# fmt: off
FRAGMENTS = st.sampled_from([
    "FINDINGS", "IMPRESSION", "Impression", "impression", "Findings:", "IMPRESSION:", "COMPARISON:",
    "CHEST, TWO VIEWS:", "**", "##", "# ", "</findings>", "<findings>", "<impression>", "<b>", "[IMPRESSION]",
    "-", "--", "---", ":", ".", "/", "AND", "the", "clinical", "None", "NaN", "___", "XXXX",
    "lungs are clear", "END OF", "Recommendation(s):", "(", "*", "<", ">", "b>", "\u2028", "\ud800", "\x00",
])
# fmt: on
TEXTS = st.lists(
    st.tuples(
        FRAGMENTS | st.text(max_size=5), st.sampled_from(["", " ", "\n", "\r\n", "\n\n", "\t", "\xa0", ". "])
    )
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
EXAMPLES = settings(max_examples=400, deadline=None)


@EXAMPLES
@given(TEXTS, st.sampled_from(["none", "last_paragraph"]))
def test_any_text_parses_and_sections_say_how_they_were_found(text: str, fallback: str) -> None:
    report = parse_report(text, fallback=fallback)  # type: ignore[arg-type]
    assert report.text == text
    assert (report.findings is None) == (report.findings_found_by == "none")
    assert (report.impression is None) == (report.impression_found_by == "none")


@EXAMPLES
@given(TEXTS)
def test_segments_partition_the_text(text: str) -> None:
    parts = segments(text)
    assert "".join(part.header + part.body for part in parts) == text
    assert [part.start for part in parts] == [0, *(part.end for part in parts)][: len(parts)]
    assert not parts or parts[-1].end == len(text)


_TAG = re.compile(
    r"\*{2,}|<\s*/?\s*(?:findings?|impressions?|conclusion|indication|history|comparison|technique|recommendations?|"
    r"report|answer|b|i|u|s|em|strong|span|br\s*/?|p|div|ul|ol|li|h[1-6])\s*>",
    re.IGNORECASE,
)


def _bare(text: str) -> str:
    """The text without tags (also those that come together once another is gone), marks and white space."""
    while (shorter := _TAG.sub("", text)) != text:
        text = shorter
    return re.sub(r"[*#<>\-=~\s]", "", text)


@EXAMPLES
@given(TEXTS)
@example("AND<S>:")
@example("FINDINGS: <<<b>b>b>clear")
def test_section_text_is_a_piece_of_the_report_up_to_markup(text: str) -> None:
    report = parse_report(text)
    for section in (report.findings, report.impression, *report.other.values()):
        assert section is None or section in text or _bare(section) in _bare(text)


@EXAMPLES
@given(st.none() | TEXTS, st.none() | TEXTS)
def test_rendered_reports_parse_back(findings: str | None, impression: str | None) -> None:
    rendered = render_report(findings=findings, impression=impression)
    report = parse_report(rendered)
    assert report.other == {}
    assert render_report(findings=report.findings, impression=report.impression) == rendered
    for given_text, read in ((findings, report.findings), (impression, report.impression)):
        if read is None:
            assert given_text is None or render_report(findings=given_text, impression=None) == ""
        elif re.search(r"[*#<\-=~]", given_text or "") is None:
            assert "".join(read.split()) == "".join((given_text or "").split())


@pytest.mark.data
def test_reassembled_indiana_reports_give_their_columns_back(real_data: Path) -> None:
    columns = ("indication", "comparison", "findings", "impression")
    with (real_data / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3851
    for row in rows:
        # two rows hold a <BR>, which is markup; one comparison is a lone full stop, which says nothing
        wanted = {name: row[name].replace("<BR>", " ").strip() for name in columns}
        wanted = {name: text for name, text in wanted.items() if text not in ("", ".")}
        report = parse_report("\n".join(f"{name.upper()}: {row[name]}" for name in columns if row[name]))
        read = {"findings": report.findings, "impression": report.impression, **report.other}
        assert {name: text for name, text in read.items() if text is not None} == wanted, row["uid"]
        rendered = render_report(findings=report.findings, impression=report.impression)
        again = parse_report(rendered)
        folded = [text and " ".join(text.split()) for text in (report.findings, report.impression)]
        assert [again.findings, again.impression] == folded, row["uid"]


REPORTS: list[tuple[str, str | None]] = [
    ("a", f"FINDINGS: {F}\nIMPRESSION: {I}"),
    ("b", None),
    ("c", "x" * 200_000),
]


def write_reports(path: Path) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([("id", "report"), *REPORTS])
    elif path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps({"id": i, "report": t}) + "\n" for i, t in REPORTS), encoding="utf-8"
        )
    elif path.suffix == ".parquet":
        ids, texts = zip(*REPORTS, strict=True)
        pyarrow.parquet.write_table(pyarrow.table({"id": ids, "report": texts}), path)
    else:
        path.mkdir()
        for report_id, text in REPORTS:
            (path / f"{report_id}.txt").write_text(text or "", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["reports.csv", "reports.jsonl", "reports.parquet", "reports"])
def test_every_file_kind_gives_the_same_reports(tmp_path: Path, name: str) -> None:
    assert list(read_reports(write_reports(tmp_path / name))) == REPORTS


@pytest.mark.parametrize(
    ("name", "content", "said", "where"),
    [
        ("r.csv", "id,reprot\n1,x\n", "Did you mean 'reprot'?", "r.csv, row 1"),
        ("r.csv", "id,reprot\n1,x\n", "Its columns: id, reprot", "r.csv, row 1"),
        ("r.csv", "id,report\n1,x\n1,y\n", "'1' occurs a second time", "r.csv, row 2"),
        ("r.csv", "id,report\n1,x\n ,y\n", "no id", "r.csv, row 2"),
        ("r.csv", "id,report\n1,x,y\n", "3 cells", "r.csv, row 1"),
        ("r.csv", 'id,report\n1,x\n2,"y\nz\n', "no valid CSV", "r.csv:3"),
        ("r.csv", "", "holds no report", "r.csv"),
        ("r.csv", "id,report\n", "holds no report", "r.csv"),
        ("r.csv", b"id,report\n1,\xff\n", "not UTF-8", "r.csv"),
        ("r.jsonl", '{"id": 1, "report": "x"}\n{"id": 2, "rep', "no complete JSON object", "r.jsonl, row 2"),
        ("r.jsonl", "[1]\n", "no complete JSON object", "r.jsonl, row 1"),
        ("r.jsonl", '{"id": 1, "report": 5}\n', "no text but a int", "r.jsonl, row 1"),
        ("r.jsonl", '{"id": 1}\n', "no column 'report'", "r.jsonl, row 1"),
        ("r.parquet", "not parquet", "can't be read", "r.parquet"),
        ("r.xlsx", "x", "can't be read from a .xlsx", "r.xlsx"),
    ],
)
def test_unreadable_input_says_what_and_where(
    tmp_path: Path, name: str, content: str | bytes, said: str, where: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        list(read_reports(path))
    assert said in str(caught.value)
    assert where in (caught.value.where or "")
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", b'{"id": 1, "report": "secret'),
        ("r.jsonl", b'{"id": 1, "report": "secret\xff"}\n'),
        ("r.csv", b"id,report\n1,secret\xff\n"),
        ("r.csv", b'id,report\n1,"secret"secret\n'),
        ("reports/r.txt", b"secret\xff"),
    ],
)
def test_an_error_shows_no_report_text_not_even_in_its_traceback(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_reports(path.parent if path.suffix == ".txt" else path))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_ids_that_pandas_made_floats_are_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": [12.0, 13.0], "report": ["x", None]}), path)
    assert list(read_reports(path)) == [("12", "x"), ("13", None)]


def test_only_the_two_columns_of_a_parquet_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "image": [b"x"], "report": ["y"]}), path)
    assert list(read_rows(path, only=["id", "report"])) == [(1, {"id": "a", "report": "y"})]


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
def test_sections_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.touch(mode=0o644)
    split_file(write_reports(tmp_path / "r.csv"), out)
    assert out.stat().st_mode & 0o777 == 0o600


def test_missing_file_and_empty_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(DataError, match=re.escape(str(path))):
            list(read_reports(path))


def test_split_file_writes_null_where_a_section_is_absent(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sections.jsonl"
    assert split_file(write_reports(tmp_path / "r.csv"), out) == SectionCounts(3, 1, 1, 1)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == [
        "id", "findings", "impression", "findings_found_by", "impression_found_by", "other"
    ]  # fmt: skip
    assert (rows[0]["findings"], rows[0]["impression"], rows[0]["other"]) == (F, I, {})
    assert (rows[1]["findings"], rows[1]["impression_found_by"]) == (None, "none")


def test_failed_split_leaves_the_old_output_and_no_partial_file(tmp_path: Path) -> None:
    source, out = tmp_path / "r.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "report": "IMPRESSION: \\ud800"}\n{"id": ', encoding="utf-8")
    out.write_text("old", encoding="utf-8")
    with pytest.raises(DataError):
        split_file(source, out)
    assert out.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "r.jsonl"]
    with pytest.raises(DataError, match="replace its own input"):
        split_file(source, source)


def test_a_table_of_sections_gives_reports_of_them(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text("id,findings,impression\n1,Clear lungs.,Normal.\n2,,Normal.\n3,Clear lungs.,NaN\n4,,\n")
    reports = dict(read_reports(table))
    assert reports["1"] == "FINDINGS: Clear lungs.\nIMPRESSION: Normal."
    assert reports["2"] == "IMPRESSION: Normal."
    assert reports["3"] == "FINDINGS: Clear lungs."
    assert not reports["4"]


def test_a_report_column_counts_before_columns_of_sections(tmp_path: Path) -> None:
    table = tmp_path / "r.jsonl"
    table.write_text('{"id": "1", "findings": "Edema.", "report": "Clear."}\n')
    assert dict(read_reports(table)) == {"1": "Clear."}
    table.write_text('{"id": "1", "note": "Clear."}\n')
    with pytest.raises(DataError, match="--report-column"):
        list(read_reports(table))
