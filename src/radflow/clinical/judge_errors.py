"""Errors of a written report against its reference, as a judge counts them: verdict, check and question

Six categories in the style of ReXVal (Yu et al., Patterns 2023), each error significant or not, and the
findings that both texts report alike. Every entry quotes what it is about, so that a judge can't count what
neither text says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from radflow.clinical.judge_questions import Question, Task, read_prompt
from radflow.clinical.judge_verdicts import find_verbatim
from radflow.records import Record

ErrorCategory = Literal[
    "false_finding",
    "missing_finding",
    "wrong_location",
    "wrong_severity",
    "false_comparison",
    "missing_comparison",
]
CATEGORIES: tuple[ErrorCategory, ...] = get_args(ErrorCategory)
_ONLY_CANDIDATE = {"false_finding", "false_comparison"}
_ONLY_REFERENCE = {"missing_finding", "missing_comparison"}


class ReportError(Record):
    """One error.

    Attributes:
        is_significant: whether it could change what is done for the patient.
        reference_quote, candidate_quote: the words concerned; ``None`` only where that text has none.
    """

    category: ErrorCategory
    is_significant: bool
    reference_quote: str | None
    candidate_quote: str | None


class MatchedFinding(Record):
    """One finding that both texts report alike."""

    reference_quote: str
    candidate_quote: str


class ErrorVerdict(Record):
    """All errors of a candidate, and all findings that it has right."""

    errors: tuple[ReportError, ...]
    matched: tuple[MatchedFinding, ...]

    def counts(self) -> tuple[int, ...]:
        """(13,) matched findings, significant errors of the six categories, then the insignificant ones."""
        found = [(error.category, error.is_significant) for error in self.errors]
        return (
            len(self.matched),
            *(found.count((category, True)) for category in CATEGORIES),
            *(found.count((category, False)) for category in CATEGORIES),
        )


def check_errors(verdict: ErrorVerdict, payload: Mapping[str, str]) -> str | None:
    """What is wrong with the verdict, if anything: quotes that stand in neither text, entries that repeat.

    A judge that goes round in circles would else fill either list, and with it the score.
    """
    texts = {name: payload[name].lower() for name in ("reference", "candidate")}
    for number, error in enumerate(verdict.errors):
        quotes = {"reference": error.reference_quote, "candidate": error.candidate_quote}
        optional = {
            "reference": error.category in _ONLY_CANDIDATE,
            "candidate": error.category in _ONLY_REFERENCE,
        }
        for name, quote in quotes.items():
            if quote is None or not quote.strip():
                if not optional[name]:
                    return f"error {number} ({error.category}) lacks {name}_quote"
            elif find_verbatim(quote.lower(), texts[name]) is None:
                return f"error {number}: {name}_quote does not stand in the {name}"
    for number, match in enumerate(verdict.matched):
        for name, quote in (("reference", match.reference_quote), ("candidate", match.candidate_quote)):
            if find_verbatim(quote.lower(), texts[name]) is None:
                return f"matched {number}: {name}_quote does not stand in the {name}"
    return _repeated(verdict)


def _repeated(verdict: ErrorVerdict) -> str | None:
    """The first entry that says again, word for word, what an earlier one said."""
    seen: set[tuple[object, ...]] = set()
    for number, error in enumerate(verdict.errors):
        key = (error.category, _folded(error.reference_quote), _folded(error.candidate_quote))
        if key in seen:
            return f"error {number} repeats an earlier one"
        seen.add(key)
    pairs: set[tuple[str, str]] = set()
    for number, match in enumerate(verdict.matched):
        pair = (_folded(match.reference_quote), _folded(match.candidate_quote))
        if pair in pairs:
            return f"matched {number} repeats an earlier one"
        pairs.add(pair)
    return None


def _folded(quote: str | None) -> str:
    return " ".join((quote or "").lower().split())


ERRORS = Task("errors", read_prompt("errors"), ErrorVerdict, check_errors, length=4)


def errors_question(study_id: str, *, reference: str, candidate: str) -> Question[ErrorVerdict]:
    """What is wrong with the candidate, and what is right?"""
    return Question(study_id, ERRORS, {"reference": reference, "candidate": candidate})
