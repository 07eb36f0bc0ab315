"""Whatever stands in a report, time grows with its length and not with its square

`benchmarks/linear_time.py` measures the same readers on texts of up to 10 MB.
"""

from __future__ import annotations

import pytest
from benchmarks.linear_time import FEW, READERS, SHAPES, growth, opened

SHORT, FACTOR = 1_500, 8
MOST = 3 * FACTOR
"""Eight times the text: 8 times the time where it is linear, 64 times where it is quadratic."""
LEAST_S = 0.003
"""Shorter times are too coarse to be compared."""


@pytest.mark.parametrize("name", READERS)
def test_time_is_linear_in_the_text(name: str) -> None:
    for unit in FEW:
        for _ in range(3):  # a pause of the machine may fall into one measurement, hardly into three
            short, long = growth(opened(name), unit, SHAPES[0], SHORT, (1, FACTOR))
            if long < MOST * max(short, LEAST_S):
                break
        else:
            pytest.fail(f"{unit!r}: {short:.4f} s, {FACTOR} times the text takes {long:.4f} s")
