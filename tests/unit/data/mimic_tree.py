"""A small collection in MIMIC-CXR's official layout: invented reports, tiny images, and what goes wrong."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows",
    "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
HEAD = " " * 33 + "FINAL REPORT\n"


def report(findings: str | None, impression: str | None, *, indication: str | None = "Cough.") -> str:
    """Text as MIMIC-CXR writes it: every line begins with a space, headers are capitals."""
    text = HEAD + " EXAMINATION:  CHEST (PA AND LAT)\n \n"
    for name, body in (("INDICATION", indication), ("FINDINGS", findings), ("IMPRESSION", impression)):
        text += f" {name}:  {body}\n \n" if body is not None else ""
    return text


@dataclass
class MadeImage:
    dicom_id: str
    view: str = "PA"
    code: str = ""
    is_on_disk: bool = True


@dataclass
class MadeStudy:
    study: int
    text: str | bytes | None
    images: Sequence[MadeImage]
    date: str = "21800506"
    time: str = "101530.5"
    split: str | None = "train"
    is_listed: bool = True


@dataclass
class Tree:
    """Where to write: reports and tables below ``root``, images below ``images``."""

    root: Path
    images: Path
    suffix: str = ".jpg"
    patients: dict[int, list[MadeStudy]] = field(default_factory=dict)

    def write(self) -> Tree:
        for subject, studies in self.patients.items():
            for study in studies:
                self._write_study(subject, study)
        rows = [
            (subject, study, image)
            for subject, studies in self.patients.items()
            for study in studies
            for image in study.images
            if study.is_listed
        ]
        write_gz(
            self.tables / "mimic-cxr-2.0.0-metadata.csv.gz",
            METADATA,
            (
                (i.dicom_id, subject, s.study, "CHEST", i.view, 8, 8, s.date, s.time, "", i.code, "Erect")
                for subject, s, i in rows
            ),
        )
        write_gz(
            self.tables / "mimic-cxr-2.0.0-split.csv.gz",
            ("dicom_id", "study_id", "subject_id", "split"),
            ((i.dicom_id, s.study, subject, s.split) for subject, s, i in rows if s.split),
        )
        return self

    @property
    def tables(self) -> Path:
        return self.images

    def _write_study(self, subject: int, study: MadeStudy) -> None:
        folder = Path("files", f"p{subject // 1_000_000}", f"p{subject}")
        if study.text is not None:
            path = self.root / folder / f"s{study.study}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            content = study.text.encode() if isinstance(study.text, str) else study.text
            path.write_bytes(content)
        for image in study.images:
            path = self.images / folder / f"s{study.study}" / f"{image.dicom_id}{self.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if image.is_on_disk:
                write_image(path)


def write_gz(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


def write_image(path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    if path.suffix == ".jpg":
        Image.fromarray(pixels).save(path)
        return
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dicom = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dicom.Rows, dicom.Columns = pixels.shape
    dicom.BitsAllocated = dicom.BitsStored = 8
    dicom.HighBit, dicom.SamplesPerPixel, dicom.PixelRepresentation = 7, 1, 0
    dicom.PhotometricInterpretation = "MONOCHROME2"
    dicom.PixelData = pixels.tobytes()
    dicom.save_as(path, enforce_file_format=True)


def dicom_id(number: int) -> str:
    digits = f"{number:040x}"
    return "-".join(digits[place : place + 8] for place in range(0, 40, 8))


def pa_and_lateral(number: int) -> list[MadeImage]:
    """The lateral stands first, as it often does in the metadata."""
    return [MadeImage(dicom_id(number), "LATERAL"), MadeImage(dicom_id(number + 1), "PA")]


CLEAR = report("Lungs are clear.", "No acute process.")


def mixed(root: Path, images: Path, suffix: str = ".jpg") -> Tree:
    """Good studies of all splits, and one of each kind that has to be left out."""
    pa = [MadeImage(dicom_id(90))]
    tree = Tree(root, images, suffix)
    tree.patients = {
        10000001: [
            MadeStudy(50000001, report("Second.", "Second study."), pa_and_lateral(1), date="21810101"),
            MadeStudy(50000003, report("First.", "First study."), pa_and_lateral(3), time="94500.0"),
            MadeStudy(50000002, report("Third.", None), pa_and_lateral(5), date="21810101", time="235959"),
        ],
        10000002: [
            MadeStudy(50000010, CLEAR, [MadeImage(dicom_id(7), "AP")], split="validate"),
            MadeStudy(50000011, CLEAR, [MadeImage(dicom_id(8), "", "postero-anterior")], split="validate"),
        ],
        11000001: [
            MadeStudy(50000020, CLEAR, [MadeImage(dicom_id(9), "LL")], split="test"),
            MadeStudy(50000021, CLEAR, [MadeImage(dicom_id(10), "")], split="test"),
        ],
        11000002: [
            MadeStudy(50000030, HEAD + " No headers here at all.\n", pa),
            MadeStudy(50000031, None, pa),
            MadeStudy(50000032, CLEAR, [MadeImage(dicom_id(11), is_on_disk=False)]),
            MadeStudy(50000033, CLEAR, [], is_listed=False),
            MadeStudy(50000034, b"\xff\xfe " + CLEAR.encode(), pa),
            MadeStudy(50000035, "", pa),
            MadeStudy(50000036, CLEAR, pa, split=None),
        ],
    }
    tree.write()
    add_junk(tree)
    return tree


def add_junk(tree: Tree) -> None:
    """What macOS, downloads and people leave behind."""
    patient = tree.root / "files/p10/p10000001"
    for name in ("._s50000001.txt", ".DS_Store", "s50000001.txt.bak", "notes.txt"):
        (patient / name).write_bytes(b"\0\5\x16\7")
    (tree.root / "files/p10/index.html").write_text("index")
    (tree.root / "__MACOSX/files/p10").mkdir(parents=True)
    (tree.tables / "._mimic-cxr-2.0.0-split.csv.gz").write_bytes(b"\0\5\x16\7")
    (tree.tables / "SHA256SUMS.txt").write_text("0 files\n")
    (tree.images / "files/p10/p10000001/s50000001/index.html").write_text("index")
