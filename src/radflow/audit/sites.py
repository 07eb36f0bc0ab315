"""Where a report has room for an error, and the edits that make it: one function for each kind of error

Each takes the bodies of a report and gives every place found, in the order of the text. What it says of a
sentence is checked on the sentence that comes out: a flip has one negation more or less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Literal, NamedTuple

from radflow.audit.bank import Bank, Found, Swap, find_all, find_first, whole_words
from radflow.audit.texts import (
    Bodies,
    Edit,
    SectionName,
    Sentence,
    addition,
    like,
    removal,
    sentences_of,
)


class Site(NamedTuple):
    """One change: its edits, and what it concerns in the bank's words, never in the report's."""

    edits: tuple[Edit, ...]
    about: str


_SIDE = re.compile(r"(?<![\w-])(left|right)(?!\w)", re.IGNORECASE)
_OTHER_SIDE = {"left": "right", "right": "left"}
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|be|been|appears?|remains?|shows?|demonstrates?|measures?|seen|"
    r"projects?|extends?|overl\w+|obscur\w+|lies|lie|suggests?|represents?)\b",
    re.IGNORECASE,
)
_DENIES_ALL = re.compile(r"(?:there (?:is|are|was|were) )?no (?!longer)\w", re.IGNORECASE)
_TURNS = re.compile(
    r"\b(?:but|except|however|although|with|otherwise|other than|apart|which|where)\b", re.IGNORECASE
)

Polarity = Literal["asserted", "denied"]


def polarity(bank: Bank, sentence: str) -> Polarity | None:
    """Whether a sentence asserts, or denies, all findings that it names; ``None`` where that isn't plain."""
    if any(bank.has(kind, sentence) for kind in ("mask", "doubt", "normal", "not_counted")):
        return None
    denials = len(whole_words(bank.negation).findall(sentence))
    if not denials:
        return "asserted"
    if _DENIES_ALL.match(sentence) and denials == 1 and not _TURNS.search(sentence):
        return "denied"
    return None


def side_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Sentences that speak of one side, which becomes the other one throughout the sentence."""
    found = []
    for sentence in _worded(bank, bodies, bank.side):
        words = list(_SIDE.finditer(sentence.text))
        if len({word[0].lower() for word in words}) != 1:
            continue
        new = [Found(word.start(), word.end(), like(_OTHER_SIDE[word[0].lower()], word[0])) for word in words]
        found.append(Site(tuple(_edit(sentence, each) for each in new), words[0][0].lower()))
    return found


def wording_sites(bank: Bank, bodies: Bodies, swap: Swap) -> list[Site]:
    """Words of sentences that deny and doubt nothing, each of which becomes another of its kind."""
    found = []
    for sentence in _worded(bank, bodies, swap):
        found += [
            Site((_edit(sentence, each),), each.new.lower()) for each in find_all(swap.rules, sentence.text)
        ]
    return found


def severity_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Degrees that become the other end of the scale."""
    return wording_sites(bank, bodies, bank.severity)


def location_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Places that become another place on the same side."""
    return wording_sites(bank, bodies, bank.location)


def device_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Positions of devices that become wrong ones."""
    return wording_sites(bank, bodies, bank.device_position)


def temporal_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """What the report says of the course becomes another course; "no change" may be denied for that."""
    found = []
    for sentence in sentences_of(bodies):
        if not _fits(bank, bank.temporal, sentence.text):
            continue
        denies = bank.has("negation", sentence.text) and not bank.has("not_counted", sentence.text)
        if denies or bank.has("doubt", sentence.text):
            continue
        found += [
            Site((_edit(sentence, each),), each.new.lower())
            for each in find_all(bank.temporal.rules, sentence.text)
        ]
    return found


def negation_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Statements that become their opposites, one a sentence."""
    found = []
    for sentence in sentences_of(bodies):
        if bank.has("mask", sentence.text) or bank.has("not_counted", sentence.text):
            continue
        flipped = _flip(bank, sentence.text)
        if flipped is not None:
            kind, change = flipped
            found.append(Site((_edit(sentence, change),), kind))
    return found


def _flip(bank: Bank, text: str) -> tuple[str, Found] | None:
    denials = _denials(bank, text)
    if denials:
        change = find_first(bank.flips.negated, text)
        if change is None or _denials(bank, _after(text, change)) != denials - 1:
            return None
        return "denied", change
    if bank.has("doubt", text):
        return None
    if bank.has("normal", text):
        change = find_first(bank.flips.normal, text)
        return None if change is None else ("normal", change)
    if not bank.named(text):
        return None
    change = find_first(bank.flips.asserted, text)
    if change is None and not _VERB.search(text):
        change = Found(0, 1, f"No {text[0].lower()}")
    if change is None or _denials(bank, _after(text, change)) != 1:
        return None
    return "asserted", change


def omission_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Findings that the report asserts, with every sentence of both sections that does so.

    Findings that share a sentence go together, at most two; a report that denies, doubts or otherwise names
    one of them beside is left alone, and so is one of which a section would have no sentence left.
    """
    said = [(sentence, bank.named(sentence.text)) for sentence in sentences_of(bodies)]
    said = [(sentence, names) for sentence, names in said if names]
    found = []
    for names in _together([names for _, names in said]):
        gone = [sentence for sentence, own in said if own & names]
        is_plain = all(polarity(bank, sentence.text) == "asserted" for sentence in gone)
        if len(names) <= 2 and is_plain and _leaves_sections(bodies, gone):
            edits = tuple(removal(bodies, sentence) for sentence in gone)
            found.append(Site(edits, ", ".join(sorted(names))))
    return found


