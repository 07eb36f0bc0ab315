"""Kill -9 every stage of a run at random moments, again and again; compare its end with an undisturbed run.

    python -m tests.soak.kills --kills 30 --seed 0

Each command is a process of its own (forked from one that has imported everything, which saves seconds each
time) and the leader of a group that is killed as a whole. A stage is killed several times in a row: after a
delay drawn evenly from the time that it took undisturbed; one that was quicker is redone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from tests.integration.killing import SAME, arguments, differing, torn_or_double

STAGES = ("prepare", "sft", "explore", "annotate", "rft", "evaluate", "report")
AFTER_RFT = ("predictions.jsonl", "scores.jsonl", "summary.json")
POLL_S = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(mkdtemp(prefix="radflow-kills-"))
    out.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if soak(out, kills=options.kills, generator=random.Random(options.seed)) else 0)


def soak(out: Path, *, kills: int, generator: random.Random) -> list[str]:
    """What is wrong in the end; nothing, it is hoped."""
    import_everything()
    config, whole, folder = out / "config.yaml", out / "whole", out / "killed"
    config.write_text("seed: 3\n")
    log = out / "log.txt"
    if not (whole / "manifests/report.json").exists():
        finish(fork(arguments(whole, config), log), "the undisturbed run")
    took = {stage: float(manifest(whole, stage)["wall_time_s"]) for stage in STAGES}
    tell(f"undisturbed: {sum(took.values()):.0f} s, " + ", ".join(f"{s} {t:.1f}" for s, t in took.items()))
    hits: Counter[str] = Counter()
    while hits.total() < kills:
        turn = STAGES[hits.total() * len(STAGES) // kills]
        is_done = (folder / f"manifests/{turn}.json").exists()
        process = fork(arguments(folder, config, *(["--redo", turn] if is_done else [])), log)
        after = generator.uniform(0, took[turn])
        hit = kill_in(process, folder, turn, after=after)
        if hit is None:  # the run was over before; the stage is redone
            continue
        hits[hit] += 1
        tell(f"kill {hits.total()}: aimed at {turn}, hit {hit}")
    finish(fork(arguments(folder, config), log), "the last run")
    return judged(folder, whole, hits)


def import_everything() -> None:
    """What the command imports, so that the forked ones have it; nothing of it runs here."""
    from importlib import import_module

    for name in ("radflow.cli", *(f"radflow.stages.{stage}" for stage in STAGES), "radflow.cli_launch"):
        import_module(name)


def fork(command: Sequence[str], log: Path) -> int:
    """The radflow command in a process and group of its own; its id."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    from radflow import cli

    sys.argv = ["radflow", *command]
    try:
        cli.main()
        os._exit(0)
    except SystemExit as stop:
        os._exit(int(stop.code or 0))
    except BaseException:  # noqa: BLE001 (the child must not go on as its parent)
        os._exit(70)


def finish(process: int, what: str) -> None:
    _, status = os.waitpid(process, 0)
    if status:
        sys.exit(f"{what} ended with {os.waitstatus_to_exitcode(status)}")


def kill_in(process: int, folder: Path, stage: str, *, after: float) -> str | None:
    """Kill the group so many seconds after the stage began; the stage that was under way, ``None`` when the
    run had ended by itself."""
    deadline = None
    while deadline is None or time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            if os.waitstatus_to_exitcode(status):
                sys.exit(f"a run ended by itself with {os.waitstatus_to_exitcode(status)}")
            return None
        if deadline is None and (folder / f"manifests/{stage}.started.json").exists():
            deadline = time.monotonic() + after
        time.sleep(POLL_S)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    begun = [name for name in STAGES if (folder / f"manifests/{name}.started.json").exists()]
    return begun[0] if begun else "between two stages"


def manifest(folder: Path, stage: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / f"manifests/{stage}.json").read_text())
    return content


def judged(folder: Path, whole: Path, hits: Counter[str]) -> list[str]:
    """Print what was survived and compared, and return what is wrong."""
    checked = [torn_or_double(path) for path in sorted(folder.glob("*.jsonl"))]
    wrong = [item for _, found in checked for item in found]
    wrong += [f"left behind: {path.name}" for path in folder.rglob("*.tmp")]
    wrong += [f"left behind: {path.name}" for path in folder.glob("*partial*")]
    same_policy = same(folder / "model-rft", whole / "model-rft")
    # RFT samples: cut and gone on, it may end with another policy, and what rests on that differs.
    names = SAME if same_policy else tuple(name for name in SAME if name not in AFTER_RFT)
    wrong += [f"differs: {name}" for name in differing(folder, whole, names=names)]
    for name in ("model-sft", "model-base"):
        if not same(folder / name, whole / name):
            wrong.append(f"differs: {name}")
    if not same_policy:
        wrong += compared_after_rft(folder, whole)
    tell(f"kills survived: {hits.total()} ({', '.join(f'{name} {count}' for name, count in hits.items())})")
    tell(f"rows checked: {sum(count for count, _ in checked)} in {len(checked)} files, none torn or twice"
         if not wrong else "wrong: " + "; ".join(wrong))  # fmt: skip
    tell(f"the same bytes: {', '.join((*names, 'images', 'model-base', 'model-sft'))}")
    tell("model-rft: " + ("the same bytes, too" if same_policy else "another one; its rows are all there"))
    return wrong


def compared_after_rft(folder: Path, whole: Path) -> list[str]:
    """Of what rests on RFT's policy: the rows of other systems are the same, and no row is missing."""
    wrong = []
    for name in ("predictions.jsonl", "scores.jsonl"):
        ours, theirs = ([json.loads(line) for line in (root / name).read_text().splitlines()]
                        for root in (folder, whole))  # fmt: skip
        if [row for row in ours if row["system"] != "rft"] != [
            row for row in theirs if row["system"] != "rft"
        ]:
            wrong.append(f"differs: {name}, other systems than rft")
        if [key(row) for row in ours] != [key(row) for row in theirs]:
            wrong.append(f"rows differ: {name}")
    steps = [json.loads(line)["step"] for line in (folder / "rft_history.jsonl").read_text().splitlines()]
    expected = [json.loads(line)["step"] for line in (whole / "rft_history.jsonl").read_text().splitlines()]
    return wrong if steps == expected else [*wrong, f"rft_history.jsonl has the steps {steps}"]


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["study_id"], row["system"], row.get("part")


def same(first: Path, second: Path) -> bool:
    from radflow.run_dir import content_hash

    return content_hash(first) == content_hash(second)


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
