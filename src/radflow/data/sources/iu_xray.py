"""The Indiana University chest X-ray collection (Open-i, NLM), from the original XML files or Kaggle's CSVs.

Reports come from the XML files when they are there, since these are the original and all 3,955; views come
from Kaggle's projections when they are there, since the DICOM headers are often wrong about them. A study's
id is the XML's uId, e.g. CXR1000, in both layouts. The collection has one study a patient.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from radflow.config import DataConfig
from radflow.data.sections import report_from_fields
from radflow.data.sources import SourceStudy
from radflow.data.sources.checks import field_text, missing_section, refuse_escape
from radflow.data.sources.iu_xray_images import (
    PROJECTIONS,
    ImageIndex,
    View,
    image_key,
    index_images,
    read_projections,
    read_views,
)
from radflow.data.tables import read_rows, require_columns
from radflow.data.views import choose_views
from radflow.errors import DataError
from radflow.records import LeftOut, Report

XML_FOLDERS = (".", "ecgen-radiology", "NLMCXR_reports/ecgen-radiology", "NLMCXR_reports")
ARCHIVE = "NLMCXR_reports.tgz"
REPORTS = "indiana_reports.csv"
MAX_XML_BYTES = 1_000_000  # the largest original has 9 kB
MAX_ARCHIVE_BYTES = 250_000_000  # unpacked; the original has 23 MB
GET_IT = (
    f"Set data.root to a folder with {ARCHIVE} or its ecgen-radiology/*.xml (Open-i, "
    f"https://openi.nlm.nih.gov), or with {REPORTS} and {PROJECTIONS} "
    "(Kaggle, chest-xrays-indiana-university)."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One report of the collection and the keys of the images it lists, in their order there."""

    number: int
    report: Report
    image_keys: tuple[str, ...]
    indication: str | None
    comparison: str | None
    codings: dict[str, list[str]]

    @property
    def study_id(self) -> str:
        return f"CXR{self.number}"


def read_iu_xray(data: DataConfig, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies in the order of their numbers, each with the images that `data.views` asks for.

    Args:
        data: root, images, views, max_images, require and limit are used.
        seed: unused, nothing is random here.

    Raises:
        DataError: no such folder, neither layout in it, a file that is not what it should be.
    """
    if data.root is None or not data.root.is_dir():
        raise DataError("no folder with the IU X-ray collection", where=str(data.root), next_step=GET_IT)
    entries = _read_entries(data.root)
    index = index_images(data.root, data.images)
    views = read_views(data.root)
    taken = 0
    for entry in entries:
        study = _admit(entry, data, index, views) if isinstance(entry, Entry) else entry
        yield study
        taken += isinstance(study, SourceStudy)
        if taken == data.limit:
            return


def _admit(
    entry: Entry, data: DataConfig, index: ImageIndex, views: dict[str, View]
) -> SourceStudy | LeftOut:
    """The study, or the first reason against it: its images, then its report."""
    found = [(index.by_key[key], views.get(key)) for key in entry.image_keys if key in index.by_key]
    if not found:
        found = [(path, None) for path in index.r2gen.get(entry.number, ())]
    if not found:
        listed = len(entry.image_keys)
        reason = "image_file_missing" if listed else "no_image_listed"
        return LeftOut(study_id=entry.study_id, reason=reason, detail=f"{listed} listed, 0 on disk")
    chosen = choose_views(found, lambda image: image[1], frontal_only=data.views == "frontal")
    if not chosen:
        return LeftOut(study_id=entry.study_id, reason="no_frontal_view", detail="data.views: frontal")
    if lacking := missing_section(entry.report, data.require):
        return LeftOut(study_id=entry.study_id, reason=lacking, detail=f"data.require: {data.require}")
    chosen = chosen[: data.max_images]
    return SourceStudy(
        study_id=entry.study_id,
        patient_id=str(entry.number),
        images=tuple(path for path, _ in chosen),
        report=entry.report,
        indication=entry.indication,
        comparison=entry.comparison,
        metadata={**entry.codings, "views": [view for _, view in chosen]},
    )


def _read_entries(root: Path) -> list[Entry | LeftOut]:
    folder = next((root / name for name in XML_FOLDERS if any((root / name).glob("*.xml"))), None)
    if folder:
        entries = [_parse(path.name, content) for path, content in _xml_files(folder, root)]
    elif (root / ARCHIVE).is_file():
        entries = [_parse(name, content) for name, content in _xml_members(root / ARCHIVE)]
    elif (root / REPORTS).is_file() and (root / PROJECTIONS).is_file():
        entries = list(_csv_entries(root))
    else:
        raise DataError("neither layout of the IU X-ray collection here", where=str(root), next_step=GET_IT)
    entries.sort(key=lambda entry: int(entry.study_id[3:]))
    for first, second in pairwise(entries):
        if first.study_id == second.study_id:
            raise DataError(f"two reports have the id {first.study_id}", where=str(root), next_step=GET_IT)
    return entries


def _xml_files(folder: Path, root: Path) -> Iterator[tuple[Path, bytes]]:
    real = Path(os.path.realpath(root))
    for path in folder.glob("*.xml"):
        refuse_escape(path, [real], where=str(path))
        if path.name.startswith("._"):  # resource forks that macOS adds
            continue
        with path.open("rb") as handle:
            content = handle.read(MAX_XML_BYTES + 1)
        if len(content) > MAX_XML_BYTES:
            raise _suspicious("a report file is too large", str(path))
        yield path, content


class _Bounded(io.RawIOBase):
    """A stream that ends with an error rather than fill the memory from a crafted archive."""

    def __init__(self, stream: gzip.GzipFile, archive: Path) -> None:
        self._stream, self._archive, self._left = stream, archive, MAX_ARCHIVE_BYTES

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _suspicious("the archive is too large when unpacked", str(self._archive))
        return chunk


def _xml_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the regular .xml members; nothing is written to disk."""
    try:
        # In stream mode all reads are of a few kB, headers included: the bound holds before memory is used.
        with gzip.open(archive, "rb") as stream:
            bounded: BinaryIO = _Bounded(stream, archive)  # type: ignore[assignment]
            with tarfile.open(fileobj=bounded, mode="r|") as tar:
                yield from _members(tar, archive)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"the archive can't be read ({type(error).__name__})", where=str(archive), next_step=GET_IT
        ) from None


