"""Tiny models of the families that users have: real architecture and processor classes, random weights.

    make_family("qwen2_5_vl", folder, texts)

writes a folder that loads like a released checkpoint: safetensors, processor, a tokenizer of the family's own
class trained on the texts, its chat format with its end of turn, its generation config. Each family's way
with images is kept (any size, tiles, splits, fixed), only smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from radflow.models.processors import UnreadVideos, without_videos

WIDTH, LAYERS, HEADS = 32, 2, 4
VOCABULARY = 420
LANGUAGE: dict[str, Any] = {
    "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": 2, "initializer_range": 0.2,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family as its tests need it.

    Attributes:
        image_token: stands in the prompt once per image feature.
        end: what a chat turn of the model ends with, as the loss sees it.
        needs: package without which transformers refuses the processor; None for none.
    """

    make: Callable[[Path, Sequence[str]], None]
    image_token: str
    end: str
    needs: str | None = None


def make_family(name: str, folder: Path, texts: Sequence[str], *, seed: int = 0) -> Family:
    """Write a tiny checkpoint of a family.

    Args:
        name: a key of FAMILIES, which are the model types of transformers.
        texts: what the tokenizer is trained on.
    """
    family = FAMILIES[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        family.make(folder, texts)
    return family


def chat_template(image: str, *, start: str = "", role: str, end: str, roles: dict[str, str]) -> str:
    """A chat format: ``role`` opens a turn with its R replaced by the role's name, ``end`` closes it."""
    opened = {name: role.replace("R", shown) for name, shown in roles.items()}
    return (
        "{{ " + repr(start) + " }}{% set opened = " + repr(opened) + " %}"
        "{% for message in messages %}{{ opened[message['role']] }}"
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}{{ " + repr(image) + " }}"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
        "{{ " + repr(end) + " }}{% endfor %}"
        "{% if add_generation_prompt %}{{ opened['assistant'] }}{% endif %}"
    )


def chatml(image: str, *, system: str = "") -> str:
    """The format of Qwen and of what is built on it."""
    start = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    roles = {"user": "user", "assistant": "assistant"}
    return chat_template(image, start=start, role="<|im_start|>R\n", end="<|im_end|>\n", roles=roles)


def train_tokenizer(kind: Any, texts: Sequence[str], special: Sequence[str], **settings: Any) -> Any:
    """A tokenizer of a family's class; ``special`` are tokens of their own, added last."""
    empty = kind()
    readable = "".join(chr(code) for code in range(32, 127)) + "\n"
    trained = empty.train_new_from_iterator(
        [*texts, *readable], VOCABULARY, new_special_tokens=list(special), show_progress=False
    )
    for name, value in settings.items():
        setattr(trained, name, value)
    return trained


def save(folder: Path, model: Any, processor: Any, *, ends: Sequence[str]) -> None:
    tokenizer = processor.tokenizer
    model.generation_config = hf.GenerationConfig(
        eos_token_id=[tokenizer.convert_tokens_to_ids(end) for end in ends],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


QWEN_SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")


def _qwen_processor(kind: Any, patch: int, texts: Sequence[str]) -> Any:
    tokenizer = train_tokenizer(hf.Qwen2Tokenizer, texts, QWEN_SPECIAL, eos_token="<|im_end|>")
    side = 2 * patch  # a feature stands for 2 x 2 patches
    settings = {"patch_size": patch, "min_pixels": side * side, "max_pixels": 6 * side * side}
    template = chatml("<|vision_start|><|image_pad|><|vision_end|>", system="You are a helpful assistant.")
    videos = UnreadVideos({"video_processor_type": "Qwen2VLVideoProcessor", **settings})
    return without_videos(kind)(
        image_processor=hf.Qwen2VLImageProcessorPil(**settings),
        tokenizer=tokenizer,
        video_processor=videos,
        chat_template=template,
    )


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    named = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in named.items()}


def make_qwen2_5_vl(folder: Path, texts: Sequence[str]) -> None:
    """Windowed attention in the encoder, images of any size, three-part rotary positions."""
    processor = _qwen_processor(hf.Qwen2_5_VLProcessor, 14, texts)
    tokenizer = processor.tokenizer
    vision = {
        "depth": LAYERS, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_heads": HEADS,
        "out_hidden_size": WIDTH, "window_size": 56, "fullatt_block_indexes": [1], "patch_size": 14,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    text = {**LANGUAGE, "vocab_size": len(tokenizer), "rope_parameters": rope}
    config = hf.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **_qwen_ids(tokenizer)
    )
    save(folder, hf.Qwen2_5_VLForConditionalGeneration(config), processor, ends=QWEN_ENDS)


