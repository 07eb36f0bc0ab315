"""PNG, JPEG and DICOM files to 8-bit RGB arrays (height, width, 3), and back to small PNG files.

How grey values become 8 bits:

1. DICOM with a usable VOI LUT, else a usable window: that, the first of several, after the modality LUT.
2. Plain 8-bit display values (8 bits stored, unsigned, no rescale): unchanged.
3. All else, 16-bit greyscale PNG included (which often hold 12 bits, so the nominal range is no guide):
   linear between the 0.5th and the 99.5th percentile, so that no lead marker decides the contrast.

A window is usable when it is valid and leaves contrast in this image. MONOCHROME1 is inverted last. Pixels
with the padding value are left out of the percentiles and shown black.
"""

from __future__ import annotations

import os
import secrets
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom import dcmread, uid
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from radflow.data.sources.checks import concerns_all_rows
from radflow.errors import ImageError

Pixels = NDArray[np.uint8]

PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_END = b"IEND\xaeB`\x82"
EXPORT_AGAIN = "Export the image again from its source, as PNG, JPEG or single-frame DICOM."
UNCOMPRESS = "Convert it to Explicit VR Little Endian."

# Only these are parsed: names, dates and report text in the header never enter memory.
HEADER = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "WindowCenter",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
    "VOILUTFunction", "WindowWidth", "Columns", "PixelData",
    *(f"{c}PaletteColorLookupTable{x}" for c in ("Red", "Green", "Blue") for x in ("Descriptor", "Data")),
]  # fmt: skip


def read_image(path: Path, *, max_pixels: int = 100_000_000, allow_missing_preamble: bool = False) -> Pixels:
    """One PNG, JPEG or DICOM file, told apart by content, as RGB values (height, width, 3) in 0..255.

    Args:
        max_pixels: most rows x columns x samples; checked against the header before anything is decoded.
        allow_missing_preamble: also read .dcm and .dicom files that lack the preamble and the file meta.

    Raises:
        ImageError: whatever is wrong with the file; no other exception stems from its content.
        OSError: a disk, a share or the machine failed, which is no fault of the file.
    """
    data = _read_bytes(path, max_pixels)
    with _bad_content_is_an_image_error(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if data.startswith((PNG_MAGIC, JPEG_MAGIC)):
            return _read_photo(data, path, max_pixels)
        if data[128:132] != b"DICM":
            if path.suffix.lower() not in (".dcm", ".dicom"):
                _refuse(path, "neither PNG, JPEG nor DICOM by its content")
            if not allow_missing_preamble:
                step = "If you trust its source, set data.allow_missing_preamble: true."
                _refuse(path, "no DICOM file, or one without preamble", step)
        return _read_dicom(data, path, max_pixels)


def fit_within(image: Pixels, *, long_side: int) -> Pixels:
    """`image` (height, width, 3) scaled down, antialiased, to a long side of `long_side`; never scaled up."""
    if long_side < 1:
        raise ValueError(f"long_side must be 1 or more, not {long_side}")
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _rgb(np.asarray(_picture(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)))


def write_png(image: Pixels, path: Path) -> None:
    """`image` (height, width, 3) to a PNG file, greyscale if the channels are equal; whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _picture(image).save(temporary, format="PNG", compress_level=1)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_whole_png(path: Path) -> bool:
    """Whether a PNG file is there to its end, without decoding it."""
    try:
        with path.open("rb") as handle:
            handle.seek(-len(PNG_END), os.SEEK_END)
            return handle.read() == PNG_END
    except OSError:  # not there, or shorter than that
        return False


def _picture(image: Pixels) -> Image.Image:
    """Of one channel if all are equal, as in radiographs: a third of the work."""
    is_grey = np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])
    return Image.fromarray(image[..., 0] if is_grey else image)


def _rgb(image: Pixels) -> Pixels:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _refuse(path: Path, what: str, next_step: str = EXPORT_AGAIN) -> NoReturn:
    raise ImageError(what, where=str(path), next_step=next_step)


def _read_bytes(path: Path, max_pixels: int) -> bytes:
    try:
        # Not Path.is_file, which takes some failures of a share for a missing file.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "not an image file but a folder" if stat.S_ISDIR(status.st_mode) else "no such image file"
            _refuse(path, what, "Check the path and data.images.")
        # 16-bit RGB takes 6 bytes a pixel; the rest is room for headers and thumbnails.
        if status.st_size > 8 * max_pixels + (64 << 20):
            _refuse(path, "file far larger than an image may be")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(
            "no such image file", where=str(path), next_step="Check the path and data.images."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        if concerns_all_rows(error):
            raise
        what, step = f"can't be opened ({type(error).__name__})", "Check the path and its permissions."
        raise ImageError(what, where=str(path), next_step=step) from error
    return data or _refuse(path, "empty file")


@contextmanager
def _bad_content_is_an_image_error(path: Path) -> Iterator[None]:
    """The decoders raise anything from KeyError to struct.error for damaged files."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        if concerns_all_rows(error):  # a decoder is loaded from disk when it is first needed
            raise
        # Only the kind: pydicom's messages can quote header values, which are patient data.
        is_bomb = isinstance(error, Image.DecompressionBombError)
        what = "too many pixels" if is_bomb else f"damaged or not supported ({type(error).__name__})"
        raise ImageError(what, where=str(path), next_step=EXPORT_AGAIN) from None


def _check_size(samples: int, path: Path, max_pixels: int) -> None:
    if samples > max_pixels:
        _refuse(path, f"{samples:,} pixels, over the limit of {max_pixels:,}", "Export it smaller.")


def _read_photo(data: bytes, path: Path, max_pixels: int) -> Pixels:
    """PNG or JPEG: upright by EXIF, transparency on black."""
    with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as opened:
        _check_size(opened.width * opened.height, path, max_pixels)  # decoded later: Pillow is lazy
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):
            return _rgb(_stretch(np.asarray(upright)))
        if upright.has_transparency_data:
            rgba = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        return np.array(upright.convert("RGB"))


