"""What benchmarks/mutants.py tries mutants with: which tests run which lines, and forks for mutants"""

from __future__ import annotations

import ast
import gc
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest

from mutations import Mutant, mutated

OPTIONS = ("-q", "-x", "-s", "-p", "no:cacheprovider", "--no-header", "-m", "not slow")
WALL_LIMIT_S = 600  # a mutant that waits for ever uses no processor time


class Task(NamedTuple):
    """A mutant with the module that it is one of: its name, its file and its tree."""

    module: str
    path: str
    tree: ast.Module
    mutant: Mutant

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
    lines: dict[str, dict[str, list[str]]]

    def tests_of(self, task: Task, *, budget_s: float) -> list[str]:
        """The tests that run the line, the cheapest first; none for a line that runs when it is imported."""
        lines = self.lines[task.path]
        met = {name for line in task.mutant.span for name in lines.get(str(line), [])}
        return self.cheapest(met, budget_s=budget_s) if task.mutant.is_inside else []

    def cheapest(self, names: Collection[str], *, budget_s: float) -> list[str]:
        chosen: list[str] = []
        for name in sorted(names, key=lambda name: self.seconds[name]):
            budget_s -= self.seconds[name]
            if budget_s < 0 and chosen:
                break
            chosen.append(name)
        return chosen

    def limit_s(self, names: Collection[str]) -> float:
        """Processor time after which a mutant is stopped."""
        return 10 + 5 * sum(self.seconds[name] for name in names)


def forked(work: Callable[[], int], *, limit_s: float | None = None, is_silent: bool = True) -> int:
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
            if limit_s is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 1))
            code = work()
        finally:
            os._exit(code)
    end = time.monotonic() + WALL_LIMIT_S
    while True:
        is_late = limit_s is not None and time.monotonic() > end
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if is_late:
            os.kill(child, 9)
        time.sleep(0.005)


class Trials:
    """Pytest plug-in: runs the tests for the baseline, and again for every mutant inside a function.

    Each time in a fork of the process that has collected them.

    Args:
        told: gets each task, its exit status and the number of its tests.
    """

    def __init__(
        self,
        paths: Sequence[str],
        tasks: Sequence[Task],
        told: Callable[[Task, int, int], None],
        *,
        budget_s: float,
    ) -> None:
        self._paths, self._tasks, self._told, self._budget_s = paths, tasks, told, budget_s
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
            chosen = [items[name] for name in names]
            own = [one for one in functions if one.__code__.co_filename == task.path]

            def work(task: Task = task, chosen: Any = chosen, own: Any = own) -> int:
                put_in(task, own)
                return run_items(chosen)

            if names:
                self._told(task, forked(work, limit_s=self.baseline.limit_s(names)), len(names))
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
            self.baseline.lines[path][str(line)].append(name)


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
    """Run the tests in a process that hasn't imported the module yet."""
    sys.meta_path.insert(0, Loader(task))  # type: ignore[arg-type]
    return int(pytest.main([*OPTIONS, *tests]))
