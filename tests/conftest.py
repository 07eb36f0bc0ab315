"""Where the real test data lies, and a clear skip where it doesn't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.load_profile("ci")  # the same examples each time: --hypothesis-profile=default searches at random

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the real test data (RADFLOW_TEST_DATA, else ../shared/data); skips where it is absent."""
    root = Path(os.environ.get("RADFLOW_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "iu_xray").is_dir():
        pytest.skip(f"no real test data at {root}: set RADFLOW_TEST_DATA to run this test")
    return root
