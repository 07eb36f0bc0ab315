"""The few kinds of error that reach a user. Each says what is wrong, where, and what to type next.

Report text is patient data: it never goes into a message, ids and paths do.
"""

from __future__ import annotations


class RadflowError(Exception):
    """A mistake or a condition the user can act on; the CLI prints it without a traceback.

    Args:
        what: one sentence that says what is wrong.
        where: file, line, setting or study id it concerns.
        next_step: what the user can do or type next.
    """

    def __init__(self, what: str, *, where: str | None = None, next_step: str | None = None) -> None:
        self.what = _printable(what)
        self.where = where and _printable(where)
        self.next_step = next_step and _printable(next_step)
        super().__init__(self.what, self.where, self.next_step)

    def __str__(self) -> str:
        head = f"{self.what} ({self.where})" if self.where else self.what
        return f"{head}\n{self.next_step}" if self.next_step else head

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword-only arguments survive the trip back from a worker process."""
        return _rebuild, (type(self), self.what, self.where, self.next_step)


def _printable(text: str) -> str:
    """With lone surrogates escaped: names of files that are no UTF-8 hold them, and no file takes them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rebuild(kind: type[RadflowError], what: str, where: str | None, next_step: str | None) -> RadflowError:
    return kind(what, where=where, next_step=next_step)


class ConfigError(RadflowError):
    """A setting is unknown, out of bounds, or contradicts another."""


class DataError(RadflowError):
    """The data set as a whole can't be used: missing file, wrong column, leaking patients."""


class ImageError(RadflowError):
    """One image can't be read; the study is left out and listed with this reason."""


class RunError(RadflowError):
    """The run folder is locked, holds another configuration, or lacks the output of an earlier stage."""


class ModelError(RadflowError):
    """A model folder or hub id can't be loaded or doesn't fit the task."""


class JudgeError(RadflowError):
    """The judge can't be used at all: its server refuses every question, or too many in a row fail."""
