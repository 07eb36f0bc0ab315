"""GPU memory that LoRA needs, estimated from a model's shape: python benchmarks/lora_memory.py

Parameters are counted on the real architecture without its weights (torch's meta device). An estimate, not a
measurement: nothing of this size has run here. Summands, in bytes:

    weights      2 a parameter (bfloat16); with 4 bit 0.53 a parameter of the language model's linear layers
    learning     16 a parameter of adapter and connector: float32 value, gradient, and AdamW's two moments
    activations  with gradient checkpointing each layer's input (2 x tokens x width) and one layer's inside,
                 2 x tokens x (16 x width + 4 x inner width); the frozen vision encoder keeps none
    head         one row's logits twice in float32 (TRL computes them in pieces)
    cache        RFT alone: keys and values of all completions of a generation batch while they are sampled
    runtime      2 GiB for CUDA, kernels and the allocator's slack
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from radflow.models.vlm import lora_targets, part_of

GIB = 2**30
PROMPT, REPORT = 100, 256
SFT_ROWS, COMPLETIONS, RFT_ROWS = 4, 128, 16
RANK = 32
# Released shapes of Qwen2.5-VL, whose encoder both share; other families' language models are much alike.
SHAPES = {
    "3B": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936,
    },
    "7B": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
    },
}  # fmt: skip
VISION = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
# Tokens of one image of 512 x 512 under each family's released processor settings.
IMAGE_TOKENS = {
    "Qwen2.5-VL": 324, "Qwen3-VL": 256, "Gemma 3": 256, "SmolVLM2 / Idefics3": 1377,
    "LLaVA-NeXT": 2928, "LLaVA-OneVision": 3699, "InternVL": 256,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Parameter counts and sizes of a model.

    Attributes:
        coarse: parameters that 4 bit would shrink.
        learning: parameters of adapter and connector.
        cache_per_token: bytes of keys and values of one token.
    """

    parameters: int
    coarse: int
    learning: int
    layers: int
    width: int
    inner: int
    vocabulary: int
    cache_per_token: int


def shape_of(size: str) -> Shape:
    """Count the parameters of a Qwen2.5-VL of that size."""
    text = SHAPES[size]
    vision = {**VISION, "out_hidden_size": text["hidden_size"]}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=size == "3B")
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    layers = [model.get_submodule(name) for name in lora_targets(model, "all-linear")]
    adapter = sum(RANK * sum(layer.weight.shape) for layer in layers)
    connector = sum(p.numel() for name, p in model.named_parameters() if part_of(name) == "connector")
    head_width = text["hidden_size"] // text["num_attention_heads"]
    return Shape(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        coarse=sum(layer.weight.numel() for layer in layers),
        learning=adapter + connector,
        layers=text["num_hidden_layers"],
        width=text["hidden_size"],
        inner=text["intermediate_size"],
        vocabulary=text["vocab_size"],
        cache_per_token=4 * text["num_hidden_layers"] * text["num_key_value_heads"] * head_width,
    )


def gibibytes(
    shape: Shape, *, image_tokens: int, rows: int, completions: int = 0, four_bit: bool = False
) -> float:
    """Estimated peak.

    Args:
        rows: sequences in one forward pass.
        completions: completions of a generation batch, for RFT; they are not in memory with the activations,
            so the larger of the two counts.
    """
    sequence = image_tokens + PROMPT + REPORT
    tokens = rows * sequence
    coarse = shape.coarse if four_bit else 0
    weights = 2 * (shape.parameters - coarse) + 0.53 * coarse
    learning = 16 * shape.learning
    activations = 2 * tokens * (shape.width * shape.layers + 16 * shape.width + 4 * shape.inner)
    activations += 8 * sequence * shape.vocabulary
    cache = completions * sequence * shape.cache_per_token
    return (weights + learning + max(activations, cache)) / GIB + 2


def main() -> None:
    shapes = {size: shape_of(size) for size in SHAPES}
    for size, shape in shapes.items():
        counts = f"{shape.parameters / 1e9:.2f} billion parameters, {shape.learning / 1e6:.0f} million learn"
        print(f"{size}: {counts}")
    print(
        "\n| family | image tokens | "
        + " | ".join(f"{s} SFT | {s} RFT | {s} SFT, 4 bit" for s in shapes)
        + " |"
    )
    print("| --- | ---: |" + " ---: |" * 3 * len(shapes))
    for family, tokens in IMAGE_TOKENS.items():
        cells = []
        for shape in shapes.values():
            sft = gibibytes(shape, image_tokens=tokens, rows=SFT_ROWS)
            rft = gibibytes(shape, image_tokens=tokens, rows=RFT_ROWS, completions=COMPLETIONS)
            coarse = gibibytes(shape, image_tokens=tokens, rows=1, four_bit=True)
            cells += [f"{sft:.0f}", f"{rft:.0f}", f"{coarse:.0f}"]
        print(f"| {family} | {tokens:,} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
