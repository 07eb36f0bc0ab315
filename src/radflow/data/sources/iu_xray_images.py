"""Images and views of the IU X-ray collection, under any of the names its copies use.

One image has one key, whatever its copy calls it:

    1000_IM-0003-1001.dcm.png   (Kaggle)       "1000_IM-0003-1001"
    CXR1000_IM-0003-1001.png    (Open-i)       "1000_IM-0003-1001"
    CXR1_1_IM-0001-3001.png     (patient 1)    "1_IM-0001-3001"
    CXR2384_IM-0942/0.png       (R2Gen)        no key: only its study and its place are known
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from radflow.data.sources.checks import refuse_escape
from radflow.data.tables import read_rows, require_columns
from radflow.errors import DataError

View = Literal["frontal", "lateral"]

IMAGE_NAME = re.compile(r"(?:CXR)?(\d+)(?:_\1)?_(IM-[\d-]+)(?:\.dcm)?(?:\.(?:png|jpe?g))?", re.IGNORECASE)
R2GEN_FOLDER = re.compile(r"CXR(\d+)(?:_\1)?_IM-[\d-]+")
SUFFIXES = (".png", ".jpg", ".jpeg")  # in order of preference: the lossless copy of an image wins
CANDIDATES = ("images", "images/images_normalized", "images_normalized", "NLMCXR_png", ".")
PROJECTIONS = "indiana_projections.csv"
DICOM_METADATA = "nlmcxr_dicom_metadata_slim.csv"

# "PA" isn't here: of the 3,593 images whose header says PA, 1,368 are lateral by the curated projections.
VIEW_POSITIONS: dict[str, View] = {
    "AP": "frontal",
    "LL": "lateral",
    "RL": "lateral",
    "LATERAL": "lateral",
    "LARGE LATERAL": "lateral",
}


def image_key(name: str) -> str | None:
    """The key of an image id or file name, ``None`` for a name of no known form."""
    match = IMAGE_NAME.fullmatch(name)
    return f"{int(match[1])}_{match[2]}" if match else None


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Files of the image folder, listed once.

    Attributes:
        by_key: file of each image key.
        r2gen: files of a study number in the R2Gen layout, in the order of their numbers.
    """

    by_key: dict[str, Path] = field(default_factory=dict)
    r2gen: dict[int, list[Path]] = field(default_factory=dict)


def index_images(root: Path, images: Path | None) -> ImageIndex:
    """Find and list the image folder: `images` if given, else the first usual place below `root`.

    Raises:
        DataError: no image of the collection there, or one is a link out of the folder.
    """
    places = [images] if images else [root / name for name in CANDIDATES]
    for place in places:
        if place.is_dir():
            if not images:
                refuse_escape(place, [Path(os.path.realpath(root))], where=str(place))
            index = _index(place)
            if index.by_key or index.r2gen:
                return index
    raise DataError(
        "no image of the IU X-ray collection found",
        where=str(images or root),
        next_step="Set data.images to the folder with files like CXR1000_IM-0003-1001.png, "
        "1000_IM-0003-1001.dcm.png or CXR2384_IM-0942/0.png.",
    )


def _index(folder: Path) -> ImageIndex:
    index = ImageIndex()
    numbered: dict[int, dict[tuple[str, int], Path]] = defaultdict(dict)
    for path in _image_files(folder):
        key = image_key(path.name)
        study = R2GEN_FOLDER.fullmatch(path.parent.name)
        if key:
            index.by_key.setdefault(key, path)
        elif study and path.stem.isdecimal():
            numbered[int(study[1])].setdefault((path.parent.name, int(path.stem)), path)
    for number, files in numbered.items():
        index.r2gen[number] = [files[place] for place in sorted(files)]
    return index


def _image_files(folder: Path) -> Iterator[Path]:
    """Image files in the folder and one level below, the preferred copy of an image first."""
    real = Path(os.path.realpath(folder))
    found = []
    for place, subfolders, names in os.walk(folder):  # doesn't follow links to folders
        if Path(place) != folder:
            subfolders.clear()
        for name in names:
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  (pathlib is slow for 7,470 names)
            if suffix in SUFFIXES:
                found.append((SUFFIXES.index(suffix), place, name))
    for _, place, name in sorted(found):
        path = Path(place, name)
        if path.is_symlink():
            refuse_escape(path, [real], where=str(path))
        yield path


def read_views(root: Path) -> dict[str, View]:
    """View by image key: the curated projections of the Kaggle copy, else what the DICOM headers say."""
    views: dict[str, View] = {}
    for row in _rows(root / DICOM_METADATA, "imageid", "View Position"):
        key, view = image_key(row["imageid"]), VIEW_POSITIONS.get(row["View Position"])
        if key and view:
            views[key] = view
    for key, view in read_projections(root):
        if view:
            views[key] = view
    return views


def read_projections(root: Path) -> Iterator[tuple[str, View | None]]:
    """Image keys of the Kaggle copy in the order of its file, each with its view."""
    for row in _rows(root / PROJECTIONS, "uid", "filename", "projection"):
        key = image_key(row["filename"])
        if key:
            projection = row["projection"].strip().lower()
            yield (
                key,
                "frontal" if projection == "frontal" else "lateral" if projection == "lateral" else None,
            )


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    for _, row in read_rows(path) if path.is_file() else ():
        require_columns(row, dict.fromkeys(columns, "this layout"), where=str(path))
        yield {name: str(cell) for name, cell in row.items()}
