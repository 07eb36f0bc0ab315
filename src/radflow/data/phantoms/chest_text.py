"""Write the report of a phantom, and record what its impression says.

Normal findings are boilerplate: a few house styles, each with its favourite sentences, most used first.
Abnormal findings vary in wording, order and detail. Findings sections state every finding with side, severity
and place; impressions may drop the severity, and in one of eight abnormal reports they soften or leave out a
finding, as real ones do. ``docs/phantoms.md`` compares the statistics with real reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from radflow.data.phantoms import chest_phrases as phrases
from radflow.data.phantoms.chest_reader import Mention, read_findings, stated
from radflow.data.phantoms.chest_truth import DEVICES
from radflow.data.phantoms.chest_words import (
    LOBES,
    PLURAL_LOBES,
    SHIFT_SENTENCES,
    SIDE_WORDS,
    TUBE_PLACES,
    VOCABULARY,
)
from radflow.data.phantoms.dice import Dice
from radflow.records import Finding

__all__ = ["Mention", "WrittenReport", "read_findings", "stated", "write_report"]

MISSING_FINDINGS, MISSING_IMPRESSION = 0.03, 0.02
FLAWED_IMPRESSIONS = 0.125
"""Share of abnormal reports whose impression softens or leaves out one finding."""
STYLES = 10
SLOTS = ("devices", "heart", "vessels", "lungs", "pleura", "bones")
SLOT_OF: Mapping[str, str] = {
    "cardiomegaly": "heart",
    "pleural_effusion": "pleura",
    "pneumothorax": "pleura",
    "rib_fracture": "bones",
    **dict.fromkeys(("consolidation", "edema", "atelectasis", "nodule"), "lungs"),
    **dict.fromkeys(DEVICES, "devices"),
}
SIDED_NOUNS = (
    "{side} pleural",
    "{side} effusion",
    "{side} pneumothorax",
    "{side} central",
    "{side} pacemaker",
)
"""Where "left-sided" reads as well as "left"."""
NORMAL_SAID: Mapping[str, float] = {
    "heart": 0.96,
    "vessels": 0.25,
    "lungs": 0.95,
    "pleura": 0.95,
    "bones": 0.62,
}
"""How often an organ without findings is mentioned."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report and the record of its impression.

    Attributes:
        findings, impression: section bodies; at most one of them is ``None``.
        present: what the impression asserts, exactly as it says it (empty when it is missing).
        uncertain: what it softens.
        omitted: observations it leaves out; empty when the whole impression is missing.
    """

    findings: str | None
    impression: str | None
    present: frozenset[Mention]
    uncertain: frozenset[Mention]
    omitted: frozenset[str]


def write_report(truth: Sequence[Finding], dice: Dice) -> WrittenReport:
    missing = dice.uniform()
    findings = None if missing < MISSING_FINDINGS else write_findings(truth, dice)
    if MISSING_FINDINGS <= missing < MISSING_FINDINGS + MISSING_IMPRESSION:
        return WrittenReport(findings, None, frozenset(), frozenset(), frozenset())
    return _with_impression(findings, truth, dice)


def write_indication(truth: Sequence[Finding], dice: Dice) -> str:
    reasons = phrases.INDICATIONS[""]
    for finding in truth:
        if dice.chance(0.5):
            reasons = phrases.INDICATIONS.get(finding.observation, reasons)
    reason = dice.pick(reasons)
    if dice.chance(0.6):
        return reason
    person = f"{int(dice.uniform(19, 90))}-year-old {dice.pick(('woman', 'man', 'patient'))}"
    return f"{person} with {reason[0].lower()}{reason[1:]}"


def write_findings(truth: Sequence[Finding], dice: Dice) -> str:
    """All findings with every attribute, among the normal statements that don't contradict them."""
    style = min(int(STYLES * dice.uniform() ** 1.7), STYLES - 1)
    order = list(SLOTS if style % 3 else ("lungs", "pleura", "heart", "vessels", "bones", "devices"))
    if dice.chance(0.1):
        order = dice.shuffled(order)
    sentences: list[str] = []
    for slot in order:
        abnormal = [finding for finding in truth if SLOT_OF[finding.observation] == slot]
        if abnormal:
            sentences += _abnormal(dice.shuffled(abnormal), dice)
        if slot in NORMAL_SAID and dice.chance(NORMAL_SAID[slot] * (0.7 if abnormal else 1.0)):
            sentences += _normal(slot, truth, style, dice, partial=bool(abnormal))
    if dice.chance(0.18):
        sentences.insert(int(dice.uniform() * (len(sentences) + 1)), dice.pick(phrases.FILLERS))
    return " ".join(sentences) or "The trachea is midline."


def _abnormal(findings: Sequence[Finding], dice: Dice) -> list[str]:
    if len(findings) == 2 and dice.chance(0.2):
        first, second = (_phrase(finding, dice)[0] for finding in findings)
        return [_capital(f"{first} and {second}.")]
    return [sentence for finding in findings for sentence in _sentences(finding, dice)]


def _sentences(finding: Finding, dice: Dice) -> list[str]:
    vocabulary = VOCABULARY[finding.observation]
    many = finding.side == "bilateral" and bool(vocabulary.plural_sentences)
    templates: Sequence[str] = vocabulary.plural_sentences if many else vocabulary.sentences
    if (
        finding.observation == "pleural_effusion"
    ):  # an angle is blunted by little fluid, a dome hidden by much
        wrong = "hemidiaphragm" if finding.severity == "small" else "lunting"
        templates = [template for template in templates if wrong not in template]
    sentences = [_capital(_fill(dice.favourite(templates), finding, dice, plural=many))]
    if finding.severity == "tension":
        other = "left" if finding.side == "right" else "right"
        sentences.append(dice.pick(SHIFT_SENTENCES).replace("{other}", other))
    return sentences


