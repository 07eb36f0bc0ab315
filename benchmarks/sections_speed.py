"""How many reports a second parse_report reads on one core: `python benchmarks/sections_speed.py`.

Two sets: made reports of about 60 words (always), real ones of ../shared/data/iu_xray (where present).
"""

from __future__ import annotations

import csv
import os
import random
import statistics
import time
from pathlib import Path

from radflow.data.sections import parse_report

REPORTS = 20_000
RUNS = 5
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SENTENCES = (
    "The lungs are clear without focal consolidation.",
    "There is no pleural effusion or pneumothorax.",
    "The cardiomediastinal silhouette is within normal limits.",
    "Mild degenerative changes of the thoracic spine are seen.",
    "A right internal jugular line ends in the superior vena cava.",
    "Low lung volumes cause bronchovascular crowding at both bases.",
)


def made_reports() -> list[str]:
    """Four headed sections, about 60 words, the same on every run."""
    draw = random.Random(0)
    return [
        f"INDICATION: Cough, {draw.randint(1, 14)} days.\n\nCOMPARISON: Chest radiograph of last year.\n\n"
        f"FINDINGS: {' '.join(draw.sample(SENTENCES, 4))}\n\n"
        f"IMPRESSION: {' '.join(draw.sample(SENTENCES, 2))}"
        for _ in range(REPORTS)
    ]


def real_reports(path: Path) -> list[str]:
    """The Indiana reports with their columns as sections, repeated up to the number of reports."""
    columns = ("indication", "comparison", "findings", "impression")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = ["\n".join(f"{name.upper()}: {row[name]}" for name in columns if row[name]) for row in rows]
    return [texts[number % len(texts)] for number in range(REPORTS)]


def reports_per_second(texts: list[str]) -> float:
    """Median over the runs; processor time, so that other work on the machine hardly counts."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        for text in texts:
            parse_report(text)
        seconds.append(time.process_time() - start)
    return len(texts) / statistics.median(seconds)


def main() -> None:
    sets = {"made": made_reports()}
    indiana = DATA / "iu_xray" / "indiana_reports.csv"
    if indiana.is_file():
        sets["indiana"] = real_reports(indiana)
    for name, texts in sets.items():
        words = statistics.mean(len(text.split()) for text in texts)
        rate = reports_per_second(texts)
        print(f"{name}: {rate:,.0f} reports/s ({len(texts):,} reports, {words:.0f} words each)")


if __name__ == "__main__":
    main()
