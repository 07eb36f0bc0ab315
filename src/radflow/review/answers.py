"""What a reviewer answered: one append-only file each, where nothing said is ever lost or overwritten."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from radflow.clinical.judge_errors import ErrorCategory
from radflow.errors import ConfigError, RunError
from radflow.jsonl import cut_torn_line
from radflow.records import Record

FOLDER = "review"
Task = Literal["criticality", "consistency", "comparison", "errors"]
TASKS: tuple[Task, ...] = get_args(Task)
CHOICES: dict[Task, tuple[str, ...]] = {
    "criticality": ("critical", "normal", "unsure"),
    "consistency": ("consistent", "inconsistent", "unsure"),
    "comparison": ("left", "right", "equal", "both_bad"),
    "errors": ("counted",),
}
"""What can be answered; of a comparison by the side on which a report stood."""
LONGEST_NAME = 80
MOST_ERRORS = 20
"""Errors of one category and weight that can be counted in one report."""

Key = tuple[Task, str, tuple[str, ...]]


class Answer(Record):
    """One answer of one reviewer; a later one to the same question replaces it.

    Attributes:
        systems: whose texts were shown: none (the reference), one, or of a comparison the left and the right.
        choice: one of `CHOICES` of the task.
        errors: category -> (significant, insignificant) errors; ``None`` in other tasks.
        texts: digest of the texts that were shown: after a change of them the answer no longer counts.
        seconds: from the page's last showing to the answer; ``None`` when the server was started in between.
        time: of the answer, ISO 8601.
    """

    reviewer: str
    task: Task
    study_id: str
    systems: tuple[str, ...] = ()
    choice: str
    errors: dict[ErrorCategory, tuple[int, int]] | None = None
    texts: str
    seconds: float | None = None
    time: str

    @property
    def key(self) -> Key:
        """The question; which side a report stood on is no part of it."""
        return self.task, self.study_id, tuple(sorted(self.systems))


def digest(*texts: str) -> str:
    """12 hex digits of texts, in any order."""
    told = hashlib.sha256()
    for text in sorted(texts):
        told.update(hashlib.sha256(text.encode()).digest())
    return told.hexdigest()[:12]


def file_of(folder: Path, reviewer: str) -> Path:
    """The reviewer's file: any name gives a harmless one, and no two names the same.

    Raises:
        ConfigError: an empty name, an endless one, or one with control characters.
    """
    if not reviewer.strip() or len(reviewer) > LONGEST_NAME or not reviewer.isprintable():
        raise ConfigError(
            f"a reviewer's name has 1 to {LONGEST_NAME} printable characters",
            where="--reviewer",
            next_step="Give another, e.g. --reviewer anna",
        )
    plain = re.sub(r"[^a-z0-9]+", "-", reviewer.lower()).strip("-")[:40]
    return folder / f"answers-{plain}-{hashlib.sha256(reviewer.encode()).hexdigest()[:10]}.jsonl"


class AnswerFile:
    """The reviewer's answers so far, open for more; made by `open_answers`."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self.answers: dict[Key, Answer] = {row.key: row for row in read_answers(path)}

    def append(self, answer: Answer) -> None:
        """When this returns, the answer is on the device: neither a kill nor a power cut takes it back.

        Raises:
            RunError: the disk is full or gone; the file is as it was.
        """
        line = answer.model_dump_json().encode() + b"\n"
        size = os.fstat(self._handle).st_size
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError("no space left on device")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, size)
            raise RunError(
                f"the answer can't be written: {error.strerror or error}",
                where=str(self.path),
                next_step="Make room and answer again.",
            ) from None
        self.answers[answer.key] = answer


@contextmanager
def open_answers(root: Path, reviewer: str) -> Iterator[AnswerFile]:
    """Open a reviewer's file in the run's review folder for this process alone, rid of a torn last line.

    Raises:
        RunError: another server has it, it can't be written, or a line of it is damaged.
    """
    folder = root / FOLDER
    path = file_of(folder, reviewer)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RunError(f"answers can't be written: {error.strerror}", where=str(path)) from None
    try:
        os.fchmod(handle, 0o600)
        _lock(handle, path)
        cut_torn_line(path)
        _sync_folder(folder)
        yield AnswerFile(path, handle)
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            "another server takes this reviewer's answers already",
            where=str(path),
            next_step="Use its page, stop it, or give another name with --reviewer.",
        ) from None


def _sync_folder(folder: Path) -> None:
    """The name of a new file is on the device too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_answers(path: Path) -> Iterator[Answer]:
    """All answers of a file in order, repeated ones too; what stands behind the last line end is left out.

    Raises:
        RunError: a line holds no answer.
    """
    *lines, _torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            yield Answer.model_validate_json(line)
        except ValidationError:
            raise RunError(
                "not an answer of a reviewer",
                where=f"{path}:{number}",
                next_step="Move the damaged line to another file; the others are whole.",
            ) from None


def all_answers(root: Path) -> Iterable[Answer]:
    """Of every reviewer of a run the last answer to each question, reviewer by reviewer."""
    last: dict[tuple[str, Key], Answer] = {}
    for path in sorted((root / FOLDER).glob("answers-*.jsonl")):
        last |= {(row.reviewer, row.key): row for row in read_answers(path)}
    return last.values()
