"""Images of our own: PNG, and DICOM with a patient and a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def write_picture(path: Path, *, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_dicom(path: Path, *, number: int = 1, **tags: str | None) -> Path:
    """An 8-bit radiograph; ``tags`` replace its own, ``None`` removes one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = Dataset()
    stated = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation, "SOPInstanceUID": f"{SERIES}.{number}",
        "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SeriesNumber": "1",
        "InstanceNumber": str(number), "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Änne",
        "PatientID": "P-17", "IssuerOfPatientID": "Ward B", "PatientBirthDate": "19500203",
        "PatientSex": "F", "StudyDate": "20240229", "StudyTime": "101112", "StudyID": "S1",
        "AccessionNumber": "A-99", "ReferringPhysicianName": "Doc^Tor", "Modality": "DX",
        "PhotometricInterpretation": "MONOCHROME2", **tags,
    }  # fmt: skip
    for keyword, value in stated.items():
        if value is not None:
            setattr(header, keyword, value)
    header.Rows, header.Columns, header.SamplesPerPixel = 40, 30, 1
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PixelData = np.random.default_rng(number).integers(0, 256, 1200, dtype=np.uint8).tobytes()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(path, enforce_file_format=True)
    return path
