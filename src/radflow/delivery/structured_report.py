"""A written report as DICOM Basic Text SR: partial, unverified, with the patient and study of its images

PS3.3 A.35.1, content after PS3.16 TID 2000. By pydicom alone: highdicom has no class for Basic Text SR,
only for the SR kinds that carry measurements, which fewer viewers show.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from radflow.delivery.dicom_origin import CARRIED, Instance, StudyOrigin
from radflow.delivery.written import WrittenReport, printable, remarks, uid_of

Code = tuple[str, str, str]
"""Value, scheme, meaning."""
REPORT: Code = ("18748-4", "LN", "Diagnostic Imaging Report")
FINDINGS: Code = ("121070", "DCM", "Findings")
FINDING: Code = ("121071", "DCM", "Finding")
IMPRESSIONS: Code = ("121072", "DCM", "Impressions")
IMPRESSION: Code = ("121073", "DCM", "Impression")
SUMMARY: Code = ("121111", "DCM", "Summary")
COMMENT: Code = ("121106", "DCM", "Comment")
OBSERVER_TYPE: Code = ("121005", "DCM", "Observer Type")
DEVICE: Code = ("121007", "DCM", "Device")
DEVICE_UID: Code = ("121012", "DCM", "Device Observer UID")
DEVICE_NAME: Code = ("121013", "DCM", "Device Observer Name")
DEVICE_MODEL: Code = ("121015", "DCM", "Device Observer Model Name")
LONG_STRING = 64


def structured_report(report: WrittenReport, origin: StudyOrigin) -> Dataset:
    """The SR document; attributes of type 2 that nobody knows are there and empty."""
    created = datetime.fromisoformat(report.created)
    document = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values, which are patient data
        document.SpecificCharacterSet = "ISO_IR 192"
        document.SOPClassUID = BasicTextSRStorage
        document.SOPInstanceUID = report.uid("document")
        document.InstanceCreationDate = document.ContentDate = created.strftime("%Y%m%d")
        document.InstanceCreationTime = document.ContentTime = created.strftime("%H%M%S")
        document.TimezoneOffsetFromUTC = created.strftime("%z")
        _add_patient_and_study(document, report, origin)
        document.Modality = "SR"
        document.SeriesInstanceUID = report.uid("series")
        document.SeriesNumber = 1
        document.SeriesDescription = "Machine-written report, unverified, research only"
        document.InstanceNumber = 1
        document.ReferencedPerformedProcedureStepSequence = []
        document.PerformedProcedureCodeSequence = []
        document.Manufacturer = "radflow (research software)"
        document.ManufacturerModelName = report.model[-LONG_STRING:]
        document.SoftwareVersions = report.software
        document.CompletionFlag = "PARTIAL"
        document.CompletionFlagDescription = "Machine-written draft, not verified by a person"
        document.VerificationFlag = "UNVERIFIED"
        document.PreliminaryFlag = "PRELIMINARY"
        if origin.instances:
            document.CurrentRequestedProcedureEvidenceSequence = _evidence(origin.instances)
        _add_content(document, report, origin)
    return document


def sr_bytes(document: Dataset) -> bytes:
    """The document as a DICOM file."""
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(buffer, document, enforce_file_format=True)
    return buffer.getvalue()


def _add_patient_and_study(document: Dataset, report: WrittenReport, origin: StudyOrigin) -> None:
    optional = {"IssuerOfPatientID", "StudyDescription"}
    for keyword in CARRIED:
        value = origin.values.get(keyword)
        if value or keyword not in optional:
            setattr(document, keyword, value or "")
    if not document.StudyInstanceUID:
        document.StudyInstanceUID = report.uid("study")


def _evidence(instances: Sequence[Instance]) -> list[Dataset]:
    """The images that were shown, by study and series."""
    studies: dict[str, dict[str, list[Dataset]]] = defaultdict(lambda: defaultdict(list))
    for instance in instances:
        studies[instance.study_uid][instance.series_uid].append(_reference(instance))
    return [
        _dataset(
            StudyInstanceUID=study_uid,
            ReferencedSeriesSequence=[
                _dataset(SeriesInstanceUID=series_uid, ReferencedSOPSequence=images)
                for series_uid, images in series.items()
            ],
        )
        for study_uid, series in studies.items()
    ]


def _add_content(document: Dataset, report: WrittenReport, origin: StudyOrigin) -> None:
    """Observer, remarks, sections, and the images that they are about."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = [_code(REPORT)]
    document.ContinuityOfContent = "SEPARATE"
    document.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="2000")]
    sections = [
        *_section(FINDINGS, FINDING, report.findings),
        *_section(IMPRESSIONS, IMPRESSION, report.impression),
    ]
    if sections:
        sections += [_text(COMMENT, f"{name}: {body}") for name, body in report.other.items()]
    elif printable(report.text).strip():
        sections = [_text(SUMMARY, report.text)]
    document.ContentSequence = [
        *_observer(report),
        *(_text(COMMENT, remark) for remark in remarks(report)),
        *sections,
        *(
            _item("CONTAINS", "IMAGE", ReferencedSOPSequence=[_reference(instance)])
            for instance in origin.instances
        ),
    ]


def _observer(report: WrittenReport) -> list[Dataset]:
    context = "HAS OBS CONTEXT"
    device = uid_of(report.made_with)
    return [
        _item(context, "CODE", OBSERVER_TYPE, ConceptCodeSequence=[_code(DEVICE)]),
        _item(context, "UIDREF", DEVICE_UID, UID=device),
        _item(context, "TEXT", DEVICE_NAME, TextValue=report.software),
        _item(context, "TEXT", DEVICE_MODEL, TextValue=report.model),
    ]


def _section(heading: Code, element: Code, body: str | None) -> list[Dataset]:
    if body is None:
        return []
    content = [_text(element, body)]
    return [_item("CONTAINS", "CONTAINER", heading, ContinuityOfContent="SEPARATE", ContentSequence=content)]


def _text(concept: Code, text: str) -> Dataset:
    return _item("CONTAINS", "TEXT", concept, TextValue=printable(text))


def _item(relationship: str, kind: str, concept: Code | None = None, **values: object) -> Dataset:
    named = {} if concept is None else {"ConceptNameCodeSequence": [_code(concept)]}
    return _dataset(RelationshipType=relationship, ValueType=kind, **named, **values)


def _reference(instance: Instance) -> Dataset:
    return _dataset(ReferencedSOPClassUID=instance.sop_class, ReferencedSOPInstanceUID=instance.sop_uid)


def _code(code: Code) -> Dataset:
    value, scheme, meaning = code
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _dataset(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset
