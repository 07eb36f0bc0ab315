"""The doctor's estimate of memory follows the model and the settings, and was near what runs measured."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.doctor.memory import stage_parts, total
from radflow.doctor.shapes import Shape, model_shape
from radflow.doctor.space import run_bytes
from radflow.errors import ModelError
from radflow.models.tiny import make_tiny_model

MEASURED_MIB = {"sft": 804, "rft": 1427}
"""`process_peak_memory_mib` of configs/quickstart.yaml with beta 0.02 on two CPU cores (docs/doctor.md)."""
WITHIN = 1.5


def quickstart(*overrides: str) -> RunConfig:
    return load_config(REPOSITORY / "configs/quickstart.yaml", overrides=overrides)


def estimate(config: RunConfig, stage: str) -> float:
    parts = stage_parts(config, model_shape(config), kind="RAM")[stage]
    return total({name: size for name, size in parts.items() if name != "workers"})


@pytest.mark.parametrize("stage", MEASURED_MIB)
def test_the_quickstart_s_estimate_is_near_what_was_measured(stage: str) -> None:
    ratio = estimate(quickstart(), stage) / 2**20 / MEASURED_MIB[stage]
    assert 1 / WITHIN < ratio < WITHIN


def test_parameters_are_counted_as_the_model_has_them(tmp_path: Path) -> None:
    config = quickstart("model.tiny.vocabulary=300")
    make_tiny_model(tmp_path, ["a report"] * 3, config.model.tiny, seed=0)
    from safetensors import safe_open

    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    counted = sum(prod(shape) for shape in sizes.values())
    # The tokenizer of so few words stays below its limit.
    assert model_shape(config).parameters == pytest.approx(counted, rel=0.03)


def test_settings_move_the_estimate_as_they_move_the_memory() -> None:
    base = estimate(quickstart(), "rft")
    assert estimate(quickstart("rft.gradient_accumulation=4"), "rft") < base
    assert estimate(quickstart("rft.gradient_checkpointing=true"), "rft") < base
    assert estimate(quickstart("rft.group_size=16"), "rft") > base
    assert estimate(quickstart("rft.beta=0"), "rft") < base
    assert estimate(quickstart("sft.batch_size=64"), "sft") > estimate(quickstart(), "sft")
    assert estimate(quickstart("model.tiny.hidden_size=256"), "sft") > estimate(quickstart(), "sft")


def test_an_adapter_learns_less_than_the_whole_model() -> None:
    full = model_shape(quickstart())
    lora = model_shape(quickstart("model.language=lora", "rft.language=lora"))
    assert lora.learning_sft < full.learning_sft
    assert lora.adapter_rft == lora.learning_rft < full.learning_rft
    assert full.adapter_rft == 0
    assert lora.parameters == full.parameters


def test_stages_that_are_left_out_need_nothing() -> None:
    config = quickstart("stages=[prepare,sft]")
    assert set(stage_parts(config, model_shape(config), kind="RAM")) == {"prepare", "sft"}
    assert set(stage_parts(config, None, kind="RAM")) == {"prepare"}


def test_an_unknown_shape_is_an_error_and_no_download() -> None:
    with pytest.raises(ModelError, match="not on this machine"):
        model_shape(quickstart("model.name=nobody/no-such-model"))


def test_pretrained_parts_are_counted_without_their_weights() -> None:
    shape = model_shape(quickstart("model.name=efficientnet-smollm2"))
    assert 130e6 < shape.parameters < 150e6  # SmolLM2-135M, Lite0 without its head, the connector
    assert shape.image_tokens == 49


def test_disk_grows_with_images_and_models() -> None:
    config = quickstart()
    shape: Shape = model_shape(config)
    assert run_bytes(config, None, 10) < run_bytes(config, shape, 10) < run_bytes(config, shape, 1000)
