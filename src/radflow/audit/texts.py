"""A report as its sections' text, its sentences, and edits at known places of it"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from radflow.clinical.tokens import sentences
from radflow.data.sections import render_report
from radflow.records import Report

SectionName = Literal["findings", "impression"]
SECTIONS: tuple[SectionName, ...] = ("findings", "impression")
Bodies = Mapping[SectionName, str]
"""The text of each section that a report has, on one line."""

_LIST_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s*")


class Sentence(NamedTuple):
    """``text`` is ``bodies[section][start:end]``, without the number of a list; ``gap`` ends its white space.

    Attributes:
        opening: where its list number begins; ``start`` without one.
    """

    section: SectionName
    opening: int
    start: int
    end: int
    gap: int
    text: str


class Edit(NamedTuple):
    """``bodies[section][start:end]``, which is ``old``, becomes ``new``."""

    section: SectionName
    start: int
    end: int
    old: str
    new: str


def bodies_of(report: Report) -> dict[SectionName, str]:
    """The sections that say anything, white space folded, with a stop at the end where none stands."""
    said = {"findings": report.findings, "impression": report.impression}
    folded = {name: " ".join((said[name] or "").split()) for name in SECTIONS}
    closed = {name: body if body.endswith((".", "!", "?")) else f"{body}." for name, body in folded.items()}
    return {name: body for name, body in closed.items() if re.search(r"\w", body)}


def written(bodies: Bodies) -> str:
    """The report with its headers, as a policy is trained to write it."""
    return render_report(findings=bodies.get("findings"), impression=bodies.get("impression"))


def sentences_of(bodies: Bodies, *, only: SectionName | None = None) -> Iterator[Sentence]:
    """All sentences with a word, in order."""
    for section, body in bodies.items():
        if only not in (None, section):
            continue
        spans = list(sentences(body))
        for number, (first, end) in enumerate(spans):
            gap = spans[number + 1][0] if number + 1 < len(spans) else len(body)
            lead = _LIST_NUMBER.match(body, first, end)
            start = lead.end() if lead else first
            if re.search(r"[^\W\d]", body[start:end]):
                yield Sentence(section, first, start, end, gap, body[start:end])


def removal(bodies: Bodies, sentence: Sentence) -> Edit:
    """The edit that takes a sentence out, its list number and the space behind it included."""
    old = bodies[sentence.section][sentence.opening : sentence.gap]
    return Edit(sentence.section, sentence.opening, sentence.gap, old, "")


def addition(bodies: Bodies, section: SectionName, position: int, sentence: str) -> Edit:
    """The edit that puts a sentence at a sentence's beginning, or at the end of the section."""
    stop = "" if sentence.endswith((".", "!", "?", ";")) else "."
    new = f" {sentence}{stop}" if position >= len(bodies[section]) else f"{sentence}{stop} "
    return Edit(section, position, position, "", new)


def apply(bodies: Bodies, edits: Iterable[Edit]) -> dict[SectionName, str]:
    """The bodies after all edits, which must not overlap; a section without a word left is gone.

    Raises:
        ValueError: an edit doesn't fit the text, or two overlap.
    """
    changed = dict(bodies)
    reached = {section: len(body) + 1 for section, body in bodies.items()}
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        body = changed[edit.section]
        if bodies[edit.section][edit.start : edit.end] != edit.old or edit.end > reached[edit.section]:
            raise ValueError(f"an edit at {edit.start} doesn't fit")  # never shown: a defect of an injector
        changed[edit.section] = body[: edit.start] + edit.new + body[edit.end :]
        reached[edit.section] = edit.start
    folded = {section: " ".join(body.split()) for section, body in changed.items()}
    return {section: body for section, body in folded.items() if re.search(r"\w", body)}


def overlaps(edits: Iterable[Edit], others: Iterable[Edit]) -> bool:
    """Whether any two of them touch the same letters; additions at one place don't."""
    mine = list(others)
    return any(
        edit.section == other.section and edit.start < other.end and other.start < edit.end
        for edit in edits
        for other in mine
    )


def like(word: str, old: str) -> str:
    """``word`` with a capital where ``old`` has one."""
    return word[:1].upper() + word[1:] if old[:1].isupper() else word
