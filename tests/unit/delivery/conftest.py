"""Tiny runs, made once; DICOM files written on the spot; a fixed model that writes what a test says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.delivery.runs import make_run


@pytest.fixture(scope="session")
def lora_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model-rft is an adapter on an adapter. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "lora"
    make_run(folder, lora=True)
    return folder


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has whole models, and none of RFT. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    make_run(folder, stages=("sft",))
    return folder
