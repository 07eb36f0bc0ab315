"""Random choices of the phantom generators: independent streams from a key, and many small draws at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Uniform numbers drawn in one go: a hundred small choices cost less than one ``Generator.choice``."""

    def __init__(self, rng: np.random.Generator, size: int = 96) -> None:
        self._rng, self._size = rng, size
        self._next: Iterator[float] = iter(())

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        value = next(self._next, None)
        if value is None:
            self._next = iter(self._rng.random(self._size).tolist())
            value = next(self._next)
        return low + (high - low) * value

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.uniform() * len(items))]

    def favourite(self, items: Sequence[T]) -> T:
        """One item, earlier ones more often: as in dictation, a few wordings carry most of the load."""
        return items[int(len(items) * self.uniform() ** 1.8)]

    def weighted(self, weights: Mapping[T, float]) -> T:
        left = self.uniform() * sum(weights.values())
        for item, weight in weights.items():
            left -= weight
            if left < 0:
                return item
        return next(reversed(list(weights)))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        rest = list(items)
        return [rest.pop(int(self.uniform() * len(rest))) for _ in range(len(rest))]


def streams(count: int, *key: int) -> list[np.random.SeedSequence]:
    """``SeedSequence(key).spawn(count)`` at half the cost: splits the key into words once for all streams."""
    words = b"".join(number.to_bytes(4 * max(1, -(-number.bit_length() // 32)), "little") for number in key)
    entropy = np.frombuffer(words, dtype="<u4")
    return [np.random.SeedSequence(entropy, spawn_key=(stream,)) for stream in range(count)]


def dice_of(stream: np.random.SeedSequence) -> Dice:
    """Dice that a stream decides."""
    return Dice(np.random.Generator(np.random.PCG64(stream)))
