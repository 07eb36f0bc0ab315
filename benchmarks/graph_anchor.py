"""Ours beside RadGraph's published F1 on six report pairs: three levels, means, rank correlations

The pairs and the numbers of the model "radgraph" are those of its package's tests; the texts lie in the data
folder (text/radgraph_anchor/pairs.jsonl).
"""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path

from radflow.clinical.graph import LexiconGraph
from radflow.metrics.graph_f1 import GraphF1, graph_f1

DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def scores(path: Path) -> list[tuple[GraphF1, GraphF1]]:
    """(ours, published) of each pair."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    reader = LexiconGraph("chest-xray")
    found = []
    for row in rows:
        reference, prediction = reader.read([row["reference"], row["prediction"]])
        found.append((graph_f1(reference=reference, prediction=prediction), GraphF1(**row["radgraph"])))
    return found


def rank_correlation(one: list[float], other: list[float]) -> float:
    """Spearman's rho: Pearson's of the ranks, ties at their mean rank."""
    return statistics.correlation(_ranks(one), _ranks(other))


def _ranks(values: list[float]) -> list[float]:
    rounded = [round(value, 6) for value in values]
    return [sum(other < value for other in rounded) + (rounded.count(value) + 1) / 2 for value in rounded]


def main() -> None:
    pairs = scores(DATA / "text" / "radgraph_anchor" / "pairs.jsonl")
    print("pair   " + "".join(f"{level + ' ours':>15} published" for level in GraphF1._fields))
    for number, (ours, published) in enumerate(pairs):
        print(f"{number:<7}" + "".join(f"{a:15.3f} {b:9.3f}" for a, b in zip(ours, published, strict=True)))
    columns = [
        ([ours[level] for ours, _ in pairs], [published[level] for _, published in pairs])
        for level in range(3)
    ]
    means = [(statistics.mean(ours), statistics.mean(known)) for ours, known in columns]
    print("mean   " + "".join(f"{a:15.3f} {b:9.3f}" for a, b in means))
    rhos = [rank_correlation(ours, known) for ours, known in columns]
    print("rank r " + "".join(f"{rho:15.3f} {'':9}" for rho in rhos))
    ours, known = ([statistics.mean(pair[side]) for pair in pairs] for side in (0, 1))
    print(f"rank r of the mean of the three levels: {rank_correlation(ours, known):.3f}")


if __name__ == "__main__":
    main()