def _together(sets: list[frozenset[str]]) -> list[frozenset[str]]:
    """Sets that share a member, united."""
    united: list[frozenset[str]] = []
    for names in sets:
        touching = [other for other in united if other & names]
        united = [other for other in united if not other & names]
        united.append(names.union(*touching))
    return united


def _leaves_sections(bodies: Bodies, gone: list[Sentence]) -> bool:
    left = {sentence.section for sentence in sentences_of(bodies) if sentence not in gone}
    return left == set(bodies)


def invention_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Findings that no word of the report names, each in a sentence at a random place of the Findings."""
    section: SectionName = "findings" if "findings" in bodies else "impression"
    known = bank.named(" ".join(bodies.values()))
    places = [sentence.opening for sentence in sentences_of(bodies, only=section)]
    found = []
    for name, group in bank.findings.items():
        if name in known or not group.invent:
            continue
        sentence = rng.choice(group.invent)
        if not bank.named(sentence) & known:
            position = rng.choice([*places, len(bodies[section])])
            found.append(Site((addition(bodies, section, position, sentence),), name))
    return found


def contradiction_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """What the Findings plainly assert or deny, and the Impression doesn't name, said there the other way."""
    if len(bodies) < 2:
        return []
    concluded = bank.named(bodies["impression"])
    said: dict[str, set[Polarity | None]] = {}
    for sentence in sentences_of(bodies, only="findings"):
        for name in bank.named(sentence.text):
            said.setdefault(name, set()).add(polarity(bank, sentence.text))
    found = []
    for name, polarities in said.items():
        if name in concluded or len(polarities) > 1 or None in polarities:
            continue
        group = bank.findings[name]
        said_otherwise = group.not_there if "asserted" in polarities else group.there
        edit = addition(bodies, "impression", len(bodies["impression"]), said_otherwise)
        found.append(Site((edit,), name))
    return sorted(found, key=lambda site: site.about)


def duplication_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Sentences that are said a second time right behind."""
    return [
        Site((addition(bodies, sentence.section, sentence.gap, sentence.text),), sentence.section)
        for sentence in sentences_of(bodies)
    ]


def paraphrase_sites(bank: Bank, bodies: Bodies, rng: Random) -> list[Site]:
    """Phrases with another that says the same; one that a guarded word would change with is left alone."""
    found = []
    for sentence in sentences_of(bodies):
        if bank.has("mask", sentence.text):
            continue
        for change in find_all(bank.paraphrases, sentence.text):
            if keeps_meaning(bank, sentence.text, _after(sentence.text, change)):
                found.append(Site((_edit(sentence, change),), "paraphrase"))
    return found


def keeps_meaning(bank: Bank, before: str, after: str) -> bool:
    """Whether both name the same findings, and deny, place, grade, date and number alike.

    Words are counted, not read: a change that moves a negation from one finding to the other isn't caught.
    """
    return bank.named(before) == bank.named(after) and bank.guarded(before) == bank.guarded(after)


def _worded(bank: Bank, bodies: Bodies, swap: Swap) -> Iterator[Sentence]:
    """Sentences that assert, and that a swap is meant for."""
    for sentence in sentences_of(bodies):
        is_plain = not any(bank.has(kind, sentence.text) for kind in ("negation", "normal"))
        if (is_plain or swap.near) and _fits(bank, swap, sentence.text):
            yield sentence


def _fits(bank: Bank, swap: Swap, text: str) -> bool:
    if bank.has("mask", text) or (swap.unless and whole_words(swap.unless).search(text)):
        return False
    return swap.near is None or whole_words(swap.near).search(text) is not None


def _denials(bank: Bank, text: str) -> int:
    return len(whole_words(bank.negation).findall(text))


def _after(text: str, change: Found) -> str:
    return text[: change.start] + change.new + text[change.end :]


def _edit(sentence: Sentence, change: Found) -> Edit:
    return Edit(
        sentence.section,
        sentence.start + change.start,
        sentence.start + change.end,
        sentence.text[change.start : change.end],
        change.new,
    )
