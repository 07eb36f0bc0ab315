"""Reports a second of the consistency rules on one core: nothing seen yet, all seen, candidates of one study.

Real Indiana reports where present (../shared/data), else made ones; processor time, median of five rounds.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import statistics
import time
from pathlib import Path

from radflow.clinical import consistency, labeler
from radflow.clinical.consistency import LabelConsistency
from radflow.records import Report

ROUNDS = 5
CANDIDATES = 8
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SENTENCES = (
    "The lungs are clear without focal consolidation.",
    "There is no pleural effusion or pneumothorax.",
    "The cardiomediastinal silhouette is within normal limits.",
    "Mild degenerative changes of the thoracic spine are seen.",
    "A right internal jugular line ends in the superior vena cava.",
    "Patchy opacity at the left base may represent atelectasis or pneumonia.",
)


def reports() -> list[Report]:
    """Reports with both sections."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if not path.is_file():
        draw = random.Random(0)
        pairs = [(draw.sample(SENTENCES, 5), draw.sample(SENTENCES, 1)) for _ in range(4000)]
        return [Report(text="", findings=" ".join(f), impression=" ".join(i)) for f, i in pairs]
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["findings"] and row["impression"]]
    return [Report(text="", findings=row["findings"], impression=row["impression"]) for row in rows]


def rate(found: list[Report], rules: LabelConsistency) -> float:
    start = time.process_time()
    for report in found:
        rules.check(report)
    return len(found) / (time.process_time() - start)


def candidates(found: list[Report]) -> list[Report]:
    """For each study the report and others like it: a sentence of the Findings left out each time."""
    made = []
    for report in found:
        parts = (report.findings or "").split(". ")
        for number in range(CANDIDATES):
            kept = [part for place, part in enumerate(parts) if place != number]
            made.append(report.model_copy(update={"findings": ". ".join(kept)}))
    return made


def main() -> None:
    found = reports()
    fresh = statistics.median(rate(found, LabelConsistency()) for _ in range(ROUNDS))
    print(f"{len(found):,} different reports")
    print(f"nothing seen yet:              {fresh:8,.0f} reports/s")
    rules = LabelConsistency()
    rate(found, rules)
    print(
        f"all sections seen:             {statistics.median(rate(found, rules) for _ in range(ROUNDS)):8,.0f}"
    )
    group = candidates(found[:500])
    print(f"{CANDIDATES} candidates of a study:       {rate(group, LabelConsistency()):8,.0f}")
    labeler.REMEMBERED_SENTENCES = consistency.REMEMBERED_SECTIONS = 1
    print(f"nothing may be remembered:     {rate(found, LabelConsistency()):8,.0f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
