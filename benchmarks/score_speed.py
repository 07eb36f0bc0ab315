"""Milliseconds a pair of every metric on one core, and whether time is linear from 2,000 to 20,000 pairs

Processor time, `python benchmarks/score_speed.py [--metrics NAMES]`. Indiana reports where present
(../shared/data), else made ones; predictions are other reports, both varied so that no text occurs twice.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from radflow.data.report_pairs import Case
from radflow.data.sections import parse_report
from radflow.metrics.collected import Collected
from radflow.metrics.registry import find_metrics
from radflow.metrics.score_summary import summarise
from radflow.metrics.scoring import make_plan, score_cases

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
    """Reports with both sections."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if not path.is_file():
        draw = random.Random(0)
        made = [draw.sample(SENTENCES, 5) for _ in range(4000)]
        return [f"FINDINGS: {' '.join(own[:4])}\nIMPRESSION: {own[4]}" for own in made]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        f"FINDINGS: {row['findings']}\nIMPRESSION: {row['impression']}"
        for row in rows
        if row["findings"] and row["impression"]
    ]


def cases(reports: list[str], count: int) -> Iterator[Case]:
    """Pairs of different reports; a number in each sentence makes it a new one in each round."""
    for number in range(count):
        round_, place = divmod(number, len(reports))
        pair = (reports[place], reports[(place * 7 + 3) % len(reports)])
        reference, prediction = (text.replace(".", f" {round_}.") if round_ else text for text in pair)
        yield Case(str(number), None, parse_report(reference), parse_report(prediction))


def seconds(names: str | list[str], reports: list[str], count: int) -> tuple[float, float]:
    """Processor seconds of scoring whole reports, and of summing up with 1,000 resamplings."""
    plan = make_plan(names, ("report",))
    pairs = list(cases(reports, count))
    collected = Collected(plan.metrics, plan.parts)
    start = time.process_time()
    for batch in score_cases(pairs, plan, system="x"):
        collected.add(batch)
    scored = time.process_time()
    summarise(collected, samples=1000, confidence=0.95, seed=0)
    return scored - start, time.process_time() - scored


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metrics", default="fast,coco-bleu-4,sacrebleu,cider")
    parser.add_argument("--small", type=int, default=2_000)
    parser.add_argument("--large", type=int, default=20_000)
    options = parser.parse_args()
    reports = texts()
    metrics, _ = find_metrics(options.metrics)
    print(f"{len(reports):,} different reports; {options.small:,} pairs, whole reports, processor time")
    print(f"{'scorer':<50} ms/pair (with reading sections, criticality and writing rows)")
    done: set[tuple[str, ...]] = set()
    for metric in metrics:
        if metric.scorers not in done:
            done.add(metric.scorers)
            taken, _ = seconds([metric.name], reports, options.small)
            print(
                f"{metric.scorers[0].removeprefix('radflow.metrics.'):<50} {1000 * taken / options.small:.3f}"
            )
    found = [seconds(options.metrics, reports, count) for count in (options.small, options.large)]
    for count, (scoring, summing) in zip((options.small, options.large), found, strict=True):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"all together, {count:6,} pairs: {scoring:6.1f} s, {1000 * scoring / count:.2f} ms/pair; "
            f"summing up {summing:.1f} s; peak memory {peak} MB"
        )
    slope = math.log(found[1][0] / found[0][0]) / math.log(options.large / options.small)
    print(f"log-log slope of scoring: {slope:.3f}")


if __name__ == "__main__":
    main()
