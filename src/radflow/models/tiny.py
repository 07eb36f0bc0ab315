"""A small LLaVA-architecture model made on the spot: the same classes and code paths as the big ones.

Vision: a SigLIP transformer without head. Connector: LLaVA's two-layer MLP. Language: Llama with tied
embeddings. The tokenizer is a byte-level BPE learnt from the training reports, so it can write any text.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

from radflow.config import TinyConfig

HEADS = 4
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make_tiny_model(folder: Path, texts: Iterable[str], config: TinyConfig, *, seed: int) -> None:
    """Write a randomly initialised model and its processor to ``folder`` (safetensors, transformers layout).

    Args:
        texts: training reports and prompts, for the tokenizer.
        seed: decides the initial weights.
    """
    processor = make_processor(texts, config)
    # Initial weights come from torch's global generator; the caller's state is put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(architecture(config, processor))
    model.generation_config = GenerationConfig(
        bos_token_id=processor.tokenizer.bos_token_id,
        eos_token_id=processor.tokenizer.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def make_processor(texts: Iterable[str], config: TinyConfig) -> Any:
    """Image processor and tokenizer for the tiny model."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>", "<|user|>", "<|assistant|>"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=config.max_positions,
    )
    side = {"height": config.image_size, "width": config.image_size}
    images = CLIPImageProcessorPil(
        size=side, crop_size=side, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=fast,
        patch_size=config.patch_size,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )


def architecture(config: TinyConfig, processor: Any) -> LlavaConfig:
    """Shapes of the tiny model whose processor has that tokenizer."""
    tokenizer = processor.tokenizer
    vision = SiglipVisionConfig(
        hidden_size=config.hidden_size,
        intermediate_size=4 * config.hidden_size,
        num_hidden_layers=config.vision_layers,
        num_attention_heads=HEADS,
        image_size=config.image_size,
        patch_size=config.patch_size,
        vision_use_head=False,
    )
    language = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=4 * config.hidden_size,
        num_hidden_layers=config.language_layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        # The default of 0.02 is for widths of thousands; here it would leave attention blind for many steps.
        initializer_range=config.hidden_size**-0.5,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=language,
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=(config.image_size // config.patch_size) ** 2,
        tie_word_embeddings=True,
    )
