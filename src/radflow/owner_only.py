"""Files and folders that nobody but their owner may read, for what radflow writes may hold patient data"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OTHERS = 0o077
"""The rights of group and others: none is left."""


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents for their owner alone (0700); what is there stays as it is.

    Raises:
        OSError: one of them can't be made.
    """
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # says what is wrong where a file has the name


@contextmanager
def private_files() -> Iterator[None]:
    """While it lasts, all that this process and those that it starts make is their owner's alone.

    For libraries, which open files themselves. It is the process's umask: other threads are held to it too.
    """
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)
