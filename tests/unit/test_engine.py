"""map_rows: the rows' order, the same results on any number of workers, one bad row costs no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from radflow.config import EngineConfig
from radflow.engine import CHUNK, WINDOW_CHUNKS_PER_WORKER, map_rows
from radflow.errors import ImageError, RunError
from radflow.records import RowFailure

SECRET = "Large right pneumothorax."


@dataclass(frozen=True)
class Number:
    study_id: str
    value: int


def numbers(count: int) -> list[Number]:
    return [Number(f"s{value}", value) for value in range(count)]


WAITS = """
import os, signal, time
from dataclasses import dataclass
from radflow.config import EngineConfig
from radflow.engine import map_rows

@dataclass(frozen=True)
class Row:
    study_id: str

def waits(row):
    print(os.getpid(), flush=True)
    time.sleep(5)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    rows = [Row(name) for name in "abcd"]
    list(map_rows(waits, rows, label="wait", engine=EngineConfig(workers=2), chunk=1))
"""


def squared(row: Number) -> int:
    return row.value**2


def fails_on_some(row: Number) -> int:
    if row.value == 3:
        raise ImageError("damaged", where="a.png", next_step="Export it again.")
    if row.value == 5:
        raise ValueError(SECRET)
    return row.value


def finds_the_disk_full(row: Number) -> int:
    raise OSError(28, "No space left on device", "images/0.png")


def kills_its_worker(row: Number) -> int:
    if row.value == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return row.value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_rows(workers: int) -> None:
    results = list(map_rows(squared, numbers(100), engine=EngineConfig(workers=workers), label="square"))
    assert results == [value**2 for value in range(100)]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_rows_give_no_results(workers: int) -> None:
    assert list(map_rows(squared, [], engine=EngineConfig(workers=workers), label="square")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_row_becomes_a_typed_failure_and_the_others_go_on(workers: int) -> None:
    results = list(map_rows(fails_on_some, numbers(10), engine=EngineConfig(workers=workers), label="fail"))
    assert [result for result in results if isinstance(result, int)] == [0, 1, 2, 4, 6, 7, 8, 9]
    assert results[3] == RowFailure(
        study_id="s3", kind="ImageError", message="damaged (a.png)\nExport it again."
    )
    assert isinstance(results[5], RowFailure)
    assert (results[5].study_id, results[5].kind) == ("s5", "ValueError")


@pytest.mark.parametrize("workers", [1, 2])
def test_message_of_an_unexpected_error_is_not_kept(workers: int) -> None:
    results = list(map_rows(fails_on_some, numbers(10), engine=EngineConfig(workers=workers), label="fail"))
    assert not any(SECRET in str(result) for result in results)


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_stops_everything(workers: int) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(map_rows(finds_the_disk_full, numbers(10), engine=EngineConfig(workers=workers), label="disk"))
    assert caught.value.filename == "images/0.png"


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 2 * CHUNK * WINDOW_CHUNKS_PER_WORKER)])
def test_source_is_read_no_further_ahead_than_the_window(workers: int, ahead: int) -> None:
    pulled = 0

    def source() -> Iterator[Number]:
        nonlocal pulled
        for row in numbers(1000):
            pulled += 1
            yield row

    results = map_rows(squared, source(), engine=EngineConfig(workers=workers), label="square")
    for done, _ in enumerate(results):
        assert pulled - done <= ahead
        if done == 200:
            break
    results.close()  # type: ignore[attr-defined]
    assert pulled <= 200 + ahead


def test_killed_worker_is_a_run_error_that_says_what_to_do() -> None:
    with pytest.raises(RunError, match="worker process died") as caught:
        list(map_rows(kills_its_worker, numbers(40), engine=EngineConfig(workers=2), label="kill"))
    assert "run the same command again" in str(caught.value)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Each would hold its memory for ever: it waits for work at a queue whose other end it holds open."""
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = {psutil.Process(int(parent.stdout.readline())) for _ in range(2)}
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=60)
    for worker in alive:
        worker.kill()
    assert alive == []


def test_two_interrupts_end_the_process_and_its_workers(tmp_path: Path) -> None:
    """The second one came while the first waited for the workers, and both waited for ever."""
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    workers = {psutil.Process(int(parent.stdout.readline())) for _ in range(2)}
    for _ in range(2):
        os.killpg(parent.pid, signal.SIGINT)
        time.sleep(0.02)
    try:
        assert parent.wait(timeout=60) != 0
        assert psutil.wait_procs(workers, timeout=60)[1] == []
    finally:
        os.killpg(parent.pid, signal.SIGKILL) if parent.poll() is None else None
        parent.stdout.close()


def test_error_of_the_source_itself_is_not_swallowed() -> None:
    def source() -> Iterator[Number]:
        yield Number("a", 1)
        raise KeyError("row")

    with pytest.raises(KeyError):
        list(map_rows(squared, source(), label="square"))
