"""Images on the command line -> studies to write for: files, folders of pictures or DICOM, rows of a table"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from radflow.config import DataConfig, TableConfig
from radflow.data.images import JPEG_MAGIC, PNG_MAGIC
from radflow.data.sources import ImageSource
from radflow.data.sources.checks import field_text, id_text, is_empty
from radflow.data.sources.table_images import ImageFinder, StoredImage
from radflow.data.tables import (
    SUFFIXES,
    Row,
    is_saved_dataset,
    read_rows,
    read_saved_dataset,
    require_columns,
    table_suffix,
)
from radflow.data.views import view_rank
from radflow.delivery.dicom_origin import Grouping, is_dicom, read_grouping
from radflow.errors import ConfigError, DataError
from radflow.records import LeftOut


@dataclass(frozen=True)
class HowToRead:
    """How what is given is to be read.

    Attributes:
        as_one: all given images are one study.
        indication: of every study that has none of its own.
        table: the columns of tables: id, images, indication.
        images: folder of a table's images, if not its own.
        allow_missing_preamble: read DICOM files without preamble too.
    """

    as_one: bool = False
    indication: str | None = None
    table: TableConfig = field(default_factory=TableConfig)
    images: Path | None = None
    allow_missing_preamble: bool = False


@dataclass(frozen=True)
class GivenStudy:
    """A study to write for.

    Attributes:
        study_id: unique among those given: a file's name, a StudyInstanceUID, or the table's id.
        origin: where it was found; makes ids unique.
        images: in the order that they are shown in.
        indication: prompt text; patient data.
    """

    study_id: str
    origin: str
    images: tuple[ImageSource, ...]
    indication: str | None = field(default=None, repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of its images that are files."""
        return tuple(image for image in self.images if isinstance(image, Path))

    @property
    def names(self) -> tuple[str, ...]:
        """What its images are called in messages and rows."""
        return tuple(map(_name, self.images))

    @property
    def digest(self) -> str:
        """Hash of which images these are (places and sizes, not contents) and of the indication."""
        digest = hashlib.sha256((self.indication or "").encode(errors="replace"))
        for image in self.images:
            digest.update(f"\0{_place(image)}".encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Given:
    """What was found: studies, what can't be used and why, and how many other files lay in the folders."""

    studies: tuple[GivenStudy, ...]
    left_out: tuple[LeftOut, ...] = ()
    ignored: int = 0


@dataclass
class _Found:
    single: list[GivenStudy] = field(default_factory=list)
    grouped: dict[str, list[tuple[Path, Grouping]]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    ignored: int = 0


def find_given(paths: Sequence[Path], how: HowToRead) -> Given:
    """Studies in what is given, in its order; those grouped by StudyInstanceUID stand behind.

    A file is a study of its own, whatever its header says; in a folder, DICOM images with one
    StudyInstanceUID are one, frontal views first, and each PNG or JPEG is one. No image is decoded.

    Raises:
        ConfigError: one study of a table, or of nothing.
        DataError: a table that can't be read, or one study with images of several patients.
    """
    found = _Found()
    for path in paths:
        if table_suffix(path) in SUFFIXES or (path.is_dir() and is_saved_dataset(path)):
            if how.as_one:
                raise ConfigError(
                    "--study is for images, and a table has a study in each row",
                    where=str(path),
                    next_step="Leave --study out; several images go into one cell or several columns.",
                )
            _read_table(path, how, found)
        elif path.is_dir():
            _read_folder(path, how, found)
        else:
            found.single.append(_study(path.name, str(path.parent), [path], how))
    studies = [*found.single, *_grouped(found, how)]
    if how.as_one:
        studies = [_as_one(studies, how)]
    if not studies and not found.left_out:
        raise DataError(
            "no image was found",
            where=", ".join(map(str, paths)),
            next_step="Give PNG, JPEG or DICOM files, folders of them, or a table with their paths.",
        )
    return Given(tuple(_unique(studies)), tuple(found.left_out), found.ignored)


def _study(name: str, origin: str, images: Iterable[ImageSource], how: HowToRead) -> GivenStudy:
    return GivenStudy(name, origin, tuple(images), how.indication)


def _read_folder(folder: Path, how: HowToRead, found: _Found) -> None:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        inside = file.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if is_dicom(file, allow_missing_preamble=how.allow_missing_preamble):
            grouping = read_grouping(file, allow_missing_preamble=how.allow_missing_preamble)
            if grouping is None:
                found.ignored += 1
            elif grouping.study_uid is None:
                found.single.append(_study(inside.as_posix(), str(folder), [file], how))
            else:
                found.grouped.setdefault(grouping.study_uid, []).append((file, grouping))
        elif _is_picture(file):
            found.single.append(_study(inside.as_posix(), str(folder), [file], how))
        else:
            found.ignored += 1


def _is_picture(file: Path) -> bool:
    """By its content; a damaged one by its name, so that its damage is told."""
    try:
        with file.open("rb") as handle:
            start = handle.read(8)
    except OSError:
        start = b""
    return start.startswith((PNG_MAGIC, JPEG_MAGIC)) or file.suffix.lower() in (
        ".png", ".jpg", ".jpeg", ".dcm", ".dicom"
    )  # fmt: skip


def _grouped(found: _Found, how: HowToRead) -> Iterator[GivenStudy]:
    for study_uid, members in found.grouped.items():
        if len({grouping.patient_id for _, grouping in members}) > 1:
            found.left_out.append(
                LeftOut(study_id=study_uid, reason="several_patients", detail=str(members[0][0].parent))
            )
            continue
        members.sort(key=lambda member: (view_rank(member[1].view), member[1].place, str(member[0])))
        yield _study(study_uid, str(members[0][0].parent), [file for file, _ in members], how)


def _as_one(studies: Sequence[GivenStudy], how: HowToRead) -> GivenStudy:
    """All images of the given studies as one study, in the given order."""
    images = tuple(dict.fromkeys(image for study in studies for image in study.images))
    if not images:
        raise ConfigError("--study has no image", next_step="Give the images of the study.")
    headers = [
        header
        for image in images
        if isinstance(image, Path)
        and (header := read_grouping(image, allow_missing_preamble=how.allow_missing_preamble))
    ]
    if len({header.patient_id for header in headers if header.patient_id}) > 1:
        raise DataError(
            "the images given as one study are of several patients",
            where="--study",
            next_step="Give the images of one study, or leave --study out.",
        )
    uids = {header.study_uid for header in headers if header.study_uid}
    name = uids.pop() if len(uids) == 1 else studies[0].study_id
    return GivenStudy(name, studies[0].origin, images, how.indication)


def _read_table(path: Path, how: HowToRead, found: _Found) -> None:
    table = how.table
    data = DataConfig(
        source="table",
        root=path,
        images=how.images,
        table=table,
        allow_missing_preamble=how.allow_missing_preamble,
    )
    finder = ImageFinder.of(data, path)
    wanted = dict.fromkeys(table.image_columns, "--image-column")
    wanted |= {table.id_column: "--id-column"}
    if table.indication_column:
        wanted[table.indication_column] = "--indication-column"
    seen: set[str] = set()
    for number, row in _rows(path):
        where = f"{path}, row {number}"
        if not seen:
            require_columns(row, wanted, where=str(path))
        study_id = id_text(row.get(table.id_column))
        if study_id is None or study_id in seen:
            raise DataError(
                "a row has no id" if study_id is None else "two rows have the same id",
                where=where,
                next_step="Give every row a unique id; several images go into one cell or several columns.",
            )
        seen.add(study_id)
        images = [image for column in table.image_columns for image in _found_in(finder, row, number, column)]
        there = [image for image in images if image is not None]
        if len(there) < len(images):
            found.left_out.append(LeftOut(study_id=study_id, reason="image_file_missing", detail=where))
        elif not images:
            found.left_out.append(LeftOut(study_id=study_id, reason="no_image_listed", detail=where))
        if there:
            study = _study(study_id, str(path), there, how)
            found.single.append(replace(study, indication=_indication(row, table) or how.indication))


def _found_in(finder: ImageFinder, row: Row, number: int, column: str) -> list[Path | StoredImage | None]:
    try:
        return list(finder.find(row, number, column))
    except DataError as error:  # its advice is for a config file
        step = "Give --images FOLDER, the folder that holds the images, or correct the path."
        raise DataError(error.what, where=error.where, next_step=step) from None


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    if path.is_dir():
        for number, _, row in read_saved_dataset(path):
            yield number, row
    else:
        yield from read_rows(path)


def _indication(row: Row, table: TableConfig) -> str | None:
    cell = row.get(table.indication_column) if table.indication_column else None
    return None if is_empty(cell) else field_text(cell)


def _unique(studies: Sequence[GivenStudy]) -> Iterator[GivenStudy]:
    """Ids made unique by their places; what is given twice counts once."""
    once = list(dict.fromkeys(studies))
    counts = Counter(study.study_id for study in once)
    for study in once:
        is_repeated = counts[study.study_id] > 1
        yield replace(study, study_id=f"{study.origin}/{study.study_id}") if is_repeated else study


def _name(image: ImageSource) -> str:
    if isinstance(image, StoredImage):
        return f"{image.table}, row {image.number}"
    return str(image) if isinstance(image, Path) else "picture"


def _place(image: ImageSource) -> str:
    if isinstance(image, StoredImage):
        return f"{os.path.realpath(image.table)}:{image.number}:{image.column}:{image.place}"
    if not isinstance(image, Path):
        return "picture"
    try:
        size = image.stat().st_size
    except OSError:
        size = -1
    return f"{os.path.realpath(image)}:{size}"
