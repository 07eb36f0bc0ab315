"""Pixels as a viewer would show them, and one clear error for everything that isn't a single image."""

from __future__ import annotations

import errno
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.processing import apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from radflow.data.images import fit_within, read_image, write_png
from radflow.errors import ImageError

RAMP = np.linspace(0, 4095, 64 * 48).astype(np.uint16).reshape(48, 64)
SMOOTH = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)


def dicom(pixels: NDArray[Any], *, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> Dataset:
    """A data set of one greyscale frame; `elements` are added, None removes one."""
    bits = pixels.dtype.itemsize * 8
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.PatientName = "SECRET^NAME"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    if "BitsStored" in elements:
        dataset.HighBit = dataset.BitsStored - 1
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def grey(path: Path, **options: Any) -> NDArray[np.uint8]:
    image = read_image(path, **options)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert (image == image[..., :1]).all()
    return image[..., 0]


def assert_close(first: NDArray[Any], second: NDArray[Any], tolerance: int = 1) -> None:
    assert np.abs(first.astype(int) - second.astype(int)).max() <= tolerance


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def refusal(path: Path, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **options)
    error = caught.value
    assert error.where == str(path)
    assert error.next_step
    assert "\n" not in error.what
    assert "SECRET" not in str(error)
    return error


# Real radiographs


def real(root: Path, start: str) -> Path:
    (path,) = (root / "dicom").glob(f"{start}*.dcm")
    return path


def by_hand_uncompressed(path: Path) -> NDArray[Any]:
    header = pydicom.dcmread(path)
    return np.frombuffer(header.PixelData, np.uint8).reshape(header.Rows, header.Columns)


def by_hand_without_preamble(path: Path) -> NDArray[Any]:
    """The last 440 x 440 little-endian words of the file, inverted, window 550 / 1024."""
    stored = np.frombuffer(path.read_bytes()[-440 * 440 * 2 :], "<u2").reshape(440, 440).astype(float)
    return 255 - np.clip((stored - (550 - 512)) / 1023, 0, 1) * 255


def by_pillow(path: Path) -> NDArray[Any]:
    frame = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    return np.asarray(Image.open(BytesIO(frame)))


def by_pillow_inverted(path: Path) -> NDArray[Any]:
    """Pillow shifts the 15 bits to 16."""
    return 255 - np.clip(by_pillow(path) / 2 / 30000, 0, 1) * 255


def by_pixel_array_inverted(path: Path) -> NDArray[Any]:
    return 255 - np.clip(pydicom.dcmread(path).pixel_array.astype(float) / 30000, 0, 1) * 255


@pytest.mark.data
@pytest.mark.parametrize(
    ("start", "by_hand"),
    [
        ("CR-MONO1", by_hand_without_preamble),
        ("nih", by_hand_uncompressed),
        ("rsna", by_pillow),
        ("RG1_J2KI", by_pillow_inverted),
        ("RG1_JLSN", by_pixel_array_inverted),
    ],
)
def test_real_radiographs_equal_a_rendering_by_another_route(
    real_data: Path, start: str, by_hand: Callable[[Path], NDArray[Any]]
) -> None:
    path = real(real_data, start)
    image, expected = grey(path, allow_missing_preamble=True), by_hand(path)
    assert image.shape == expected.shape
    assert correlation(image, expected) > 0.99
    assert_close(image, np.rint(expected), tolerance=2)


@pytest.mark.data
@pytest.mark.parametrize(
    ("start", "dark_corners"),
    # How many of the four corners show air, after looking at them. The collimator and the cropping leave
    # few dark pixels at the border itself, and none in the NIH file.
    [("CR-MONO1", 1), ("rsna", 2), ("RG1_J2KI", 2), ("RG1_JLSN", 2)],
)
def test_air_is_dark_in_real_radiographs(real_data: Path, start: str, dark_corners: int) -> None:
    image = grey(real(real_data, start), allow_missing_preamble=True)
    assert len([1 for corner in corners(image) if corner.mean() < 0.6 * image.mean()]) >= dark_corners


def corners(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Just inside the frame, where a collimator may be white."""
    h, w = (side // 16 for side in image.shape)
    rows, columns = (slice(h, 2 * h), slice(-2 * h, -h)), (slice(0, w), slice(-w, None))
    return [image[r, c] for r in rows for c in columns]


@pytest.mark.data
@pytest.mark.parametrize("start", ["CR-MONO1", "nih", "rsna", "RG1_J2KI", "RG1_JLSN"])
def test_lungs_are_darker_than_the_mediastinum_between_them(real_data: Path, start: str) -> None:
    image = grey(real(real_data, start), allow_missing_preamble=True)
    height, width = image.shape
    band = image[int(0.3 * height) : int(0.5 * height)]
    right, middle, left = (
        band[:, int((x - 0.05) * width) : int((x + 0.05) * width)].mean() for x in (0.25, 0.48, 0.75)
    )
    assert max(right, left) < middle - 15


@pytest.mark.data
def test_a_file_with_falsified_polarity_is_the_exact_negative(real_data: Path) -> None:
    assert_close(grey(real(real_data, "Fake")), 255 - grey(real(real_data, "rsna")))


@pytest.mark.data
def test_two_encodings_of_one_radiograph_look_the_same(real_data: Path) -> None:
    first, second = (grey(real(real_data, start)) for start in ("RG1_J2KI", "RG1_JLSN"))
    assert correlation(first, second) > 0.99
    assert np.abs(first.astype(int) - second).mean() < 1


@pytest.mark.data
def test_file_without_preamble_is_read_by_opt_in_only(real_data: Path) -> None:
    path = real(real_data, "CR-MONO1")
    assert "allow_missing_preamble" in str(refusal(path))
    assert grey(path, allow_missing_preamble=True).shape == (440, 440)


@pytest.mark.data
@pytest.mark.parametrize("start", ["nih", "rsna", "RG1_J2KI", "RG1_JLSN"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_cut_off_radiographs_are_refused(real_data: Path, tmp_path: Path, start: str, kept: float) -> None:
    data = real(real_data, start).read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(data[: int(len(data) * kept)])
    refusal(cut)


# pydicom's own collection of odd and damaged files

ODD_FILES = sorted(
    path for path in (Path(pydicom.data.__file__).parent / "test_files").rglob("*") if path.is_file()
)


@pytest.mark.parametrize("path", ODD_FILES, ids=lambda path: path.name)
def test_odd_files_are_read_or_refused(path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for allow in (False, True):
        try:
            image = read_image(path, allow_missing_preamble=allow)
        except ImageError as error:
            assert error.where == str(path)  # noqa: PT017
            assert error.next_step  # noqa: PT017
        else:
            assert image.dtype == np.uint8
            assert image.shape[2:] == (3,)
    assert not recwarn.list


def test_most_of_the_odd_files_that_hold_one_image_are_read() -> None:
    read = 0
    for path in ODD_FILES:
        try:
            read += read_image(path).size > 0
        except ImageError:
            continue
    assert read >= 70


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_implicit", "MR_small_jp2klossless"])
def test_lossless_encodings_of_one_image_are_equal(name: str) -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    first, second = (read_image(folder / f"{stem}.dcm") for stem in ("MR_small", name))
    assert (first == second).all()


@pytest.mark.parametrize("name", ["SC_rgb_dcmtk_+eb+cr", "SC_rgb_jpeg_dcmtk", "SC_ybr_full_422_uncompressed"])
def test_colour_comes_out_as_rgb(name: str) -> None:
    image = read_image(Path(pydicom.data.__file__).parent / "test_files" / f"{name}.dcm")
    # The first bar is red, whether stored as RGB or YBR.
    red, green, blue = image[5, 50].astype(int)
    assert red > 200
    assert max(green, blue) < 60


# Greyscale rules


def test_monochrome1_is_the_negative(tmp_path: Path) -> None:
    plain = grey(save(dicom(RAMP, WindowCenter=2000, WindowWidth=3000), tmp_path / "a.dcm"))
    monochrome1 = dicom(RAMP, WindowCenter=2000, WindowWidth=3000, PhotometricInterpretation="MONOCHROME1")
    assert (grey(save(monochrome1, tmp_path / "b.dcm")) == 255 - plain).all()
    assert plain[0, 0] == 0
    assert plain[-1, -1] == 255


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("centre", [1000, 0])
def test_windows_agree_with_pydicom(tmp_path: Path, function: str, syntax: str, centre: int) -> None:
    dataset = dicom(RAMP, BitsStored=12, WindowWidth=800, VOILUTFunction=function, syntax=syntax)
    dataset.WindowCenter = centre
    expected = apply_windowing(RAMP, dataset) / 4095 * 255
    assert_close(grey(save(dataset, tmp_path / "a.dcm")), np.rint(expected))


def test_first_of_several_windows_counts(tmp_path: Path) -> None:
    one = save(dicom(RAMP, WindowCenter=1000, WindowWidth=800), tmp_path / "a.dcm")
    two = save(dicom(RAMP, WindowCenter=[1000, 40], WindowWidth=[800, 4000]), tmp_path / "b.dcm")
    assert (read_image(one) == read_image(two)).all()


def test_rescale_with_negative_intercept_comes_before_the_window(tmp_path: Path) -> None:
    shifted = dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=976, WindowWidth=1600)
    plain = dicom(RAMP, VOILUTFunction="LINEAR_EXACT", WindowCenter=1000, WindowWidth=800)
    assert_close(grey(save(shifted, tmp_path / "a.dcm")), grey(save(plain, tmp_path / "b.dcm")))


@pytest.mark.parametrize("width", [0, -5])
def test_invalid_window_is_passed_over(tmp_path: Path, width: int) -> None:
    image = grey(save(dicom(RAMP, WindowCenter=2000, WindowWidth=width), tmp_path / "a.dcm"))
    assert (image == grey(save(dicom(RAMP), tmp_path / "b.dcm"))).all()


def test_window_that_leaves_no_contrast_is_passed_over(tmp_path: Path) -> None:
    image = grey(save(dicom(RAMP, WindowCenter=60000, WindowWidth=100), tmp_path / "a.dcm"))
    assert (image == grey(save(dicom(RAMP), tmp_path / "b.dcm"))).all()


def test_signed_16_bit_without_window_spans_black_to_white(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.int16) - 2048
    image = grey(save(dicom(pixels), tmp_path / "a.dcm"))
    assert (image[0, 0], image[-1, -1]) == (0, 255)
    assert correlation(image, pixels) > 0.999


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_depth_makes_no_difference_without_window(tmp_path: Path, bits: int) -> None:
    pixels = (RAMP.astype(np.uint32) << 4 >> (16 - bits)).astype(np.uint16)
    image = grey(save(dicom(pixels, BitsStored=bits), tmp_path / "a.dcm"))
    assert_close(image, grey(save(dicom(RAMP, BitsStored=12), tmp_path / "b.dcm")), tolerance=2)


def test_a_lead_marker_does_not_decide_the_contrast(tmp_path: Path) -> None:
    marked = RAMP.copy()
    marked[0, :3] = 65535
    assert_close(
        grey(save(dicom(marked), tmp_path / "a.dcm"))[1:],
        grey(save(dicom(RAMP), tmp_path / "b.dcm"))[1:],
        tolerance=3,
    )


def test_plain_8_bit_values_stay_as_they_are(tmp_path: Path) -> None:
    assert (grey(save(dicom(SMOOTH), tmp_path / "a.dcm")) == SMOOTH).all()


def test_constant_image_is_read(tmp_path: Path) -> None:
    assert not grey(save(dicom(np.full((4, 4), 700, np.uint16)), tmp_path / "a.dcm")).any()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(("photometric", "padding"), [("MONOCHROME2", -20000), ("MONOCHROME1", 30000)])
def test_padding_is_black_and_spoils_no_contrast(
    tmp_path: Path, syntax: str, photometric: str, padding: int
) -> None:
    pixels = RAMP.astype(np.int16)
    padded = pixels.copy()
    padded[:, :20] = padding
    kind: dict[str, Any] = {"PhotometricInterpretation": photometric, "syntax": syntax}
    image = grey(save(dicom(padded, PixelPaddingValue=padding, **kind), tmp_path / "a.dcm"))
    assert not image[:, :20].any()
    alone = grey(save(dicom(np.ascontiguousarray(pixels[:, 20:]), **kind), tmp_path / "b.dcm"))
    assert (image[:, 20:] == alone).all()


def table(entries: NDArray[Any], *, first: int, bits: int, **elements: Any) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return Sequence([item])


@pytest.mark.parametrize("stated_bits", [8, 16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_voi_lut_with_8_bit_entries_is_applied_before_the_window(
    tmp_path: Path, stated_bits: int, syntax: str
) -> None:
    entries = (np.linspace(0, 1, 4096) ** 2 * 255).round().astype(np.uint16)
    voi = table(entries, first=0, bits=stated_bits)
    dataset = dicom(RAMP, VOILUTSequence=voi, WindowCenter=10, WindowWidth=5, syntax=syntax)
    assert (grey(save(dataset, tmp_path / "a.dcm")) == entries[RAMP]).all()


def test_voi_lut_without_contrast_gives_way_to_the_window(tmp_path: Path) -> None:
    flat = table(np.full(16, 7), first=0, bits=8)
    both = dicom(RAMP, VOILUTSequence=flat, WindowCenter=2000, WindowWidth=1000)
    window = dicom(RAMP, WindowCenter=2000, WindowWidth=1000)
    first, second = save(both, tmp_path / "a.dcm"), save(window, tmp_path / "b.dcm")
    assert (read_image(first) == read_image(second)).all()


def test_values_outside_a_modality_lut_take_its_ends(tmp_path: Path) -> None:
    dataset = dicom(RAMP, WindowCenter=128, WindowWidth=256, VOILUTFunction="LINEAR_EXACT")
    dataset.ModalityLUTSequence = table(np.arange(256), first=1000, bits=16)
    expected = np.clip(RAMP.astype(int) - 1000, 0, 255)
    assert_close(grey(save(dataset, tmp_path / "a.dcm")), expected)


def test_palette_colour_becomes_rgb(tmp_path: Path) -> None:
    dataset = dicom(SMOOTH, PhotometricInterpretation="PALETTE COLOR")
    for name, entries in (("Red", np.arange(256)), ("Green", 255 - np.arange(256)), ("Blue", np.zeros(256))):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", (entries * 257).astype("<u2").tobytes())
    image = read_image(save(dataset, tmp_path / "a.dcm"))
    assert (image == np.stack([SMOOTH, 255 - SMOOTH, SMOOTH * 0], axis=-1)).all()


# DICOM files that are refused


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 40}, "40 x 64"),
        ({"Columns": 63}, "48 x 63"),
        ({"Rows": 49}, "49 x 64"),
        ({"Rows": 0}, "0 rows"),
        ({"Columns": None}, "0 columns"),
        ({"SamplesPerPixel": 2}, "2 samples"),
        ({"Rows": 60000, "Columns": 60000}, "3,600,000,000 pixels"),
        ({"PixelData": None}, "without pixel data"),
        ({"PixelData": b""}, "without pixel data"),
        ({"BitsStored": 17}, "damaged"),
        ({"PhotometricInterpretation": "SECRET"}, "damaged|photometric"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_impossible_dicom_files_are_refused(tmp_path: Path, elements: dict[str, Any], reason: str) -> None:
    error = refusal(save(dicom(RAMP, **elements), tmp_path / "a.dcm"))
    assert re.search(reason, error.what)


def compressed(stream: bytes, syntax: str, **elements: Any) -> Dataset:
    dataset = dicom(SMOOTH, syntax=syntax, PixelData=encapsulate([stream]), **elements)
    dataset["PixelData"].is_undefined_length = True
    return dataset


def photo(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "syntax", "options"),
    [("JPEG", JPEGBaseline8Bit, {"quality": 98}), ("JPEG2000", JPEG2000Lossless, {"no_jp2": True})],
)
def test_size_of_the_compressed_image_must_agree_with_the_header(
    tmp_path: Path, kind: str, syntax: str, options: dict[str, Any]
) -> None:
    stream = photo(Image.fromarray(SMOOTH), kind, **options)
    assert_close(grey(save(compressed(stream, syntax), tmp_path / "a.dcm")), SMOOTH, tolerance=4)
    for lie in ({"Rows": 47}, {"Columns": 65}):
        error = refusal(save(compressed(stream, syntax, **lie), tmp_path / "b.dcm"))
        assert "compressed image (48, 64)" in error.what


def test_huge_compressed_image_behind_a_small_header_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.as_array", unreachable)
    stream = photo(Image.fromarray(SMOOTH), "JPEG")
    frame = stream.index(b"\xff\xc0")
    bomb = stream[: frame + 5] + struct.pack(">HH", 65500, 65500) + stream[frame + 9 :]
    assert "65500" in refusal(save(compressed(bomb, JPEGBaseline8Bit), tmp_path / "a.dcm")).what


def unreachable(*_: object, **__: object) -> None:
    raise AssertionError("decoded before its size was checked")


@pytest.mark.parametrize("limit", [3071, 1])
def test_size_limit_holds_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.as_array", unreachable)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unreachable)
    Image.fromarray(SMOOTH).save(tmp_path / "a.png")
    for path in (save(dicom(RAMP), tmp_path / "a.dcm"), tmp_path / "a.png"):
        assert "3,072 pixels" in refusal(path, max_pixels=limit).what


def test_image_at_the_size_limit_is_read(tmp_path: Path) -> None:
    assert grey(save(dicom(RAMP), tmp_path / "a.dcm"), max_pixels=48 * 64).shape == (48, 64)


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2.4.100", "1.2.3.4", "1.2.840.10008.1.2.1.99"],
    ids=["MPEG2", "unknown", "deflated"],
)
def test_unsupported_transfer_syntax_is_named(tmp_path: Path, syntax: str) -> None:
    path = save(dicom(SMOOTH), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"1.2.840.10008.1.2.1\0") - 8
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    header = data[at : at + 6] + struct.pack("<H", len(value)) + value
    path.write_bytes(data[:at] + header + data[at + 8 + 20 :])
    error = refusal(path)
    assert re.search("transfer syntax|deflated", error.what)
    assert "Explicit VR Little Endian" in str(error.next_step)


def test_missing_decoder_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(compressed(photo(Image.fromarray(SMOOTH), "JPEG"), JPEGBaseline8Bit), tmp_path / "a.dcm")
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
    assert "pip install pylibjpeg" in str(refusal(path))


def test_file_that_claims_gigabytes_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "a.dcm").open("wb") as sparse:
        sparse.truncate(1 << 34)
    assert "far larger" in refusal(tmp_path / "a.dcm").what


def test_running_out_of_memory_is_no_fault_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.as_array", exhausted)
    with pytest.raises(MemoryError):
        read_image(save(dicom(RAMP), tmp_path / "a.dcm"))


# PNG and JPEG


def test_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(photo(Image.fromarray(SMOOTH), "PNG"))
    assert (grey(path) == SMOOTH).all()
    assert (grey(save(dicom(SMOOTH), tmp_path / "b.png")) == SMOOTH).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_16_bit_png_spans_black_to_white(tmp_path: Path, bits: int) -> None:
    pixels = (RAMP.astype(np.uint32) << 4 >> (16 - bits)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = grey(tmp_path / "a.png")
    assert (image[0, 0], image[-1, -1]) == (0, 255)
    assert correlation(image, RAMP) > 0.999


def test_palette_png_shows_its_colours(tmp_path: Path) -> None:
    colours = Image.new("P", (4, 2), 1)
    colours.putpalette([0, 0, 0, 200, 100, 50])
    colours.save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == [200, 100, 50]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_black(tmp_path: Path, mode: str) -> None:
    image = Image.new(
        "LA" if mode == "LA" else "RGBA", (8, 8), (200, 0) if mode == "LA" else (200, 200, 200, 0)
    )
    image.paste((90, 255) if mode == "LA" else (90, 90, 90, 255), (0, 0, 4, 8))
    if mode == "P":
        image = image.quantize(4)
    image.save(tmp_path / "a.png")
    read = grey(tmp_path / "a.png")
    assert (read[:, :4] == 90).all()
    assert not read[:, 4:].any()


def test_bilevel_png_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(SMOOTH > 50).save(tmp_path / "a.png")
    assert (grey(tmp_path / "a.png") == np.where(SMOOTH > 50, 255, 0)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_honoured(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    options = {"quality": 98} if kind == "JPEG" else {}
    (tmp_path / "a.png").write_bytes(photo(Image.fromarray(SMOOTH), kind, exif=exif, **options))
    assert_close(grey(tmp_path / "a.png"), np.rot90(SMOOTH, -1), tolerance=4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9])
def test_truncated_photos_are_refused(tmp_path: Path, kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    data = photo(Image.fromarray(noise), kind)
    (tmp_path / "a.png").write_bytes(data[: int(len(data) * kept)])
    refusal(tmp_path / "a.png")


@pytest.mark.parametrize(("side", "reason"), [(12_000, "over the limit"), (60_000, "too many pixels")])
def test_png_bombs_are_refused(tmp_path: Path, side: int, reason: str) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert reason in refusal(tmp_path / "a.png").what


def test_limits_of_pillow_are_left_alone() -> None:
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP"])
def test_other_formats_are_told_which_ones_are_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(photo(Image.fromarray(SMOOTH), kind))
    assert "neither PNG, JPEG nor DICOM" in refusal(tmp_path / "a.png").what


def test_paths_that_are_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.dcm").write_text("no image " * 50)
    assert "no such" in refusal(tmp_path / "missing.png").what
    assert "folder" in refusal(tmp_path).what
    assert "empty" in refusal(tmp_path / "empty.png").what
    assert "neither" in refusal(tmp_path / "text.png").what
    assert "preamble" in refusal(tmp_path / "text.dcm").what
    refusal(tmp_path / "text.dcm", allow_missing_preamble=True)
    with pytest.raises(ImageError, match=r"can't be opened|no such"):
        read_image(tmp_path / "a\0b.png")


OF_ALL_ROWS = ["EIO", "ESTALE", "EMFILE", "ENFILE", "ENOSPC", "ETIMEDOUT", "EHOSTDOWN"]


@pytest.mark.parametrize("call", ["stat", "read_bytes"])
@pytest.mark.parametrize("name", [*OF_ALL_ROWS, "ENOENT", "EISDIR", "EACCES", "ELOOP"])
def test_failure_of_a_disk_or_the_machine_is_no_fault_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    path = tmp_path / "a.png"
    write_png(np.zeros((4, 4, 3), np.uint8), path)
    number = getattr(errno, name)

    def fails(self: Path, **options: Any) -> None:
        raise OSError(number, os.strerror(number), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, fails)
        with pytest.raises(OSError if name in OF_ALL_ROWS else ImageError) as caught:
            read_image(path)
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (number, str(path))


# Damage


def valid_files() -> dict[str, bytes]:
    def in_memory(dataset: Dataset) -> bytes:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    voi = table(np.arange(64), first=-3, bits=8)
    jpeg, j2k = (photo(Image.fromarray(SMOOTH), *kind) for kind in (("JPEG",), ("JPEG2000",)))
    return {
        "a.png": photo(Image.fromarray(SMOOTH), "PNG"),
        "a.jpg": jpeg,
        "plain.dcm": in_memory(dicom(RAMP[:8, :8].copy(), WindowCenter=9, WindowWidth=9, VOILUTSequence=voi)),
        "padded.dcm": in_memory(
            dicom(SMOOTH[:8, :8].copy(), PixelPaddingValue=3, syntax=ImplicitVRLittleEndian)
        ),
        "jpeg.dcm": in_memory(compressed(jpeg, JPEGBaseline8Bit)),
        "j2k.dcm": in_memory(compressed(j2k, JPEG2000Lossless)),
    }


VALID = valid_files()


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_an_image_or_an_image_error(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = bytearray(VALID[name])
    place = st.integers(0, min(len(content), 1200) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        content[at] = value
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / name
    path.write_bytes(content[:end])
    try:
        image = read_image(path, max_pixels=1_000_000, allow_missing_preamble=True)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


# Smaller images and PNG files


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((300, 200), (100, 67)), ((200, 300), (67, 100)), ((1000, 3), (100, 1)), ((100, 100), (100, 100))],
)
def test_aspect_ratio_is_kept(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 9, np.uint8)
    assert fit_within(image, long_side=100).shape == (*expected, 3)


def test_small_images_are_never_enlarged() -> None:
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert (fit_within(image, long_side=50) == image).all()


def test_fine_stripes_average_out() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    assert_close(fit_within(stripes, long_side=50)[5:-5, 5:-5], np.full((40, 40, 3), 100), tolerance=4)


def test_colour_and_grey_are_scaled_alike() -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 1), dtype=np.uint8).repeat(3, axis=2)
    coloured = image.copy()
    coloured[..., 2] = 0
    assert (fit_within(image, long_side=40)[..., :2] == fit_within(coloured, long_side=40)[..., :2]).all()


def test_long_side_of_zero_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="long_side"):
        fit_within(np.zeros((4, 4, 3), np.uint8), long_side=0)


@pytest.mark.parametrize("is_grey", [True, False])
def test_png_comes_back_unchanged(tmp_path: Path, is_grey: bool) -> None:
    image = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = image[..., :1].repeat(3, axis=2) if is_grey else image
    write_png(image, tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == image).all()
    assert Image.open(tmp_path / "a.png").mode == ("L" if is_grey else "RGB")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_png(np.full((4, 4, 3), 7, np.uint8), path)

    def interrupted(self: Image.Image, file: Path, **_: object) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_png(np.zeros((4, 4, 3), np.uint8), path)
    assert (read_image(path) == 7).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
