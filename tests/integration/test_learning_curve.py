"""The small run learns as it did when it was recorded: phantoms, warm-up, SFT and the reward in one curve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.record_learning_curve import GOLDEN, curve

TOLERANCE = 0.01
"""Of a loss, relative: another processor or another build of torch sums in another order, which twelve steps
raise to a thousandth; a changed learning rate, mask or seed changes more."""


def test_the_learning_curve_is_the_recorded_one(small_run: Path) -> None:
    recorded, found = json.loads(GOLDEN.read_text(encoding="utf-8")), curve(small_run)
    for name in ("loss", "validation_loss"):
        assert found[name] == pytest.approx(recorded[name], rel=TOLERANCE)
    assert found["validation_reward"] == pytest.approx(recorded["validation_reward"], abs=0.1)
    assert recorded["loss"]["12"] < recorded["loss"]["1"] - 1  # the curve is one of learning
