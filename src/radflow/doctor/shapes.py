"""The shape of a config's model: its parameters are counted on the real architecture, without weights"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForImageTextToText, LlamaConfig, LlavaConfig

from radflow.config import ModelConfig, RunConfig
from radflow.errors import ModelError
from radflow.models.efficientnet_lite import EfficientNetLiteConfig, register
from radflow.models.efficientnet_smollm2 import TAPS
from radflow.models.tiny import architecture, make_processor
from radflow.models.vlm import Part, learns, lora_targets, part_of, pick_device, pick_dtype
from radflow.training.rft import learns_by_lora

FOUR_BIT = 0.53
"""Bytes a parameter in NF4 with double quantisation."""
SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Sizes from which memory is estimated.

    Attributes:
        parameters: of the whole model.
        coarse: those of them that lie in 4 bit.
        learning_sft, learning_rft: how many learn in either training.
        adapter_sft, adapter_rft: how many of those stand beside the weights instead of among them.
        value_bytes: of a weight and of an activation.
        layers, width, inner, vocabulary: of the language model.
        cache_per_token: bytes of keys and values of one token.
        image_tokens: of one study's images.
        linear: parameters of the language model's linear layers without its head.
        seeing: operations of one pass over a study's images; multiplication and addition are two.
    """

    parameters: int
    coarse: int
    learning_sft: int
    learning_rft: int
    adapter_sft: int
    adapter_rft: int
    value_bytes: int
    layers: int
    width: int
    inner: int
    vocabulary: int
    cache_per_token: int
    image_tokens: int
    linear: int
    seeing: float

    @property
    def weight_bytes(self) -> int:
        return round(self.value_bytes * (self.parameters - self.coarse) + FOUR_BIT * self.coarse)


def model_shape(config: RunConfig) -> Shape:
    """Count the parameters of the config's model, and of what of it learns.

    Raises:
        ModelError: a folder or hub id whose config.json isn't on this machine.
    """
    model = config.model
    register()
    architecture_config = _architecture_of(model)
    with torch.device("meta"):
        whole: Any = AutoModelForImageTextToText.from_config(architecture_config, trust_remote_code=False)
    counts: dict[Part, int] = {"vision": 0, "connector": 0, "language": 0}
    for name, parameter in whole.named_parameters():
        counts[part_of(name)] += parameter.numel()
    adapter = _adapter_size(whole, model)
    coarse = _linear_size(whole) if model.quantization == "4bit" else 0
    modes = learns(model)
    full = sum(count for part, count in counts.items() if modes[part] == "full")
    adapter_sft = adapter if modes["language"] == "lora" else 0
    by_lora = learns_by_lora(config.rft, model)
    text = architecture_config.get_text_config()
    dtype = torch.float32 if model.name == "tiny" else pick_dtype(model.dtype, pick_device(model.device))
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        parameters=sum(counts.values()),
        coarse=coarse,
        learning_sft=full + adapter_sft,
        learning_rft=adapter if by_lora else counts["language"],
        adapter_sft=adapter_sft,
        adapter_rft=adapter if by_lora else 0,
        value_bytes=dtype.itemsize,
        layers=text.num_hidden_layers,
        width=text.hidden_size,
        inner=text.intermediate_size,
        vocabulary=text.vocab_size,
        cache_per_token=2 * dtype.itemsize * text.num_hidden_layers * heads * head_width,
        image_tokens=config.data.max_images * _image_tokens(architecture_config, config),
        linear=_linear_size(whole),
        seeing=config.data.max_images * _image_operations(whole, architecture_config, config),
    )


def _architecture_of(model: ModelConfig) -> Any:
    if model.name == "tiny":
        made: Any = architecture(model.tiny, make_processor(["x"], model.tiny))
        made.text_config.vocab_size = model.tiny.vocabulary
        return made
    if model.name == "efficientnet-smollm2":
        own = model.efficientnet_smollm2
        layers = min(own.language_layers or 30, 30)
        vision = EfficientNetLiteConfig(taps=TAPS, pooling=own.pooling, image_size=own.image_size)
        side = own.image_size // vision.patch_size
        return LlavaConfig(
            vision_config=vision,
            text_config=LlamaConfig(**{**SMOLLM2_135M, "num_hidden_layers": layers}),
            vision_feature_select_strategy="full",
            vision_feature_layer=-1,
            image_seq_length=side**2,
            tie_word_embeddings=True,
        )
    try:
        return AutoConfig.from_pretrained(model.name, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError):
        raise ModelError(
            "its config.json is not on this machine, so its size is unknown",
            where=model.name,
            next_step="Put the model into the local cache or a folder first: hf download MODEL",
        ) from None


def _adapter_size(whole: Any, model: ModelConfig) -> int:
    """Parameters of a LoRA adapter: rank x (rows + columns) of every layer that it stands beside."""
    targets = _linear_layers(whole)
    sizes = (sum(whole.get_submodule(name).weight.shape) for name in targets)
    return model.lora.r * int(sum(sizes))


def _linear_size(whole: Any) -> int:
    return int(sum(whole.get_submodule(name).weight.numel() for name in _linear_layers(whole)))


def _linear_layers(whole: Any) -> list[str]:
    return list(lora_targets(whole, "all-linear"))


def _image_tokens(architecture_config: Any, config: RunConfig) -> int:
    """Tokens of one prepared image, by what the family's config tells of it; at the worst a square one."""
    if (count := getattr(architecture_config, "image_seq_length", None)) is not None:
        return int(count)
    vision = architecture_config.vision_config
    cell = int(getattr(vision, "patch_size", 14)) * int(getattr(vision, "spatial_merge_size", 1))
    side = config.data.image_long_side
    return max(1, side // cell) ** 2


def _image_operations(whole: Any, architecture_config: Any, config: RunConfig) -> float:
    """Operations of the encoder for one image.

    A transformer multiplies each patch by all its weights, and looks from each patch at each other one; a
    network of convolutions is counted on the real architecture, without weights.
    """
    vision = architecture_config.vision_config
    if isinstance(vision, EfficientNetLiteConfig):
        side = vision.image_size
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            whole.model.vision_tower(torch.empty(1, 3, side, side))
        return float(counter.get_total_flops())
    weights = sum(p.numel() for name, p in whole.named_parameters() if part_of(name) == "vision")
    side = int(getattr(vision, "image_size", 0) or config.data.image_long_side)
    patches = (side // int(getattr(vision, "patch_size", 14))) ** 2
    layers = int(getattr(vision, "num_hidden_layers", 0) or getattr(vision, "depth", 0))
    return float(2 * weights * patches + 4 * layers * int(vision.hidden_size) * patches**2)
