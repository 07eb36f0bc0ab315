"""Hours, bottleneck and money of a run's work on given hardware"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

from radflow.errors import ConfigError
from radflow.planning.work import Work


@dataclass(frozen=True)
class Hardware:
    """One accelerator, and how much of it a stage reaches.

    Attributes:
        operations: peak a second, multiplication and addition counted apart, dense, in the weights' type.
        bandwidth: peak bytes a second of its memory.
        reached: share of the peak operations that whole passes reach.
        reached_writing: share of either peak that token-by-token writing reaches. The default is for a loop
            in Python; an engine made for it reaches several times as much.
    """

    name: str
    operations: float
    bandwidth: float
    reached: float = 0.2
    reached_writing: float = 0.1


HARDWARE = {
    # Dense bfloat16 and memory bandwidth by the makers' data sheets.
    "h100": Hardware("h100", 989e12, 3.35e12),
    "a100": Hardware("a100", 312e12, 2.04e12),
    "l40s": Hardware("l40s", 362e12, 0.864e12),
    "rtx4090": Hardware("rtx4090", 165e12, 1.008e12),
}


@dataclass(frozen=True)
class Prices:
    """Of an accelerator's hour and a judge's call, in one currency."""

    hour: float = 0.0
    call: float = 0.0


@dataclass(frozen=True)
class Post:
    """One line of the bill.

    Attributes:
        hours: wall time.
        bound_by: what takes most of it: passes, writing (operations or bandwidth), or cores.
        device_hours: hours x accelerators; 0 for a stage that needs none.
    """

    stage: str
    sequences: int
    petaoperations: float
    hours: float
    bound_by: str
    device_hours: float
    judge_calls: int
    money: float


def bill(
    works: Sequence[Work], hardware: Hardware, *, devices: int = 1, cores: int = 8, prices: Prices = Prices()
) -> list[Post]:
    """Hours and money of each stage; the judge's server is not among them, its calls are.

    Args:
        devices: accelerators that share a stage's work evenly: no loss by talking to each other is counted.
        cores: processor cores that read images and score, likewise.

    Raises:
        ConfigError: no device or core.
    """
    if devices < 1 or cores < 1:
        raise ConfigError("a run needs at least one device and one core", where="radflow cost")
    posts: list[Post] = []
    for work in works:
        if work.follows:
            hours = sum(post.hours for post in posts if post.stage in work.follows)
            device_hours, parts = hours * devices, {"the time of " + ", ".join(work.follows): hours}
        else:
            parts = _hours(work, hardware, devices=devices, cores=cores)
            hours = sum(parts.values())
            on_device = hours - parts["cores"]
            device_hours = hours * devices if on_device else 0.0
        posts.append(
            Post(
                work.stage,
                work.sequences,
                (work.pass_operations + work.written_operations) / 1e15,
                hours,
                max(parts, key=lambda name: parts[name]),
                device_hours,
                work.judge_calls,
                device_hours * prices.hour + work.judge_calls * prices.call,
            )
        )
    return posts


def _hours(work: Work, hardware: Hardware, *, devices: int, cores: int) -> dict[str, float]:
    """By what it is bound by, one after the other; of writing's two limits the harder one counts."""
    passes = work.pass_operations / hardware.operations / hardware.reached
    arithmetic = work.written_operations / hardware.operations / hardware.reached_writing
    reading = work.written_bytes / hardware.bandwidth / hardware.reached_writing
    writing = "writing: bandwidth" if reading >= arithmetic else "writing: arithmetic"
    seconds = {
        "passes": passes / devices,
        writing: max(arithmetic, reading) / devices,
        "cores": work.core_seconds / cores,
    }
    return {name: value / 3600 for name, value in seconds.items()}


def measure_here(device: str, dtype: torch.dtype) -> Hardware:
    """This machine's own peaks: a product of square matrices, and a copy (reading and writing counted)."""
    side, size = (1024, 2**26) if device == "cpu" else (8192, 2**30)
    left = torch.randn(side, side, device=device).to(dtype)
    many = torch.zeros(size, dtype=torch.uint8, device=device)
    product = Timer("left @ left", globals={"left": left}, num_threads=torch.get_num_threads())
    copy = Timer("many.clone()", globals={"many": many}, num_threads=torch.get_num_threads())
    return Hardware(
        "this",
        operations=2 * side**3 / product.blocked_autorange(min_run_time=1.0).median,
        bandwidth=2 * size / copy.blocked_autorange(min_run_time=1.0).median,
    )
