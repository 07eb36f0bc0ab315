"""Shapes of reports, from clean to malformed: what a model may write, and what collections hold

Each says which sections a reader would find in it, apart from what any parser does. F and I stand for the
texts of Findings and Impression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BOTH, ONLY_F, ONLY_I, NEITHER = (True, True), (True, False), (False, True), (False, False)


@dataclass(frozen=True)
class Shape:
    """A way to write down a report.

    Attributes:
        group: kind of malformation.
        has: whether a reader would find Findings, and an Impression.
        write: the texts of Findings and Impression -> the report.
    """

    name: str
    group: str
    has: tuple[bool, bool]
    write: Callable[[str, str], str]


def _of(pattern: str) -> Callable[[str, str], str]:
    """A template in which {F} and {I} stand for the sections' texts."""

    def write(findings: str, impression: str) -> str:
        return pattern.replace("{F}", findings).replace("{I}", impression)

    return write


CLEAN = Shape("clean", "clean", BOTH, _of("FINDINGS: {F}\nIMPRESSION: {I}"))

_HEADERS = {
    "lower case": "findings: {F}\nimpression: {I}",
    "title case": "Findings: {F}\nImpression: {I}",
    "singular and plural": "FINDING: {F}\nIMPRESSIONS: {I}",
    "conclusion": "FINDINGS: {F}\nCONCLUSION: {I}",
    "opinion": "FINDINGS: {F}\nOPINION: {I}",
    "assessment and plan": "FINDINGS: {F}\nASSESSMENT AND PLAN: {I}",
    "impression should read": "FINDINGS: {F}\nTHE IMPRESSION SHOULD READ: {I}",
    "corrected impression": "FINDINGS: {F}\nCORRECTED IMPRESSION: {I}",
    "technique and findings": "TECHNIQUE AND FINDINGS: {F}\nIMPRESSION: {I}",
    "reference findings": "REFERENCE FINDINGS: {F}\nIMPRESSION: {I}",
    "impression in brackets": "FINDINGS: {F}\nIMPRESSION (PRELIMINARY): {I}",
    "view title": "CHEST, TWO VIEWS: {F}\nIMPRESSION: {I}",
    "portable view title": "PORTABLE AP CHEST RADIOGRAPH: {F}\nIMPRESSION: {I}",
}
_TYPOS = {
    "FINSINGS": "FINSINGS: {F}\nIMPRESSION: {I}",
    "FIDINGS, IMPRESION": "FIDINGS: {F}\nIMPRESION: {I}",
    "FINDNGS, IMPRESSON": "FINDNGS: {F}\nIMPRESSON: {I}",
    "IMPERSSION": "FINDINGS: {F}\nIMPERSSION: {I}",
    "MPRESSION": "FINDINGS: {F}\nMPRESSION: {I}",
    "FIMPRESSION": "FINDINGS: {F}\nFIMPRESSION: {I}",
    "COCLUSION": "FINDINGS: {F}\nCOCLUSION: {I}",
}
_MARKS = {
    "Markdown bold": "**Findings:** {F}\n\n**Impression:** {I}",
    "Markdown headings": "## Findings\n{F}\n\n## Impression\n{I}",
    "tags": "<findings>{F}</findings>\n<impression>{I}</impression>",
    "dash": "FINDINGS - {F}\nIMPRESSION - {I}",
    "colon and dash": "FINDINGS:- {F}\nIMPRESSION:- {I}",
    "no colon, own lines": "FINDINGS\n{F}\nIMPRESSION\n{I}",
    "no colon, same line": "FINDINGS {F}\nIMPRESSION {I}",
    "underlined": "FINDINGS\n--------\n{F}\n\nIMPRESSION\n----------\n{I}",
    "list marks": "- FINDINGS: {F}\n- IMPRESSION: {I}",
    "numbered headers": "1. FINDINGS: {F}\n2. IMPRESSION: {I}",
    "square brackets": "[FINDINGS]: {F}\n[IMPRESSION]: {I}",
}
_SPACE = {
    "one line": "FINDINGS: {F} IMPRESSION: {I}",
    "one line, title case": "Findings: {F} Impression: {I}",
    "carriage returns": "FINDINGS:\r\n{F}\r\n\r\nIMPRESSION:\r\n{I}\r\n",
    "tabs": "\tFINDINGS:\t{F}\n\tIMPRESSION:\t{I}",
    "non-breaking spaces": "FINDINGS:\u00a0{F}\nIMPRESSION:\u00a0{I}",
    "deep indent": "        FINDINGS: {F}\n        IMPRESSION: {I}",
    "empty lines between": "FINDINGS:\n\n\n{F}\n\n\nIMPRESSION:\n\n\n{I}",
    "byte order mark": "\ufeffFINDINGS: {F}\nIMPRESSION: {I}",
}
_ORDER = {
    "Impression first": "IMPRESSION: {I}\nFINDINGS: {F}",
    "combined header": "FINDINGS AND IMPRESSION: {F} {I}",
    "combined with slash": "FINDINGS/ IMPRESSION: {F} {I}",
    "Findings twice, one empty": "FINDINGS:\nFINDINGS: {F}\nIMPRESSION: {I}",
    "Impression twice, one empty": "FINDINGS: {F}\nIMPRESSION: {I}\nIMPRESSION:",
    "repeated by an addendum": "FINDINGS: {F}\nIMPRESSION: {I}\nADDENDUM  IMPRESSION: {I}",
    "end of impression": "FINDINGS: {F}\nIMPRESSION: {I}\nEND OF IMPRESSION: SUMMARY to follow.",
    "among other sections": "INDICATION: Cough.\nCOMPARISON: None.\nFINDINGS: {F}\nIMPRESSION: {I}\n"
    "RECOMMENDATION: Follow-up as needed.",
    "final report above": "FINAL REPORT\nFINDINGS: {F}\nIMPRESSION: {I}",
    "prompt repeated": "Write the report.\nFINDINGS: {F}\nIMPRESSION: {I}",
}
_LACKS_IMPRESSION = {
    "Findings only": "FINDINGS: {F}",
    "Impression empty": "FINDINGS: {F}\nIMPRESSION:",
    "Impression None": "FINDINGS: {F}\nIMPRESSION: None",
    "Impression NaN": "FINDINGS: {F}\nIMPRESSION: NaN",
    "cut before the Impression": "FINDINGS: {F}\nIMPRES",
    "under indication's misspelling": "FINDINGS: {F}\nNDICATION: {I}",
    "clinical impression": "CLINICAL IMPRESSION: {I}\nFINDINGS: {F}",
    "prior impression": "FINDINGS: {F}\nPRIOR IMPRESSION: {I}",
    "only in a sentence": "FINDINGS: {F} No overall impression of change.",
}
_LACKS_FINDINGS = {
    "Impression only": "IMPRESSION: {I}",
    "Findings empty": "FINDINGS:\nIMPRESSION: {I}",
    "Findings None": "FINDINGS: None\nIMPRESSION: {I}",
    "prior findings": "PRIOR FINDINGS: {F}\nIMPRESSION: {I}",
    "view title without text": "CHEST, TWO VIEWS:\nINDICATION: Cough.\nIMPRESSION: {I}",
}
_LACKS_BOTH = {
    "no headers": "{F} {I}",
    "empty": "",
    "white space": " \n\t ",
    "wet read": "WET READ: {F} {I}",
    "preliminary report": "PRELIMINARY REPORT: {F} {I}",
    "only masks": "___ XXXX ___",
    "headers without text": "FINDINGS:\nIMPRESSION:",
    "under comparison": "COMPARISON: {F} {I}",
}
_GROUPS: tuple[tuple[str, tuple[bool, bool], dict[str, str]], ...] = (
    ("other header", BOTH, _HEADERS),
    ("misspelt header", BOTH, _TYPOS),
    ("other marks", BOTH, _MARKS),
    ("white space", BOTH, _SPACE),
    ("order and extras", BOTH, _ORDER),
    ("lacks the Impression", ONLY_F, _LACKS_IMPRESSION),
    ("lacks the Findings", ONLY_I, _LACKS_FINDINGS),
    ("lacks both", NEITHER, _LACKS_BOTH),
)
SHAPES = (
    CLEAN,
    *(
        Shape(name, group, has, _of(pattern))
        for group, has, patterns in _GROUPS
        for name, pattern in patterns.items()
    ),
)
