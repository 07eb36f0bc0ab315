"""JSON lines on disk: atomic whole files, and append-only files that survive a kill in mid-line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

from pydantic import ValidationError

from radflow.errors import RunError
from radflow.owner_only import make_private
from radflow.records import Record

R = TypeVar("R", bound=Record)
BLOCK = 1 << 16


def write_text_atomically(path: Path, text: str) -> None:
    """Write, flush to disk, rename: a reader sees the old file or the new one, never a part."""
    with _replacing(path) as handle:
        handle.write(text)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write, which takes the name ``path`` when all of it is on disk; on an error it vanishes.

    Only its owner may read it, nor folders that are made for it.
    """
    make_private(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process that had the same number
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_text_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Record]) -> None:
    """Write rows one at a time: of rows that are made as they are asked for, one is in memory."""
    with _replacing(path) as handle:
        for row in rows:
            handle.write(row.model_dump_json() + "\n")


def read_jsonl(kind: type[R], path: Path) -> Iterator[R]:
    """Rows of a finished file.

    Raises:
        RunError: the file is missing or a line doesn't hold a row of this kind (the line's text isn't shown).
    """
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        raise RunError(
            "file is missing", where=str(path), next_step="Run the stage that writes it."
        ) from None
    with handle:
        for number, line in enumerate(handle, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError:
                raise RunError(
                    f"not a {kind.__name__} row",
                    where=f"{path}:{number}",
                    next_step="If radflow wrote the file, delete it and run the same command: the stage that "
                    "writes it makes it again.",
                ) from None


class _GrowingFile:
    """A file that lines are appended to, with a torn last line cut off.

    When `_write` returns, lines are with the operating system: a killed process loses none. Only closing
    forces them through to the device, so a power cut may cost some.
    """

    _handle: IO[bytes]

    def _mend(self, path: Path) -> None:
        """Make the file, for its owner alone, or cut a torn last line off it."""
        make_private(path.parent)
        cut_torn_line(path)
        path.touch(mode=0o600)

    def _write(self, lines: bytes) -> None:
        self._handle.write(lines)
        self._handle.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()


class Appender(_GrowingFile, Generic[R]):
    """An append-only JSONL file of one kind of record, open for more rows.

    Opening keeps every complete line and cuts off a torn last one, so that a run killed at any moment goes
    on where it was. Rows that a power cut costs are made again.
    """

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path
        self._mend(path)
        self.rows: list[R] = list(read_jsonl(kind, path)) if path.exists() else []
        self._handle = path.open("ab")

    def append(self, rows: Iterable[R]) -> None:
        self._write("".join(row.model_dump_json() + "\n" for row in rows).encode())


class IndexedAppender(_GrowingFile, Generic[R]):
    """Like `Appender`, for files larger than memory: of each row only the key and its place are held.

    Args:
        key: what a row is looked up by; of several rows with one key the last counts.
    """

    def __init__(self, path: Path, kind: type[R], *, key: Callable[[R], str]) -> None:
        self._kind, self._key = kind, key
        self._mend(path)
        self._places: dict[str, int] = {}
        self._end = 0
        if path.exists():
            for row, size in zip(read_jsonl(kind, path), _line_sizes(path), strict=True):
                self._add(row, size)
        self._handle = path.open("a+b")

    def _add(self, row: R, size: int) -> None:
        self._places[self._key(row)] = self._end
        self._end += size

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def append(self, row: R) -> None:
        line = row.model_dump_json().encode() + b"\n"
        self._write(line)
        self._add(row, len(line))

    def read(self, key: str) -> R:
        """The row of this key; fast in the order in which rows were written.

        Raises:
            KeyError: there is none.
        """
        self._handle.seek(self._places[key])
        return self._kind.model_validate_json(self._handle.readline())


def _line_sizes(path: Path) -> Iterator[int]:
    with path.open("rb") as handle:
        yield from map(len, handle)


def cut_torn_line(path: Path) -> None:
    """Cut off what stands behind the last line end, reading from the end no more than that needs."""
    if not path.exists():
        return
    with path.open("r+b") as handle:
        size = end = handle.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            handle.seek(start)
            found = handle.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            handle.truncate(end)
