"""Whatever others wrote is read, or refused by a documented error, in bounded time: a small budget of fuzzing

`python -m tests.fuzz.run` spends minutes on each target; what it found lies in `cases` and is tried here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutated
from tests.fuzz.target import SECRET, Hang, LeakError, Target, attempt
from tests.fuzz.targets import TARGETS

CASES = sorted((Path(__file__).parent / "cases").glob("*/*.bin"))
MOST_BYTES = 2048
EXAMPLES = 25
named = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_once_crashed_is_read_or_refused(case: Path) -> None:
    attempt(TARGETS[case.parent.name], case.read_bytes())


@named
def test_the_seeds_are_taken(target: Target) -> None:
    """At least one reaches the end: a target that refuses everything tests nothing."""
    assert sum(attempt(target, seed) for seed in target.seeds)


@named
def test_other_inputs_are_read_or_refused(target: Target) -> None:
    def of_seed(number: int) -> bytes:
        return mutated(target.seeds, target.words, Random(number), most=MOST_BYTES)

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.one_of(st.integers(0, 2**63 - 1).map(of_seed), st.binary(max_size=100)))
    def fuzz(data: bytes) -> None:
        attempt(target, data)

    fuzz()


def target_of(run: Callable[[bytes], object]) -> Target:
    return Target("own", run, (b"",), refuses=(ValueError,), seconds=0.05)


def refuse(message: str) -> None:
    raise ValueError(message)


def spin(data: bytes) -> None:
    while True:
        try:
            bytes(1000)
        except Exception:  # noqa: BLE001 (as code under test may have it)
            continue


def test_the_bound_of_time_holds() -> None:
    with pytest.raises(Hang):
        attempt(target_of(spin), b"")


@pytest.mark.parametrize("message", [f"{SECRET} can't be read", "\udcff"])
def test_messages_keep_secrets_and_can_be_printed(message: str) -> None:
    with pytest.raises(LeakError):
        attempt(target_of(lambda _: refuse(message)), b"")


def test_undocumented_errors_come_through() -> None:
    attempt(target_of(lambda _: refuse("no table")), b"")
    with pytest.raises(ZeroDivisionError):
        attempt(target_of(lambda _: 1 // 0), b"")
