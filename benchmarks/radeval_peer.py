"""BLEU and ROUGE beside RadEval 2.2.1 in one run: differences, milliseconds a pair of both, and the ratio

`python benchmarks/radeval_peer.py --peer PYTHON [--count 2000]`, PYTHON of an environment with RadEval
(tests/golden/record_radeval.py says how to make one). Processor time of scoring alone on one thread, without
imports; the two take turns. Indiana reports where present (../shared/data), else made ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from radflow.metrics.score import load_metric
from score_speed import texts

BLEU = [f"radeval-bleu-{order}" for order in range(1, 5)]
ROUGE = [f"radeval-rouge-{kind}" for kind in ("1", "2", "l")]
PEER = """
import json, sys, time
from radeval import RadEval
scorer = RadEval(metrics=["bleu", "rouge"], show_progress=False)
metrics = {metric.name: metric for metric in scorer._active_metrics}
print("ready", flush=True)
for line in sys.stdin:
    references, predictions = json.loads(line)
    start = time.process_time()
    bleu = metrics["bleu"]._compute_raw(references, predictions)["bleu"]
    middle = time.process_time()
    rouge = metrics["rouge"]._compute_raw(references, predictions)
    end = time.process_time()
    values = [*(bleu["detailed"][f"bleu_{n}"] for n in (1, 2, 3)), bleu["aggregate"]]
    values += [rouge[name]["aggregate"] for name in ("rouge1", "rouge2", "rougeL")]
    print(json.dumps([[float(value) for value in values], middle - start, end - middle]), flush=True)
"""


def ours(references: list[str], predictions: list[str]) -> tuple[list[float | None], float, float]:
    """Values, and processor seconds of BLEU and of ROUGE; each scorer runs once for all of its metrics."""
    values: list[float | None] = []
    seconds = []
    for names in (BLEU, ROUGE):
        loaded = load_metric(names[0])
        start = time.process_time()
        stored = loaded._stored(references, predictions)
        values += [load_metric(name).metric.of_set(stored) for name in names]
        seconds.append(time.process_time() - start)
    return values, seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    reports = texts()
    references = [reports[place % len(reports)] for place in range(options.count)]
    predictions = [reports[(place * 7 + 3) % len(reports)] for place in range(options.count)]
    command = [str(options.peer), "-c", PEER]
    ours(references[:20], predictions[:20])  # what is imported when first used
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        if peer.stdout.readline().strip() != "ready":
            sys.exit(f"{options.peer} can't import RadEval: see tests/golden/record_radeval.py")
        times: dict[str, list[float]] = {"our BLEU": [], "their BLEU": [], "our ROUGE": [], "their ROUGE": []}
        for _ in range(options.rounds):
            peer.stdin.write(json.dumps([references, predictions]) + "\n")
            peer.stdin.flush()
            theirs, their_bleu, their_rouge = json.loads(peer.stdout.readline())
            mine, our_bleu, our_rouge = ours(references, predictions)
            for name, seconds in zip(times, (our_bleu, their_bleu, our_rouge, their_rouge), strict=True):
                times[name].append(seconds)
        peer.stdin.close()
    for name, own, other in zip([*BLEU, *ROUGE], mine, theirs, strict=True):
        print(f"{name:<16} {own:.9f}  RadEval {other:.9f}  difference {abs((own or 0.0) - other):.1e}")
    for kind in ("BLEU", "ROUGE"):
        each = [
            1000 * statistics.median(times[f"{side} {kind}"]) / options.count for side in ("our", "their")
        ]
        ratios = [
            other / own for own, other in zip(times[f"our {kind}"], times[f"their {kind}"], strict=True)
        ]
        print(
            f"{kind}: {each[0]:.3f} ms/pair (reading sections included), RadEval {each[1]:.3f}: "
            f"{statistics.median(ratios):.2f} times its speed ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