def _phrase(finding: Finding, dice: Dice, *, severity_said: float = 1.0) -> tuple[str, Mention]:
    """A noun phrase and what it states."""
    vocabulary = VOCABULARY[finding.observation]
    many = finding.side == "bilateral" and bool(vocabulary.plural_phrases)
    template = dice.favourite(vocabulary.plural_phrases if many else vocabulary.phrases)
    severity = finding.severity
    if finding.severity != "tension" and not dice.chance(severity_said):
        template, severity = template.replace("{sev} ", ""), None
    mention = Mention(finding.observation, "present", finding.side, severity, finding.location)
    return _fill(template, finding, dice, plural=False), mention


def _fill(template: str, finding: Finding, dice: Dice, *, plural: bool) -> str:
    vocabulary = VOCABULARY[finding.observation]
    if finding.observation == "endotracheal_tube":
        place = dice.pick(TUBE_PLACES[str(finding.location)]).replace("{cm}", str(int(dice.uniform(3, 6))))
        return template.replace("{where}", place)
    if finding.severity is not None:
        template = template.replace("{sev}", dice.favourite(vocabulary.severity[finding.severity]))
        if "{adv}" in template:
            template = template.replace("{adv}", dice.favourite(vocabulary.adverbs[finding.severity]))
    if finding.side is not None and "{side}" in template:
        words = SIDE_WORDS[finding.side]
        word = words[-1] if any(noun in template for noun in SIDED_NOUNS) and dice.chance(0.25) else words[0]
        template = template.replace("{side}", word)
    if finding.location is not None and "{where}" in template:
        table = (PLURAL_LOBES if plural else LOBES) if finding.location in LOBES else vocabulary.location
        template = template.replace("{where}", dice.pick(table[finding.location]))
    return template


def _normal(slot: str, truth: Sequence[Finding], style: int, dice: Dice, *, partial: bool) -> list[str]:
    """A statement on an organ that denies nothing true; none where every usual one would."""
    names = frozenset(finding.observation for finding in truth)
    if slot == "lungs" and partial:
        sides = {finding.side for finding in truth if SLOT_OF[finding.observation] == "lungs"}
        clear = {"left": "right", "right": "left"}.get(str(next(iter(sides)))) if len(sides) == 1 else None
        if clear and dice.chance(0.45):
            return [f"The {clear} lung {dice.pick(('is clear', 'appears clear'))}."]
    table: Sequence[str] = phrases.NORMAL_LISTS[slot]
    favourite = table[(style * 5 + len(slot)) % len(table)]
    if not _denies(favourite, names) and dice.chance(0.8):
        return [favourite]
    if partial and slot == "pleura":
        table = phrases.PARTIAL_PLEURA
    fitting = [sentence for sentence in table if not _denies(sentence, names)]
    return [dice.favourite(fitting)] if fitting else []


def _denies(sentence: str, names: frozenset[str]) -> bool:
    return bool(names) and not names.isdisjoint(_mentioned(sentence))


@lru_cache(maxsize=256)
def _mentioned(sentence: str) -> frozenset[str]:
    return frozenset(mention.observation for mention in read_findings(sentence))


def _with_impression(findings: str | None, truth: Sequence[Finding], dice: Dice) -> WrittenReport:
    flawed = dice.pick(truth) if truth and dice.chance(FLAWED_IMPRESSIONS) else None
    omitted = flawed is not None and _is_left_out(flawed, truth, dice)
    said = [finding for finding in truth if finding is not flawed or not omitted]
    said = sorted(dice.shuffled(said), key=lambda finding: (not finding.is_critical, finding is flawed))
    present: list[Mention] = []
    uncertain: list[Mention] = []
    parts: list[str] = []
    soft: list[str] = []
    for finding in said:
        phrase, mention = _phrase(finding, dice, severity_said=0.75)
        if finding is flawed:
            uncertain.append(
                Mention(mention.observation, "uncertain", mention.side, mention.severity, mention.location)
            )
            soft.append(_capital(dice.pick(phrases.SOFT_SENTENCES).replace("{phrase}", phrase)))
        else:
            present.append(mention)
            parts.append(phrase)
    return WrittenReport(
        findings,
        _impression_text(parts, soft, truth, dice),
        frozenset(present),
        frozenset(uncertain),
        frozenset({flawed.observation} if flawed is not None and omitted else ()),
    )


def _is_left_out(flawed: Finding, truth: Sequence[Finding], dice: Dice) -> bool:
    """Whether the flaw is an omission. Devices can't be softened; an acute finding that stands alone isn't
    dropped, since the impression would then deny what the findings say."""
    if flawed.observation in DEVICES:
        return True
    return (len(truth) > 1 or flawed.observation not in phrases.ACUTE) and dice.chance(0.5)


def _impression_text(parts: Sequence[str], soft: Sequence[str], truth: Sequence[Finding], dice: Dice) -> str:
    names = frozenset(finding.observation for finding in truth)
    if not parts and not soft:
        if names & DEVICES:
            return dice.pick(phrases.STABLE_IMPRESSIONS)
        fitting = [text for text in phrases.NORMAL_IMPRESSIONS if not _denies(text, names)]
        return dice.favourite(fitting)
    joined = len(parts) == 2 and dice.chance(0.35)
    glue = dice.pick((" with ", " and ", " and "))
    sentences = [_capital(glue.join(parts) + ".")] if joined else [_capital(part + ".") for part in parts]
    sentences += soft
    if dice.chance(0.22):
        sentences.append(dice.pick(phrases.CLOSING_IMPRESSIONS))
    if len(sentences) > 1 and dice.chance(0.35):
        sentences = [f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1)]
    return " ".join(sentences)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
