"""JSON lines on disk: atomic whole files, and append-only files that survive a kill in mid-line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

from pydantic import ValidationError

from radflow.errors import RunError
from radflow.records import Record

R = TypeVar("R", bound=Record)


def write_text_atomically(path: Path, text: str) -> None:
    """Write, flush to disk, rename: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    write_text_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Record]) -> None:
    write_text_atomically(path, "".join(row.model_dump_json() + "\n" for row in rows))


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
                raise RunError(f"not a {kind.__name__} row", where=f"{path}:{number}") from None


class Appender(Generic[R]):
    """An append-only JSONL file of one kind of record, open for more rows.

    Opening keeps every complete line and cuts off a torn last one, so that a run killed at any moment goes
    on where it was. When `append` returns, rows are with the operating system: a killed process loses none.
    Only closing forces them through to the device, so a power cut may cost rows, which are then made again.
    """

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cut_torn_line()
        self.rows: list[R] = list(read_jsonl(kind, path)) if path.exists() else []
        self._handle: IO[bytes] = path.open("ab")

    def _cut_torn_line(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self.path, end)

    def append(self, rows: Iterable[R]) -> None:
        self._handle.write("".join(row.model_dump_json() + "\n" for row in rows).encode())
        self._handle.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
