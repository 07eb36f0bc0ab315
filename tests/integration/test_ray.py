"""Rows on a real Ray cluster: the same results as on this machine, whoever is killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from radflow.config import EngineConfig, RunConfig
from radflow.engine import map_rows
from radflow.engine_ray import AHEAD, WINDOW
from radflow.errors import ConfigError, ImageError, RunError
from radflow.records import RowFailure
from radflow.stages.pipeline import run_stages

ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")
pytestmark = pytest.mark.slow
HERE = EngineConfig(backend="ray")
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@dataclass(frozen=True)
class Number:
    study_id: str
    value: int


def numbers(count: int) -> list[Number]:
    return [Number(f"s{value}", value) for value in range(count)]


@dataclass(frozen=True)
class Squared:
    """Square a number; what it does once, and how often rows were asked for, is told in files."""

    calls: Path
    dies_at: int | None = None
    pause_s: float = 0.0

    def __call__(self, row: Number) -> int:
        with self.calls.open("a") as file:
            file.write(f"{row.value} {os.getpid()}\n")
        time.sleep(self.pause_s)
        if row.value == self.dies_at:
            marker = self.calls.with_suffix(".died")
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return row.value**2

    def asked(self) -> list[int]:
        return [int(line.split()[0]) for line in self.calls.read_text().splitlines()]

    def processes(self) -> set[int]:
        return {int(line.split()[1]) for line in self.calls.read_text().splitlines()}


def fails_on_some(row: Number) -> int:
    if row.value == 3:
        raise ImageError("damaged", where="a.png", next_step="Export it again.")
    if row.value == 5:
        raise ValueError("Large right pneumothorax.")
    return row.value


def finds_the_disk_full(row: Number) -> int:
    raise OSError(28, "No space left on device", "images/0.png")


def always_dies(row: Number) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one processor each, joined by the driver."""
    from ray.cluster_utils import Cluster

    # Ray kills tasks when the machine's memory is nearly full: other tests' memory is none of this one's.
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args=NODE)
    made.second = made.add_node(**NODE)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def of(cluster: Any) -> EngineConfig:
    """The settings that join the cluster; its address is the machine's own, which need not be loopback."""
    return EngineConfig(backend="ray", address=cluster.address, allow_remote=True)


@pytest.fixture(scope="module")
def here() -> Iterator[EngineConfig]:
    yield HERE
    ray.shutdown()


def test_results_are_those_of_one_process(here: EngineConfig) -> None:
    local = list(map_rows(fails_on_some, numbers(100), label="rows"))
    assert list(map_rows(fails_on_some, numbers(100), engine=here, label="rows")) == local
    assert list(map_rows(fails_on_some, [], engine=here, label="rows")) == []


def test_failures_have_kind_and_message_but_no_text_of_a_report(here: EngineConfig) -> None:
    results = list(map_rows(fails_on_some, numbers(10), engine=here, label="rows"))
    failures = {row.study_id: row for row in results if isinstance(row, RowFailure)}
    assert failures["s3"].kind == "ImageError"
    assert failures["s5"] == RowFailure(study_id="s5", kind="ValueError", message="unexpected error")


def test_full_disk_concerns_all_rows(here: EngineConfig) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(map_rows(finds_the_disk_full, numbers(10), engine=here, label="rows"))
    assert (caught.value.errno, caught.value.filename) == (28, "images/0.png")


def test_source_is_read_no_further_ahead_than_the_window(here: EngineConfig) -> None:
    pulled = 0
    room = os.cpu_count() or 1
    ahead = max(WINDOW, AHEAD) * room * 4

    def source() -> Iterator[Number]:
        nonlocal pulled
        for row in numbers(2000):
            pulled += 1
            yield row

    results = map_rows(fails_on_some, source(), engine=here, label="rows", chunk=4)
    for done, _ in enumerate(results):
        assert pulled - done <= ahead + 4
        if done == 400:
            break
    results.close()  # type: ignore[attr-defined]


def test_a_function_is_loaded_once_in_a_process(here: EngineConfig, tmp_path: Path) -> None:
    function = Squared(tmp_path / "calls")
    assert list(map_rows(function, numbers(200), engine=here, label="rows")) == [n**2 for n in range(200)]
    assert sorted(function.asked()) == list(range(200))
    assert len(function.processes()) <= (os.cpu_count() or 1) + 1


def test_a_process_that_always_dies_ends_the_run_with_advice(here: EngineConfig) -> None:
    with pytest.raises(RunError, match="died 6 times") as caught:
        list(map_rows(always_dies, numbers(1), engine=here, label="rows"))
    assert "run the same command again" in str(caught.value)


STRANGER = """
import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False)
"""


def test_a_stranger_cannot_join(here: EngineConfig) -> None:
    list(map_rows(fails_on_some, numbers(1), engine=here, label="rows"))
    command = [sys.executable, "-c", STRANGER, ray.get_runtime_context().gcs_address]
    guess = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    friend, stranger = (subprocess.Popen(command, env=env, **silent) for env in (None, guess))
    assert friend.wait(timeout=180) == 0
    assert stranger.wait(timeout=180) != 0


def test_a_killed_process_costs_the_rows_in_flight_only(
    cluster: Any, of: EngineConfig, tmp_path: Path
) -> None:
    function = Squared(tmp_path / "calls", dies_at=33)
    assert list(map_rows(function, numbers(100), engine=of, label="rows")) == [n**2 for n in range(100)]
    asked = function.asked()
    assert (tmp_path / "calls.died").exists()
    assert set(asked) == set(range(100))
    assert len(asked) - 100 <= 8  # one chunk


def test_a_killed_node_costs_the_rows_in_flight_only(cluster: Any, of: EngineConfig, tmp_path: Path) -> None:
    function = Squared(tmp_path / "calls", pause_s=0.02)
    results: list[int | RowFailure] = []
    for place, result in enumerate(map_rows(function, numbers(400), engine=of, label="rows")):
        results.append(result)
        if place == 100:
            cluster.remove_node(cluster.second, allow_graceful=False)
    assert results == [n**2 for n in range(400)]
    asked = function.asked()
    assert len(function.processes()) >= 2
    assert len(asked) - 400 <= (AHEAD + WINDOW) * 2 * 8


def test_no_cluster_at_an_address_is_told_with_the_way_out(tmp_path: Path) -> None:
    ray.shutdown()
    nobody = EngineConfig(backend="ray", address="127.0.0.1:1")
    with pytest.raises(ConfigError, match="no Ray cluster answers") as caught:
        list(map_rows(fails_on_some, numbers(1), engine=nobody, label="rows"))
    assert "ray start --head" in str(caught.value)


def test_models_write_the_same_reports_on_a_cluster(
    cluster: Any, of: EngineConfig, small_run: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    """evaluate and explore, two copies of each model, against the same run on this machine."""
    folder = tmp_path / "ray"
    shutil.copytree(small_run, folder)
    spread = small_config.model_copy(update={"engine": of.model_copy(update={"replicas": 2})})
    for stage, names in (
        ("evaluate", ("predictions.jsonl", "scores.jsonl", "summary.json")),
        ("explore", ("candidates.jsonl", "hard.jsonl")),
    ):
        run_stages(spread, folder, names=(stage,), redo=stage)
        for name in names:
            assert (folder / name).read_bytes() == (small_run / name).read_bytes(), name
