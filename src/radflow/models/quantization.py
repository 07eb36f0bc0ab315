"""4-bit weights for QLoRA: NF4 for the language model's linear layers, the rest as it is

Vision encoder and connector stay in the model's precision: the connector learns whole, and a reading of fine
lines is the last thing to be coarse with.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from radflow.errors import ModelError

PACKAGE = "bitsandbytes"


def four_bit(*, dtype: torch.dtype, device: str, leave: Sequence[str]) -> dict[str, Any]:
    """What from_pretrained must be told.

    Args:
        dtype: precision that the 4-bit weights are computed in.
        leave: names of modules that stay as they are, wherever they stand.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise ModelError(
            f"4-bit weights need the package {PACKAGE}, which is not installed",
            where="model.quantization is 4bit",
            next_step=f"pip install {PACKAGE}, or set model.quantization to none.",
        )
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # As regular expressions from the start of a full name: a bare name would only match a last part. The
        # head is often tied to the embeddings.
        llm_int8_skip_modules=[*(rf"(.*\.)?{name}" for name in leave), "lm_head"],
    )
    return {"quantization_config": config, "device_map": {"": device}}
