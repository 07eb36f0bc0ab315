"""A small run on phantoms, made once: seconds, not minutes, through the same stages as a large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.stages.pipeline import run_stages
from tests.integration.small import SMALL


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    return load_config(None, overrides=SMALL)


@pytest.fixture(scope="session")
def small_run(small_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder with all stages done. Read only: tests that write take a copy."""
    folder = tmp_path_factory.mktemp("run") / "small"
    run_stages(small_config, folder)
    return folder