def make_qwen3_vl(folder: Path, texts: Sequence[str]) -> None:
    """Patches of 16 pixels; features of an early layer of the encoder are added in the language model."""
    processor = _qwen_processor(hf.Qwen3VLProcessor, 16, texts)
    tokenizer = processor.tokenizer
    vision = {
        "depth": LAYERS, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_heads": HEADS,
        "out_hidden_size": WIDTH, "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2], "mrope_interleaved": True}
    text = {**LANGUAGE, "head_dim": 8, "vocab_size": len(tokenizer), "rope_parameters": rope}
    config = hf.Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **_qwen_ids(tokenizer)
    )
    save(folder, hf.Qwen3VLForConditionalGeneration(config), processor, ends=QWEN_ENDS)


def make_gemma3(folder: Path, texts: Sequence[str]) -> None:
    """Images scaled to one size; image tokens attend to each other both ways; sliding windows."""
    side, patch = 56, 14
    special = ("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")
    tokenizer = train_tokenizer(hf.GemmaTokenizer, texts, special)
    named = dict(zip(("boi_token", "eoi_token", "image_token"), special[2:], strict=True))
    tokenizer = _with_named_tokens(tokenizer, named, folder)
    template = chat_template(
        "<start_of_image>",
        start="<bos>",
        role="<start_of_turn>R\n",
        end="<end_of_turn>\n",
        roles={"user": "user", "assistant": "model"},
    )
    images = hf.Gemma3ImageProcessorPil(size={"height": side, "width": side}, image_seq_length=4)
    processor = hf.Gemma3Processor(images, tokenizer, chat_template=template, image_seq_length=4)
    config = hf.Gemma3Config(
        text_config={
            **LANGUAGE, "head_dim": 8, "query_pre_attn_scalar": 8, "vocab_size": len(tokenizer),
            "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"],
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**VISION, "image_size": side, "patch_size": patch, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )  # fmt: skip
    model = hf.Gemma3ForConditionalGeneration(config)
    # It starts at zero: nothing of an image would pass.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
    save(folder, model, processor, ends=("<eos>", "<end_of_turn>"))


def _with_named_tokens(tokenizer: Any, named: dict[str, str], folder: Path) -> Any:
    """The tokenizer with special tokens that its processor asks for by name, as released files have them."""
    tokenizer.save_pretrained(folder)
    return type(tokenizer).from_pretrained(folder, extra_special_tokens=named)


IDEFICS_SPECIAL = (
    "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)  # fmt: skip


def _idefics_parts(texts: Sequence[str]) -> tuple[Any, str, dict[str, Any]]:
    tokenizer = train_tokenizer(
        hf.GPT2Tokenizer, texts, IDEFICS_SPECIAL, eos_token="<end_of_utterance>", pad_token="<|im_start|>"
    )
    template = chat_template(
        "<image>",
        start="<|im_start|>",
        role="R: ",
        end="<end_of_utterance>\n",
        roles={"user": "User", "assistant": "Assistant"},
    )
    # Twice the side of a split: an image is cut into up to 2 x 2 parts and shown whole beside them.
    return tokenizer, template, {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}


def _idefics_configs(tokenizer: Any) -> dict[str, Any]:
    ids = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in (("bos_token_id", "<|im_start|>"), ("eos_token_id", "<end_of_utterance>"))
    }
    text = {
        "model_type": "llama", **LANGUAGE, "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id, **ids,
    }  # fmt: skip
    return {
        "text_config": text,
        "vision_config": {**VISION, "image_size": 28, "patch_size": 7},
        "scale_factor": 2,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "tie_word_embeddings": True,
    }


def make_idefics3(folder: Path, texts: Sequence[str]) -> None:
    """Images split into parts, with rows and columns named in the prompt; padded image slots."""
    tokenizer, template, sizes = _idefics_parts(texts)
    images = hf.Idefics3ImageProcessorPil(**sizes)
    processor = hf.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=template)
    config = hf.Idefics3Config(**_idefics_configs(tokenizer))
    save(folder, hf.Idefics3ForConditionalGeneration(config), processor, ends=("<end_of_utterance>",))


def make_smolvlm(folder: Path, texts: Sequence[str]) -> None:
    """SmolVLM and SmolVLM2: Idefics3's way with images, and videos."""
    tokenizer, template, sizes = _idefics_parts(texts)
    videos = UnreadVideos({"video_processor_type": "SmolVLMVideoProcessor", "num_frames": 64, "fps": 1})
    images = hf.SmolVLMImageProcessorPil(**sizes)
    processor = without_videos(hf.SmolVLMProcessor)(
        images, tokenizer, videos, image_seq_len=4, chat_template=template
    )
    config = hf.SmolVLMConfig(**_idefics_configs(tokenizer))
    save(folder, hf.SmolVLMForConditionalGeneration(config), processor, ends=("<end_of_utterance>",))


