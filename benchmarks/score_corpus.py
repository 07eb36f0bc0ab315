"""`radflow score` on 2,000, 20,000 and 200,000 pairs of files: processor time, its log-log slope, peak memory

`python benchmarks/score_corpus.py [--counts 2000,20000] [--metrics NAMES] [--workers 2]`. Indiana reports
(../shared/data) resampled, else made ones: a reference has sentences of another report mixed in, a prediction
is another report or a spoilt copy, and each carries words of its own, so that next to no text occurs twice.
The command runs as a user runs it: processor seconds are those of it and its workers together, memory is the
peak of the largest process.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from score_speed import texts


def sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in text.split(".") if sentence.strip()]


def corpus(reports: list[str], count: int, *, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of reference and prediction with both sections; the first of two corpora are the same."""
    draw = random.Random(seed)
    split = [report.split("\nIMPRESSION: ") for report in reports]
    bodies = [(sentences(first.removeprefix("FINDINGS: ")), sentences(last)) for first, last in split]
    for number in range(count):
        findings, impression = draw.choice(bodies)
        other = draw.choice(bodies)
        mixed = [*findings, *draw.sample(other[0], min(1, len(other[0])))]
        draw.shuffle(mixed)
        expected = _report([*mixed, f"Image {number} of the examination"], impression)
        if draw.random() < 0.5:
            yield expected, _report(other[0], [*other[1], f"Compare image {draw.randrange(count)}"])
        else:
            kept = [sentence for sentence in mixed if draw.random() < 0.8] or mixed
            yield expected, _report([*kept, f"Image {draw.randrange(count)}"], draw.choice(bodies)[1])


def _report(findings: list[str], impression: list[str]) -> str:
    return f"FINDINGS: {'. '.join(findings)}.\nIMPRESSION: {'. '.join(impression)}."


def write_files(folder: Path, pairs: Iterator[tuple[str, str]]) -> tuple[Path, Path]:
    paths = folder / "reference.jsonl", folder / "prediction.jsonl"
    with paths[0].open("w", encoding="utf-8") as truth, paths[1].open("w", encoding="utf-8") as written:
        for number, (reference, prediction) in enumerate(pairs):
            truth.write(json.dumps({"study_id": f"s{number}", "reference": reference}) + "\n")
            written.write(json.dumps({"study_id": f"s{number}", "prediction": prediction}) + "\n")
    return paths


def measured(command: list[str]) -> tuple[float, float, float]:
    """Processor seconds of a command and its children, peak megabytes of the largest, wall seconds."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"radflow score failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", default="2000,20000,200000")
    parser.add_argument("--metrics", default="fast,cider")
    parser.add_argument("--sections", default="report,findings,impression")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    reports = texts()
    print(f"{len(reports):,} reports resampled; {options.metrics}; {options.sections}")
    found: list[tuple[int, float, float]] = []
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            reference, prediction = write_files(folder, corpus(reports, count, seed=0))
            command = [sys.executable, "-m", "radflow", "score", "--reference", str(reference)]
            command += ["--prediction", str(prediction), "-o", str(folder / "out")]
            command += ["--metrics", options.metrics, "--sections", options.sections]
            seconds, megabytes, wall = measured([*command, "--workers", str(options.workers)])
            size = (folder / "out" / "scores.jsonl").stat().st_size / 2**20
        found.append((count, seconds, megabytes))
        print(
            f"{count:8,} pairs: {seconds:8.1f} s processor time, {1000 * seconds / count:.2f} ms/pair; wall "
            f"{wall:.0f} s; peak memory {megabytes:.0f} MB; scores.jsonl {size:.0f} MB",
            flush=True,
        )
    if len(found) > 1:
        (small, first, _), (large, last, _) = found[0], found[-1]
        print(f"log-log slope of time: {math.log(last / first) / math.log(large / small):.3f}")
        print(f"memory a further pair: {1024 * (found[-1][2] - found[0][2]) / (large - small):.1f} kB")


if __name__ == "__main__":
    main()
