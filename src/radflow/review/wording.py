"""What the review pages and tables say: questions, answers, categories of errors"""

from __future__ import annotations

from radflow.clinical.judge_errors import ErrorCategory
from radflow.review.answers import Task

TITLES: dict[Task, str] = {
    "criticality": "Criticality",
    "consistency": "Consistency",
    "comparison": "Side by side",
    "errors": "Errors",
}
TOLD: dict[Task, str] = {
    "criticality": "Is a case critical, going by its report: must somebody be told at once?",
    "consistency": "Do Findings and Impression of one report agree with each other?",
    "comparison": "Which of two reports serves the reader better? Who wrote which is not told.",
    "errors": "Count what is wrong in a report against the reference, in six categories.",
}
ASKED: dict[Task, str] = {
    "criticality": "Must somebody be told at once of what this report says?",
    "consistency": "Do the Findings and the Impression of this report agree?",
    "comparison": "Which report is better?",
    "errors": "What is wrong in the report, against the reference?",
}
CHOICE_NAMES = {
    "critical": "Critical",
    "normal": "Normal",
    "consistent": "Consistent",
    "inconsistent": "Inconsistent",
    "unsure": "Can't tell",
    "left": "A is better",
    "right": "B is better",
    "equal": "Equal",
    "both_bad": "Both bad",
    "counted": "Save",
}
CATEGORY_NAMES: dict[ErrorCategory, str] = {
    "false_finding": "False finding",
    "missing_finding": "Missing finding",
    "wrong_location": "Wrong location",
    "wrong_severity": "Wrong severity",
    "false_comparison": "False comparison",
    "missing_comparison": "Missing comparison",
}
CATEGORY_TOLD: dict[ErrorCategory, str] = {
    "false_finding": "said here, not in the reference",
    "missing_finding": "in the reference, left out here",
    "wrong_location": "the finding is right, its side or place is not",
    "wrong_severity": "the finding is right, its size or grade is not",
    "false_comparison": "a change over time that the reference doesn't tell",
    "missing_comparison": "a change over time that is left out",
}
