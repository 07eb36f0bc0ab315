"""What the consistency rules say of a file of reports: verdicts, kinds, what they miss, a sample for the eye.

    python benchmarks/consistency_reports.py REPORTS.csv [--sample 50 --seed 0] [--id-column uid]

Then the same reports spoiled on purpose, which shows how much the rules find: the Impression's sides swapped,
a finding of the Findings denied in the Impression, one asserted that they don't mention. The sample prints
report text: keep it to yourself.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.labeler import RuleLabeler
from radflow.data.report_files import read_parsed
from radflow.records import Consistency, Report

NAMES = {
    "Pleural Effusion": "pleural effusion",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Edema": "pulmonary edema",
    "Cardiomegaly": "cardiomegaly",
    "Mass": "mass",
    "Nodule": "nodule",
    "Atelectasis": "atelectasis",
    "Fracture": "fracture",
    "Hernia": "hiatal hernia",
}
_OTHER = {"left": "right", "right": "left"}


def named(labeler: RuleLabeler, text: str, assertion: str) -> set[str]:
    return {found.observation for found in labeler.label(text) if found.assertion == assertion}


def swapped(report: Report, labeler: RuleLabeler, draw: random.Random) -> str | None:
    """The Impression with left and right exchanged, where it names one of them."""
    text = report.impression or ""
    exchanged = re.sub(r"\b(left|right)\b", lambda match: _OTHER[match[0].lower()], text, flags=re.IGNORECASE)
    sided = any(found.side in _OTHER and found.observation in NAMES for found in labeler.label(text))
    return exchanged if sided and exchanged != text else None


def denied(report: Report, labeler: RuleLabeler, draw: random.Random) -> str | None:
    """An Impression that only denies what the Findings assert."""
    there = sorted(named(labeler, report.findings or "", "present") & NAMES.keys())
    there = [name for name in there if name not in named(labeler, report.findings or "", "absent")]
    return f"No {NAMES[draw.choice(there)]}." if there else None


def invented(report: Report, labeler: RuleLabeler, draw: random.Random) -> str:
    """The Impression with one finding more, of which the Findings say nothing or that it isn't there."""
    free = sorted(
        NAMES.keys()
        - {found.observation for found in labeler.label(report.findings) if found.assertion != "absent"}
    )
    return f"{report.impression} Left {NAMES[draw.choice(free)]}."


SPOILS: dict[str, Callable[[Report, RuleLabeler, random.Random], str | None]] = {
    "sides swapped": swapped,
    "a finding denied": denied,
    "a finding invented": invented,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path)
    parser.add_argument("--id-column", default="id")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    read = read_parsed(options.reports, id_column=options.id_column)
    both = [(name, report) for name, report in read if report.findings and report.impression]
    rules, labeler, draw = LabelConsistency(), RuleLabeler(), random.Random(options.seed)
    start = time.process_time()
    found = [(name, report, rules.examine(report)) for name, report in both]
    seconds = time.process_time() - start
    print(f"{len(both):,} reports with both sections, {len(both) / seconds:,.0f} reports/s")
    print(dict(Counter(item.consistency.verdict for _, _, item in found).most_common()))
    print(f"unsure: {sum(not item.is_sure for _, _, item in found)}")
    print(dict(Counter(one.kind for _, _, item in found for one in item.consistency.problems).most_common()))
    for name, spoil in SPOILS.items():
        texts = [(report, spoil(report, labeler, draw)) for _, report in both]
        spoiled = [report.model_copy(update={"impression": text}) for report, text in texts if text]
        caught = sum(rules.check(report).verdict == "inconsistent" for report in spoiled)
        print(f"{name}: {caught} of {len(spoiled)} found ({caught / max(len(spoiled), 1):.1%})")
    flagged = [entry for entry in found if entry[2].consistency.problems]
    for name, report, item in draw.sample(flagged, min(options.sample, len(flagged))):
        print(f"\n== {name}")
        for line in shown(report, item.consistency):
            print(line)


def shown(report: Report, verdict: Consistency) -> list[str]:
    lines = [
        f"   {one.kind}: {one.label} "
        f"| {(report.findings or '')[slice(*one.findings_span)] if one.findings_span else '-'} "
        f"| {(report.impression or '')[slice(*one.impression_span)] if one.impression_span else '-'}"
        for one in verdict.problems
    ]
    return [*lines, f"   F: {report.findings}", f"   I: {report.impression}"]


if __name__ == "__main__":
    main()
