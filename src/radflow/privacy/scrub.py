"""Text without identifiers: what rules find is replaced by its kind, [NAME] or [DATE], and counted

Rules find what looks like an identifier, or stands where one stands. A name without a lead, a rare disease
or a place told in words stay: docs/privacy.md has the measured rates.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from radflow.privacy.rules import Rules, load_rules

BEFORE = 60
"""Characters before a match that a rule's `after` may look at."""


class Hidden(NamedTuple):
    """One identifier: its span in the text as it came, and where its replacement stands.

    Attributes:
        start, end: in the text as it came.
        at, until: in the scrubbed text.
    """

    start: int
    end: int
    kind: str
    at: int
    until: int


class Scrubbed(NamedTuple):
    """A text without identifiers, and what was hidden, in order; no identifier is kept here."""

    text: str
    hidden: tuple[Hidden, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many identifiers of each kind."""
        return Counter(one.kind for one in self.hidden)

    def span_before(self, start: int, end: int) -> tuple[int, int]:
        """Where a span of the scrubbed text stood in the text as it came; replacements count as wholes."""
        return self._before(start, is_end=False), self._before(end, is_end=True)

    def _before(self, place: int, *, is_end: bool) -> int:
        number = bisect_right([one.at for one in self.hidden], place if not is_end else place - 1) - 1
        if number < 0:
            return place
        one = self.hidden[number]
        if place < one.until:
            return one.end if is_end else one.start
        return place - one.until + one.end


class Scrubber:
    """Scrubs texts by the rules of some languages; picklable.

    Args:
        names: shipped rules ("en", "de") or paths of own .yaml files; those of every language always count.

    Raises:
        ConfigError: unknown or broken rules.
    """

    def __init__(self, names: Sequence[str] = ("en", "de")) -> None:
        self.names = tuple(names)
        self._rules: Rules = load_rules(self.names)

    def __getstate__(self) -> tuple[str, ...]:
        return self.names

    def __setstate__(self, names: tuple[str, ...]) -> None:
        self.__init__(names)  # type: ignore[misc]

    def scrub(self, text: str) -> Scrubbed:
        """The text with every identifier that the rules find replaced by its kind in brackets."""
        spans = _merged(self._found(text))
        if not spans:
            return Scrubbed(text)
        parts: list[str] = []
        hidden: list[Hidden] = []
        done = length = 0
        for start, end, kind in spans:
            between, replacement = text[done:start], f"[{kind.upper()}]"
            at = length + len(between)
            length = at + len(replacement)
            hidden.append(Hidden(start, end, kind, at, length))
            parts += (between, replacement)
            done = end
        return Scrubbed("".join((*parts, text[done:])), tuple(hidden))

    def _found(self, text: str) -> list[tuple[int, int, str]]:
        kept = [match.span() for pattern in self._rules.keep for match in pattern.finditer(text)]
        found = []
        for rule in self._rules.rules:
            group: str | int = "hide" if "hide" in rule.pattern.groupindex else 0
            for match in rule.pattern.finditer(text):
                start, end = match.span(group)
                before = text[max(0, match.start() - BEFORE) : match.start()]
                if start == end or (rule.after is not None and not rule.after.search(before)):
                    continue
                if not any(start < until and at < end for at, until in kept):
                    found.append((start, end, rule.kind))
        return found


def _merged(found: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans in order without overlap: overlapping ones become one, of the kind of the longest of them."""
    merged: list[tuple[int, int, str, int]] = []
    for start, end, kind in sorted(found, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            first, until, known, longest = merged[-1]
            if end - start > longest:
                known, longest = kind, end - start
            merged[-1] = (first, max(until, end), known, longest)
        else:
            merged.append((start, end, kind, end - start))
    return [(start, end, kind) for start, end, kind, _ in merged]
