"""Being stopped from outside: SIGTERM ends a command as Ctrl-C does, with what is done kept"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ended(KeyboardInterrupt):
    """SIGTERM came: a cluster's time limit, a shutdown, somebody's kill."""


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Within, SIGTERM raises `Ended` where the program stands, so that files are closed and processes that it
    started end with it. Outside of the main thread, which alone gets signals, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C within counts when this is over: for what must not be left half done, and takes moments."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if came:
        raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
