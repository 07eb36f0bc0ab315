"""Images of a table's rows: files that a cell names, or pictures that the table itself holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radflow.config import DataConfig
from radflow.data.images import read_image
from radflow.data.sources.checks import is_empty, refuse_escape, stays_inside
from radflow.data.tables import Row, read_cell
from radflow.errors import DataError, ImageError


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture inside a Parquet file or a saved dataset, read again when it is called for.

    Rows are read twice and wait for their turn; their pictures must not wait with them.

    Attributes:
        table, number, column: the cell, row number from 1.
        place: which of the images in the cell.
    """

    table: Path
    number: int
    column: str
    place: int
    allow_missing_preamble: bool

    def __call__(self) -> NDArray[np.uint8]:
        """RGB values (height, width, 3); by way of a file, so that all images are read and bounded alike."""
        content = images_of(read_cell(self.table, self.number, self.column), "")[self.place]
        where = f"{self.table}, row {self.number}"
        if not isinstance(content, bytes):
            raise ImageError("the table has changed since it was read", where=where)
        with tempfile.TemporaryDirectory(prefix="radflow-") as folder:
            path = Path(folder, "stored")
            path.write_bytes(content)
            try:
                return read_image(path, allow_missing_preamble=self.allow_missing_preamble)
            except ImageError as error:
                raise ImageError(error.what, where=where, next_step=error.next_step) from None


def images_of(cell: object, separator: str) -> list[str | bytes]:
    """Paths or encoded images of a cell: text with separators, bytes, a Hugging Face image, or a list.

    A cell of JSON may be nested as deep as its author likes, so that nothing here calls itself.
    """
    found: list[str | bytes] = []
    waiting = [cell]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(reversed(part))
        elif isinstance(part, dict):
            encoded = part.get("bytes")
            waiting.append(encoded if isinstance(encoded, bytes) else part.get("path"))
        elif isinstance(part, str):
            pieces = part.split(separator) if separator else [part]
            found += [piece.strip() for piece in pieces if piece.strip()]
        elif not is_empty(part):
            found.append(part if isinstance(part, bytes) else str(part))
    return found


@dataclass(frozen=True, slots=True)
class ImageFinder:
    """Finds the images that a cell names, inside the allowed folders only.

    Attributes:
        table: the table file or the saved dataset.
        folders: where relative paths start, resolved: data.images if set, then the table's folder.
        separator: what stands between several paths in one cell.
        allow_missing_preamble: as in `read_image`.
    """

    table: Path
    folders: tuple[Path, ...]
    separator: str
    allow_missing_preamble: bool

    @classmethod
    def of(cls, data: DataConfig, root: Path) -> ImageFinder:
        own = root if root.is_dir() else root.parent
        if data.images is not None and not data.images.is_dir():
            raise DataError("no such folder", where=f"data.images: {data.images}")
        folders = [Path(os.path.realpath(folder)) for folder in (data.images, own) if folder is not None]
        return cls(root, tuple(folders), data.table.image_separator, data.allow_missing_preamble)

    def find(self, row: Row, number: int, column: str) -> Iterator[Path | StoredImage | None]:
        """The images of one cell in order, ``None`` for a file that is missing."""
        for place, image in enumerate(images_of(row.get(column), self.separator)):
            if isinstance(image, bytes):
                yield StoredImage(self.table, number, column, place, self.allow_missing_preamble)
            else:
                yield self._inside(image, where=f"{self.table}, row {number}")

    def _inside(self, cell: str, *, where: str) -> Path | None:
        """The first existing file that the cell may mean; raises when it means one outside or none inside."""
        readings = [Path(os.path.normpath(folder / cell.replace("\0", ""))) for folder in self.folders]
        inside = [path for path in readings if stays_inside(path, self.folders)]
        for path in inside:
            if os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises, and quotes, an overlong name)
                return path
        for path in readings:
            if path not in inside and (not inside or os.path.exists(path)):  # noqa: PTH110  (as above)
                refuse_escape(path, self.folders, where=where)
        return None