def _read_dicom(data: bytes, path: Path, max_pixels: int) -> Pixels:
    if uid.DeflatedExplicitVRLittleEndian.encode() in data:
        # It is inflated whole while parsing, before any size can be checked.
        _refuse(path, "deflated DICOM is not read", UNCOMPRESS)
    header = dcmread(BytesIO(data), force=True, specific_tags=HEADER)
    if "TransferSyntaxUID" not in header.file_meta:
        # As the elements were found; set in the header, because the decoders look there.
        is_implicit, is_little = header.original_encoding
        explicit = uid.ExplicitVRLittleEndian if is_little else uid.ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if is_implicit else explicit
    syntax = uid.UID(header.file_meta.TransferSyntaxUID)
    _check_header(header, syntax, path, max_pixels)
    values, meta = get_decoder(syntax).as_array(header, index=0)
    photometric = str(meta["photometric_interpretation"])
    if photometric in ("MONOCHROME1", "MONOCHROME2") and values.ndim == 2:
        return _rgb(_grey(values, header, inverted=photometric == "MONOCHROME1"))
    bits = int(header.BitsStored)
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, header)[..., :3]
        bits = 8 * values.dtype.itemsize
    elif photometric != "RGB":
        _refuse(path, "unsupported photometric interpretation")
    return np.asarray(values >> (bits - 8) if bits > 8 else values).astype(np.uint8)


