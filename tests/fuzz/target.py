"""What is fuzzed: a function of bytes that may refuse them with documented errors, within a bound of time."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from radflow.errors import RadflowError

SECRET = "Pneumothorax links"
"""Stands in the seeds as what a patient's report says: no message of an error may repeat it."""


class Hang(BaseException):
    """An input took longer than its bound; no `except Exception` of the code under test can swallow it."""


class LeakError(AssertionError):
    """The message of an error holds words of a report, or can't be printed."""


@dataclass(frozen=True)
class Target:
    """One entrance of radflow for what others wrote.

    Attributes:
        run: takes any bytes; returns, or raises one of ``refuses``.
        seeds: inputs that are taken, from which others are made.
        words: pieces that mean something in the format; mutations put them in.
        refuses: documented errors.
        seconds: processor time that an input may take, at 64 kB or less; larger ones in proportion.
        keeps_secrets: whether messages must not hold `SECRET`.
        most_bytes: the largest input that mutations make.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    refuses: tuple[type[Exception], ...] = (RadflowError,)
    seconds: float = 5.0
    keeps_secrets: bool = True
    most_bytes: int = 1 << 16
    notes: str = field(default="", compare=False)

    def bound(self, data: bytes) -> float:
        """Seconds that an input may take."""
        return self.seconds * max(1.0, len(data) / (1 << 16))


def attempt(target: Target, data: bytes) -> bool:
    """Run a target on one input; whether it was read, as against refused.

    Raises:
        Hang: it took longer than its bound.
        LeakError: an error's message holds a report's words or can't be printed.
        Exception: anything that isn't a documented refusal.
    """
    with _processor_time(target.bound(data)):
        try:
            target.run(data)
        except target.refuses as error:
            _check_message(target, error)
            return False
    return True


def _check_message(target: Target, error: Exception) -> None:
    message = str(error)
    try:
        message.encode()
    except UnicodeEncodeError:
        raise LeakError(f"the message of a {type(error).__name__} can't be printed") from None
    if target.keeps_secrets and SECRET.split()[0] in message:
        raise LeakError(f"the message of a {type(error).__name__} holds words of a report")


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block after so much processor time; a machine under load makes no difference."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield  # signals reach the main thread only
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"took more than {seconds:.3g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
