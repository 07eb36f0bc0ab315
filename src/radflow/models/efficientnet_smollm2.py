"""A vision-language model of pretrained parts from packages: EfficientNet-Lite0, connector, SmolLM2-135M

Eyes that were trained on ImageNet and a language model that was trained on text; only the connector between
them is new. Nothing is fetched: both parts are files of installed packages (docs/pretrained_parts.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from radflow.config import EfficientNetSmolLM2Config
from radflow.models.efficientnet_lite import (
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
    published_weights,
    register,
)
from radflow.models.packaged_weights import GGUF, LITE0, SMOLLM2, require
from radflow.models.vocabulary import cut_backend, kept_tokens

PAD, START, END, IMAGE = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"
TAPS = [4, 6]
"""The last 14 x 14 and the last 7 x 7 maps: they tell the findings of radiographs apart better than the head,
which was made for ImageNet's classes (docs/pretrained_parts.md)."""
MEAN = STD = 0.5
"""The published preprocessing of the Lite networks, (level - 127) / 128."""
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's own turns, without its system prompt, which says nothing here and costs time in every sample."""


def make_efficientnet_smollm2(
    folder: Path, texts: Iterable[str], config: EfficientNetSmolLM2Config, *, seed: int
) -> None:
    """Write the model and its processor to ``folder`` (safetensors, transformers layout).

    Args:
        texts: training reports and prompts, whose tokens are kept; all are with ``whole_vocabulary``.
        seed: decides the connector's initial weights.

    Raises:
        ModelError: a package is not installed.
    """
    lite0, gguf, _ = require(LITE0, SMOLLM2, GGUF)
    language = load_gguf(gguf)
    own = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    specials = (PAD, START, END)
    kept = list(range(len(own)))
    if not config.whole_vocabulary:
        # The words of the turns, which stand in no report.
        turns = ("user\n", "assistant\n", "\n")
        kept = kept_tokens(own, [*texts, *turns], specials=specials)
    write_model(
        folder,
        vision=load_lite0(lite0, pooling=config.pooling, image_size=config.image_size),
        language=language,
        tokenizer=make_tokenizer(cut_backend(own, kept)),
        kept=kept,
        layers=config.language_layers,
        seed=seed,
    )


def load_lite0(file: Path, *, pooling: int = 1, image_size: int = 224) -> EfficientNetLiteModel:
    """The ImageNet network up to its last maps, without the head."""
    weights, _ = published_weights(torch.load(file, weights_only=True, map_location="cpu"))
    vision = EfficientNetLiteModel(EfficientNetLiteConfig(taps=TAPS, pooling=pooling, image_size=image_size))
    vision.load_state_dict({name: value for name, value in weights.items() if not name.startswith("head.")})
    return vision


def load_gguf(file: Path) -> Any:
    """A causal language model in float32 from a GGUF file, as if it had never been quantised."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
    )
    # Else it could not be saved: transformers takes it for a quantised one.
    model.hf_quantizer, model.is_quantized = None, False
    del model.config.quantization_config
    return model


def make_tokenizer(backend: Any) -> Any:
    """A tokenizer for images and reports; a special token for images is added behind the backend's own."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    return tokenizer


def write_model(
    folder: Path,
    *,
    vision: EfficientNetLiteModel,
    language: Any,
    tokenizer: Any,
    kept: list[int],
    layers: int | None,
    seed: int,
) -> None:
    """Join the parts as a LLaVA model and save it with its processor.

    Args:
        language: a Llama with tied embeddings.
        tokenizer: of the kept tokens, and the image token behind them.
        kept: rows of the language model's embedding that stay.
        layers: so many first layers of it; ``None`` keeps all.
        seed: decides the connector's initial weights.
    """
    register()
    processor = make_processor(tokenizer, vision.config)
    text = language.config
    text.num_hidden_layers = min(layers or text.num_hidden_layers, text.num_hidden_layers)
    text.vocab_size = len(tokenizer)
    text.bos_token_id, text.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    text.pad_token_id, text.unk_token_id = tokenizer.pad_token_id, None
    side = vision.config.image_size // vision.config.patch_size
    config = LlavaConfig(
        vision_config=vision.config,
        text_config=text,
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=side**2,
        tie_word_embeddings=True,
    )
    # Initial weights come from torch's global generator; the caller's state is put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(vision.state_dict())
    weights = language.model.state_dict()
    rows = weights["embed_tokens.weight"][kept]
    # Replaced by features before anything reads it: its row only has to be there.
    rows = torch.cat([rows, rows.mean(dim=0, keepdim=True).expand(len(tokenizer) - len(kept), -1)])
    weights["embed_tokens.weight"] = rows
    wanted = model.model.language_model.state_dict()
    model.model.language_model.load_state_dict({name: weights[name] for name in wanted})
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def make_processor(tokenizer: Any, vision: Any) -> Any:
    """Image processor and tokenizer for a vision tower's config; images are stretched to a square."""
    side = {"height": vision.image_size, "width": vision.image_size}
    images = CLIPImageProcessorPil(
        size=side, crop_size=side, do_center_crop=False, image_mean=[MEAN] * 3, image_std=[STD] * 3
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )
