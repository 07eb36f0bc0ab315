"""Mutation testing: small faults put into the code whose numbers people trust, and do its tests notice each?

A group of modules is mutated one fault at a time: a comparison, an arithmetic sign, a condition, a constant,
a returned value, a statement left out. Each mutant meets, in a forked process, the tests that run its line,
the cheapest first, as far as the budget of processor time goes; a test that fails or does not end kills it.
Usage: python benchmarks/mutants.py GROUP [GROUP] [--sample 120] [--seed 0] [--out FILE] [--again FILE]
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from math import sqrt
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest

from mutations import Mutant, mutants_of, mutated

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ("-q", "-x", "-s", "-p", "no:cacheprovider", "--no-header", "-m", "not slow")
WALL_LIMIT_S = 600  # a mutant that waits for ever uses no processor time


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
DEEP = (
    *SCIENCE,
    "torch",
    "transformers",
    "trl",
    "trl.trainer.grpo_trainer",
    "peft",
    "datasets",
    "accelerate",
)
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
    "rewards": Group(
        tuple(f"rewards.{name}" for name in REWARDS),
        ("tests/unit/rewards",),
        SCIENCE,
    ),
    "capo": Group(
        ("training.capo", "training.capo_checks"),
        ("tests/unit/training/test_capo_rules.py", "tests/integration/test_capo.py"),
        DEEP,
    ),
}  # fmt: skip


class Task(NamedTuple):
    """A mutant with the module that it is one of, and that module's tree."""

    module: str
    tree: ast.Module
    mutant: Mutant

    @property
    def path(self) -> str:
        return str(path_of(self.module))

    @property
    def key(self) -> tuple[str, str]:
        return self.module, self.mutant.name


class Baseline(NamedTuple):
    """What the tests do without a mutant, each in a process of its own.

    Attributes:
        seconds: processor time of each test.
        lines: path -> line -> the tests that run it.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    def tests_of(self, task: Task, *, budget_s: float) -> list[str]:
        """The tests that can notice, the cheapest first; those of a module's own lines are all tests."""
        lines = self.lines[task.path]
        met: set[str] = set(self.seconds)
        if task.mutant.is_inside:
            met = {name for line in task.mutant.span for name in lines.get(line, [])}
        chosen: list[str] = []
        for name in sorted(met, key=lambda name: self.seconds[name]):
            budget_s -= self.seconds[name]
            if budget_s < 0 and chosen:
                break
            chosen.append(name)
        return chosen


def path_of(module: str) -> Path:
    return ROOT / "src" / "radflow" / f"{module.replace('.', '/')}.py"


def forked(work: Callable[[], int], *, cpu_limit_s: float | None = None, is_silent: bool = True) -> int:
    """The exit status of ``work`` in a forked process; negative where a limit ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            if is_silent:
                silence = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(silence, stream)
            if cpu_limit_s is not None:
                seconds = int(cpu_limit_s) + 1
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            code = work()
        finally:
            os._exit(code)
    end = time.monotonic() + WALL_LIMIT_S
    while True:
        is_late = cpu_limit_s is not None and time.monotonic() > end
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if is_late:
            os.kill(child, 9)
        time.sleep(0.005)


class Court:
    """Pytest plug-in: runs the tests for the baseline and for every mutant inside a function.

    Each time in a fork of the process that has collected them.
    """

    def __init__(self, paths: Sequence[str], tasks: Sequence[Task], kept: Kept, budget_s: float) -> None:
        self._paths, self._tasks, self._kept, self._budget_s = paths, tasks, kept, budget_s
        self.baseline = Baseline({}, {path: defaultdict(list) for path in paths})

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for name, item in items.items():
            self._observe(name, item)
        print(f"{len(items)} tests, {sum(self.baseline.seconds.values()):.0f} s when traced", flush=True)
        functions = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
        gc.freeze()  # else each fork's first collection copies all pages
        for task in self._tasks:
            names = self.baseline.tests_of(task, budget_s=self._budget_s)
            chosen, own = (
                [items[name] for name in names],
                [one for one in functions if one.__code__.co_filename == task.path],
            )

            def work(task: Task = task, chosen: Any = chosen, own: Any = own) -> int:
                put_in(task, own)
                return run_items(chosen)

            limit = 10 + 5 * sum(self.baseline.seconds[name] for name in names)
            self._kept.write(task, forked(work, cpu_limit_s=limit) if names else 0, tests=len(names))
        return True

    def _observe(self, name: str, item: pytest.Item) -> None:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:

            def work() -> int:
                met: set[tuple[str, int]] = set()
                with lines_of(self._paths, met):
                    code = run_items([item])
                Path(file.name).write_text(json.dumps([time.process_time(), sorted(met)]))
                return code

            if code := forked(work):
                raise SystemExit(f"without any mutant {name} ends with {code}")
            self.baseline.seconds[name], met = json.loads(Path(file.name).read_text())
        for path, line in met:
            self.baseline.lines[path][line].append(name)


def run_items(items: Sequence[pytest.Item]) -> int:
    """Run the tests until one fails."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


