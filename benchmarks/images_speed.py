"""Images a second: reading JPEG and DICOM, scaling down, writing PNG; median of five rounds on one core.

    python benchmarks/images_speed.py [--data ../shared/data]

Real files are used where they are found (--data, else RADFLOW_TEST_DATA, else ../shared/data), generated ones
otherwise; the table says which.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from radflow.data.images import Pixels, fit_within, read_image, write_png

ROUNDS = 5
LONG_SIDE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    root = parser.parse_args().data
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        rows = [*reading(root, scratch), *preparing(scratch)]
    print(f"{'what':<52} {'images/s':>9} {'ms':>8}")
    for what, seconds in rows:
        print(f"{what:<52} {1 / seconds:>9.1f} {1000 * seconds:>8.2f}")


def reading(root: Path, scratch: Path) -> list[tuple[str, float]]:
    jpegs, origin = sorted((root / "iu_xray" / "images").glob("*.jpg"))[:100], "IU X-ray"
    if not jpegs:
        jpegs, origin = [scratch / "made.jpg"], "generated"
        Image.fromarray(radiograph(256, 256)[..., 0]).save(jpegs[0])
    rows = [(f"read JPEG 256 px, {origin}", read_all(jpegs))]
    rows.append(
        ("read DICOM 1024 x 1024, 12 bit, window, generated", read_all([save_dicom(scratch / "made.dcm")]))
    )
    kinds = {
        "rsna_*": "JPEG 1024 x 1024",
        "RG1_J2KI*": "JPEG 2000 1955 x 1841",
        "RG1_JLSN*": "JPEG-LS 1955 x 1841",
    }
    for pattern, kind in kinds.items():
        if found := sorted((root / "dicom").glob(f"{pattern}.dcm")):
            rows.append((f"read DICOM {kind}, real", read_all(found)))
    return rows


def preparing(scratch: Path) -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for height, width in ((1024, 1024), (2500, 2048)):
        image = radiograph(height, width)
        small = fit_within(image, long_side=LONG_SIDE)
        shrink = partial(fit_within, image, long_side=LONG_SIDE)
        rows.append((f"fit_within {height} x {width} to {LONG_SIDE}", median_seconds(shrink)))
        write = partial(write_png, small, scratch / "small.png")
        rows.append((f"write_png {small.shape[0]} x {small.shape[1]}", median_seconds(write)))
    return rows


def read_all(paths: list[Path]) -> float:
    """Seconds an image."""
    return median_seconds(lambda: [read_image(path) for path in paths]) / len(paths)


def median_seconds(work: Callable[[], object]) -> float:
    work()  # first use: imports, caches
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def radiograph(height: int, width: int) -> Pixels:
    """(height, width, 3): smooth shapes with grain, so that it compresses like the real thing."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shapes = 128 + 80 * np.cos(3 * x) * np.cos(2 * y)
    grain = np.random.default_rng(0).normal(0, 3, shapes.shape)
    grey = np.clip(shapes + grain, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def save_dicom(path: Path) -> Path:
    pixels = radiograph(1024, 1024)[..., 0].astype(np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME1"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


if __name__ == "__main__":
    main()
