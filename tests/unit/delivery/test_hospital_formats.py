"""FHIR and DICOM SR carry the report, the patient and the study, and say that no person has verified it."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.unit.delivery.images import SERIES, STUDY, write_dicom, write_picture

from radflow.clinical.consistency import LabelConsistency
from radflow.data.sections import parse_report
from radflow.delivery.dicom_origin import StudyOrigin, read_origin
from radflow.delivery.fhir import diagnostic_report
from radflow.delivery.structured_report import sr_bytes, structured_report
from radflow.delivery.written import NOTICE, WrittenReport, as_text

AGREES = "FINDINGS: Small left pleural effusion.\nIMPRESSION: Small left pleural effusion."
DISAGREES = "FINDINGS: No pneumothorax.\nIMPRESSION: Large right pneumothorax."
BARE = "The heart is of normal size."
RULES = LabelConsistency()


def written(text: str = AGREES, **changes: Any) -> WrittenReport:
    report = parse_report(text)
    values = {
        "study_id": "s1", "text": text, "findings": report.findings, "impression": report.impression,
        "other": report.other, "finished": True, "tokens": 9, "consistency": RULES.check(report),
        "images": ("a.dcm",), "model": "runs/model-rft", "made_with": "0f", "inputs": "1e",
        "created": "2026-03-04T05:06:07+02:00", **changes,
    }  # fmt: skip
    return WrittenReport.model_validate(values)


@pytest.fixture
def origin(tmp_path: Path) -> StudyOrigin:
    return read_origin([write_dicom(tmp_path / "a.dcm")])


def read_sr(report: WrittenReport, origin: StudyOrigin) -> Dataset:
    return dcmread(BytesIO(sr_bytes(structured_report(report, origin))))


def texts(document: Dataset) -> list[tuple[str, str]]:
    """Heading and text of every text item, in order."""
    found = []
    for item in document.ContentSequence:
        if item.ValueType == "CONTAINER":
            found += texts(item)
        elif item.ValueType == "TEXT":
            found.append((item.ConceptNameCodeSequence[0].CodeMeaning, item.TextValue))
    return found


@pytest.mark.parametrize("text", [AGREES, DISAGREES, BARE, "", "IMPRESSION: <b>&\x03\x1f ü", "a\tb\n\nc"])
def test_fhir_resources_validate(text: str, origin: StudyOrigin) -> None:
    module = pytest.importorskip("fhir.resources.R4B.diagnosticreport")
    for place in (origin, StudyOrigin()):
        resource = module.DiagnosticReport.model_validate_json(
            json.dumps(diagnostic_report(written(text), place))
        )
        assert resource.status == "preliminary"


def test_fhir_refers_to_patient_study_and_order(origin: StudyOrigin) -> None:
    resource = diagnostic_report(written(), origin)
    assert resource["subject"]["identifier"] == {"value": "P-17", "assigner": {"display": "Ward B"}}
    assert resource["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{STUDY}"
    assert resource["basedOn"][0]["identifier"]["value"] == "A-99"
    assert resource["effectiveDateTime"] == "2024-02-29"
    assert "Müller" not in json.dumps(resource, ensure_ascii=False)  # no name where an identifier does


def test_fhir_of_a_picture_names_nobody() -> None:
    resource = diagnostic_report(written(), StudyOrigin())
    assert not {"subject", "imagingStudy", "basedOn", "effectiveDateTime"} & resource.keys()


def test_every_form_says_that_it_is_machine_written_and_holds_the_report(origin: StudyOrigin) -> None:
    resource = diagnostic_report(written(), origin)
    attached = base64.b64decode(resource["presentedForm"][0]["data"]).decode()
    assert attached == as_text(written())
    for text in (attached, resource["conclusion"], resource["text"]["div"]):
        assert NOTICE in text
        assert "Small left pleural effusion." in text
    assert resource["meta"]["security"][0]["code"] == "AIAST"
    document = read_sr(written(), origin)
    assert ("Comment", NOTICE) in texts(document)
    assert (document.CompletionFlag, document.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert "VerifyingObserverSequence" not in document


def test_sr_holds_the_sections_under_their_headings(origin: StudyOrigin) -> None:
    found = texts(read_sr(written(), origin))
    body = "Small left pleural effusion."
    assert found[-2:] == [("Finding", body), ("Impression", body)]
    assert texts(read_sr(written(BARE), origin))[-1] == ("Summary", BARE)


def test_sr_carries_patient_study_and_the_images_as_evidence(origin: StudyOrigin) -> None:
    document = read_sr(written(), origin)
    assert str(document.PatientName) == "Müller^Änne"
    assert (document.PatientID, document.PatientBirthDate, document.PatientSex) == ("P-17", "19500203", "F")
    assert (document.StudyInstanceUID, document.AccessionNumber) == (STUDY, "A-99")
    assert document.SeriesInstanceUID != SERIES
    evidence = document.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == STUDY
    image = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    shown = document.ContentSequence[-1]
    assert shown.ValueType == "IMAGE"
    assert shown.ReferencedSOPSequence[0] == image


def test_sr_of_a_picture_has_a_study_of_its_own_and_an_unknown_patient() -> None:
    document = read_sr(written(), StudyOrigin())
    assert document.StudyInstanceUID.is_valid
    assert document.PatientID == ""
    assert document.StudyDate == ""


def test_a_disagreement_is_told_in_every_form(origin: StudyOrigin) -> None:
    report = written(DISAGREES)
    warning = "Findings and Impression disagree: Pneumothorax"
    assert warning in as_text(report)
    assert warning in diagnostic_report(report, origin)["conclusion"]
    assert any(warning in text for _, text in texts(read_sr(report, origin)))
    assert warning not in as_text(written())


def test_a_section_that_lacks_is_told_in_every_form(origin: StudyOrigin) -> None:
    """Nothing could be compared then, and silence would read as agreement."""
    report = written("FINDINGS: Clear lungs.")
    warning = "the report has no Impression"
    resource = diagnostic_report(report, origin)
    assert warning in as_text(report)
    assert warning in resource["conclusion"]
    assert "Clear lungs" not in resource["conclusion"]
    assert any(warning in text for _, text in texts(read_sr(report, origin)))
    assert "no Findings and no Impression" in as_text(written(""))


def test_uids_are_the_reports_own() -> None:
    """The same row always gives the same document; another text never takes its place."""
    first, again = (structured_report(written(), StudyOrigin()) for _ in range(2))
    assert first == again
    other = structured_report(written(BARE), StudyOrigin())
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SOPInstanceUID.is_valid


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_any_text_makes_files_that_read_back(text: str) -> None:
    report = written(text)
    document = read_sr(report, StudyOrigin())
    assert all(ord(sign) >= 32 or sign == "\n" for _, body in texts(document) for sign in body)
    json.dumps(diagnostic_report(report, StudyOrigin())).encode()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("StudyDate", "2024-02-29"), ("PatientSex", "female?"), ("StudyInstanceUID", "1.02.x")],
)
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_invalid_values_of_a_source_are_not_carried_on(keyword: str, value: str, tmp_path: Path) -> None:
    from pydicom import config

    mode = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        path = write_dicom(tmp_path / "bad.dcm", **{keyword: value})
    finally:
        config.settings.writing_validation_mode = mode
    origin = read_origin([path])
    assert keyword not in origin.values
    assert origin.values["PatientID"] == "P-17"
    assert read_sr(written(), origin).StudyInstanceUID.is_valid


def test_an_origin_shows_no_patient_in_a_traceback(tmp_path: Path) -> None:
    origin = read_origin([write_picture(tmp_path / "a.png"), write_dicom(tmp_path / "a.dcm")])
    assert origin.values["PatientID"] == "P-17"
    assert "P-17" not in repr(origin)
