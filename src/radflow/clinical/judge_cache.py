"""Answers kept on disk by content: one SQLite file that many processes of a machine share.

Chosen by measurement (10,000 answers of 250 bytes, one process, two busy cores): SQLite in WAL mode wrote
10,600 to 11,400 a second and read 71,000 to 80,000; one file per answer wrote 1,600 to 3,000 and read 50,000
to 58,000. WAL mode needs shared memory: processes on several hosts must not share a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from radflow.clinical.judge_questions import Question, V, checked, version_of
from radflow.config import JudgeConfig
from radflow.errors import JudgeError
from radflow.owner_only import make_private
from radflow.records import Record

T = TypeVar("T")

BUSY_S = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS answers (address BLOB PRIMARY KEY, verdict BLOB NOT NULL) WITHOUT ROWID"


class AnswerCache:
    """A folder (0700) with the file answers.sqlite (0600): an answer may quote its report.

    When `put` returns, the answer is with the operating system: a killed process loses none. A power cut may
    cost the last ones, but leaves the file whole. Addresses are hashes and show nothing of a report, though
    who holds a report can compute its address.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._local = threading.local()  # a connection belongs to one thread of one process

    def __getstate__(self) -> Path:
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        self.__init__(folder)  # type: ignore[misc]

    def address_of(self, question: Question[Any], config: JudgeConfig, *, is_group: bool) -> bytes:
        """SHA-256 of all that decides an answer: prompt and schema, model, seed, text."""
        version = version_of(question.task, is_group=is_group)
        content = json.dumps([version, config.model, config.seed, dict(question.payload)], sort_keys=True)
        return hashlib.sha256(content.encode()).digest()

    def get(self, address: bytes) -> bytes | None:
        """The stored answer, ``None`` if there is none.

        Raises:
            JudgeError: the file can't be read.
        """
        row = self._execute("SELECT verdict FROM answers WHERE address = ?", (address,)).fetchone()
        return row[0] if row else None

    def put(self, address: bytes, verdict: bytes) -> None:
        """Store an answer; of two writers of one address the later wins.

        Raises:
            JudgeError: the file can't be written: full disk, damaged, or no database.
        """
        self._execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (address, verdict))

    def close(self) -> None:
        """Close the connection of this thread; the next use opens another."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _execute(self, statement: str, values: tuple[bytes, ...]) -> sqlite3.Cursor:
        return self._guarded(lambda: self._connection().execute(statement, values))

    def _connection(self) -> sqlite3.Connection:
        if getattr(self._local, "connection", None) is None or self._local.process != os.getpid():
            self._local.connection = self._open()
            self._local.process = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _open(self) -> sqlite3.Connection:
        make_private(self.folder)
        self.folder.chmod(0o700)
        path = self.folder / "answers.sqlite"
        path.touch(mode=0o600)  # SQLite gives its side files the same mode
        deadline = time.monotonic() + BUSY_S
        while True:
            connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(_TABLE)
            except sqlite3.OperationalError as error:  # the switch to WAL doesn't wait for other processes
                connection.close()
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            except sqlite3.Error:
                connection.close()
                raise
            else:
                return connection

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except sqlite3.Error as error:
            raise JudgeError(
                f"the kept answers can't be used: {error}",
                where=str(self.folder / "answers.sqlite"),
                next_step="Free the disk, or move the folder away: its answers are then asked for again.",
            ) from None


def recall(cache: AnswerCache, address: bytes, question: Question[V]) -> V | None:
    """The kept verdict, ``None`` if there is none, or none that can still be read and passes its check."""
    content = cache.get(address)
    if content is None:
        return None
    try:
        verdict = checked(question.task.verdict.model_validate_json(content), question)
    except ValidationError:
        return None
    return None if isinstance(verdict, str) else verdict


def keep(cache: AnswerCache, address: bytes, verdict: Record) -> None:
    """Put a verdict where `recall` finds it."""
    cache.put(address, verdict.model_dump_json().encode())
