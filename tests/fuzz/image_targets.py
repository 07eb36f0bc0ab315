"""Targets that read images: an array of the promised shape, or an ImageError; nothing else, and soon"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from radflow.data.images import read_image
from radflow.errors import ImageError
from tests.fuzz.file_targets import folder, put
from tests.fuzz.target import Target

MAX_PIXELS = 1 << 20
"""Small, so that a bomb costs little where it is let through, and is seen by its time and shape."""
PIXELS = np.arange(96, dtype=np.uint8).reshape(8, 12)


def image_bytes(form: str, mode: str = "L", **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(sink, format=form, **options)  # type: ignore[arg-type]
    return sink.getvalue()


def sixteen_bits() -> bytes:
    sink = io.BytesIO()
    Image.fromarray(PIXELS.astype(np.uint16) * 40).save(sink, format="PNG")
    return sink.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 8, color: int = 0, more: bytes = b"") -> bytes:
    """A PNG that states any size; its data are zeros that unpack to 4 MB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1 << 22), 9))
    return b"\x89PNG\r\n\x1a\n" + header + more + data + chunk(b"IEND", b"")


def photo_seeds() -> tuple[bytes, ...]:
    bomb = zlib.compress(bytes(1 << 24), 9)
    return (
        image_bytes("PNG"),
        image_bytes("PNG", "RGBA"),
        image_bytes("PNG", "P", transparency=3),
        sixteen_bits(),
        image_bytes("JPEG", "RGB", quality=70),
        image_bytes("JPEG", "CMYK", progressive=True),
        png(60_000, 60_000),
        png(2_000, 2_000),
        png(8, 8, more=chunk(b"iCCP", b"x\0\0" + bomb) + chunk(b"zTXt", b"x\0\0" + bomb)),
        png(
            8,
            8,
            depth=16,
            color=2,
            more=chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"),
        ),
    )


def photo(data: bytes) -> None:
    check(put("image.png", data))


def check(path: Path) -> None:
    pixels = read_image(path, max_pixels=MAX_PIXELS, allow_missing_preamble=True)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS


def dicom_seeds() -> tuple[bytes, ...]:
    return tuple(as_bytes(dataset) for dataset in datasets())


def datasets() -> Iterator[Dataset]:
    plain = {"Rows": 8, "Columns": 12, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    eight = plain | {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    sixteen = plain | {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    wide = (PIXELS.astype(np.int16) * 9 - 200).tobytes()
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], struct.pack("<4H", 0, 1, 2, 3)
    yield dataset(ExplicitVRLittleEndian, eight, PIXELS.tobytes(), PatientName="Pneumothorax^links")
    yield dataset(ImplicitVRLittleEndian, sixteen, wide, WindowCenter="40", WindowWidth="400")
    yield dataset(ExplicitVRBigEndian, sixteen, wide, PixelPaddingValue=-200, RescaleSlope="2")
    yield dataset(ExplicitVRLittleEndian, eight, PIXELS.tobytes(), VOILUTSequence=Sequence([table]))
    for syntax, frame in (
        (JPEGBaseline8Bit, image_bytes("JPEG")),
        (JPEG2000Lossless, image_bytes("JPEG2000")),
        (RLELossless, rle(PIXELS.tobytes())),
    ):
        yield dataset(syntax, eight, encapsulate([frame]))
    rgb = eight | {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    yield dataset(ExplicitVRLittleEndian, rgb, PIXELS.repeat(3).tobytes())


def rle(content: bytes) -> bytes:
    """One segment of literal runs."""
    runs = b"".join(
        bytes([len(content[start : start + 128]) - 1]) + content[start : start + 128]
        for start in range(0, len(content), 128)
    )
    return struct.pack("<16I", 1, 64, *(0,) * 14) + runs + b"\0" * (len(runs) % 2)


def dataset(syntax: UID, elements: dict[str, object], pixels: bytes, **more: object) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    for name, value in (elements | more).items():
        setattr(made, name, value)
    made.PixelData = pixels
    made["PixelData"].VR = "OB" if elements["BitsAllocated"] == 8 else "OW"
    return made


def as_bytes(made: Dataset) -> bytes:
    sink = io.BytesIO()
    made.save_as(sink, enforce_file_format=True)
    return sink.getvalue()


@cache
def dicom_path() -> Path:
    return folder() / "image.dcm"


def dicom(data: bytes) -> None:
    dicom_path().write_bytes(data)
    check(dicom_path())


DICOM_WORDS = (
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"SQ\x00\x00\xff\xff\xff\xff", b"\x28\x00\x10\x00US\x02\x00"),
    *(b"\xe0\x7f\x10\x00", b"\xff\xd8\xff\xc0\x00\x11\x08", b"\xff\x4f\xff\x51", b"1.2.840.10008.1.2"),
)
PHOTO_WORDS = (
    *(
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"acTL",
        b"fcTL",
        b"eXIf",
        b"zTXt",
        b"\xff\xda",
        b"\xff\xc2",
    ),
    *(b"\xff\xd8", b"\xff\xd9", b"\xff\xe1", b"\xff\xc4", b"MPF\x00", b"ICC_PROFILE\x00"),
)
TARGETS = (
    Target(
        "dicom",
        dicom,
        dicom_seeds(),
        DICOM_WORDS,
        refuses=(ImageError,),
    ),
    Target(
        "photo",
        photo,
        photo_seeds(),
        PHOTO_WORDS,
        refuses=(ImageError,),
    ),
)