def _check_header(header: Any, syntax: uid.UID, path: Path, max_pixels: int) -> None:
    """Refuses, before decoding, what is no single image, has no decoder, or isn't as large as stated."""
    rows, columns, samples = (header.get(name) or 0 for name in ("Rows", "Columns", "SamplesPerPixel"))
    frames = int(header.get("NumberOfFrames") or 1)
    if not header.get("PixelData"):
        _refuse(path, "DICOM without pixel data, or cut off", "Check that it is a whole image, not a report.")
    if rows < 1 or columns < 1 or samples not in (1, 3):
        _refuse(path, f"impossible header: {rows} rows, {columns} columns, {samples} samples a pixel")
    if frames != 1:
        _refuse(path, f"{frames} frames; a radiograph has one", "Export the frame you want as its own file.")
    _check_size(rows * columns * samples, path, max_pixels)
    try:
        is_installed = get_decoder(syntax).is_available
    except NotImplementedError:
        _refuse(path, f"unsupported transfer syntax: {syntax.name}", UNCOMPRESS)
    if not is_installed:
        step = "Type: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        _refuse(path, f"no decoder is installed for {syntax.name}", step)
    stated = f"header states {rows} x {columns} pixels"
    if not syntax.is_encapsulated:
        bits_a_pixel = samples * header.BitsAllocated
        if header.PhotometricInterpretation == "YBR_FULL_422":
            bits_a_pixel = bits_a_pixel * 2 // 3
        excess = len(header.PixelData) - (rows * columns * bits_a_pixel + 7) // 8
        # Some writers pad the end; a whole row or column too many means that the header lies.
        if excess < 0 or excess > max(1, min(rows, columns) * bits_a_pixel // 8 - 1):
            _refuse(path, f"{stated}, the pixel data have {excess:+} bytes")
    elif syntax != uid.RLELossless:  # its decoder compares lengths itself
        size = _codestream_size(get_frame(header.PixelData, 0, number_of_frames=1))
        if size != (rows, columns):
            _refuse(path, f"{stated}, the compressed image {size or 'none'}")


def _codestream_size(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) a JPEG, JPEG-LS or JPEG 2000 stream decodes to, whatever the DICOM header states."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: SOC, then SIZ
    if start >= 0:
        width, height, left, top = np.frombuffer(stream, ">u4", count=4, offset=start + 8).tolist()
        components = int.from_bytes(stream[start + 40 : start + 42])
        return (height - top, width - left) if components <= 4 else None
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 9 < len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if is_frame or marker == 0xF7:  # F7: JPEG-LS
            return int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
        at += 1 if marker == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def _grey(stored: NDArray[Any], header: Any, *, inverted: bool) -> Pixels:
    """Stored values (height, width) to display values by the rules at the top of this file."""
    padding = np.zeros(stored.shape, bool)
    if (value := header.get("PixelPaddingValue")) is not None:
        low, high = sorted((int(value), int(header.get("PixelPaddingRangeLimit", value))))
        padding = (stored >= low) & (stored <= high)
    # A slope of 0 would erase the image: taken as not stated.
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    if not np.isfinite([slope, intercept]).all():
        raise ValueError("rescale slope or intercept is no number")
    values, is_plain = stored, header.BitsStored == 8 and header.PixelRepresentation == 0
    if modality := header.get("ModalityLUTSequence"):
        values, is_plain = _look_up(stored, modality[0])[0], False
    elif (slope, intercept) != (1, 0):
        values, is_plain = stored.astype(np.float32) * slope + intercept, False
    display = next((display for display in _displays(values, header) if np.ptp(display)), None)
    if display is None:
        display = stored.astype(np.uint8) if is_plain else _stretch(values, ignore=padding)
    display = 255 - display if inverted else display
    display[padding] = 0
    return display


def _displays(values: NDArray[Any], header: Any) -> Iterator[Pixels]:
    """By the first VOI LUT, then by the first window (PS3.3 C.11.2.1.2, C.11.2.1.3), where they are valid."""
    if tables := header.get("VOILUTSequence"):
        yield _to_bytes(*_look_up(values, tables[0]))
    stated = (header.get(name) for name in ("WindowCenter", "WindowWidth"))
    centre, width = (np.nan if number is None else float(np.atleast_1d(number)[0]) for number in stated)
    function = header.get("VOILUTFunction") or "LINEAR"
    if not (np.isfinite([centre, width]).all() and width > 0):
        return
    if function == "SIGMOID":
        yield _to_bytes(1 / (1 + np.exp(-4 * (values.astype(np.float32) - centre) / width)), 0, 1)
    else:
        yield _to_bytes(values, centre - width / 2, centre + width / 2 - (function == "LINEAR"))


def _look_up(values: NDArray[Any], table: Any) -> tuple[NDArray[np.uint16], int, int]:
    """`values` through a modality or VOI LUT item, with the bottom and the top of its output range."""
    # Not pydicom's apply_voi: it indexes 8-bit tables of 4,096 entries with 8-bit numbers, which wrap around.
    count, first, _ = (int(number) for number in table.LUTDescriptor)
    raw = table.LUTData
    if isinstance(raw, bytes):
        word = ">u2" if table.original_encoding[1] is False else "<u2"
        raw = np.frombuffer(raw, np.uint8 if len(raw) < 2 * count else word)
    entries = np.atleast_1d(raw).astype(np.uint16)[: count or 1 << 16]
    index = np.clip(np.rint(values - np.float32(first)), 0, len(entries) - 1).astype(np.intp)
    # The stated depth is often 16 where the entries have 12 bits, so it is measured.
    return entries[index], 0, (1 << int(entries.max()).bit_length()) - 1


def _stretch(values: NDArray[Any], *, ignore: NDArray[np.bool_] | None = None) -> Pixels:
    counted = values if ignore is None or ignore.all() else values[~ignore]
    low, high = np.percentile(counted, (0.5, 99.5))
    if low == high:
        low, high = counted.min(), counted.max()
    return _to_bytes(values, float(low), float(high))


def _to_bytes(values: NDArray[Any], low: float, high: float) -> Pixels:
    """Linear from low..high to 0..255, clipped; a step at `low` when the two are equal."""
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    scaled = (values.astype(np.float32) - low) * (255 / (high - low))
    display: Pixels = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return display