PINPOINTS = [[28, 56], [56, 28], [56, 56]]


def make_llava_next(folder: Path, texts: Sequence[str]) -> None:
    """A whole view and the tiles of the best fitting grid, padding cut away again; CLIP encoder."""
    side, patch = 28, 7
    tokenizer = train_tokenizer(hf.LlamaTokenizer, texts, ("<image>", "<pad>"), pad_token="<pad>")
    template = chat_template(
        "<image>\n", start="<s>", role="R: ", end="</s>", roles={"user": "USER", "assistant": "ASSISTANT"}
    )
    crop = {"height": side, "width": side}
    images = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": side}, crop_size=crop, image_grid_pinpoints=PINPOINTS
    )
    processor = hf.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        chat_template=template,
        num_additional_image_tokens=1,
    )
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = hf.LlavaNextConfig(
        text_config={"model_type": "llama", **LANGUAGE, "vocab_size": len(tokenizer), **ids},
        vision_config={
            "model_type": "clip_vision_model", **VISION, "image_size": side, "patch_size": patch,
            "projection_dim": WIDTH,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=(side // patch) ** 2,
    )  # fmt: skip
    save(folder, hf.LlavaNextForConditionalGeneration(config), processor, ends=("</s>",))


def make_llava_onevision(folder: Path, texts: Sequence[str]) -> None:
    """One image as LLaVA-NeXT shows it; several images each as one small view. SigLIP encoder, Qwen2."""
    side, patch = 28, 7
    special = ("<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = train_tokenizer(hf.Qwen2Tokenizer, texts, special, eos_token="<|im_end|>")
    size = {"height": side, "width": side}
    images = hf.LlavaOnevisionImageProcessorPil(size=size, image_grid_pinpoints=PINPOINTS)
    processor = without_videos(hf.LlavaOnevisionProcessor)(
        images,
        tokenizer,
        UnreadVideos({"video_processor_type": "LlavaOnevisionVideoProcessor", "size": size}),
        num_image_tokens=(side // patch) ** 2,
        vision_feature_select_strategy="full",
        chat_template=chatml("<image>\n"),
    )
    config = hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **LANGUAGE, "vocab_size": len(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model", **VISION, "image_size": side, "patch_size": patch,
            "vision_use_head": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=PINPOINTS,
    )  # fmt: skip
    save(folder, hf.LlavaOnevisionForConditionalGeneration(config), processor, ends=QWEN_ENDS)


def make_internvl(folder: Path, texts: Sequence[str]) -> None:
    """Square tiles by the best fitting grid and a thumbnail; pixel shuffle before the connector; Qwen2."""
    side, patch, features = 28, 7, 4
    special = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    tokenizer = train_tokenizer(hf.Qwen2Tokenizer, texts, special, eos_token="<|im_end|>")
    names = ("start_image_token", "end_image_token", "context_image_token", "video_token")
    tokenizer = _with_named_tokens(tokenizer, dict(zip(names, special[2:], strict=True)), folder)
    size = {"height": side, "width": side}
    processor = without_videos(hf.InternVLProcessor)(
        hf.GotOcr2ImageProcessorPil(size=size, crop_to_patches=True, max_patches=4),
        tokenizer,
        UnreadVideos({"video_processor_type": "InternVLVideoProcessor", "size": size}),
        image_seq_length=features,
        chat_template=chatml("<IMG_CONTEXT>\n"),
    )
    config = hf.InternVLConfig(
        text_config={"model_type": "qwen2", **LANGUAGE, "vocab_size": len(tokenizer)},
        vision_config={**VISION, "image_size": [side, side], "patch_size": [patch, patch]},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=features,
    )
    save(folder, hf.InternVLForConditionalGeneration(config), processor, ends=QWEN_ENDS)


FAMILIES = {
    "qwen2_5_vl": Family(make_qwen2_5_vl, "<|image_pad|>", "<|im_end|>\n"),
    "qwen3_vl": Family(make_qwen3_vl, "<|image_pad|>", "<|im_end|>\n"),
    "gemma3": Family(make_gemma3, "<image_soft_token>", "<end_of_turn>\n"),
    "idefics3": Family(make_idefics3, "<image>", "<end_of_utterance>\n"),
    "smolvlm": Family(make_smolvlm, "<image>", "<end_of_utterance>\n", needs="num2words"),
    "llava_next": Family(make_llava_next, "<image>", "</s>"),
    "llava_onevision": Family(make_llava_onevision, "<image>", "<|im_end|>\n"),
    "internvl": Family(make_internvl, "<IMG_CONTEXT>", "<|im_end|>\n"),
}
