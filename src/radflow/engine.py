"""Map a function over rows: in order, in bounded memory, with typed failures, on all cores.

The function must be picklable (a module-level function or a callable object) and must not print.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

from radflow.config import IN_PROCESS, EngineConfig
from radflow.errors import RadflowError, RunError
from radflow.records import RowFailure
from radflow.stopping import undisturbed
from radflow.terminal import progress_bar


class Row(Protocol):
    """Anything with a study id."""

    @property
    def study_id(self) -> str: ...


T = TypeVar("T", bound=Row)
R = TypeVar("R")

CHUNK = 8
WINDOW_CHUNKS_PER_WORKER = 4


def map_rows(
    function: Callable[[T], R],
    rows: Iterable[T],
    *,
    label: str,
    engine: EngineConfig = IN_PROCESS,
    total: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[R | RowFailure]:
    """Apply ``function`` to every row and yield results in the rows' order.

    At most ``workers * 4 * chunk`` rows are in flight, so memory stays flat however many rows there are.
    Ctrl-C stops at once; whatever the caller has stored by then is kept.

    Args:
        engine: where it runs: in this process, in several of this machine, or on a Ray cluster.
        chunk: rows that a process takes at once.
        label: what the progress bar says.
        total: number of rows if known, for the time left.

    Yields:
        The result, or a RowFailure when the function raised: one bad row never costs the others.

    Raises:
        OSError: the function could not read or write; that concerns all rows.
        RunError: a worker process died (killed, out of memory), on a cluster again and again.
    """
    results = _results(function, rows, engine, chunk)
    with progress_bar() as progress:
        task = progress.add_task(label, total=total, note="")
        failures = 0
        for result in results:
            failures += isinstance(result, RowFailure)
            progress.update(task, advance=1, note=f"{failures} failed" if failures else "")
            yield result


def _results(
    function: Callable[[T], R], rows: Iterable[T], engine: EngineConfig, chunk: int
) -> Iterator[R | RowFailure]:
    if engine.backend == "ray":
        from radflow.engine_ray import on_ray

        return on_ray(partial(attempt_chunk, function), chunks_of(rows, chunk), engine)
    workers = engine.workers or os.cpu_count() or 1
    return _local(function, rows) if workers == 1 else _pooled(function, chunks_of(rows, chunk), workers)


def chunks_of(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` rows, the last one shorter; rows are taken when they are asked for."""
    source = iter(rows)
    while chunk := list(islice(source, size)):
        yield chunk


def _local(function: Callable[[T], R], rows: Iterable[T]) -> Iterator[R | RowFailure]:
    for row in rows:
        yield _attempt(function, row)


def _attempt(function: Callable[[T], R], row: T) -> R | RowFailure:
    try:
        return function(row)
    except OSError:
        raise  # a full disk or a lost volume concerns every row, not this one
    except RadflowError as error:
        return RowFailure(study_id=row.study_id, kind=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 (one row's failure; its text could hold a report, so only its type is kept)
        return RowFailure(study_id=row.study_id, kind=type(error).__name__, message="unexpected error")


def attempt_chunk(function: Callable[[T], R], rows: list[T]) -> list[R | RowFailure]:
    """The result or the failure of each row."""
    return [_attempt(function, row) for row in rows]


def _pooled(function: Callable[[T], R], chunks: Iterator[list[T]], workers: int) -> Iterator[R | RowFailure]:
    # spawn, not fork: a forked child of a process that has used torch threads can hang.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[list[R | RowFailure]]] = deque()
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
    try:
        while True:
            for chunk in islice(chunks, workers * WINDOW_CHUNKS_PER_WORKER - len(pending)):
                pending.append(pool.submit(attempt_chunk, function, chunk))
            if not pending:
                return
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise RunError(
            "a worker process died, perhaps for lack of memory",
            next_step="What is done is kept: run the same command again, with fewer workers if it repeats "
            "(--set engine.workers=1).",
        ) from None
    except KeyboardInterrupt:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()  # not after the rows in hand: at once
        raise
    finally:
        with (
            undisturbed()
        ):  # a second Ctrl-C in here would leave this process waiting for its workers for ever
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Ctrl-C is for the parent to answer; and a worker ends with it, also when it is killed: it would wait
    for work for ever, since it holds the other end of its own queue open."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers call this"
    parent.join()
    os._exit(1)
