"""Processes that train one model together, started by a launcher: which of them this one is, and who writes

`accelerate launch` and `torchrun` say it in variables of the environment. Without them there is one process.
The first process keeps the run folder and tells people what happens; the others only train.
"""

from __future__ import annotations

import os


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes files and talks to people."""
    return int(os.environ.get("RANK", "0")) == 0
