"""What tests of all tiers share: where the real test data lies, and a small run made once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from radflow.config import RunConfig
from radflow.config_file import load_config
from tests.integration.small import SMALL

settings.load_profile("ci")  # the same examples each time: --hypothesis-profile=default searches at random

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the real test data (RADFLOW_TEST_DATA, else ../shared/data); skips where it is absent."""
    root = Path(os.environ.get("RADFLOW_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "iu_xray").is_dir():
        pytest.skip(f"no real test data at {root}: set RADFLOW_TEST_DATA to run this test")
    return root


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    return load_config(None, overrides=SMALL)


@pytest.fixture(scope="session")
def small_run(small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder with all stages done, in seconds. Read only: tests that write take a copy."""
    from radflow.stages.pipeline import run_stages  # imports torch, which unit tests need not

    folder = tmp_path_factory.mktemp("run") / "small"
    run_stages(small_config, folder)
    return folder
