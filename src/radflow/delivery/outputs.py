"""Where written reports go: the terminal, one JSON Lines file, or a folder with a file for each report"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import ValidationError

from radflow.data.file_names import file_name
from radflow.data.report_files import whole_file
from radflow.delivery.dicom_origin import StudyOrigin, read_origin
from radflow.delivery.fhir import diagnostic_report
from radflow.delivery.given import GivenStudy
from radflow.delivery.structured_report import sr_bytes, structured_report
from radflow.delivery.written import WrittenReport, as_text
from radflow.errors import ConfigError, RunError
from radflow.jsonl import Appender, write_jsonl
from radflow.owner_only import make_private
from radflow.records import LeftOut
from radflow.registry import nearest
from radflow.terminal import print_result

ROWS, LEFT_OUT = "reports.jsonl", "left_out.jsonl"
SUFFIXES = {"text": ".txt", "jsonl": "", "fhir": ".fhir.json", "sr": ".sr.dcm"}
"""Format -> what the files of the reports end with; rows need no file of their own."""
Origin = Callable[[], StudyOrigin]


class Output(Protocol):
    """Takes reports; knows which it has."""

    def has(self, study: GivenStudy) -> bool:
        """Whether this study's report is there already, for the same images, by the same model.

        Raises:
            RunError: there is one for this id, but for other images or by other means.
        """
        ...

    def put(self, report: WrittenReport, study: GivenStudy) -> None: ...

    def finish(self, left_out: Iterable[LeftOut]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Terminal:
    """Prints reports on stdout: as text with a heading, or one JSON object a line."""

    def __init__(self, kind: str, *, allow_missing_preamble: bool) -> None:
        self.kind = kind
        self.allow_missing_preamble = allow_missing_preamble

    def has(self, study: GivenStudy) -> bool:
        return False

    def put(self, report: WrittenReport, study: GivenStudy) -> None:
        if self.kind == "text":
            print_result(f"== {report.study_id}\n{as_text(report)}")
        else:
            content = render(self.kind, report, _origin_of(report, study, self.allow_missing_preamble))
            print_result(content.decode().rstrip("\n"))

    def finish(self, left_out: Iterable[LeftOut]) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class Rows:
    """An append-only file of rows, private to its owner; what is in it is not written again."""

    def __init__(self, path: Path, *, made_with: str) -> None:
        self.path = path
        self.made_with = made_with
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            _open_private(self.path)
            self._appender = self._stack.enter_context(Appender(self.path, WrittenReport))
        except OSError as error:
            raise RunError(
                f"the output can't be written: {error.strerror or type(error).__name__}", where=str(self.path)
            ) from None
        self.known = {row.study_id: row for row in self._appender.rows}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def has(self, study: GivenStudy) -> bool:
        row = self.known.get(study.study_id)
        if row is None:
            return False
        if row.made_with == self.made_with and row.inputs == study.digest:
            return True
        what = "another model or other settings" if row.made_with != self.made_with else "other images"
        raise RunError(
            f"the report of {study.study_id!r} in this file was made with {what}",
            where=str(self.path),
            next_step="Name another output with -o, or delete this one.",
        )

    def put(self, report: WrittenReport, study: GivenStudy) -> None:
        self._appender.append([report])
        self.known[report.study_id] = report

    def finish(self, left_out: Iterable[LeftOut]) -> None:
        return


class ReportFolder:
    """A folder: a file for each report in one format, and reports.jsonl with all rows.

    The files are private to their owner, and so is the folder if it is made here; one that was there may have
    been opened to others for a reason, and keeps its permissions.

    A report's file is written before its row: a row without a file can't be, and a file without a row is
    written again.
    """

    def __init__(self, folder: Path, kind: str, *, made_with: str, allow_missing_preamble: bool) -> None:
        self.folder = folder
        self.kind = kind
        self.allow_missing_preamble = allow_missing_preamble
        self.rows = Rows(folder / ROWS, made_with=made_with)

    def __enter__(self) -> Self:
        try:
            make_private(self.folder)
        except OSError as error:
            raise RunError(
                f"the output folder can't be made: {error.strerror or type(error).__name__}",
                where=str(self.folder),
            ) from None
        self.rows.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rows.__exit__(kind, error, trace)

    def has(self, study: GivenStudy) -> bool:
        """Also makes the file of this format where only the row is there, from the row."""
        if not self.rows.has(study):
            return False
        path = self._path(study.study_id)
        if path is not None and not path.exists():
            self._write(path, self.rows.known[study.study_id], study)
        return True

    def put(self, report: WrittenReport, study: GivenStudy) -> None:
        path = self._path(report.study_id)
        if path is not None:
            self._write(path, report, study)
        self.rows.put(report, study)

    def finish(self, left_out: Iterable[LeftOut]) -> None:
        """List what could not be used this time."""
        write_jsonl(self.folder / LEFT_OUT, left_out)

    def _path(self, study_id: str) -> Path | None:
        suffix = SUFFIXES[self.kind]
        return self.folder / f"{file_name(study_id)}{suffix}" if suffix else None

    def _write(self, path: Path, report: WrittenReport, study: GivenStudy) -> None:
        content = render(self.kind, report, _origin_of(report, study, self.allow_missing_preamble))
        with whole_file(path, source=self.folder) as write:
            write(content)


def open_output(
    out: Path | None, kind: str | None, *, made_with: str, allow_missing_preamble: bool
) -> Output:
    """The output for ``-o`` and ``--format``.

    Raises:
        ConfigError: they don't fit each other.
    """
    kind = checked_format(out, kind)
    if out is None:
        return Terminal(kind, allow_missing_preamble=allow_missing_preamble)
    if out.suffix == ".jsonl":
        return Rows(out, made_with=made_with)
    return ReportFolder(out, kind, made_with=made_with, allow_missing_preamble=allow_missing_preamble)


def checked_format(out: Path | None, kind: str | None) -> str:
    """The format, with its default.

    Raises:
        ConfigError: an unknown one, or one that doesn't fit the output.
    """
    is_rows = out is not None and out.suffix == ".jsonl"
    kind = kind or ("jsonl" if is_rows else "text")
    if kind not in SUFFIXES:
        raise ConfigError(
            f"unknown format {kind!r}",
            where="--format",
            next_step=f"{nearest(kind, SUFFIXES)}Known: {', '.join(SUFFIXES)}.",
        )
    if is_rows and kind != "jsonl":
        raise ConfigError(
            f"a .jsonl file holds rows, not {kind}", where=f"-o {out}", next_step="Name a folder with -o."
        )
    if out is None and kind == "sr":
        raise ConfigError("DICOM can't be printed", where="--format sr", next_step="Add -o FOLDER.")
    if out is not None and not is_rows and out.is_file():
        raise ConfigError(
            "the output is a file",
            where=f"-o {out}",
            next_step="Name a folder, or a file that ends in .jsonl.",
        )
    return kind


def render(kind: str, report: WrittenReport, origin: Origin) -> bytes:
    """A report in one format; ``origin`` is only asked where the format carries patient and study."""
    if kind == "text":
        return as_text(report).encode()
    if kind == "fhir":
        return (json.dumps(diagnostic_report(report, origin()), ensure_ascii=False) + "\n").encode()
    if kind == "sr":
        return sr_bytes(structured_report(report, origin()))
    return (report.model_dump_json() + "\n").encode()


def _origin_of(report: WrittenReport, study: GivenStudy, allow_missing_preamble: bool) -> Origin:
    """Of the images that were shown; of all where they go by other names since (another working folder)."""
    shown = [file for file in study.files if str(file) in report.images]
    return lambda: read_origin(shown or study.files, allow_missing_preamble=allow_missing_preamble)


def _open_private(path: Path) -> None:
    """Make the file, or check that it is one of ours before its torn last line is cut off."""
    make_private(path.parent)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    path.chmod(0o600)
    with path.open("rb") as handle:
        first = handle.readline()
    is_torn = not first.endswith(b"\n") and first.startswith(b'{"study_id":')
    if not first or is_torn:
        return
    try:
        WrittenReport.model_validate_json(first)
    except ValidationError:
        raise RunError(
            "the file holds something else than reports that radflow has written",
            where=str(path),
            next_step="Name another output with -o.",
        ) from None
