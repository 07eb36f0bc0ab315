"""What large models need: the MIMIC-CXR settings on a tiny Qwen2.5-VL, 4 bit, DoRA and rsLoRA, vLLM."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import ConfigError, ModelError
from radflow.models import quantization
from radflow.models.processors import load_processor
from radflow.models.vlm import load_policy, set_trainable
from radflow.stages.pipeline import run_stages
from radflow.training.rft import set_learning
from tests.conftest import REPOSITORY
from tests.families import make_family
from tests.integration.family_case import TEXTS, family_config, write_studies

MIMIC = REPOSITORY / "configs" / "mimic_cxr.yaml"
LANGUAGE_LAYER = "model.language_model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen") / "model"
    make_family("qwen2_5_vl", folder, TEXTS)
    return folder


@pytest.fixture
def mimic_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIMIC_CXR", str(tmp_path))


def lora_config(qwen: Path, *overrides: str) -> RunConfig:
    return load_config(None, overrides=[f"model.name={qwen}", "model.device=cpu", *overrides])


@pytest.mark.slow
@pytest.mark.usefixtures("mimic_root")
def test_the_mimic_settings_go_through_all_stages_of_training(qwen: Path, tmp_path: Path) -> None:
    """As shipped but for what needs the data, a GPU or hours: bfloat16 and gradient checkpointing stay."""
    shipped = load_config(MIMIC)
    config = family_config(
        write_studies(tmp_path / "data"),
        qwen,
        "rft.vllm=none",
        "data.max_images=1",
        "sft.gradient_accumulation=2",
        file=MIMIC,
    )
    for section, key in (
        ("model", "dtype"), ("model", "lora"), ("model", "prompt"), ("sft", "gradient_checkpointing"),
        ("rft", "gradient_checkpointing"), ("rft", "beta"), ("rft", "num_iterations"), ("data", "require"),
    ):  # fmt: skip
        assert getattr(getattr(config, section), key) == getattr(getattr(shipped, section), key)
    run_stages(config, tmp_path / "run", names=("prepare", "sft", "explore", "annotate", "rft"))
    learnt = load_file(tmp_path / "run" / "model-sft" / "adapter_model.safetensors")
    assert all(weight.any() for name, weight in learnt.items() if "lora_B" in name)
    facts = json.loads((tmp_path / "run" / "manifests" / "rft.json").read_text())["facts"]
    assert facts["steps"] == 2
    assert load_policy(tmp_path / "run" / "model-rft", config.model).model.dtype == torch.bfloat16


@pytest.mark.usefixtures("mimic_root")
def test_the_mimic_settings_ask_nobody_outside() -> None:
    config = load_config(MIMIC)
    assert config.rft.vllm == "colocate"
    assert config.reward.consistency_backend == "labels"
    assert not config.annotate.asks_model


@pytest.mark.parametrize("flag", ["dora", "rslora"])
def test_flags_reach_the_adapters_of_both_fine_tunings(qwen: Path, flag: str) -> None:
    config = lora_config(qwen, f"model.lora.{flag}=true")
    policy = load_policy(qwen, config.model)
    for adapter in (
        set_trainable(policy.model, config.model),
        set_learning(policy, config.rft, config.model),
    ):
        assert adapter is not None
        assert (adapter.use_dora, adapter.use_rslora) == (flag == "dora", flag == "rslora")


def test_dora_learns_lengths_and_rslora_scales_by_the_root_of_the_rank(qwen: Path) -> None:
    def adapted(*overrides: str) -> Any:
        config = lora_config(qwen, "model.lora.r=16", "model.lora.alpha=32", *overrides)
        policy = load_policy(qwen, config.model)
        model = get_peft_model(policy.model, set_learning(policy, config.rft, config.model))
        assert isinstance(model, PeftModel)
        return model.base_model.model.get_submodule(LANGUAGE_LAYER)

    assert adapted().scaling["default"] == 2
    assert adapted("model.lora.rslora=true").scaling["default"] == 8
    assert "default" in adapted("model.lora.dora=true").lora_magnitude_vector
    assert not adapted().lora_magnitude_vector


def test_four_bits_without_the_package_are_told_what_to_install(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "PACKAGE", "no_such_bitsandbytes")
    with pytest.raises(ModelError, match="pip install no_such_bitsandbytes") as caught:
        load_policy(qwen, lora_config(qwen, "model.quantization=4bit").model)
    assert "model.quantization" in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_four_bits_are_the_language_model_s_alone(qwen: Path) -> None:
    policy = load_policy(qwen, lora_config(qwen, "model.quantization=4bit").model)
    coarse = {name for name, part in policy.model.named_modules() if type(part).__name__ == "Linear4bit"}
    assert LANGUAGE_LAYER in coarse
    assert all(name.startswith("model.language_model.") for name in coarse)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.quantization=4bit",),
        ("model.name=./base", "model.quantization=4bit", "model.language=full"),
        ("model.name=./base", "model.quantization=4bit", "rft.language=full"),
    ],
    ids=["tiny", "full sft", "full rft"],
)
def test_four_bits_without_lora_are_refused(overrides: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="4-bit weights can't learn"):
        load_config(None, overrides=overrides)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_rollouts_by_vllm_without_it_are_told_what_to_set(qwen: Path, tmp_path: Path) -> None:
    """Before the first stage, not after hours of fine-tuning."""
    config = family_config(write_studies(tmp_path / "data"), qwen, "rft.vllm=colocate")
    with pytest.raises(ConfigError, match=r"rft\.vllm to none"):
        run_stages(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_processor_without_its_video_part_keeps_its_settings(qwen: Path, tmp_path: Path) -> None:
    before = json.loads((qwen / "processor_config.json").read_text())
    processor = load_processor(str(qwen))
    processor.save_pretrained(tmp_path)
    after = json.loads((tmp_path / "processor_config.json").read_text())
    assert after["processor_class"] == before["processor_class"] == "Qwen2_5_VLProcessor"
    assert after["video_processor"] == before["video_processor"]


def test_a_checkpoint_in_the_older_layout_loads_too(qwen: Path, tmp_path: Path) -> None:
    """Released Qwen checkpoints keep their images' settings in preprocessor_config.json alone."""
    old = tmp_path / "old"
    old.mkdir()
    for file in qwen.iterdir():
        if file.name != "processor_config.json":
            (old / file.name).symlink_to(file)
    settings = json.loads((qwen / "processor_config.json").read_text())["image_processor"]
    settings |= {"processor_class": "Qwen2_5_VLProcessor", "image_processor_type": "Qwen2VLImageProcessor"}
    (old / "preprocessor_config.json").write_text(json.dumps(settings))
    processor = load_processor(str(old))
    assert processor.image_processor.size == load_processor(str(qwen)).image_processor.size
    assert processor.video_processor.merge_size == settings["merge_size"]


def test_videos_are_refused_by_name(qwen: Path) -> None:
    processor = load_processor(str(qwen))
    if type(processor.video_processor).__name__ != "UnreadVideos":
        pytest.skip("torchvision is installed")
    with pytest.raises(ModelError, match="videos can't be read"):
        processor.video_processor([])
