"""Settings of the vision-language model: what it is, what of it learns, what it is shown, how it writes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radflow.config_types import Fraction, ModelName, Positive, Section

MADE_MODELS = ("tiny", "efficientnet-smollm2")
"""Models that radflow makes in the run folder, by name."""


class TinyConfig(Section):
    image_size: int = Field(64, ge=16, le=1024, description="Side of the square input images, pixels.")
    patch_size: int = Field(8, ge=2, le=64, description="Side of a vision patch, pixels; divides image_size.")
    hidden_size: int = Field(192, ge=16, description="Width of both transformers; divisible by 4 heads.")
    vision_layers: Positive = Field(4, description="Layers of the vision transformer.")
    language_layers: Positive = Field(4, description="Layers of the language transformer.")
    vocabulary: int = Field(2000, ge=300, description="Tokens at most, learnt from the training reports.")
    max_positions: int = Field(512, ge=64, description="Longest sequence of image, prompt and report tokens.")
    warmup_epochs: int = Field(
        4, ge=0, description="Epochs in which the new vision encoder learns to predict the report's words."
    )

    @model_validator(mode="after")
    def _check(self) -> TinyConfig:
        if self.image_size % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide image_size {self.image_size}")
        if self.hidden_size % 4:
            raise ValueError("hidden_size must be divisible by 4")
        return self


class EfficientNetSmolLM2Config(Section):
    image_size: int = Field(
        224, ge=32, le=1024, description="Side of the square input images, pixels; divisible by 32 x pooling."
    )
    pooling: int = Field(
        1, ge=1, le=8, description="Side of the square of 32-pixel cells that one image token is the mean of."
    )
    language_layers: int | None = Field(
        None, ge=1, description="So many first layers of SmolLM2's 30; null keeps all."
    )
    whole_vocabulary: bool = Field(
        False,
        description="Keep all of SmolLM2's 49,152 tokens; else those that the training reports need, and "
        "bytes for all other text.",
    )
    warmup_epochs: int = Field(
        4, ge=0, description="Epochs in which encoder and connector learn to predict the report's words."
    )

    @model_validator(mode="after")
    def _check(self) -> EfficientNetSmolLM2Config:
        if self.image_size % (32 * self.pooling):
            raise ValueError(
                f"image_size {self.image_size} is not divisible by 32 x pooling, {32 * self.pooling}"
            )
        return self


class LoraConfig(Section):
    r: Positive = Field(16, description="Rank of the update.")
    alpha: Positive = Field(32, description="Scale of the update; alpha / r multiplies it.")
    dropout: Fraction = Field(0.05, description="Dropout inside the adapter during SFT; RFT always uses 0.")
    target: str = Field("all-linear", description="Modules of the language model: all-linear, or a regex.")
    dora: bool = Field(
        False, description="Learn a weight's length apart from its direction (DoRA): slower, for small ranks."
    )
    rslora: bool = Field(
        False, description="Scale by alpha / sqrt(r) (rsLoRA), so that large ranks don't learn less."
    )


class ModelConfig(Section):
    name: ModelName = Field(
        "tiny",
        description="tiny makes a small LLaVA-architecture model on the spot, efficientnet-smollm2 one of "
        "pretrained parts from packages (docs/pretrained_parts.md); else a model folder "
        "(./ or / in front, relative to this file) or a hub id of an image-text-to-text model.",
    )
    language: Literal["auto", "lora", "full", "frozen"] = Field(
        "auto", description="How the language model learns; auto is lora, and full for tiny."
    )
    vision: Literal["auto", "full", "frozen"] = Field(
        "auto",
        description="Whether the vision encoder learns; auto is frozen, and full for tiny without a warm-up.",
    )
    connector: Literal["auto", "full", "frozen"] = Field(
        "auto", description="Whether the connector learns; auto is full, and frozen for tiny after a warm-up."
    )
    lora: LoraConfig = Field(LoraConfig(), description="Settings of the LoRA adapter.")
    quantization: Literal["none", "4bit"] = Field(
        "none",
        description="4bit loads the language model in NF4 for QLoRA; it needs bitsandbytes and LoRA.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto takes a GPU if there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of the weights; auto is bfloat16 on a GPU that has it, else float32."
    )
    bf16_autocast: bool = Field(
        False,
        description="Compute in bfloat16 with float32 weights; on CPU only large models gain (measure).",
    )
    prompt: str = Field(
        "Write the radiology report.", min_length=1, description="Instruction shown after the images."
    )
    show_indication: bool = Field(True, description="Put the indication into the prompt where there is one.")
    show_comparison: bool = Field(False, description="Put the comparison into the prompt where there is one.")
    show_previous: bool = Field(
        False,
        description="Put the report of the patient's study before into the prompt (mimic_cxr only).",
    )
    tiny: TinyConfig = Field(TinyConfig(), description="Architecture of the tiny model.")
    efficientnet_smollm2: EfficientNetSmolLM2Config = Field(
        EfficientNetSmolLM2Config(), description="How efficientnet-smollm2 is put together."
    )

    @property
    def is_made(self) -> bool:
        """Whether radflow makes the model, in the run folder."""
        return self.name in MADE_MODELS

    @model_validator(mode="after")
    def _four_bits_need_lora(self) -> ModelConfig:
        if self.quantization == "4bit" and (self.is_made or self.language == "full"):
            raise ValueError(
                "4-bit weights can't learn: with quantization: 4bit the model is a folder or a hub id, and "
                "language is auto or lora"
            )
        return self


class GenerationConfig(Section):
    max_new_tokens: Positive = Field(160, description="Length limit of a report, tokens.")
    batch_size: Positive = Field(64, description="Studies generated at once.")
    temperature: float = Field(0.0, ge=0, le=5, description="0 is greedy, above samples.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the sampled distribution.")
