"""ReXrank's JSON of a test set: studies by id, with the reference's sections and the text that a model wrote

The text is literally "Findings: ... Impression: ...", with "None" where a section is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from radflow.data.report_files import whole_file
from radflow.data.sections import parse_report
from radflow.data.sources.checks import field_text
from radflow.errors import DataError
from radflow.records import Report

PREDICTION = "model_prediction"
SECTIONS = (("section_findings", "section_impression"), ("findings", "impression"))
"""How the reference's sections are called; the second in the example file of the leaderboard."""

_BOTH = re.compile(r"\s*findings\s*:(.*?)impression\s*:(.*)\Z", re.IGNORECASE | re.DOTALL)

Role = Literal["reference", "prediction"]


def read_rexrank(path: Path, role: Role) -> Iterator[tuple[str, Report]]:
    """(study id, report) of every study, in the file's order.

    Raises:
        DataError: no such file, or it doesn't hold what the role asks for; report text isn't shown.
    """
    try:
        studies = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"the file can't be read: {error.strerror or type(error).__name__}", where=str(path)
        ) from None
    except (ValueError, RecursionError):
        raise DataError("the file is no JSON", where=str(path)) from None
    if not isinstance(studies, dict) or not all(isinstance(each, dict) for each in studies.values()):
        raise DataError(
            "a .json file of reports has to be an object of studies by id, as ReXrank's",
            where=str(path),
            next_step="Rows of JSON belong into a .jsonl file.",
        )
    for study_id, study in studies.items():
        where = f"{path}, study {study_id}"
        yield str(study_id), _reference(study, where) if role == "reference" else _prediction(study, where)


def _prediction(study: Mapping[str, object], where: str) -> Report:
    if PREDICTION not in study:
        raise DataError(
            f"a study has no {PREDICTION!r}",
            where=where,
            next_step="Is this the reference, and the two files are swapped?",
        )
    return report_of_text(_text(study[PREDICTION], where))


def _reference(study: Mapping[str, object], where: str) -> Report:
    for names in SECTIONS:
        if any(name in study for name in names):
            findings, impression = (field_text(_text(study.get(name), where)) for name in names)
            return _report(findings, impression)
    if "report" in study:
        return report_of_text(_text(study["report"], where))
    raise DataError(
        "a study has no reference: neither section_findings nor section_impression nor report",
        where=where,
        next_step="Is this the prediction, and the two files are swapped?" if PREDICTION in study else None,
    )


def _text(cell: object, where: str) -> str:
    if cell is None or cell != cell:  # NaN, as pandas writes null
        return ""
    if not isinstance(cell, str):
        raise DataError(f"a text is a {type(cell).__name__}", where=where)
    return cell


def report_of_text(text: str) -> Report:
    """A text in ReXrank's form, else any report."""
    match = _BOTH.match(text)
    if match is None:
        return parse_report(text)
    findings, impression = (field_text(part) for part in match.groups())
    return _report(findings, impression, text=text)


def _report(findings: str | None, impression: str | None, *, text: str | None = None) -> Report:
    return Report(
        text=rexrank_text(findings, impression) if text is None else text,
        findings=findings,
        impression=impression,
        findings_found_by="none" if findings is None else "field",
        impression_found_by="none" if impression is None else "field",
    )


def rexrank_text(findings: str | None, impression: str | None) -> str:
    """The text of a submission."""
    return f"Findings: {findings or None} Impression: {impression or None}"


def write_rexrank(out: Path, studies: Iterable[tuple[str, Report, Report]], *, source: Path) -> int:
    """Write (id, reference, prediction) as a submission; it holds report text: only its owner may read it.

    Returns:
        How many studies were written.
    """
    count = 0
    with whole_file(out, source=source) as write:
        write(b"{")
        for study_id, reference, prediction in studies:
            row = {
                "section_findings": reference.findings,
                "section_impression": reference.impression,
                PREDICTION: rexrank_text(prediction.findings, prediction.impression)
                if prediction.findings or prediction.impression
                else rexrank_text(field_text(prediction.text), None),
            }
            line = f"{',' if count else ''}\n{json.dumps(study_id)}: {json.dumps(row)}"
            write(line.encode())
            count += 1
        write(b"\n}\n")
    return count
