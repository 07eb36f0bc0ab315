"""Inputs made of others: bytes flipped, cut out, doubled, exchanged for words of the format, spliced."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

INTERESTING = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x1c", b"\xc2\x85", b"\xc2\xa0",
    b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xcc\x81", b"\xd7\x90", b"\xe2\x80\xae", b"\xf0\x9f\xab\x81",
    b"\xed\xa0\x80", b"\xc4\xb0", b"\xce\xa3", b"\xef\xbc\x9a", b"-1", b"0", b"65536", b"4294967295",
    b"99999999999999999999", b"1e400", b"nan", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"9" * 5000,
)  # fmt: skip
"""What readers trip over: ends of lines and texts, combining marks, right-to-left, surrogates, numbers."""
LONG = 4000
"""How often a piece is repeated at most."""


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], random: Random, *, most: int) -> bytes:
    """A seed with one to eight changes, cut at ``most`` bytes."""
    data = random.choice(seeds) if seeds else b""
    for _ in range(random.choice((1, 1, 2, 3, 5, 8))):
        data = _changed(data, seeds, words, random)[:most]
    return data


def _changed(data: bytes, seeds: Sequence[bytes], words: Sequence[bytes], random: Random) -> bytes:
    first, last = _span(data, random)
    piece = data[first:last]
    kind = random.randrange(10)
    if kind == 0:
        return data[:first] + data[last:]
    if kind == 1:
        return data[:first] + piece * _times(random, len(piece)) + data[last:]
    if kind == 2:
        return data[:first] + random.choice(INTERESTING) + data[last:]
    if kind == 3:
        word = random.choice(words or INTERESTING)
        return (
            data[:first] + word * (1 if random.random() < 0.7 else _times(random, len(word))) + data[first:]
        )
    if kind == 4:
        return data[:first] + random.choice(words or INTERESTING) + data[last:]
    if kind == 5:
        return data[:first] + random.randbytes(random.choice((1, 2, 4, 16))) + data[last:]
    if kind == 6 and data:
        return _bit_flipped(data, random)
    if kind == 7:
        other = random.choice(seeds) if seeds else b""
        start, end = _span(other, random)
        return data[:first] + other[start:end] + data[last:]
    if kind == 8:
        return data[:first]
    return data[:first] + piece[::-1] + data[last:]


def _times(random: Random, size: int) -> int:
    return min(random.choice((2, 3, 10, 100, LONG)), 1 + (1 << 16) // max(1, size))


def _span(data: bytes, random: Random) -> tuple[int, int]:
    """A part of the data, mostly a short one."""
    first = random.randint(0, len(data))
    return first, min(len(data), first + random.choice((0, 1, 2, 4, 8, 32, len(data))))


def _bit_flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)
