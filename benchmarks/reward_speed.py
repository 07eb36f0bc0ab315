"""Processor time of the hierarchical reward per completion on one core, and of each of its parts

One call is a step of GRPO: 8 studies, 8 distinct completions each, reports of 50 to 75 words. Once with
unrelated real Indiana reports (../shared/data, else made ones) as completions, most sentences of which are
new; once with completions as a policy samples them: 4 in 10 of the reference's sentences exchanged.
"""

from __future__ import annotations

import csv
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from radflow.clinical.tokens import sentences
from radflow.config import RewardConfig
from radflow.data.phantoms.chest import make_chest_report
from radflow.data.sections import parse_report, render_report, report_from_fields
from radflow.records import Report
from radflow.rewards.hierarchical import HierarchicalReward
from radflow.rewards.scorers import Scorers, report_key

STUDIES, GROUP = 8, 8
WORDS = range(50, 76)
EXCHANGED = 0.4
WARM_CALLS = 2
Call = tuple[list[str], list[str]]
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def reports() -> list[Report]:
    """Distinct reports of about 60 words with both sections."""
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            pairs = [(row["findings"], row["impression"]) for row in csv.DictReader(file)]
    else:
        made = (make_chest_report(number, seed=0) for number in range(8000))
        pairs = [(report.findings or "", report.impression or "") for report in made]
    pairs = [pair for pair in dict.fromkeys(pairs) if all(pair) and len(" ".join(pair).split()) in WORDS]
    random.Random(0).shuffle(pairs)
    return [report_from_fields(findings=findings, impression=impression) for findings, impression in pairs]


def unrelated(made: list[Report]) -> Iterator[Call]:
    """(references, completions): every completion is another report."""
    need = STUDIES * GROUP
    references = [each.text for each in made[:STUDIES] for _ in range(GROUP)]
    texts = [each.text for each in made[STUDIES:]]
    for start in range(0, len(texts) - need + 1, need):
        yield references, texts[start : start + need]


def sampled(made: list[Report]) -> Iterator[Call]:
    """(references, completions): every completion is its reference with sentences of other reports."""
    dice = random.Random(0)
    pool = [sentence for each in made for sentence in split(each.findings or "")]
    for start in range(0, len(made) - STUDIES + 1, STUDIES):
        references, texts = [], []
        for reference in made[start : start + STUDIES]:
            own = split(reference.findings or "")
            for _ in range(GROUP):
                said = [dice.choice(pool) if dice.random() < EXCHANGED else sentence for sentence in own]
                texts.append(render_report(findings=" ".join(said), impression=reference.impression))
                references.append(reference.text)
        yield references, texts


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def timed(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def parts(scorers: Scorers, references: list[str], texts: list[str]) -> dict[str, Callable[[], Any]]:
    """The work on one call's completions, part by part; references are known by then."""
    written = [parse_report(text) for text in texts]
    return {
        "parse": lambda: scorers.parse(texts),
        "language": lambda: scorers.similarity(list(zip(references, texts, strict=True))),
        "graphs": lambda: scorers.graphs(texts),
        "Impression labels": lambda: scorers.labels([report.impression or "" for report in written]),
        "consistency": lambda: scorers.examine([report_key(report) for report in written]),
        "repetition": lambda: scorers.novelty(texts),
    }


def measure(name: str, calls: list[Call]) -> None:
    reward = HierarchicalReward(RewardConfig())
    scorers = Scorers(RewardConfig(), None, None)
    totals: list[float] = []
    shares: dict[str, list[float]] = {}
    for number, (references, texts) in enumerate(calls):
        seconds = timed(partial(reward, texts, texts, reference=references))
        scorers.graphs(references)
        apart = {name: timed(part) for name, part in parts(scorers, references, texts).items()}
        if number >= WARM_CALLS:  # readers remember sentences: a run is longer than its first steps
            totals.append(1e3 * seconds / len(texts))
            for part, value in apart.items():
                shares.setdefault(part, []).append(1e3 * value / len(texts))
    words = statistics.mean(len(text.split()) for _, texts in calls for text in texts)
    distinct = statistics.mean(len(set(texts)) / len(texts) for _, texts in calls)
    print(f"{name}: {len(totals)} calls, {words:.0f} words, {distinct:.0%} distinct, ms a completion")
    for part, found in shares.items():
        print(f"  {part:18} {statistics.median(found):6.3f}")
    print(f"  {'whole reward':18} {statistics.median(totals):6.3f} ({min(totals):.3f} to {max(totals):.3f})")


def main() -> None:
    made = reports()
    measure("unrelated reports", list(unrelated(made)))
    measure("sampled completions", list(sampled(made)))


if __name__ == "__main__":
    main()
