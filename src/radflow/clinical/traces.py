"""Traces: words that speak of an observation though they are none of its phrases ("lung volumes are low")."""

from __future__ import annotations

from collections.abc import Iterable

from radflow.clinical.section_claims import Claims

_DENIALS = frozenset(("no", "not", "without", "negative", "clear", "free", "normal", "unremarkable"))


class Traces:
    """Finds sentences that hold all words of one of several phrases, in any order.

    Args:
        phrases: words apart by spaces; ``a*`` is any word that begins so.
        denials: words beyond the English ones that deny the part of a sentence they stand in.
    """

    def __init__(self, phrases: Iterable[str], *, denials: Iterable[str] = ()) -> None:
        self._denials = _DENIALS.union(denials)
        self._phrases = [tuple(phrase.split()) for phrase in phrases]

    def found_in(self, claims: Claims) -> list[str]:
        """The sentences with a trace in a part of theirs that denies nothing."""
        return [
            sentence
            for sentence, bags in claims.bags
            if any(not words & self._denials and self.stand_in(words) for words in bags)
        ]

    def stand_in(self, words: frozenset[str]) -> bool:
        """Whether all words of one of the phrases are there."""
        return any(all(_is_there(part, words) for part in phrase) for phrase in self._phrases)


def _is_there(part: str, words: frozenset[str]) -> bool:
    if not part.endswith("*"):
        return part in words
    stem = part[:-1]
    return any(word.startswith(stem) for word in words)
