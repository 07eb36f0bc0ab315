"""What holds for any text: no error, spans inside the text, no report influences another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.clinical.labeler import MAX_REMEMBERED_LENGTH, RuleLabeler
from radflow.clinical.tokens import sentences, tokens

CHEST, CAROTID = RuleLabeler("chest-xray"), RuleLabeler("carotid-ultrasound")
VOCABULARY = """no not without possible may resolved has effusion pneumothorax heart lungs normal
    enlarged left right , . ; : ( ) / and or but XXXX ___ 1. 50% psv ica cm/s stenosis plaque
    125 FINDINGS: IMPRESSION: İ ?"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\n\n"])
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join))


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_never_raises_and_spans_lie_in_the_text(text: str) -> None:
    for labeler in (CHEST, CAROTID):
        for mention in labeler.label(text):
            assert 0 <= mention.start < mention.end <= len(text)
            assert text[mention.start : mention.end].strip()


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_labels_do_not_depend_on_other_reports(texts: list[str]) -> None:
    """CHEST has read all earlier examples."""
    together = [CHEST.label(text) for text in texts]
    assert together == [CHEST.label(text) for text in texts]
    assert together[-1] == RuleLabeler("chest-xray").label(texts[-1])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_sentences_and_tokens_keep_their_offsets(text: str) -> None:
    spans = list(sentences(text))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
    found = tokens(text)
    assert all(len(word) == end - start for word, start, end in zip(*found, strict=True))


def test_memory_of_sentences_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radflow.clinical.labeler.REMEMBERED_SENTENCES", 10)
    labeler = RuleLabeler("chest-xray")
    for number in range(100):
        labeler.label(f"Effusion of {number} cm.")
    labeler.label("effusion " * MAX_REMEMBERED_LENGTH)
    assert len(labeler._remembered) == 10
