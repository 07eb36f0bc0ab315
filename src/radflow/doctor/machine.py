"""What this machine has: processors, a GPU, memory and disk that are free for the run"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from radflow.config import ModelConfig
from radflow.doctor.check import Check, gibibytes, ok, problem, warning
from radflow.errors import ModelError
from radflow.models.vlm import pick_device

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Bytes of one kind of memory.

    Attributes:
        kind: RAM or GPU.
        free: what is not in use now.
    """

    kind: str
    total: int
    free: int


def device_checks(model: ModelConfig) -> list[Check]:
    """The device that the config's model would run on."""
    try:
        device = pick_device(model.device)
    except ModelError as error:
        return [problem("device", error.what, "Set model.device to auto, or install a torch for your GPU.")]
    if device != "cuda":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        found = ok("device", f"{device}, {cores} cores, torch {torch.__version__}")
        if model.is_made:
            return [found]
        return [
            warning(
                "device",
                f"no GPU: {model.name} would train on {device}",
                "Take a machine with a GPU, or model.name: tiny or efficientnet-smollm2.",
            )
        ]
    checks = [ok("device", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")]
    if model.dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
        checks.append(problem("bfloat16", "this GPU has no bfloat16", "Set model.dtype to float32."))
    if torch.cuda.device_count() > 1:
        checks.append(
            warning(
                "devices",
                f"{torch.cuda.device_count()} GPUs are visible, and a training not launched on all takes one",
                "Launch it (run --launch; docs/scaling.md), or show it one: export CUDA_VISIBLE_DEVICES=0",
            )
        )
    return checks


def memory_of(device: str) -> Memory:
    """The memory that a training on that device fills."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return Memory("GPU", total, free)
    memory = psutil.virtual_memory()
    return within_limit(Memory("RAM", memory.total, memory.available), CGROUP)


def within_limit(memory: Memory, cgroup: Path) -> Memory:
    """The same inside a container, whose limit is below what the machine has."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no cgroup, or "max"
        return memory
    return Memory(memory.kind, min(memory.total, limit), min(memory.free, max(0, limit - used)))


def free_disk(folder: Path) -> int:
    """Bytes that are free where the folder is, or would be made."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def writable_check(folder: Path) -> Check:
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok("run folder", f"{folder} can be written")
    return problem("run folder", f"{there} can't be written", "Choose another folder with -o.")


def disk_check(needed: int, free: int) -> Check:
    """Whether the run's files fit, by `space.run_bytes`."""
    message = f"the run writes about {gibibytes(needed)}, {gibibytes(free)} are free"
    if needed > free:
        return problem("disk", message, "Free space, or choose another disk with -o.")
    return ok("disk", message)
