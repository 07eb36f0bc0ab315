"""Mutation testing: small faults put into the code whose numbers people trust, and do its tests notice each?

A group of modules is mutated one fault at a time: a comparison, an arithmetic sign, a condition, a constant,
a returned value, a statement left out. Each mutant meets, in a forked process, the tests that run its line,
the cheapest first, as far as the budget of processor time goes; a test that fails or does not end kills it.
Usage: python benchmarks/mutants.py GROUP [GROUP] [--sample 120] [--seed 0] [--out FILE] [--again FILE]
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import resource
import tempfile
from collections import Counter
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import pytest

from mutant_trials import OPTIONS, Baseline, Task, Trials, forked, imported_with
from mutations import mutants_of

ROOT = Path(__file__).resolve().parent.parent


class Group(NamedTuple):
    """Modules that share tests.

    Attributes:
        modules: what is mutated, of radflow.
        tests: files whose tests must notice.
        preload: packages imported once; none of ours, which would hold the unmutated module.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    preload: tuple[str, ...]


SCIENCE = ("numpy", "scipy.stats", "nltk", "hypothesis", "pydantic", "yaml", "rich")
DEEP = (*SCIENCE, "torch", "transformers", "trl.trainer.grpo_trainer", "peft", "datasets", "accelerate")
REWARDS = ("hierarchical", "terms", "scorers", "verdicts", "language", "reward_file", "adapters")
GROUPS = {
    "statistics": Group(
        ("metrics.statistics", "metrics.paired", "metrics.resampling"),
        tuple(f"tests/unit/metrics/test_{name}.py" for name in ("statistics", "paired", "resampling")),
        SCIENCE,
    ),
    "sections": Group(
        ("data.sections", "data.section_headers"), ("tests/unit/data/test_sections.py",), SCIENCE
    ),
    "rewards": Group(tuple(f"rewards.{name}" for name in REWARDS), ("tests/unit/rewards",), SCIENCE),
    "capo": Group(
        ("training.capo", "training.capo_checks"),
        ("tests/unit/training/test_capo_rules.py", "tests/integration/test_capo.py"),
        DEEP,
    ),
}


def path_of(module: str) -> Path:
    return ROOT / "src" / "radflow" / f"{module.replace('.', '/')}.py"


def wilson(killed: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, killed / of
    middle, spread = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)


def tasks_of(module: str, *, sample: int, seed: int, again: set[tuple[str, str]]) -> tuple[list[Task], int]:
    """The mutants that are tried, in order of lines, and how many there are."""
    path = path_of(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    every = [Task(module, str(path), tree, mutant) for mutant in mutants_of(tree)]
    if again:
        return [task for task in every if task.key in again], len(every)
    drawn = random.Random(f"{seed} {module}").sample(every, min(sample, len(every)))
    return sorted(drawn, key=lambda task: task.mutant.line), len(every)


def examine(group: Group, arguments: argparse.Namespace, again: set[tuple[str, str]]) -> None:
    for package in group.preload:
        importlib.import_module(package)
    tried = {
        module: tasks_of(module, sample=arguments.sample, seed=arguments.seed, again=again)
        for module in group.modules
    }
    fates = fates_of(group, [task for found, _ in tried.values() for task in found], arguments)
    for module, (found, of) in tried.items():
        counts = Counter(fates[task.key] for task in found)
        killed = len(found) - counts["survived"]
        low, high = wilson(killed, max(1, len(found)))
        print(f"{module}: {len(found)} of {of} mutants, {killed} killed ({counts['stopped']} by a limit), "
              f"{killed / max(1, len(found)):.0%} [{low:.0%}, {high:.0%}]", flush=True)  # fmt: skip


def fates_of(group: Group, tasks: list[Task], arguments: argparse.Namespace) -> dict[tuple[str, str], str]:
    """Try the mutants; what became of each also goes into the file, survivors onto the screen."""

    def told(task: Task, code: int, tests: int) -> None:
        fate = "survived" if code == 0 else "stopped" if code < 0 else "killed"
        row = {"module": task.module, "name": task.mutant.name, "line": task.mutant.line, "fate": fate}
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"tests": tests}) + "\n")
        if fate == "survived":
            print(f"  {task.module}:{task.mutant.line} past {tests} tests: {task.mutant.name}", flush=True)

    paths = [str(path_of(module)) for module in group.modules]
    trials = Trials(paths, tasks, told, budget_s=arguments.budget_s)
    kept = arguments.out.with_suffix(".baseline")

    def inside() -> int:
        code = pytest.main([*OPTIONS, *group.tests], plugins=[trials])
        kept.write_text(json.dumps(trials.baseline), encoding="utf-8")
        return int(code)

    if code := forked(inside, is_silent=False):
        raise SystemExit(f"the tests end with {code}")
    baseline = Baseline(*json.loads(kept.read_text(encoding="utf-8")))
    for task in tasks:
        if not baseline.tests_of(task, budget_s=arguments.budget_s):
            names = baseline.cheapest(baseline.seconds, budget_s=arguments.budget_s)

            def work(task: Task = task, names: list[str] = names) -> int:
                return imported_with(task, names)

            told(task, forked(work, limit_s=60 + baseline.limit_s(names)), len(names))
    rows = [json.loads(line) for line in arguments.out.read_text(encoding="utf-8").splitlines()]
    return {(row["module"], row["name"]): row["fate"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--sample", type=int, default=120, help="mutants of a module, where it has more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-s", type=float, default=20, help="processor time of tests for a mutant")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "radflow-mutants.jsonl")
    parser.add_argument("--again", type=Path, help="a file of --out: only the mutants that survived there")
    arguments = parser.parse_args()
    again: set[tuple[str, str]] = set()
    if arguments.again:
        rows = [json.loads(line) for line in arguments.again.read_text(encoding="utf-8").splitlines()]
        again = {(row["module"], row["name"]) for row in rows if row["fate"] == "survived"}
    os.chdir(ROOT)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in arguments.groups:
        examine(GROUPS[name], arguments, again)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time")


if __name__ == "__main__":
    main()
