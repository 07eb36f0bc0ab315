"""A small BERT of the published architecture, with a vocabulary made on the spot."""

from __future__ import annotations

from pathlib import Path

from transformers import BertConfig, BertTokenizer, ModernBertConfig

TEXT = "no acute pleural effusion edema heart is enlarged left lung opacity pneumonia tube in place"
LETTERS = "abcdefghijklmnopqrstuvwxyz.,0123456789"


def write_tiny_bert(folder: Path) -> BertConfig:
    """Write config.json and a WordPiece vocabulary; unknown words fall into letters."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *TEXT.split(), *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.4,  # wide, so that texts differ by far more than rounding
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config.save_pretrained(folder)
    return config


def write_tiny_modern_bert(folder: Path) -> None:
    """The same vocabulary beside the config of a small ModernBERT, the encoder of modern-radgraph-xl."""
    config = write_tiny_bert(folder)
    ModernBertConfig(
        vocab_size=config.vocab_size,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.4,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
    ).save_pretrained(folder)
