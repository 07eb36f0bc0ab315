"""Ways in which a report can be wrong, and ways in which a policy may try to be paid for nothing.

Each takes a report and gives a text, or None where it can't apply (no side to swap).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.tokens import sentences
from radflow.records import Report

LABELER = RuleLabeler()

SIDES = {"left": "right", "right": "left"}
SEVERITIES = {
    **dict.fromkeys(("small", "mild", "minimal", "trace", "tiny", "slight"), "severe"),
    **dict.fromkeys(("mildly", "minimally", "slightly", "moderately"), "severely"),
    **dict.fromkeys(("severe", "large", "moderate"), "mild"),
    **dict.fromkeys(("severely", "markedly"), "mildly"),
}
INVENTIONS = {
    "Pneumothorax": "There is a large left pneumothorax.",
    "Fracture": "There is an acute fracture of the right ninth rib.",
    "Lung Lesion": "There is a large mass in the right upper lobe.",
}
ALL_OBSERVATIONS = (
    "enlarged cardiomediastinum",
    "cardiomegaly",
    "lung nodule",
    "lung opacity",
    "pulmonary edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "pleural thickening",
    "rib fracture",
    "support devices",
)


def written(findings: str | None, impression: str | None) -> str:
    parts = (("FINDINGS", findings), ("IMPRESSION", impression))
    return "\n".join(f"{name}: {text}" for name, text in parts if text)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def _swap(text: str, table: dict[str, str]) -> str:
    def other(match: re.Match[str]) -> str:
        new = table[match[0].lower()]
        return new.capitalize() if match[0][0].isupper() else new

    return re.sub(rf"\b({'|'.join(table)})\b", other, text, flags=re.IGNORECASE)


def flip_negation(report: Report) -> str | None:
    """Says the opposite of one statement of the Findings."""
    for number, sentence in enumerate(parts := split(report.findings or "")):
        flipped = re.sub(r"\b[Nn]o (?=\w)|\bnot |\bwithout ", "", sentence, count=1)
        if flipped == sentence:
            flipped = re.sub(r"\b(normal|clear|intact|unremarkable)\b", r"not \1", sentence, count=1)
        mentions = [item for item in LABELER.label(sentence) if item.assertion == "present"]
        if flipped == sentence and mentions:
            flipped = f"No {sentence[mentions[0].start : mentions[0].end]}."
        if flipped != sentence:
            return written(" ".join([*parts[:number], flipped, *parts[number + 1 :]]), report.impression)
    return None


def swap_sides(report: Report) -> str | None:
    text = written(report.findings, report.impression)
    swapped = _swap(text, SIDES)
    return None if swapped == text else swapped


def change_severity(report: Report) -> str | None:
    text = written(report.findings, report.impression)
    changed = _swap(text, SEVERITIES)
    return None if changed == text else changed


def omit(report: Report) -> str | None:
    """Leaves out the first sentence of the Findings, and what of the Impression names the same."""
    parts = split(report.findings or "")
    gone = {item.observation for item in LABELER.label(parts[0])} if parts else set()
    kept = [
        sentence
        for sentence in split(report.impression or "")
        if gone.isdisjoint(item.observation for item in LABELER.label(sentence))
    ]
    return written(" ".join(parts[1:]), " ".join(kept)) if parts else None


def invent(report: Report) -> str | None:
    """Adds a finding to both sections that the report doesn't speak of."""
    known = {item.observation for item in LABELER.label(report.text) if item.assertion != "absent"}
    for name, sentence in INVENTIONS.items():
        if name not in known and sentence not in report.text:
            return written(f"{report.findings or ''} {sentence}", f"{report.impression or ''} {sentence}")
    return None


def drop_impression(report: Report) -> str | None:
    return written(report.findings, None)


def repeat_sentence(report: Report) -> str | None:
    parts = split(report.findings or "")
    return written(" ".join([*parts, parts[-1]]), report.impression) if parts else None


def never_end(report: Report) -> str | None:
    """Never comes to the Impression: what greedy decoding of an undertrained model looks like."""
    parts = split(report.findings or report.impression or "")
    return written(" ".join([*parts, *[parts[-1]] * 30]), None) if parts else None


def with_impression_of(other: Report) -> Callable[[Report], str | None]:
    def copy_impression(report: Report) -> str | None:
        if not other.impression or other.impression == report.impression:
            return None
        return written(report.findings, other.impression)

    return copy_impression


def say_nothing(report: Report) -> str | None:
    return ""


def only_headers(report: Report) -> str | None:
    return "FINDINGS:\nIMPRESSION:"


CORRUPTIONS: dict[str, Callable[[Report], str | None]] = {
    "negation flip": flip_negation,
    "side swap": swap_sides,
    "severity change": change_severity,
    "omission": omit,
    "invention": invent,
    "dropped Impression": drop_impression,
    "repeated sentence": repeat_sentence,
    "endless report": never_end,
    "empty report": say_nothing,
    "headers only": only_headers,
}
"""And an Impression of another study, which needs one: `with_impression_of`."""


def without_headers(report: Report) -> str | None:
    return " ".join(part for part in (report.findings, report.impression) if part)


def deny_everything(report: Report) -> str | None:
    denied = " ".join(f"No {name}." for name in ALL_OBSERVATIONS)
    return written(denied, denied)


def assert_everything(report: Report) -> str | None:
    listed = ", ".join(ALL_OBSERVATIONS).capitalize() + "."
    return written(listed, listed)


def repeat_findings(report: Report) -> str | None:
    """The Impression is the Findings once more: consistent by construction."""
    return written(report.findings, report.findings)


def merge_sections(report: Report) -> str | None:
    """One header for everything, so that nothing can disagree."""
    return f"FINDINGS AND IMPRESSION: {without_headers(report)}"


def findings_twice(report: Report) -> str | None:
    return written(f"{report.findings} {report.findings}", report.impression) if report.findings else None


def always_normal(report: Report) -> str | None:
    """What a policy writes that has learnt the most frequent report and nothing else."""
    return written(
        "The heart is normal in size. The lungs are clear. There is no pleural effusion or pneumothorax.",
        "No acute cardiopulmonary abnormality.",
    )


DEGENERATE: dict[str, Callable[[Report], str | None]] = {
    "no headers": without_headers,
    "everything denied": deny_everything,
    "everything asserted": assert_everything,
    "Impression repeats Findings": repeat_findings,
    "one header for both": merge_sections,
    "Findings twice": findings_twice,
    "always normal": always_normal,
}
