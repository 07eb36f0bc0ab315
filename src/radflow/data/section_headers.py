"""The phrases that head report sections, published misspellings included, and how a phrase is looked up."""

from __future__ import annotations

import re
from functools import lru_cache

from radflow.records import FoundBy

COMBINED = "findings_and_impression"
"""Canonical name of a header that names both sections; usable as a value of ``headers``."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Headers that also count in mid line, with a dash, or in capitals without a colon.
_STRICT = {
    "findings": "FINDINGS|FINDING|TECHNIQUE AND FINDINGS|REFERENCE FINDINGS|RADIOLOGICAL FINDINGS|"
    "IMAGING FINDINGS",
    "impression": "IMPRESSION|IMPRESSIONS|CONCLUSION|CONCLUSIONS|OPINION|ASSESSMENT AND PLAN|"
    "ASSESSMENT/PLAN|THE IMPRESSION SHOULD READ|IMPRESSION SHOULD READ|IMPRESSION AND PLAN|"
    "IMPRESSION/PLAN|IMPRESSION AND RECOMMENDATION|IMPRESSION AND RECOMMENDATIONS|"
    "IMPRESSION/RECOMMENDATION|IMPRESSION/RECOMMENDATIONS",
    COMBINED: "FINDINGS AND IMPRESSION|FINDINGS/IMPRESSION|FINDINGS AND IMPRESSIONS|FINDINGS/IMPRESSIONS|"
    "FINDING AND IMPRESSION|FINDING/IMPRESSION|IMPRESSION AND FINDINGS|IMPRESSION/FINDINGS",
    # the treating doctor's impression is why the image was asked for, not what it shows
    "indication": "INDICATION|INDICATIONS|CLINICAL INDICATION|CLINIC INDICATION|CLINICAL IMPRESSION|"
    "ADDENDUM INDICATION|REASON FOR EXAM|REASON FOR THE EXAM|REASON FOR EXAMINATION|"
    "REASON FOR THE EXAMINATION|REASON FOR STUDY",
    "history": "HISTORY|CLINICAL HISTORY|PATIENT HISTORY|INTERVAL HISTORY|CLINICAL INFORMATION|"
    "ADDENDUM HISTORY|ADDITIONAL CLINICAL HISTORY PROVIDED",
    "comparison": "COMPARISON|COMPARISONS|COMPARISON EXAM|COMPARISON EXAMS|COMPARISON FILM|"
    "COMPARISON FILMS|COMPARISON STUDY|COMPARISON STUDIES|COMPARISON CHEST|CHEST COMPARISON FILM|"
    "REFERENCE EXAM|REFERENCE EXAMINATION|ADDENDUM COMPARISON|PREVIOUS IMPRESSION|PRIOR IMPRESSION|"
    "PREVIOUS FINDINGS|PRIOR FINDINGS|PRIOR EXAM|PRIOR STUDY",
    "technique": "TECHNIQUE|TECHNIQUES",
    "recommendation": "RECOMMENDATION|RECOMMENDATIONS|RECOMMENDATION(S)",
    "notification": "NOTIFICATION|NOTIFICATIONS",
    "summary": "END OF IMPRESSION",  # what follows repeats the report: it is no Impression
}
# Headers that count only at the start of a line.
_AT_LINE_START = {
    "impression": "ASSESSMENT",
    "history": "PAST MEDICAL HISTORY|HISTORY OF PRESENT ILLNESS|CHIEF COMPLAINT|MEDICATIONS",
    "examination": "EXAM|EXAMINATION|EXAMS|EXAMINATIONS|TYPE OF EXAM|TYPE OF EXAMINATION|"
    "TYPE OF THE EXAMINATION|STUDY|PROCEDURE|PROCEDURE DETAILS",
    "date": "DATE|DATE OF EXAM",
    "addendum": "ADDENDUM|ADDENDA|AMENDMENT|ADDENDUM CORRECTION",
    "preliminary": "PRELIMINARY REPORT|PRELIMINARY READ|PRELIMINARY IMPRESSION|PRELIMINARY FINDINGS|PFI",
    "wet_read": "WET READ|WETREAD|RESIDENT WET READ|PRELIMINARY RESIDENT WET READ",
    "report": "REPORT|FINAL REPORT|MAIN REPORT",
    "comment": "COMMENT|COMMENTS",
    "summary": "SUMMARY",
}
_QUALIFIERS = words("ADDENDUM CORRECTED REVISED UPDATED AMENDED FINAL OVERALL CONFIRMED")

# Beyond one edit of a header, or too short for the edit rule.
_TYPOS = {"PRESSION": "IMPRESSION", "TIFICATION": "NOTIFICATION", "FIDING": "FINDING", "HISTROY": "HISTORY"}
_TYPO_TARGETS = words(
    """FINDINGS IMPRESSION IMPRESSIONS CONCLUSION CONCLUSIONS INDICATION INDICATIONS COMPARISON COMPARISONS
    TECHNIQUE RECOMMENDATION RECOMMENDATIONS NOTIFICATION NOTIFICATIONS EXAMINATION ASSESSMENT CLINICAL
    ADDENDUM"""
)
_EXACT_WORDS = _TYPO_TARGETS | {"FINDING", "EXAMINATIONS", "TECHNIQUES"}


class Vocabulary:
    """The header phrases, upper-cased, and the patterns for those that count beyond line starts."""

    def __init__(self, extra: tuple[tuple[str, str], ...]) -> None:
        strict = {phrase: name for name, phrases in _STRICT.items() for phrase in phrases.split("|")}
        for word in _QUALIFIERS:
            strict |= {f"{word} IMPRESSION": "impression", f"{word} FINDINGS": "findings"}
        strict |= {_normal(phrase): name.strip().lower() for phrase, name in extra if _normal(phrase)}
        loose = {phrase: name for name, phrases in _AT_LINE_START.items() for phrase in phrases.split("|")}
        self.names = loose | strict
        longest_first = sorted(strict, key=lambda phrase: (-len(phrase), phrase))
        alternatives = "|".join(_flexible(phrase) for phrase in longest_first)
        self.inline = re.compile(rf"(?<![^\W_])({alternatives})(?=\**:)", re.IGNORECASE)
        self.bare = re.compile(
            rf"({alternatives})\**(?: +[-–—]+ +|[-–—]+ *| +(?=[A-Z0-9]))"
            r"(?!(?:OF|ARE|IS|AND|WAS|WERE|FOR|IN|ON|TO)\b)",
            re.IGNORECASE,
        )
        self.read = lru_cache(maxsize=4096)(self._read)

    def _read(self, phrase: str) -> tuple[str, FoundBy] | None:
        """Canonical name of the header phrase and how it was found, ``None`` when it is no header."""
        key = _normal(phrase)
        if "(" in key and key not in self.names:
            key = re.sub(r" *\([^()]*\)\Z", "", key)  # IMPRESSION (PRELIMINARY)
        name = self.names.get(key)
        found_by: FoundBy = "header"
        if name is None:
            name = self.names.get(corrected(key))
            found_by = "typo"
        if name is None:
            return None
        return name, "combined" if name == COMBINED else found_by


def _normal(phrase: str) -> str:
    key = " ".join(phrase.upper().replace("&", " AND ").strip(" *_#]:").split())
    return re.sub(r" ?/ ?", "/", key)


def _flexible(phrase: str) -> str:
    """Pattern of a phrase that tolerates up to three spaces between words and around a slash."""
    return re.escape(phrase).replace(r"\ ", " {1,3}").replace("/", " ?/ ?")


def corrected(phrase: str) -> str:
    """A header phrase in capitals with its misspelt words put right: "IMPRESSON" is IMPRESSION."""
    return re.sub(r"[^\W\d_]{6,}", lambda word: _corrected(word[0]), phrase)


def _corrected(word: str) -> str:
    """The header word one insertion, deletion, substitution or transposition away, else the word itself."""
    if word in _EXACT_WORDS:
        return word
    if word in _TYPOS:
        return _TYPOS[word]
    near = [target for target in _TYPO_TARGETS if _one_edit_apart(word, target)]
    return near[0] if len(near) == 1 else word


def _one_edit_apart(word: str, target: str) -> bool:
    if abs(len(word) - len(target)) > 1:
        return False
    start = 0
    while start < min(len(word), len(target)) and word[start] == target[start]:
        start += 1
    left, right = word[start:], target[start:]
    if len(word) != len(target):
        return left[1:] == right or left == right[1:]
    return left[1:] == right[1:] or (left[:2] == right[1::-1] and left[2:] == right[2:])


@lru_cache(maxsize=32)
def vocabulary_of(extra: tuple[tuple[str, str], ...]) -> Vocabulary:
    return Vocabulary(extra)
