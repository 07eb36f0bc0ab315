"""A report -> its variants: every kind of error in 1, 2 and 3 places, and changes that harm nothing"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from radflow.audit import sites
from radflow.audit.bank import Bank
from radflow.audit.sites import Site
from radflow.audit.texts import Bodies, Edit, SectionName, apply, bodies_of, overlaps, sentences_of, written
from radflow.records import Report

MOST = 3
"""Errors of a kind that a variant has at most."""
PIECES = 5
"""A truncation takes away as many of so many equal pieces of the words as its count."""


class Variant(NamedTuple):
    """A changed report.

    Attributes:
        kind: the name of what was done.
        times: how often.
        text: the report as it would be generated, headers included.
        changes: the edits of the original's bodies; they hold report text.
        about: what each change concerns, in words of the bank.
    """

    kind: str
    times: int
    text: str
    changes: tuple[Edit, ...]
    about: tuple[str, ...]


Finder = Callable[[Bank, Bodies, Random], list[Site]]
Maker = Callable[[Bank, Bodies, Random, str], list[Variant]]


@dataclass(frozen=True)
class Kind:
    """A kind of change.

    Attributes:
        title: its head in tables.
        meaning: one sentence.
        make: all variants of a report, by rising count; none where it has no room for one.
        is_harmless: a control, which no metric should mind.
        shares_words: whether what changes are words that rule-based readers have in their ontology too.
    """

    title: str
    meaning: str
    make: Maker
    is_harmless: bool = False
    shares_words: bool = True


def graded(finder: Finder) -> Maker:
    """Variants with 1, 2, 3 of the sites, in random order; each holds the changes of the one before."""

    def make(bank: Bank, bodies: Bodies, rng: Random, kind: str) -> list[Variant]:
        found = finder(bank, bodies, rng)
        rng.shuffle(found)
        variants: list[Variant] = []
        edits: tuple[Edit, ...] = ()
        about: tuple[str, ...] = ()
        for site in found:
            if overlaps(site.edits, edits):
                continue
            changed = apply(bodies, (*edits, *site.edits))
            if changed.keys() != bodies.keys():  # a section would be gone: another error than the kind's
                continue
            edits, about = (*edits, *site.edits), (*about, site.about)
            variants.append(Variant(kind, len(about), written(changed), edits, about))
            if len(variants) == MOST:
                break
        return variants

    return make


def truncated(bank: Bank, bodies: Bodies, rng: Random, kind: str) -> list[Variant]:
    """The last fifth, two and three fifths of the words cut off, as at the limit of a generation."""
    words = [(name, match.end()) for name, body in bodies.items() for match in re.finditer(r"\S+", body)]
    variants: list[Variant] = []
    for count in range(1, MOST + 1):
        kept = len(words) + (-count * len(words)) // PIECES  # whole numbers: 0.6 * 10 is more than 6
        if kept < 1 or kept == len(words):
            break
        last, end = words[kept - 1]
        edits = []
        for name, body in bodies.items():
            start = end if name == last else 0
            if name == last or name not in {section for section, _ in words[:kept]}:
                edits.append(Edit(name, start, len(body), body[start:], ""))
        changed = apply(bodies, edits)
        variants.append(Variant(kind, count, written(changed), tuple(edits), ("end",) * count))
    return variants


_LEANS = re.compile(
    r"(?:this|these|those|that|it|its|they|which|otherwise|also|additionally|again|however|similar\w*|"
    r"there (?:is|are) also|the latter|the former|other|no other|no additional|remaining|the remainder|"
    r"in addition|but|and|as (?:above|described|noted)|elsewhere|"
    r"given|therefore|thus|compared|when compared|follow|differential|consider)\b",
    re.IGNORECASE,
)


def reordered(bank: Bank, bodies: Bodies, rng: Random, kind: str) -> list[Variant]:
    """The sentences of each section in another order; one that leans on the one before stays behind it.

    A numbered section stays as it is.
    """
    edits = []
    for section, body in bodies.items():
        units = _units(bodies, section)
        if len(set(units)) < 2:
            continue
        shuffled = list(units)
        while shuffled == units:
            rng.shuffle(shuffled)
        edits.append(Edit(section, 0, len(body), body, " ".join(shuffled)))
    if not edits:
        return []
    return [Variant(kind, 1, written(apply(bodies, edits)), tuple(edits), ("order",))]


def _units(bodies: Bodies, section: SectionName) -> list[str]:
    """Sentences, each with those that lean on it; none where a section is numbered or has other marks."""
    units: list[str] = []
    found = list(sentences_of(bodies, only=section))
    if any(sentence.opening != sentence.start or not sentence.text[0].isupper() for sentence in found):
        return []
    for sentence in found:
        text = sentence.text if sentence.text.endswith((".", "!", "?")) else f"{sentence.text}."
        if units and _LEANS.match(text):
            units[-1] += f" {text}"
        else:
            units.append(text)
    return units


def respelled(bank: Bank, bodies: Bodies, rng: Random, kind: str) -> list[Variant]:
    """Everything in lower case, each sentence on a line of its own."""
    sections, edits = [], []
    for section, body in bodies.items():
        lines = [body[one.opening : one.gap].strip().lower() for one in sentences_of(bodies, only=section)]
        if not lines:
            return []
        sections.append(f"{section.upper()}: " + "\n".join(lines))
        edits.append(Edit(section, 0, len(body), body, "\n".join(lines)))
    return [Variant(kind, 1, "\n".join(sections), tuple(edits), ("case and lines",))]


KINDS: dict[str, Kind] = {
    "negation_flip": Kind("negation flip", "A statement becomes its opposite.", graded(sites.negation_sites)),
    "omission": Kind(
        "omission",
        "A finding that the report asserts is left out, in both sections.",
        graded(sites.omission_sites),
    ),
    "invention": Kind(
        "invention",
        "The Findings hold one more finding, of which the report says nothing.",
        graded(sites.invention_sites),
        shares_words=False,
    ),
    "side_swap": Kind(
        "side swap", "Left becomes right or right left in a sentence.", graded(sites.side_sites)
    ),
    "severity": Kind(
        "severity", "A degree becomes the other end of the scale.", graded(sites.severity_sites)
    ),
    "location": Kind("location", "A finding is said to lie elsewhere.", graded(sites.location_sites)),
    "device_position": Kind("device position", "A device is said to lie wrong.", graded(sites.device_sites)),
    "temporal": Kind(
        "course", "Stable becomes worse, new becomes stable, and so on.", graded(sites.temporal_sites)
    ),
    "contradiction": Kind(
        "contradiction",
        "The Impression asserts what the Findings deny, or denies what they assert.",
        graded(sites.contradiction_sites),
    ),
    "duplication": Kind(
        "duplication", "A sentence is said twice.", graded(sites.duplication_sites), shares_words=False
    ),
    "truncation": Kind(
        "truncation",
        "The last fifth of the words is missing (two fifths, three).",
        truncated,
        shares_words=False,
    ),
    "order": Kind(
        "sentence order",
        "The sentences of a section stand in another order.",
        reordered,
        is_harmless=True,
        shares_words=False,
    ),
    "paraphrase": Kind(
        "paraphrase",
        "A phrase is said in other words.",
        graded(sites.paraphrase_sites),
        is_harmless=True,
        shares_words=False,
    ),
    "spelling": Kind(
        "case and lines",
        "Lower case, a line for each sentence.",
        respelled,
        is_harmless=True,
        shares_words=False,
    ),
}
"""All kinds: errors, then harmless changes, in the order of the tables."""
ERRORS = tuple(name for name, kind in KINDS.items() if not kind.is_harmless)
CONTROLS = tuple(name for name, kind in KINDS.items() if kind.is_harmless)


def variants_of(report: Report, bank: Bank, *, seed: int, study_id: str) -> Iterator[Variant]:
    """Every variant of a report; the same seed and id give the same ones, whatever else is audited."""
    bodies = bodies_of(report)
    original = written(bodies)
    for name, kind in KINDS.items():
        rng = Random(f"{seed}/{study_id}/{name}")
        for variant in kind.make(bank, bodies, rng, name):
            if variant.text != original:
                yield variant
