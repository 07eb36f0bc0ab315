"""Reports a second of the lexicon graph on one core, and how full its graphs of real reports are

Real Indiana reports where present (../shared/data), else made ones; processor time, median of five rounds.
"""

from __future__ import annotations

import csv
import os
import resource
import statistics
import time
from pathlib import Path

import radflow.clinical.graph as graph_module
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.report_graph import ReportGraph
from radflow.data.phantoms.chest import make_chest_report

ROUNDS = 5
MADE = 2000
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def halves() -> dict[str, list[str]]:
    """Findings and impressions, and reports of both with their headers; the same place is the same study."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            pairs = [(row["findings"], row["impression"]) for row in csv.DictReader(file)]
    else:
        made = (make_chest_report(number, seed=0) for number in range(MADE))
        pairs = [(report.findings or "", report.impression or "") for report in made]
    return {
        "findings": [findings for findings, _ in pairs if findings],
        "impression": [impression for _, impression in pairs if impression],
        "both": [f"FINDINGS: {findings}\nIMPRESSION: {impression}" for findings, impression in pairs],
    }


def rate(texts: list[str]) -> tuple[float, list[ReportGraph]]:
    """Reports a second of processor time with a reader that has seen nothing yet, and the graphs."""
    seconds = []
    for _ in range(ROUNDS):
        reader = LexiconGraph()
        start = time.process_time()
        graphs = reader.read(texts)
        seconds.append(time.process_time() - start)
    return len(texts) / statistics.median(seconds), graphs


def main() -> None:
    parts = halves()
    for name, texts in parts.items():
        _, graphs = rate(texts)
        entities = sum(len(graph.entities) for graph in graphs)
        relations = sum(len(graph.relations) for graph in graphs)
        empty = sum(not graph.entities for graph in graphs)
        words = statistics.mean(len(text.split()) for text in texts)
        each = f"{entities / len(texts):.1f} entities, {relations / len(texts):.1f} relations"
        print(f"{name:10} {len(texts):6,} texts of {words:.0f} words: {each} each, {empty} empty")
    texts = parts["both"]
    print(f"fresh reader:           {rate(texts)[0]:7,.0f} reports/s")
    graph_module.REMEMBERED_SENTENCES = 1
    print(f"no sentence remembered: {rate(texts)[0]:7,.0f} reports/s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