def _members(tar: tarfile.TarFile, archive: Path) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        name = PurePosixPath(member.name)
        where = f"{archive}: {member.name}"
        if name.suffix != ".xml" or name.name.startswith("._"):
            continue
        if not member.isreg() or name.is_absolute() or ".." in name.parts:
            raise _suspicious("the archive holds a link or a path that leads out of it", where)
        if member.size > MAX_XML_BYTES:
            raise _suspicious("a report file is too large", where)
        content = tar.extractfile(member)
        if content is not None:
            yield name.name, content.read()


def _suspicious(what: str, where: str) -> DataError:
    return DataError(what, where=where, next_step=f"This isn't NLM's file; download it anew. {GET_IT}")


def _parse(name: str, content: bytes) -> Entry | LeftOut:
    """One XML file; one that is no report of the collection is left out under the number in its name."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise _suspicious(f"an XML file uses {type(error).__name__}", name) from None
    except (ParseError, ValueError, LookupError):  # LookupError: an encoding Python doesn't know
        root = None
    uid = root.find("uId") if root is not None else None
    match = re.fullmatch(r"CXR(\d{1,9})", uid.get("id", "")) if uid is not None else None
    if root is None or match is None:
        number = re.fullmatch(r"(?:CXR)?(\d{1,9})\.xml", name)
        if number is None:
            raise DataError("an XML file is no report of the collection", where=name, next_step=GET_IT)
        return LeftOut(study_id=f"CXR{int(number[1])}", reason="unreadable_report", detail=name)
    fields = _labelled_texts(root)
    return _entry(
        int(match[1]),
        fields,
        image_keys=[image_key(image.get("id", "")) for image in root.findall("parentImage")],
        codings={"mesh": [code for item in root.findall("MeSH/major") if (code := field_text(item.text))]},
    )


def _labelled_texts(root: Element) -> dict[str, str]:
    """Text by label in lower case; elements inside of others are part of those, however deep they stand."""
    texts: dict[str, list[str]] = defaultdict(list)
    inside: set[Element] = set()
    for element in root.iter("AbstractText"):
        if element not in inside:
            inside.update(element.iter("AbstractText"))
            texts[element.get("Label", "").lower()].append("".join(element.itertext()))
    return {label: "\n".join(parts) for label, parts in texts.items()}


def _csv_entries(root: Path) -> Iterator[Entry]:
    listed: dict[int, list[str]] = defaultdict(list)
    for key, _ in read_projections(root):
        listed[int(key.partition("_")[0])].append(key)
    path = root / REPORTS
    wanted = dict.fromkeys(("uid", "MeSH", "Problems", "findings", "impression"), "this layout")
    for place, row in read_rows(path):
        require_columns(row, wanted, where=str(path))
        cells = {name: str(cell) for name, cell in row.items()}
        uid = cells["uid"].strip()
        if not re.fullmatch(r"[0-9]{1,9}", uid):
            raise DataError("a row has no uid", where=f"{path}, row {place}", next_step=GET_IT)
        codings = {
            name: [code for part in cells[column].split(";") if (code := field_text(part))]
            for name, column in (("mesh", "MeSH"), ("problems", "Problems"))
        }
        yield _entry(int(uid), cells, image_keys=listed[int(uid)], codings=codings)


def _entry(
    number: int,
    fields: dict[str, str],
    *,
    image_keys: list[str | None] | list[str],
    codings: dict[str, list[str]],
) -> Entry:
    findings, impression = field_text(fields.get("findings")), field_text(fields.get("impression"))
    report = report_from_fields(findings=findings, impression=impression)
    return Entry(
        number=number,
        report=report,
        image_keys=tuple(dict.fromkeys(key for key in image_keys if key)),
        indication=field_text(fields.get("indication")),
        comparison=field_text(fields.get("comparison")),
        codings=codings,
    )
