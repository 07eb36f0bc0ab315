"""Cut a byte-level BPE tokenizer to what given texts need: the same tokens for them, any other text in bytes

A pretrained language model brings tokens for everything that is written; reports use a twentieth of them.
With the others go most of a small model's embedding, of its head's time and of the logits' memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from radflow.errors import ModelError


def kept_tokens(tokenizer: Any, texts: Iterable[str], *, specials: Iterable[str] = ()) -> list[int]:
    """Ids, in order, of the tokens of the texts, of all tokens that these are merged from, of the single
    bytes and of ``specials``."""
    parts = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    made_of: dict[str, set[str]] = {}
    for first, second in parts["merges"]:
        made_of.setdefault(first + second, set()).update((first, second))
    ids = {token for text in texts for token in tokenizer(text, add_special_tokens=False)["input_ids"]}
    pending = [*tokenizer.convert_ids_to_tokens(sorted(ids)), *specials]
    kept = {byte for byte in pre_tokenizers.ByteLevel.alphabet() if byte in parts["vocab"]}
    while pending:
        token = pending.pop()
        if token not in kept:
            kept.add(token)
            pending += made_of.get(token, ())
    return sorted(tokenizer.convert_tokens_to_ids(sorted(kept)))


def cut_backend(tokenizer: Any, kept: list[int]) -> Tokenizer:
    """The tokenizer's own backend with these tokens alone, numbered by their place in ``kept``.

    Merges keep their order, and a merge stays when its parts and its result do. Whatever was merged for the
    texts that ``kept`` comes from is merged again, in the same order: they get the same tokens.

    Raises:
        ModelError: not a BPE.
    """
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    if whole["model"]["type"] != "BPE":
        raise ModelError("only a BPE's vocabulary can be cut", where=whole["model"]["type"])
    place = {token: number for number, token in enumerate(tokenizer.convert_ids_to_tokens(kept))}
    whole["model"]["vocab"] = place
    whole["model"]["merges"] = [
        [first, second]
        for first, second in whole["model"]["merges"]
        if first in place and second in place and first + second in place
    ]
    whole["added_tokens"] = [
        {**token, "id": place[token["content"]]}
        for token in whole["added_tokens"]
        if token["content"] in place
    ]
    return Tokenizer.from_str(json.dumps(whole))
