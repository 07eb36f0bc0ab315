"""Reports a second of the rule criticality on one core, how many it flags, and its rates on phantoms.

`python benchmarks/criticality_speed.py [--phantoms 2000] [--seed 202]`. Real Indiana
reports with both sections where present (../shared/data); processor time, median of five rounds. Phantoms:
the reference report against the truth, as it is, and with any pneumothorax critical (the generator: large
and tension ones).
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import time
from collections import Counter
from pathlib import Path

from radflow.clinical.criticality import RuleCriticality
from radflow.data.phantoms.chest import ChestCase, make_chest_case
from radflow.data.sections import render_report
from radflow.metrics.triage import triage_rates

ROUNDS = 5
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def real_reports() -> list[tuple[str, str]]:
    """(id, text) of the Indiana reports that have both sections; empty where the data isn't."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["findings"].strip() and row["impression"].strip()]
    return [
        (row["uid"], render_report(findings=row["findings"], impression=row["impression"])) for row in rows
    ]


def show_real(reports: list[tuple[str, str]]) -> None:
    """Speed and shares of the Indiana reports."""
    seconds = []
    for _ in range(ROUNDS):
        judge = RuleCriticality()
        start = time.process_time()
        verdicts = [judge.decide(name, text) for name, text in reports]
        seconds.append(time.process_time() - start)
    both = RuleCriticality(levels=("critical", "urgent"))
    urgent = sum(both.decide(name, text).is_critical for name, text in reports)
    critical = sum(verdict.is_critical for verdict in verdicts)
    count = len(reports)
    print(f"{count:,} real reports: {count / statistics.median(seconds):,.0f} reports/s, fresh judge")
    print(f"critical {critical} ({critical / count:.2%}), critical or urgent {urgent} ({urgent / count:.2%})")
    finding = Counter(
        verdict.reason.split(",")[0].split(" (")[0] for verdict in verdicts if verdict.is_critical
    )
    print("by deciding finding:", dict(finding.most_common()))


def show_phantoms(count: int, seed: int) -> None:
    """Precision and recall of the judge on reference reports, whose truth is known."""
    judge = RuleCriticality()
    pairs, ours = [], []
    for index in range(count):
        case = make_chest_case(index, seed=seed)
        text = render_report(findings=case.report.findings, impression=case.report.impression)
        verdict = judge.decide(case.study_id, text).is_critical
        pairs.append((any(finding.is_critical for finding in case.truth), verdict))
        ours.append((is_critical_for_us(case), verdict))
    for name, found in (("generator's convention", pairs), ("any pneumothorax critical", ours)):
        print(f"{count:,} phantom reports, seed {seed}, {name}:")
        for rate, value in triage_rates(found)._asdict().items():
            print(f"  {rate:20} {value}")


def is_critical_for_us(case: ChestCase) -> bool:
    """Critical by the generator, or any pneumothorax."""
    return any(finding.is_critical or finding.observation == "pneumothorax" for finding in case.truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=202)
    options = parser.parse_args()
    if reports := real_reports():
        show_real(reports)
    show_phantoms(options.phantoms, options.seed)


if __name__ == "__main__":
    main()
