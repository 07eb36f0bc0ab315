"""Reports a second of the rule labeler on one core; is its time linear, its memory flat?

Real Indiana reports where present (../shared/data), else made ones; processor time, median of five rounds.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import radflow.clinical.labeler as labeler_module
from radflow.clinical.label_table import aggregate
from radflow.clinical.labeler import RuleLabeler

ROUNDS = 5
MANY = 200_000
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SENTENCES = (
    "The lungs are clear without focal consolidation.",
    "There is no pleural effusion or pneumothorax.",
    "The cardiomediastinal silhouette is within normal limits.",
    "Mild degenerative changes of the thoracic spine are seen.",
    "A right internal jugular line ends in the superior vena cava.",
    "Patchy opacity at the left base may represent atelectasis or pneumonia.",
)


def texts() -> list[str]:
    """Reports with headed sections."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if not path.is_file():
        draw = random.Random(0)
        return ["FINDINGS: " + " ".join(draw.sample(SENTENCES, 5)) for _ in range(4000)]
    columns = ("indication", "comparison", "findings", "impression")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return ["\n".join(f"{name.upper()}: {row[name]}" for name in columns if row[name]) for row in rows]


def rate(reports: list[str], make: Callable[[], RuleLabeler]) -> float:
    """Reports a second of processor time, labels included, with a labeler that has seen nothing yet."""
    seconds = []
    for _ in range(ROUNDS):
        labeler = make()
        start = time.process_time()
        label_all(reports, labeler)
        seconds.append(time.process_time() - start)
    return len(reports) / statistics.median(seconds)


def label_all(reports: list[str], labeler: RuleLabeler) -> None:
    """Label every report, as `radflow label` does for a table."""
    for text in reports:
        found = ((item.finding.observation, item.finding.assertion) for item in labeler.locate(text))
        aggregate(found, labeler.ontology)


def main() -> None:
    reports = texts()
    words = statistics.mean(len(text.split()) for text in reports)
    print(f"{len(reports):,} different reports, {words:.0f} words each")
    print(f"fresh labeler:             {rate(reports, RuleLabeler):8,.0f} reports/s")
    remembered = labeler_module.REMEMBERED_SENTENCES
    labeler_module.REMEMBERED_SENTENCES = 1
    print(f"no sentence remembered:    {rate(reports, RuleLabeler):8,.0f} reports/s")
    labeler_module.REMEMBERED_SENTENCES = remembered
    labeler = RuleLabeler()
    for count in (MANY // 10, MANY):
        start = time.process_time()
        for first in range(0, count, len(reports)):
            # a number in each sentence makes it a new one: nothing can be remembered from the round before
            changed = [
                text.replace(".", f" {first}.") for text in reports[: min(len(reports), count - first)]
            ]
            label_all(changed, labeler)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        taken = time.process_time() - start
        print(f"{count:7,} reports: {taken:6.1f} s, {count / taken:,.0f} reports/s, peak memory {peak} MB")


if __name__ == "__main__":
    main()
