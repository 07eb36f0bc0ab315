"""What a judge may answer: the JSON schema of each verdict, and the checks that no schema can express.

A check names what is wrong without repeating a word of the report, since its message is stored and shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from radflow.records import ConflictKind, Record

_NEEDS_FINDINGS = {"contradicted", "critical_omitted", "side_or_severity_conflict"}
_NEEDS_IMPRESSION = {"contradicted", "unsupported", "side_or_severity_conflict"}

_ENDS_PASSAGE = re.compile(r"\s*(?:\Z|\n)")
_WORD_OR_GAP = re.compile(r"\s+|\S+")


def _one_line(text: str) -> str:
    folded = " ".join(text.split())
    if not folded:
        raise ValueError("empty")
    return folded


OneLine = Annotated[str, AfterValidator(_one_line)]


class Problem(Record):
    """One disagreement of Findings and Impression.

    Attributes:
        kind: what is wrong.
        label: the observation concerned, in the judge's words.
        findings_quote: the span of the Findings that shows it; ``None`` only when unsupported.
        impression_quote: the span of the Impression that shows it; ``None`` only when it omits one.
    """

    kind: ConflictKind
    label: OneLine
    findings_quote: str | None
    impression_quote: str | None


class ConsistencyVerdict(Record):
    """Whether Findings and Impression of one report agree; inconsistent exactly when there is a problem."""

    problems: tuple[Problem, ...]
    verdict: Literal["consistent", "inconsistent"]


class CriticalityVerdict(Record):
    """Whether somebody must be told at once; confidence in [0, 1] concerns `is_critical`, whichever it is."""

    reason: OneLine
    is_critical: bool
    confidence: float = Field(ge=0, le=1)


class SectionsVerdict(Record):
    """Findings and Impression of a report without headers, as the judge copied them; ``None`` for absent."""

    findings: str | None
    impression: str | None


def find_verbatim(quote: str, text: str) -> tuple[int, int] | None:
    """Where the quote stands in the text, word for word; only white space may differ. ``None``: nowhere."""
    wanted = " ".join(quote.split())
    if not wanted:
        return None
    folded, places = _folded(text)
    start = folded.find(wanted)  # a pattern with \s+ between the words would try each again at each place
    return None if start < 0 else (places[start], places[start + len(wanted) - 1] + 1)


def _folded(text: str) -> tuple[str, list[int]]:
    """The text with each run of white space as one space, and where each of its characters stood."""
    pieces: list[str] = []
    places: list[int] = []
    for match in _WORD_OR_GAP.finditer(text):
        first, last = match.span()
        is_gap = text[first].isspace()
        pieces.append(" " if is_gap else match[0])
        places.extend(range(first, first + 1 if is_gap else last))
    return "".join(pieces), places


def _starts_passage(before: str) -> bool:
    """Whether a text ends where a sentence ends: at its beginning, behind a stop, or on a new line."""
    said = before.rstrip()
    return not said or said[-1] in ".:;!?)]" or "\n" in before[len(said) :]


def check_consistency(verdict: ConsistencyVerdict, payload: Mapping[str, str]) -> str | None:
    """What is wrong with the verdict, if anything; a quote that isn't in the report proves nothing."""
    if (verdict.verdict == "inconsistent") != bool(verdict.problems):
        return "verdict and list of problems contradict each other"
    for number, problem in enumerate(verdict.problems):
        for section, quote, is_needed in (
            ("findings", problem.findings_quote, problem.kind in _NEEDS_FINDINGS),
            ("impression", problem.impression_quote, problem.kind in _NEEDS_IMPRESSION),
        ):
            if quote is None or not quote.strip():
                if is_needed:
                    return f"problem {number} ({problem.kind}) lacks {section}_quote"
            elif find_verbatim(quote.lower(), payload[section].lower()) is None:
                return f"problem {number}: {section}_quote does not stand in the {section}"
    return None


def section_spans(verdict: SectionsVerdict, text: str) -> dict[str, tuple[int, int]] | str:
    """Where each section stands in the text: start, end. A message if one doesn't stand there as it must.

    A section is whole sentences: a copy that begins or ends in mid sentence can turn its meaning round
    ("no" left off before "pneumothorax"), so it counts as not verbatim.
    """
    spans: dict[str, tuple[int, int]] = {}
    for name, copied in (("findings", verdict.findings), ("impression", verdict.impression)):
        if copied is None or not copied.strip():
            continue
        span = find_verbatim(copied, text)
        if span is None:
            return f"{name} does not stand verbatim in the text"
        starts = _starts_passage(text[: span[0]])
        ends = text[span[1] - 1] in ".;!?" or _ENDS_PASSAGE.match(text, span[1])
        if not (starts and ends):
            return f"{name} begins or ends in mid sentence"
        spans[name] = span
    if len(spans) == 2:
        first, second = sorted(spans.values())
        if second[0] < first[1]:
            return "findings and impression overlap"
    return spans


def check_sections(verdict: SectionsVerdict, payload: Mapping[str, str]) -> str | None:
    """What is wrong with the sections, if anything: each must stand verbatim in the text."""
    found = section_spans(verdict, payload["text"])
    return found if isinstance(found, str) else None
