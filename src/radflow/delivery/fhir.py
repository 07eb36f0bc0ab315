"""A written report as a FHIR R4 DiagnosticReport: preliminary, labelled as asserted by an AI

https://hl7.org/fhir/R4/diagnosticreport.html. Patient, study and order are references by identifier, as DICOM
knows them: no server has to hold them, and none is invented where the images say nothing of them.
"""

from __future__ import annotations

import base64
from datetime import datetime
from html import escape
from typing import Any

from radflow.delivery.dicom_origin import StudyOrigin
from radflow.delivery.written import WrittenReport, as_text, printable, remarks

AI_ASSERTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
IMAGING_REPORT = {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
RADIOLOGY = {
    "system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD", "display": "Radiology"
}  # fmt: skip
ACCESSION = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}


def diagnostic_report(report: WrittenReport, origin: StudyOrigin) -> dict[str, Any]:
    """The resource as JSON values; what isn't known is left out."""
    text = as_text(report)
    resource: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": str(report.report_uuid),
        "meta": {"security": [AI_ASSERTED]},
        "text": {"status": "generated", "div": _narrative(report)},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{report.report_uuid}"}],
        "basedOn": _order(origin),
        "status": "preliminary",
        "category": [{"coding": [RADIOLOGY]}],
        "code": {"coding": [IMAGING_REPORT], "text": "Machine-written draft of an imaging report"},
        "subject": _patient(origin),
        "effectiveDateTime": _date(origin.values.get("StudyDate")),
        "issued": report.created,
        "imagingStudy": _study(origin),
        "conclusion": "\n".join([*remarks(report), printable(report.impression or "")]).rstrip(),
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "data": base64.b64encode(text.encode()).decode("ascii"),
                "title": f"Machine-written draft by {report.software}, model {report.model}",
                "creation": report.created,
            }
        ],
    }
    return {name: value for name, value in resource.items() if value}


def _narrative(report: WrittenReport) -> str:
    """XHTML for people: the remarks, who wrote it, and the report line by line."""
    by = f"Written by {report.software}, model {report.model}."
    head = "".join(f"<p><b>{escape(line)}</b></p>" for line in remarks(report))
    lines = printable(report.text).splitlines()
    body = "".join(f"<p>{escape(line)}</p>" for line in lines if line.strip())
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{head}<p>{escape(by)}</p>{body}</div>'


def _patient(origin: StudyOrigin) -> dict[str, Any] | None:
    value = origin.values.get("PatientID")
    if not value:
        return None
    identifier: dict[str, Any] = {"value": value}
    if issuer := origin.values.get("IssuerOfPatientID"):
        identifier["assigner"] = {"display": issuer}
    return {"type": "Patient", "identifier": identifier}


def _study(origin: StudyOrigin) -> list[dict[str, Any]]:
    value = origin.values.get("StudyInstanceUID")
    identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{value}"}
    return [{"type": "ImagingStudy", "identifier": identifier}] if value else []


def _order(origin: StudyOrigin) -> list[dict[str, Any]]:
    value = origin.values.get("AccessionNumber")
    identifier = {"type": {"coding": [ACCESSION]}, "value": value}
    return [{"type": "ServiceRequest", "identifier": identifier}] if value else []


def _date(value: str | None) -> str | None:
    """A DICOM date as FHIR has it; the time is left out, as DICOM's has no time zone."""
    try:
        return datetime.strptime(value or "", "%Y%m%d").date().isoformat()
    except ValueError:
        return None
