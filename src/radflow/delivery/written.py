"""A report that a model has written for given images, with what must always be said of it"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from unicodedata import category

from radflow import __version__
from radflow.records import Consistency, Record

NOTICE = (
    "Machine-written by research software, not verified by a person. Not a medical device: not for the care "
    "of a patient."
)
SOFTWARE = f"radflow {__version__}"
NAMESPACE = uuid.UUID("5a8e3a0c-6b0e-5d0c-9b1d-0d8f6f7a3c11")
NO_TEXT = ("Cc", "Cs")
"""Unicode categories: control characters and lone surrogates."""
KINDS = {
    "contradicted": "one contradicts the other",
    "unsupported": "only in the Impression",
    "critical_omitted": "critical, and left out of the Impression",
    "side_or_severity_conflict": "side or severity differs",
}


class WrittenReport(Record):
    """One row of what `radflow generate` writes.

    Attributes:
        study_id: of the given study.
        notice: what every reader has to know.
        text: the report as the model wrote it.
        findings, impression: its sections, ``None`` where it has none.
        other: further sections.
        finished: whether it ended before the length limit.
        tokens: number of generated tokens.
        consistency: whether the sections agree, by rules.
        candidates: how many reports it was chosen from.
        images: the images that were shown to the model, in order.
        left_out: how many of the study's images were not: unreadable, or more than the model was trained on.
        model: name of the model.
        software: radflow and its version.
        made_with: hash of the model's weights and of all settings that decide the text.
        inputs: hash of which images and which indication were given.
        created: when, ISO 8601 with time zone.
    """

    study_id: str
    notice: str = NOTICE
    text: str
    findings: str | None
    impression: str | None
    other: dict[str, str] = {}
    finished: bool
    tokens: int
    consistency: Consistency
    candidates: int = 1
    images: tuple[str, ...]
    left_out: int = 0
    model: str
    software: str = SOFTWARE
    made_with: str
    inputs: str
    created: str

    @property
    def report_uuid(self) -> uuid.UUID:
        """Of this report alone: the same row always has the same one, another text never has."""
        parts = (self.made_with, self.inputs, self.study_id, self.created, self.text)
        return uuid.uuid5(NAMESPACE, "\0".join(parts).encode(errors="replace").decode())

    def uid(self, what: str) -> str:
        """A DICOM UID of this report for one purpose, made from its UUID (PS3.5, B.2)."""
        return uid_of(f"{self.report_uuid}\0{what}")


def uid_of(name: str) -> str:
    """A DICOM UID that belongs to a name."""
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def disagreement(report: WrittenReport) -> str | None:
    """What Findings and Impression disagree about, for those who read the report; ``None`` if they don't."""
    problems = report.consistency.problems
    if not problems:
        return None
    told = "; ".join(f"{problem.label} ({KINDS[problem.kind]})" for problem in problems)
    return f"Warning: Findings and Impression disagree: {told}"


def lacking_sections(report: WrittenReport) -> list[str]:
    """Of Findings and Impression those that the report doesn't have: nothing was checked then."""
    sections = {"Findings": report.findings, "Impression": report.impression}
    return [name for name, text in sections.items() if not text]


def disagreement_kinds(report: WrittenReport) -> str:
    """The same for a log: how many of which kind, nothing of what the report says."""
    counts = Counter(problem.kind for problem in report.consistency.problems)
    return ", ".join(f"{count} {KINDS[kind]}" for kind, count in counts.items())


def remarks(report: WrittenReport) -> list[str]:
    """What has to stand beside this report, the notice first."""
    warning = disagreement(report)
    found = [report.notice, *([warning] if warning else [])]
    if lacking := lacking_sections(report):
        found.append(f"Warning: the report has no {' and no '.join(lacking)}.")
    if not report.finished:
        found.append("Warning: the report was cut at the length limit.")
    if report.left_out:
        found.append(f"Warning: {report.left_out} of the study's images were not shown to the model.")
    return found


def printable(text: str) -> str:
    """Text without control characters, which neither DICOM, FHIR nor XML can hold; tabs become spaces."""
    lines = text.replace("\t", " ").splitlines()
    return "\n".join("".join(sign for sign in line if category(sign) not in NO_TEXT) for line in lines)


def as_text(report: WrittenReport) -> str:
    """The report with its remarks in front."""
    return "\n".join([*remarks(report), "", printable(report.text), ""])
