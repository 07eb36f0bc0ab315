"""Report text -> tokens and sentences, with character offsets; shared by all that reads report text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from radflow.data.section_headers import words

MAX_SENTENCE_TOKENS = 120
"""A longer run without any stop is cut: rules look along the whole sentence, and time must stay linear."""
HARD_WRAP_WIDTH = 60
"""A text whose longest line is shorter isn't wrapped: its line ends were typed."""


class Tokens(NamedTuple):
    """Words, numbers and punctuation marks of a text in lower case, and their character spans."""

    words: list[str]
    starts: list[int]
    ends: list[int]

    def part(self, first: int, last: int) -> Tokens:
        """The tokens from ``first`` to ``last`` (exclusive); offsets still count from the text's start."""
        return Tokens(self.words[first:last], self.starts[first:last], self.ends[first:last])


_TOKEN = re.compile(
    r"([^\W\d_]+(?:['’][^\W\d_]{1,2}(?![^\W_]))?|\d+(?:[.,]\d+)*|_{2,}|"
    r"(?!(?<=[^\W\d_])[-‐‑–—][^\W\d_])[^\w\s])"  # a hyphen between two letters is no token
)
# A stop ends a sentence unless a digit or a small letter without a gap follows ("2.5 cm", "e.g.", "www.x");
# the number of a list item may follow ("normal.2. Lungs"), but not a digit, as "ratio 0.9. Left" holds no
# item 9.
_END = re.compile(
    r"(?<![.!?;。；])[.!?;。；]++(?=[\"')\]]*(?:\s|\Z|[A-Z][a-z]|[A-Z]+\s|(?<!\d\.)\d{1,2}[.)]\s))|\n"
)
_LIST_ITEM = re.compile(r"\s*(?:[-*•·]+\s|\(?\d{1,2}[.)](?!\d)|\d{1,2}\s*[-–]\s|\Z)")
_LABEL = re.compile(r"\s*[^\W\d_](?:[^\W\d_]|[ /()-]){0,40}:")
_ABBREVIATIONS = words("dr mr mrs ms st vs approx e.g i.e fig cf resp temp s.p a.p p.a incl dx hx sx bilat")
_BEFORE = re.compile(r"((?:[^\W\d_]|\.)+)\Z")
_NUMBER_ONLY = re.compile(r"\s*\(?\d{1,2}\s*\Z")


def tokens(text: str) -> Tokens:
    """Tokens of a text; a hyphen between two words vanishes, so that "air-space" reads like "air space"."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow when they are lowered ("İ"); offsets must not
        lowered = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    pieces = _TOKEN.split(lowered)  # gap, token, gap, token, ..., gap
    offsets = list(accumulate(map(len, pieces)))
    return Tokens(pieces[1::2], offsets[:-1:2], offsets[1::2])


def sentences(text: str, abbreviations: frozenset[str] = frozenset()) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of a text, in order; what lies between them is white space.

    ``abbreviations`` are those of another language, without their stop and in lower case.

    A sentence ends at a stop, at a blank line, before a list item or a label ("Lungs: ..."), and at a line
    end that was typed rather than wrapped: the next line starts with a capital, and its first word would
    still have fitted. A list number belongs to the sentence that it opens.
    """
    width = 0
    if "\n" in text:
        width = max(map(len, text.split("\n")))
    start = 0
    for match in _END.finditer(text):
        position = match.start()
        if position < start:
            continue
        if match[0] == "\n":
            ends = _typed_line_end(text, start, position, width)
        elif match[0] == ".":
            ends = not _is_abbreviation(text, start, position, abbreviations)
        else:
            ends = True
        if ends:
            yield from _trimmed(text, start, match.end())
            start = match.end()
    yield from _trimmed(text, start, len(text))


def _is_abbreviation(text: str, start: int, position: int, more: frozenset[str]) -> bool:
    """Whether the stop belongs to an abbreviation or to a list number."""
    window = text[max(start, position - 12) : position]
    if window[-1:].isdigit():
        return position - start < 8 and _NUMBER_ONLY.match(text[start:position]) is not None
    word = _BEFORE.search(window)
    if word is None:
        return False
    name = word[1].lower()
    return name in _ABBREVIATIONS or name in more


def _typed_line_end(text: str, start: int, position: int, width: int) -> bool:
    following = text[position + 1 : position + 60]
    if _LIST_ITEM.match(following) or not following.split("\n", 1)[0].strip() or _LABEL.match(following):
        return True
    first = following.lstrip(" \t")
    if not (first[:1].isupper() or first[:1].isdigit()):
        return False
    if width < HARD_WRAP_WIDTH:
        return True
    line = position - (text.rfind("\n", 0, position) + 1)
    return line + 1 + len(first.split(None, 1)[0]) < width


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
