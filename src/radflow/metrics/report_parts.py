"""The texts of a report that are compared: the whole, Findings and Impression, without their headers"""

from __future__ import annotations

from radflow.records import Part, Report

PARTS: tuple[Part, ...] = ("report", "findings", "impression")


def parts_of(report: Report) -> dict[Part, str]:
    """Section bodies without headers; of a report without sections the body is all of it."""
    sections: dict[Part, str] = {}
    if report.findings is not None:
        sections["findings"] = report.findings
    if report.impression is not None:
        sections["impression"] = report.impression
    combined = report.findings_found_by == "combined"
    bodies = list(sections.values())[:1] if combined else list(sections.values())
    return {"report": " ".join(bodies) or report.text, **sections}


def texts_of(report: Report) -> dict[Part, str]:
    """The texts that are compared, those that say nothing left out."""
    return {part: text for part, text in parts_of(report).items() if text.strip()}
