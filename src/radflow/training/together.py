"""What processes of one training agree on: whether it begins, who makes a file first, what all have found

Everything here does nothing in a single process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from radflow.config import JudgeConfig
from radflow.errors import ConfigError
from radflow.models.vlm import pick_device
from radflow.processes import process_count

T = TypeVar("T")
PATIENCE = timedelta(hours=12)
"""How long processes wait for one another: making and warming up a model takes the first one a while."""


def join(*, device: str) -> None:
    """Meet the other processes; to be called before anything else asks accelerate who is there."""
    PartialState(cpu=pick_device(device) == "cpu", timeout=PATIENCE)


def agree(decision: T | None) -> T:
    """What the first process has decided, in all of them; the others give ``None``."""
    if process_count() == 1:
        assert decision is not None, "one process decides"
        return decision
    box: list[Any] = [decision]
    broadcast_object_list(box)
    found: T = box[0]
    return found


@contextmanager
def first_one_first() -> Iterator[None]:
    """Let the first process through, and the others when it is done: they find what it has made."""
    if process_count() == 1:
        yield
        return
    with PartialState().main_process_first():
        yield


def share_of(items: Sequence[T]) -> Sequence[T]:
    """This process's share of what all of them do together."""
    return items if process_count() == 1 else items[PartialState().process_index :: process_count()]


def collected(items: list[T]) -> list[T]:
    """What all processes found, in the processes' order, in each of them."""
    if process_count() == 1:
        return items
    found: list[T] = gather_object(items)
    return found


def share_of_judge(judge: JudgeConfig) -> JudgeConfig:
    """The judge's limits parted among the processes, so that together they keep them.

    Raises:
        ConfigError: there are more processes than requests at once.
    """
    count = process_count()
    limits = {
        name: limit // count
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute")
        if (limit := getattr(judge, name)) is not None
    }
    for name, limit in limits.items():
        if not limit:
            raise ConfigError(
                f"{count} processes can't share out judge.{name}: {getattr(judge, name)}",
                next_step=f"Set judge.{name} to {count} or more, or train in fewer processes.",
            )
    return judge.model_copy(update=limits)
