"""What a DICOM file says of its patient and study: read only where a report must carry it on"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import dcmread, uid
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

CARRIED = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip
"""What a report about the image carries of it."""
VRS = {
    "PatientName": "PN", "PatientID": "LO", "IssuerOfPatientID": "LO", "PatientBirthDate": "DA",
    "PatientSex": "CS", "StudyInstanceUID": "UI", "StudyDate": "DA", "StudyTime": "TM", "StudyID": "SH",
    "AccessionNumber": "SH", "ReferringPhysicianName": "PN", "StudyDescription": "LO", "SOPClassUID": "UI",
    "SOPInstanceUID": "UI", "SeriesInstanceUID": "UI",
}  # fmt: skip
GROUPING = ("StudyInstanceUID", "PatientID", "ViewPosition", "SeriesNumber", "InstanceNumber", "Rows")
"""What tells which images belong together, and in which order: no name, no date."""
STRICTLY = 2  # pydicom's RAISE


class Instance(NamedTuple):
    """One image as DICOM names it."""

    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True)
class StudyOrigin:
    """Patient and study of a report's images.

    Attributes:
        values: DICOM keyword -> value, valid ones only; those of the first image that has any.
        instances: the images with valid UIDs.
    """

    values: dict[str, str] = field(default_factory=dict, repr=False)  # patient data: never in a traceback
    instances: tuple[Instance, ...] = field(default=(), repr=False)


class Grouping(NamedTuple):
    """What tells which study a file belongs to, and where it stands there."""

    study_uid: str | None
    patient_id: str | None
    view: str
    place: tuple[int, int]


def read_origin(paths: Sequence[Path], *, allow_missing_preamble: bool = False) -> StudyOrigin:
    """Patient and study of some images; nothing for those that are no DICOM files."""
    values: dict[str, str] = {}
    instances: list[Instance] = []
    tags = (*CARRIED, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
    for path in paths:
        found = _valid_values(_header(path, tags, allow_missing_preamble), tags)
        values = values or {name: value for name, value in found.items() if name in CARRIED}
        names = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
        if all(name in found for name in names):
            instances.append(Instance(*(found[name] for name in names)))
    return StudyOrigin(values, tuple(instances))


def read_grouping(path: Path, *, allow_missing_preamble: bool = False) -> Grouping | None:
    """Where a DICOM image belongs; ``None`` for a file that is no DICOM image (a report, a directory)."""
    header = _header(path, GROUPING, allow_missing_preamble)
    if header is None or "Rows" not in header:
        return None
    values = {name: _text(header, name) for name in GROUPING}
    study = values["StudyInstanceUID"]
    return Grouping(
        study if study and uid.UID(study).is_valid else None,
        values["PatientID"] or None,
        values["ViewPosition"].upper(),
        (_number(values["SeriesNumber"]), _number(values["InstanceNumber"])),
    )


def is_dicom(path: Path, *, allow_missing_preamble: bool = False) -> bool:
    """Whether a file has DICOM's preamble, or is called so where that may be missing."""
    try:
        with path.open("rb") as handle:
            start = handle.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or (allow_missing_preamble and path.suffix.lower() in (".dcm", ".dicom"))


def _header(path: Path, tags: Sequence[str], allow_missing_preamble: bool) -> Any:
    """The tags of a file; ``None`` for one that can't be read, which reading its image will tell."""
    if not is_dicom(path, allow_missing_preamble=allow_missing_preamble):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values, which are patient data
        try:
            if not allow_missing_preamble:
                meta = read_file_meta_info(path)
                if meta.get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
                    return None  # inflated whole before any size can be checked; its image isn't read either
            return dcmread(
                path, stop_before_pixels=True, specific_tags=list(tags), force=allow_missing_preamble
            )
        except Exception:  # noqa: BLE001 (pydicom raises anything for damaged files)
            return None


def _valid_values(header: Any, tags: Sequence[str]) -> dict[str, str]:
    if header is None:
        return {}
    found = {name: _text(header, name) for name in tags}
    return {name: value for name, value in found.items() if value and _is_valid(name, value)}


def _is_valid(name: str, value: str) -> bool:
    """Whether a value may stand in a new file; scanners write more than the standard allows."""
    try:
        validate_value(VRS[name], value, STRICTLY)
    except ValueError:
        return False
    return VRS[name] != "UI" or uid.UID(value).is_valid


def _text(header: Any, name: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = header.get(name)
        except Exception:  # noqa: BLE001 (a value that can't be decoded)
            return ""
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return "" if value is None else str(value).strip(" \0")


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
