"""Rows a second of engines: local processes, Ray tasks (ours), Ray actors, Ray Data; and memory at many rows

    python benchmarks/ray_speed.py [--rows 20000] [--rounds 5] [--many 200000]

The rule labeler on made reports, in order, on all cores of this machine. All engines take turns within a
round. Then the driver's memory after each quarter of many rows, which are made as they are asked for.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from radflow.clinical.labeler import RuleLabeler
from radflow.config import EngineConfig
from radflow.engine import CHUNK, attempt_chunk, chunks_of, map_rows
from radflow.engine_ray import connect

SENTENCES = (
    "The lungs are clear without focal consolidation.",
    "There is no pleural effusion or pneumothorax.",
    "The cardiomediastinal silhouette is within normal limits.",
    "A right internal jugular line ends in the superior vena cava.",
    "Patchy opacity at the left base may represent atelectasis or pneumonia.",
)
RAY = EngineConfig(backend="ray")


@dataclass(frozen=True)
class Text:
    study_id: str
    text: str


class Label:
    """Mentions of a text; the labeler is made once in a process."""

    def __init__(self) -> None:
        self.labeler: RuleLabeler | None = None

    def __call__(self, row: Text) -> int:
        self.labeler = self.labeler or RuleLabeler()
        return len(self.labeler.label(row.text))


def texts(count: int) -> Iterator[Text]:
    draw = random.Random(0)
    for number in range(count):
        # The number makes new texts; sentences come again, as in real reports.
        yield Text(f"s{number}", " ".join([*draw.sample(SENTENCES, 4), f"Nodule of {number % 900} mm."]))


def local(rows: Iterable[Text]) -> Iterator[int]:
    yield from map_rows(Label(), rows, engine=EngineConfig(), label="local")  # type: ignore[misc]


def ray_tasks(rows: Iterable[Text]) -> Iterator[int]:
    yield from map_rows(Label(), rows, engine=RAY, label="tasks")  # type: ignore[misc]


def ray_actors(rows: Iterable[Text]) -> Iterator[int]:
    """A pool of actors, each with as many chunks ahead as our tasks have."""
    import ray

    class Worker:
        def __init__(self) -> None:
            self.function = Label()

        def run(self, chunk: list[Text]) -> list[int]:
            return attempt_chunk(self.function, chunk)  # type: ignore[return-value]

    actors = [ray.remote(num_cpus=1)(Worker).remote() for _ in range(os.cpu_count() or 1)]
    source, pending, turn = chunks_of(rows, CHUNK), deque(), 0
    while True:
        for chunk in islice(source, 4 * len(actors) - len(pending)):
            pending.append(actors[turn % len(actors)].run.remote(chunk))
            turn += 1
        if not pending:
            return
        yield from ray.get(pending.popleft())


def ray_data(rows: Iterable[Text]) -> Iterator[int]:
    """Ray Data keeps order when told to; it takes rows that are all there."""
    import ray

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False

    class Worker:
        def __init__(self) -> None:
            self.function = Label()

        def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[int]]:
            pairs = zip(batch["study_id"], batch["text"], strict=True)
            return {"result": [self.function(Text(study_id, text)) for study_id, text in pairs]}

    items = [{"study_id": row.study_id, "text": row.text} for row in rows]
    done = ray.data.from_items(items).map_batches(Worker, batch_size=256, concurrency=os.cpu_count() or 1)
    for row in done.iter_rows():
        yield row["result"]


ENGINES: dict[str, Callable[[Iterable[Text]], Iterator[int]]] = {
    "local processes": local,
    "ray tasks (radflow)": ray_tasks,
    "ray actors": ray_actors,
    "ray data": ray_data,
}


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=200_000)
    arguments = parser.parse_args()
    connect(RAY)
    expected = list(map(Label(), texts(arguments.rows)))
    seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
    for _ in range(arguments.rounds):
        for name, engine in ENGINES.items():
            start = time.perf_counter()
            assert list(engine(texts(arguments.rows))) == expected, name
            seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["local processes"])
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:20} {arguments.rows / middle:8.0f} rows/s   x {base / middle:.2f} of local")
    for name in ("local processes", "ray tasks (radflow)"):
        memory = []
        for place, _ in enumerate(ENGINES[name](texts(arguments.many)), start=1):
            if place % (arguments.many // 4) == 0:
                memory.append(resident_mib())
        print(f"{name:20} driver after each quarter of {arguments.many} rows: {memory} MiB")


if __name__ == "__main__":
    main()
