"""A cut vocabulary reads the texts it was cut for as before, and can still write any other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from radflow.models.vocabulary import cut_backend, kept_tokens

TEXTS = [
    "The heart is enlarged. There is a small left effusion.",
    "The lungs are clear. No effusion or pneumothorax.",
    "Stable cardiomegaly, unchanged from before.",
]


@pytest.fixture(scope="module")
def whole() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<pad>", "<end>", "<unused>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, "other words that no report holds, here and there"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")


def test_the_texts_keep_their_tokens(whole: Any) -> None:
    kept = kept_tokens(whole, TEXTS, specials=("<pad>", "<end>"))
    cut = PreTrainedTokenizerFast(tokenizer_object=cut_backend(whole, kept))
    assert len(cut) == len(kept) < len(whole)
    assert cut.convert_tokens_to_ids("<unused>") is None
    for text in TEXTS:
        ids = cut(text)["input_ids"]
        assert [kept[place] for place in ids] == whole(text)["input_ids"]


@given(st.text())
def test_any_text_comes_back(whole: Any, text: str) -> None:
    kept = kept_tokens(whole, TEXTS[:1], specials=("<pad>", "<end>"))
    cut = cut_backend(whole, kept)
    assert cut.decode(cut.encode(text).ids, skip_special_tokens=False) == text