class lines_of:  # noqa: N801
    """Context in which the lines of these files that run are collected."""

    def __init__(self, paths: Sequence[str], met: set[tuple[str, int]]) -> None:
        self._paths, self._met = set(paths), met

    def __enter__(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def _called(self, frame: Any, event: str, _: Any) -> Callable[..., Any] | None:
        path = frame.f_code.co_filename
        if path not in self._paths:
            return None

        def reached(frame: Any, event: str, _: Any) -> Callable[..., Any]:
            self._met.add((path, frame.f_lineno))
            return reached

        return reached(frame, event, None)


def put_in(task: Task, functions: Sequence[FunctionType]) -> None:
    """Give the module's functions, wherever they are held, the code of the mutated tree."""

    def codes(code: CodeType) -> Iterator[CodeType]:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from codes(constant)

    changed = compile(mutated(task.tree, task.mutant), task.path, "exec")
    by_name = {(code.co_qualname, code.co_firstlineno): code for code in codes(changed)}
    for function in functions:
        key = function.__code__.co_qualname, function.__code__.co_firstlineno
        if key in by_name:
            function.__code__ = by_name[key]


class Loader(SourceFileLoader):
    """Imports a mutated module, for faults that act at import; all else is imported as usual."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"radflow.{task.module}", task.path)
        self._task = task

    def get_code(self, fullname: str) -> Any:
        return compile(mutated(self._task.tree, self._task.mutant), self._task.path, "exec")

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        return spec_from_loader(name, self, origin=self.path) if name == self.name else None


def imported_with(task: Task, tests: Sequence[str]) -> int:
    sys.meta_path.insert(0, Loader(task))  # type: ignore[arg-type]
    return int(pytest.main([*OPTIONS, *tests]))


class Kept:
    """What became of each mutant: on the screen, in the file, and counted."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def write(self, task: Task, code: int, *, tests: int) -> None:
        fate = "survived" if code == 0 else "stopped" if code < 0 else "killed"
        row = {"module": task.module, "name": task.mutant.name, "line": task.mutant.line, "fate": fate}
        with self._out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"tests": tests}) + "\n")
        if fate == "survived":
            print(
                f"  {task.module}:{task.mutant.line} survived {tests} tests: {task.mutant.name}", flush=True
            )


def wilson(killed: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, killed / of
    middle, spread = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)


def tasks_of(module: str, *, sample: int, seed: int, again: set[tuple[str, str]]) -> tuple[list[Task], int]:
    """The mutants that are tried, in order of lines, and how many there are."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    every = [Task(module, tree, mutant) for mutant in mutants_of(tree)]
    if again:
        return [task for task in every if task.key in again], len(every)
    drawn = random.Random(f"{seed} {module}").sample(every, min(sample, len(every)))
    return sorted(drawn, key=lambda task: task.mutant.line), len(every)


def examine(group: Group, arguments: argparse.Namespace, again: set[tuple[str, str]]) -> None:
    for package in group.preload:
        importlib.import_module(package)
    chosen = {
        module: tasks_of(module, sample=arguments.sample, seed=arguments.seed, again=again)
        for module in group.modules
    }
    tasks = [task for found, _ in chosen.values() for task in found]
    kept = Kept(arguments.out)
    paths = [str(path_of(module)) for module in group.modules]
    court = Court(paths, [task for task in tasks if task.mutant.is_inside], kept, arguments.budget_s)

    def inside() -> int:
        code = pytest.main([*OPTIONS, *group.tests], plugins=[court])
        arguments.out.with_suffix(".baseline").write_text(json.dumps(court.baseline), encoding="utf-8")
        return int(code)

    if code := forked(inside, is_silent=False):
        raise SystemExit(f"the tests end with {code}")
    baseline = Baseline(*json.loads(arguments.out.with_suffix(".baseline").read_text(encoding="utf-8")))
    for task in tasks:
        if not task.mutant.is_inside:
            names = baseline.tests_of(task, budget_s=arguments.budget_s)
            limit = 60 + 5 * sum(baseline.seconds[name] for name in names)
            code = forked(lambda task=task, names=names: imported_with(task, names), cpu_limit_s=limit)  # type: ignore[misc]
            kept.write(task, code, tests=len(names))
    fates = {}
    for line in arguments.out.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        fates[row["module"], row["name"]] = row["fate"]
    for module, (found, of) in chosen.items():
        counts = Counter(fates[task.key] for task in found)
        killed = len(found) - counts["survived"]
        low, high = wilson(killed, max(1, len(found)))
        print(f"{module}: {len(found)} of {of} mutants, {killed} killed ({counts['stopped']} by a limit), "
              f"{killed / max(1, len(found)):.0%} [{low:.0%}, {high:.0%}]", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument(
        "--sample", type=int, default=120, help="mutants of a module, drawn where it has more"
    )
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
