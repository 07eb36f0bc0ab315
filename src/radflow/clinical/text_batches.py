"""Texts for a model that reads many at once: each distinct one once, alike lengths together"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def distinct_texts(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Every text once, and for each of ``texts`` its place among them. Normal reports repeat a lot."""
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return list(place), [place[text] for text in texts]


def alike_batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Places of texts, shortest first, up to ``size`` at a time, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for start in range(0, len(order), size):
        yield order[start : start + size]
