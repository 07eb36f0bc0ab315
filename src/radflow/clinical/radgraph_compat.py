"""What radgraph 0.1.18 lacks: tokenizer calls that transformers 5 removed, and a mask for several reports"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def old_tokenizer_calls() -> Iterator[None]:
    """Inside, tokenizers that the package loads get the removed calls, and keep them; no class is touched."""
    from radgraph.allennlp.common import cached_transformers

    load = cached_transformers.get_tokenizer

    def load_and_teach(*args: Any, **kwargs: Any) -> Any:
        return _teach(load(*args, **kwargs))

    cached_transformers.get_tokenizer = load_and_teach
    try:
        yield
    finally:
        cached_transformers.get_tokenizer = load


def _teach(tokenizer: Any) -> Any:
    if not hasattr(tokenizer, "encode_plus"):
        tokenizer.encode_plus = tokenizer.__call__
    if not hasattr(tokenizer, "build_inputs_with_special_tokens"):

        def build_inputs_with_special_tokens(ids: list[int]) -> list[int]:
            return [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]

        tokenizer.build_inputs_with_special_tokens = build_inputs_with_special_tokens
    return tokenizer


def hide_padding(model: Any) -> None:
    """Keep relations from starting at a shorter report's padding, which the package masks as target only.

    One report at a time, as the package itself reads, there is no padding and nothing changes.
    """
    predict = model._relation._predict_sentence

    def predict_kept(top_spans: Any, scores: Any, kept: Any, sentence: Any) -> Any:
        count = int(kept)
        return predict(top_spans[:count], scores[:count, :count], kept, sentence)

    model._relation._predict_sentence = predict_kept
