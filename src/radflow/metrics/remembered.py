"""A batch function that is asked for each distinct thing once: bounded memory of what it said before"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Calls ``compute`` with the distinct unknown keys of a call, all in one batch.

    Args:
        compute: keys -> as many values, in order; what it says of a key depends on that key alone.
        size: keys kept at most; the ones that were not asked for longest go first.
    """

    def __init__(self, compute: Callable[[Sequence[K]], Sequence[V]], *, size: int) -> None:
        self._compute = compute
        self._size = size
        self._known: dict[K, V] = {}

    def __call__(self, keys: Sequence[K]) -> list[V]:
        """The value of each key, in order."""
        distinct = dict.fromkeys(keys)
        unknown = [key for key in distinct if key not in self._known]
        values = {key: self._known.pop(key) for key in distinct if key in self._known}
        if unknown:
            values.update(zip(unknown, self._compute(unknown), strict=True))
        self._known.update(values)  # behind the others: what is asked for again stays longest
        while len(self._known) > self._size:
            del self._known[next(iter(self._known))]
        return [values[key] for key in keys]
