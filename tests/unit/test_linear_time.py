"""Whatever stands in a report, time grows with its length and not with its square

`benchmarks/linear_time.py` measures the same readers on texts of up to 10 MB.
"""

from __future__ import annotations

import pytest
from benchmarks.linear_time import READERS, SHAPES, UNITS, growth, opened

SHORT, FACTOR = 4_000, 8
MOST = 3 * FACTOR
"""Eight times the text: 8 times the time where it is linear, 64 times where it is quadratic."""
LEAST_S = 0.01
"""Shorter times are too coarse to be compared."""


@pytest.mark.parametrize("name", READERS)
def test_time_is_linear_in_the_text(name: str) -> None:
    for unit in UNITS:
        for shape in SHAPES:
            short, long = growth(opened(name), unit, shape, SHORT, (1, FACTOR))
            assert long < MOST * max(short, LEAST_S), (unit, shape)
