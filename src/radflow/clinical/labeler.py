"""The rule expert model: a report's text -> its mentions, with an ontology and no learned weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from radflow.clinical.findings import NO_CONTEXT, Context, Finding, SentenceFindings
from radflow.clinical.grade_ranks import GradeRanks
from radflow.clinical.ontology import Ontology
from radflow.clinical.ontology_file import load_ontology
from radflow.clinical.tokens import sentences
from radflow.data.section_headers import COMBINED
from radflow.data.sections import PREAMBLE, UNLABELLED, Segment, segments
from radflow.records import Mention, Report

REMEMBERED_SENTENCES = 20_000
MAX_REMEMBERED_LENGTH = 300
"""Reports repeat their sentences: what one says is remembered, up to this many of at most this length."""

_READ = {
    "findings": "findings",
    "impression": "impression",
    COMBINED: "findings",
    "addendum": "addendum",
    "wet_read": "wet_read",
    "preliminary": "preliminary",
}
"""Sections that say what the image shows, and the name that their mentions carry."""
_WITHOUT_HEADERS = frozenset((PREAMBLE, UNLABELLED, "report", "examination", "comment", "summary"))
"""Read only where no section says by its header what the image shows."""

_HEADING_IN_LINE = re.compile(r"[A-Z][A-Z /()-]{2,40}:(?=\s.*[a-z])", re.DOTALL)


class Located(NamedTuple):
    """A finding at its place in a report: ``offset`` is where its sentence begins in the text."""

    finding: Finding
    offset: int
    section: str | None


class RuleLabeler:
    """Labels reports with one ontology. What it says of a report depends on that report alone.

    Args:
        ontology: a shipped one by name, the path of your own .yaml, or one that is loaded.
    """

    def __init__(self, ontology: str | Ontology = "chest-xray") -> None:
        self.ontology = load_ontology(ontology) if isinstance(ontology, str) else ontology
        self._sentence = SentenceFindings(self.ontology)
        self._grades = GradeRanks(self.ontology)
        self._abbreviations = frozenset(self.ontology.grammar.abbreviations)
        self._remembered: dict[tuple[str, Context], tuple[Finding, ...]] = {}

    def label(self, report: Report | str | None) -> list[Mention]:
        """All mentions of a report in order of position; never raises on any text."""
        text = report.text if isinstance(report, Report) else report or ""
        return [_mention(*located) for located in self.locate(text)]

    def locate(self, text: str) -> Iterator[Located]:
        """Like `label`, without building records: what tables of labels are made from."""
        located = self._locate(text)
        return self._grades.counted(list(located)) if self.ontology.measures else located

    def read_section(self, body: str, section: str | None = None) -> list[tuple[str, list[Located]]]:
        """The sentences of one section's text with their findings; headers in it are not looked for."""
        read = [(sentence, list(found)) for sentence, found in self._sentences(body, 0, section)]
        if self.ontology.measures:
            every = [item for _, found in read for item in found]
            kept = set(map(id, self._grades.counted(every)))
            read = [(sentence, [item for item in found if id(item) in kept]) for sentence, found in read]
        return read

    def _locate(self, text: str) -> Iterator[Located]:
        for start, end, section in bodies(text, self.ontology.headers):
            for _, found in self._sentences(text[start:end], start, section):
                yield from found

    def _sentences(
        self, body: str, start: int, section: str | None
    ) -> Iterator[tuple[str, Iterator[Located]]]:
        follows_headings = self.ontology.side_from_headings
        context = NO_CONTEXT
        for first, last in sentences(body, self._abbreviations):
            sentence = body[first:last]
            if follows_headings:
                context = self._context(sentence, context)
            offset = start + first
            yield sentence, (Located(item, offset, section) for item in self._findings(sentence, context))

    def _context(self, sentence: str, context: Context) -> Context:
        """What holds for a sentence and those below it: a line that is a heading says so, and a heading in
        capitals with a side ("RIGHT CAROTID: ICA patent"), as line ends fold when a report is rendered."""
        if sentence.endswith(":"):
            return self._sentence.context(sentence)
        heading = _HEADING_IN_LINE.match(sentence)
        inner = self._sentence.context(heading[0]) if heading else NO_CONTEXT
        return inner if inner.side else context

    def _findings(self, sentence: str, context: Context) -> tuple[Finding, ...]:
        key = (sentence, context)
        known = self._remembered.get(key)
        if known is None:
            known = tuple(self._sentence.read(sentence, context))
            if len(sentence) <= MAX_REMEMBERED_LENGTH:
                if len(self._remembered) >= REMEMBERED_SENTENCES:
                    del self._remembered[next(iter(self._remembered))]
                self._remembered[key] = known
        return known


def _mention(finding: Finding, offset: int, section: str | None) -> Mention:
    return Mention(
        observation=finding.observation,
        assertion=finding.assertion,
        side=finding.side,
        location=finding.location,
        severity=finding.severity,
        change=finding.change,
        section=section,
        start=offset + finding.start,
        end=offset + finding.end,
        cue=finding.cue,
    )


def bodies(text: str, headers: Mapping[str, str] | None = None) -> list[tuple[int, int, str | None]]:
    """Spans of the text to read, with the section's name; ``headers`` as in `parse_report`.

    Indication, history, technique, comparison and recommendations don't say what the image shows. Of a
    section that occurs more than once the last one that says anything counts, as in `parse_report`.
    """
    if not text:
        return []
    parts = segments(text, headers=headers)
    read: dict[str, Segment] = {}
    for part in parts:
        if part.name in _READ and (part.name not in read or part.body.strip(" \n\t.:-_")):
            read[part.name] = part
    if read:
        chosen = sorted(read.values(), key=lambda part: part.start)
        return [(part.start + len(part.header), part.end, _READ[part.name]) for part in chosen]
    return [
        (part.start + len(part.header), part.end, None if part.name == PREAMBLE else part.name)
        for part in parts
        if part.name in _WITHOUT_HEADERS
    ]
