"""Findings and Impression of a MIMIC-CXR report by the rules of the collection's own scripts.

Those rules (MIT-LCP/mimic-cxr, section_parser.py and create_section_files.py), as far as they decide these
two sections: a header is a line's beginning in capitals, spaces and "()/,-" up to a colon; the line behind a
header that stands alone belongs to it; a header that holds "impression", or is "conclusion", is the
Impression, combined ones too; else one that holds "findings" or names a view is the Findings; empty ones
don't count; of several the last counts. With neither, what follows the last section's first blank line is
taken, then the comparison: here only when `data.sections.fallback` is last_paragraph.

Not taken over: their list of 54 single reports that are cut by hand, and that "NDICATION" means Impression.
"""

from __future__ import annotations

import re
from typing import Literal

from radflow.data.section_headers import corrected
from radflow.data.sections import parse_report
from radflow.data.sources.checks import field_text, whole_text
from radflow.records import Report

_HEADER = re.compile(r"\n([A-Z ()/,-]+):\s")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_VIEW = re.compile(
    r"chest|portable|ribs|bone window|two views|(?:frontal|pa|ap|one|lateral) view|"
    r"frontal (?:and|upright|semi)|(?:pa|ap) and lat|lateral and (?:pa|ap)"
)
_CONCLUSIONS = frozenset({"conclusion"})
_FINDINGS = frozenset({"finding"})
_COMPARISONS = frozenset({"reference exam"})

Sections = dict[str, str]


def official_report(text: str, *, fallback: Literal["none", "last_paragraph"] = "none") -> Report:
    """The report with the two sections by the official rules, the others (indication, ...) by ours."""
    text = whole_text(text)
    found = official_sections(text)
    findings, impression = field_text(found.get("findings")), field_text(found.get("impression"))
    found_by: Literal["header", "fallback", "none"] = "header" if impression else "none"
    if fallback == "last_paragraph" and not (findings or impression):
        impression = field_text(found.get("last_paragraph")) or field_text(found.get("comparison"))
        found_by = "fallback" if impression else "none"
    return Report(
        text=text,
        findings=findings,
        impression=impression,
        other=parse_report(text).other,
        findings_found_by="header" if findings else "none",
        impression_found_by=found_by,
    )


def official_sections(text: str) -> Sections:
    """Texts of impression, findings, comparison and last_paragraph, those that are there."""
    parts = _parts(text.replace("\r\n", "\n"))
    found: Sections = {}
    for phrase, body in parts:
        name = _name(phrase)
        if name == "comparison" or (name and body.strip()):
            found[name] = body.strip()
    if "impression" not in found and "findings" not in found:
        last_phrase, last = parts[-1]
        if blank := _BLANK_LINE.search(last):
            found["last_paragraph"] = last[blank.end() :].strip()
            if _name(last_phrase) == "comparison":
                found["comparison"] = last[: blank.start()].strip()
    return found


def _parts(text: str) -> list[tuple[str, str]]:
    """Header phrase and body of each section; the phrase is empty before the first header."""
    match = _HEADER.search(text)
    parts = [("", text[: match.start()] if match else text)]
    while match:
        phrase, start = match[1], match.end()
        skip = text.find("\n", start)
        match = _HEADER.search(text, start if skip < 0 else skip)
        parts.append((phrase, text[start : match.start() if match else len(text)]))
    return parts


def _name(phrase: str) -> str | None:
    """impression, findings or comparison; ``None`` for any other header."""
    name = " ".join(corrected(phrase).lower().split())
    if "impression" in name or name in _CONCLUSIONS:
        return "impression"
    if "findings" in name or name in _FINDINGS:
        return "findings"
    if "history" in name:
        return None
    if "comparison" in name or name in _COMPARISONS:
        return "comparison"
    return "findings" if "addendum" not in name and _VIEW.search(name) else None
