"""CheXbert's network and its published checkpoint: a BERT encoder with 14 linear heads on the [CLS] vector

Smit et al., EMNLP 2020. Only `hub_chexbert` imports this, when the labeler is used: it needs torch.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from radflow.errors import ModelError

HEAD_OUTPUTS = (4,) * 13 + (2,)
"""Blank, positive, negative, uncertain; of No Finding only blank and positive."""

_WRAPPER = "module."  # torch's DataParallel, in which the published checkpoint was saved
_BUFFER = "bert.embeddings.position_ids"  # older transformers saved it; it holds 0 to 511


class CheXbertNetwork(nn.Module):
    """Parameter names are those of the published checkpoint."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = BertModel(config)
        self.linear_heads = nn.ModuleList(nn.Linear(config.hidden_size, size) for size in HEAD_OUTPUTS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(texts, tokens) ids and mask -> (texts, 14) chosen outputs, (texts, hidden) [CLS] vectors."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        return torch.stack([head(hidden).argmax(dim=-1) for head in self.linear_heads], dim=-1), hidden


def load_network(checkpoint: Path) -> CheXbertNetwork:
    """Read a .pth or .safetensors checkpoint; a config.json beside it replaces bert-base-uncased's sizes.

    Raises:
        ModelError: the file holds something else, or its weights don't fit the network one to one. (The
            published loaders ignore what doesn't fit, and label with random weights.)
    """
    config_file = checkpoint.parent / "config.json"
    config = BertConfig.from_json_file(config_file) if config_file.is_file() else BertConfig()
    network = CheXbertNetwork(config)
    state = {name.removeprefix(_WRAPPER): value for name, value in _read_weights(checkpoint).items()}
    state.pop(_BUFFER, None)
    expected = {name: value.shape for name, value in network.state_dict().items()}
    odd = [
        name for name in {*expected, *state} if name not in state or state[name].shape != expected.get(name)
    ]
    if odd:
        raise ModelError(
            f"{len(odd)} weights are missing, unknown or of another size, first {min(odd)}",
            where=str(checkpoint),
            next_step="It is no CheXbert checkpoint, or of another size than its config.json says.",
        )
    network.load_state_dict(state)
    return network.eval()


def _read_weights(checkpoint: Path) -> dict[str, Tensor]:
    try:
        if checkpoint.suffix == ".safetensors":
            return load_file(checkpoint)
        # Anything but tensors in plain containers is refused: unpickling it could run code.
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise ModelError(
            f"no weights can be read safely from this file ({type(error).__name__})",
            where=str(checkpoint),
            next_step="docs/hub_models.md shows how to turn a checkpoint of a source that you trust into "
            "safetensors.",
        ) from None
    state = content.get("model_state_dict", content) if isinstance(content, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError("the file holds no model weights", where=str(checkpoint))
    return dict(state)
