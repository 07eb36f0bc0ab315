"""CheXbert as a labeler, and its [CLS] vectors for SembScore: batched, any device, weights loaded safely

Smit et al., EMNLP 2020. The f1chexbert package is not used: it runs one report at a time, loads with
strict=False, so that a wrong file labels at random, and downloads when constructed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES, LabelValue
from radflow.clinical.hub_files import SCORERS_REPOSITORY, hub_folder, is_hub_id, missing_model, pick_device
from radflow.clinical.text_batches import alike_batches, distinct_texts

CHEXBERT_ORDER: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The order of its heads. CheXpert's has No Finding first, and Lung Lesion before Lung Opacity."""

HEAD_VALUES: tuple[LabelValue, ...] = (None, 1, 0, -1)
"""What a head's outputs stand for: blank, positive, negative, uncertain; No Finding has the first two."""

MAX_TOKENS = 512
CHECKPOINTS = ("model.safetensors", "chexbert.pth")
VOCABULARIES = ("vocab.txt", "tokenizer.json")
BERT = "bert-base-uncased"
DEFAULT = "rules"


def labels_from_heads(outputs: Sequence[int]) -> dict[str, LabelValue]:
    """The chosen output of each of the 14 heads -> labels in the order of CHEXPERT_CLASSES."""
    by_name = {name: HEAD_VALUES[output] for name, output in zip(CHEXBERT_ORDER, outputs, strict=True)}
    return {name: by_name[name] for name in CHEXPERT_CLASSES}


class CheXbert:
    """Labels reports and gives their [CLS] vectors.

    Args:
        source: a checkpoint file, a folder that holds one (model.safetensors or chexbert.pth, beside it
            config.json if it isn't of bert-base-uncased's size), or a hub id, from which it is then fetched.
            Default: what this machine has in its caches.
        tokenizer: folder or hub id of the vocabulary; default: the checkpoint's folder if it holds one, else
            bert-base-uncased.
        device: auto, cpu, cuda, cuda:1, mps.
        batch_size: texts in one pass; alike lengths go together.

    Raises:
        ModelError: no checkpoint or vocabulary there, or one that doesn't fit.
    """

    def __init__(
        self,
        source: str | Path | None = None,
        *,
        tokenizer: str | Path | None = None,
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        self.device, self.batch_size = pick_device(device), batch_size
        checkpoint = find_checkpoint(source)
        from radflow.clinical.chexbert_network import load_network

        self.network = load_network(checkpoint).to(self.device)
        self.tokenizer = _load_tokenizer(
            tokenizer, checkpoint, self.network.bert.config.vocab_size, download=is_hub_id(source)
        )

    def label(self, texts: Sequence[str]) -> list[dict[str, LabelValue]]:
        """The 14 labels of each text; -1 uncertain, ``None`` not mentioned. No Finding is 1 or ``None``."""
        return [labels_from_heads(outputs) for outputs in self._run(texts)[0].tolist()]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, hidden) last-layer [CLS] vectors; SembScore is the cosine of two of them."""
        return self._run(texts)[1]

    def read(self, texts: Sequence[str]) -> tuple[list[dict[str, LabelValue]], NDArray[np.float32]]:
        """`label` and `vectors` of each text, in one pass."""
        chosen, vectors = self._run(texts)
        return [labels_from_heads(outputs) for outputs in chosen.tolist()], vectors

    def _run(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(texts, 14) chosen outputs of the heads, (texts, hidden) [CLS] vectors."""
        import torch

        # Line breaks and runs of spaces mean nothing to it: this is how the published labeler reads, too.
        distinct, places = distinct_texts([" ".join(text.split()) for text in texts])
        heads = np.zeros((len(distinct), len(CHEXBERT_ORDER)), dtype=np.int64)
        vectors = np.zeros((len(distinct), self.network.bert.config.hidden_size), dtype=np.float32)
        tokens = [self.tokenizer(text, truncation=True, max_length=MAX_TOKENS) for text in distinct]
        for batch in alike_batches([len(each["input_ids"]) for each in tokens], self.batch_size):
            padded = self.tokenizer.pad([tokens[place] for place in batch], return_tensors="pt")
            padded = padded.to(self.device)
            with torch.inference_mode():
                chosen, hidden = self.network(padded["input_ids"], padded["attention_mask"])
            heads[batch], vectors[batch] = chosen.cpu().numpy(), hidden.cpu().numpy()
        return heads[places], vectors[places]


def find_checkpoint(source: str | Path | None) -> Path:
    """The checkpoint file that a setting names, or the one that this machine's caches hold.

    Raises:
        ModelError: there is none.
    """
    looked: list[object] = []
    if source is None:
        folder = hub_folder(SCORERS_REPOSITORY, CHECKPOINTS, download=False)
        looked.append(f"the local cache of {SCORERS_REPOSITORY}")
        places = [folder, Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "chexbert"]
    elif is_hub_id(source):
        places = [hub_folder(str(source), (*CHECKPOINTS, "*.json", "*.txt"), download=True)]
        looked += [f"the folder {source}", f"the hub repository {source}"]
    else:
        places = [Path(source).expanduser()]
    for place in places:
        if place is None:
            continue
        for file in (place, *(place / name for name in CHECKPOINTS)):
            if file.is_file():
                return file
        looked.append(place)
    raise missing_model(
        "the checkpoint of chexbert",
        looked=looked,
        get=f"Fetch chexbert.pth from the hub repository {SCORERS_REPOSITORY} and give its folder as source, "
        f"or give {SCORERS_REPOSITORY} itself as source to have it fetched (docs/hub_models.md).",
        default=DEFAULT,
    )


def _load_tokenizer(
    setting: str | Path | None, checkpoint: Path, vocabulary_size: int, *, download: bool
) -> Any:
    from transformers import BertTokenizer

    beside = any((checkpoint.parent / name).is_file() for name in VOCABULARIES)
    origin = str(setting or (checkpoint.parent if beside else BERT))
    try:
        offline = not (download or is_hub_id(setting))
        tokenizer = BertTokenizer.from_pretrained(origin, local_files_only=offline)
    except (OSError, ValueError):
        tokenizer = None
    # Where it finds no vocabulary, transformers 5 makes a tokenizer of special tokens only, without a word.
    if tokenizer is None or len(tokenizer) != vocabulary_size:
        raise missing_model(
            f"the vocabulary of chexbert ({vocabulary_size} pieces)",
            looked=[origin if Path(origin).exists() else f"the local cache of {origin}"],
            get=f"Put vocab.txt of {BERT} beside the checkpoint, or give its folder as tokenizer.",
            default=DEFAULT,
        )
    return tokenizer
