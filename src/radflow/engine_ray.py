"""Per-row work on a Ray cluster: tasks in the rows' order, in bounded memory, whoever dies meanwhile.

Ray runs a task again when its process or its machine is lost; that repeats the rows of that task and no
others. Reports and images go to every node, so an address beyond this machine wants engine.allow_remote.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from secrets import token_hex
from typing import Any, TypeVar

from radflow.config import EngineConfig
from radflow.errors import ConfigError, RunError

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 5
"""How often a task is run again after its process or node died."""
AHEAD = 2
"""Tasks handed out for each that can run: the next one is there when a process is done."""
WINDOW = 4
"""Tasks for each that can run whose results wait for an earlier one, at most."""


def on_ray(
    function: Callable[[list[T]], list[R]],
    chunks: Iterable[list[T]],
    engine: EngineConfig,
    *,
    cpus: float = 1,
    gpus: float = 0,
    at_once: int | None = None,
) -> Iterator[R]:
    """Apply a function to chunks of rows on the cluster and yield the rows' results in order.

    Args:
        function: picklable. A process keeps it for its next tasks, and with it what it has loaded.
        cpus, gpus: what a task takes of a node.
        at_once: tasks that may run at once; by default engine.workers, or what the cluster has room for.

    Raises:
        OSError: the function could not read or write.
        ConfigError: Ray is not installed, or the address is of no cluster.
        RunError: a task's process died each of six times.
    """
    ray = connect(engine)
    # Shipped once, not with every task. In a list, or Ray would unpack it before each.
    shared = [ray.put(function)]
    # max_calls: a process of tasks with a GPU would otherwise end after each.
    run = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, max_calls=0)(_run)
    limit = at_once or engine.workers
    room = limit or _room(ray, cpus, gpus)
    source = iter(chunks)
    pending: deque[Any] = deque()
    running: set[Any] = set()
    handed_out = limit or AHEAD * room  # Ray itself runs no more than there is room for
    try:
        while True:
            free = min(handed_out - len(running), WINDOW * room - len(pending))
            for chunk in islice(source, free):
                pending.append(run.remote(shared, shared[0].hex(), chunk))
                running.add(pending[-1])
            if not pending:
                return
            if running:
                done, _ = ray.wait(list(running), num_returns=1)
                running.difference_update(done)
            while pending and pending[0] not in running:
                yield from _result(ray, pending.popleft())
    finally:
        for task in running:
            ray.cancel(task)


def connect(engine: EngineConfig) -> Any:
    """Ray, joined to the cluster; one on this machine is started where no address is given.

    Raises:
        ConfigError: Ray is not installed, or nothing answers at the address.
    """
    # Read when Ray is imported or started: it reports its use over the network unless told not to.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if engine.address is None and "ray" not in sys.modules:
        _let_no_stranger_in()
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "engine.backend is ray, which is not installed",
            next_step="Install it (pip install ray), or set engine.backend: local.",
        ) from None
    if ray.is_initialized():
        return ray
    started: dict[str, Any] = {"address": engine.address}
    if engine.address is None:
        # address None would join any cluster that a variable of the environment names.
        started = {
            "address": "local",
            "num_cpus": engine.workers or os.cpu_count(),
            "include_dashboard": False,
        }
    try:
        _require_answer(engine.address)
        ray.init(**started, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"no Ray cluster answers ({type(error).__name__})",
            where=f"engine.address: {engine.address}",
            next_step="Start one (ray start --head), or leave engine.address out to start one here.",
        ) from None
    return ray


def _require_answer(address: str | None) -> None:
    """Ray itself waits for minutes.

    Raises:
        OSError: nothing listens there.
    """
    if address is None or address == "auto":
        return
    host, port = address.removeprefix("ray://").rsplit(":", 1)
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _let_no_stranger_in() -> None:
    """On Linux Ray listens on the machine's address, and who can reach it could run code: only with a secret
    that this process and its children know. Ray's own, which it reads once when imported, lies in a file that
    others on this machine may read."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = token_hex(32)


def cluster_size(engine: EngineConfig) -> tuple[int, int]:
    """Processors and GPUs of the whole cluster."""
    has = connect(engine).cluster_resources()
    return int(has.get("CPU", 0)), int(has.get("GPU", 0))


def _room(ray: Any, cpus: float, gpus: float) -> int:
    """Tasks of that size that the cluster runs at once."""
    has = ray.cluster_resources()
    rooms = [has.get(name, 0) / size for name, size in (("CPU", cpus), ("GPU", gpus)) if size]
    return max(1, int(min(rooms, default=1)))


def _result(ray: Any, task: Any) -> Any:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # The function's own error, which Ray has wrapped: rows that fail are no errors, so it concerns all.
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayError as error:
        raise RunError(
            f"a task's process died {RETRIES + 1} times ({type(error).__name__}), perhaps for lack of memory",
            next_step="What is done is kept: run the same command again, with fewer tasks at once if it "
            "repeats (--set engine.workers=1).",
        ) from None


_kept: dict[str, Any] = {}
"""In a worker process: the function that it ran last, with what that has loaded."""


def _run(shared: list[Any], key: str, chunk: list[Any]) -> list[Any]:
    if key not in _kept:
        import ray

        _kept.clear()
        _kept[key] = ray.get(shared[0])
    result: list[Any] = _kept[key](chunk)
    return result
