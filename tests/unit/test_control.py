"""The control trains on for as long as exploration, annotation and RFT took, where that is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from radflow.errors import RunError
from radflow.run_dir import RunDir
from radflow.stages.control import TIMED, steps_in_the_same_time

SECONDS = {"explore": 60.0, "annotate": 1.0, "rft": 139.0}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.open(tmp_path / "run") as run:
        finish(run, "sft", facts={"steps": 600, "resumed_from_step": 100, "seconds": 250.0})
        for name in TIMED:
            finish(run, name, wall_time_s=SECONDS[name])
        yield run


def finish(run: RunDir, stage: str, **values: Any) -> None:
    rest: dict[str, Any] = {"outputs": (), "facts": {}, "wall_time_s": 300.0, "config": {}}
    run.finish(stage, {}, **rest | values)


def test_as_many_steps_as_sft_would_take_in_their_time(run: RunDir) -> None:
    assert steps_in_the_same_time(run) == 200 * (600 - 100) // 250


@pytest.mark.parametrize("stage", TIMED)
def test_time_of_a_stage_that_was_cut_is_not_guessed(run: RunDir, stage: str) -> None:
    finish(run, stage, wall_time_s=5.0, was_cut=True)
    with pytest.raises(RunError, match=f"^{stage} was cut"):
        steps_in_the_same_time(run)


@pytest.mark.parametrize("stage", ["sft", *TIMED])
def test_a_stage_that_has_not_run_is_named(run: RunDir, stage: str) -> None:
    run.forget(stage, files=())
    with pytest.raises(RunError, match=f"and {stage} has not run"):
        steps_in_the_same_time(run)
