"""All checks of a config on this machine, in the order in which a run would meet what they look at"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from radflow.config import RunConfig
from radflow.doctor.check import Check, attempt, warning
from radflow.doctor.data import Counted, count_studies, data_checks
from radflow.doctor.judge import judge_checks
from radflow.doctor.machine import device_checks, disk_check, free_disk, memory_of, writable_check
from radflow.doctor.memory import memory_checks, stage_parts
from radflow.doctor.shapes import Shape, model_shape
from radflow.doctor.space import run_bytes
from radflow.doctor.training import capo_checks
from radflow.doctor.versions import (
    installed_of,
    known_versions,
    python_check,
    required_packages,
    torchvision_check,
    version_checks,
)
from radflow.doctor.weights import (
    encoder_check,
    metric_checks,
    model_check,
    ontology_checks,
    package_checks,
    reader_checks,
)
from radflow.errors import ModelError
from radflow.models.vlm import pick_device

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def examine(config: RunConfig, folder: Path) -> Iterator[Check]:
    """Look at everything that a run of this config into this folder would need."""
    yield python_check()
    yield from version_checks(installed_of(required_packages()), known_versions())
    yield from torchvision_check(_version("torch") or "", _version("torchvision"))
    yield from attempt("device", lambda: device_checks(config.model))
    counted = Counted()
    yield from attempt("data", lambda: _data(config, counted))
    yield from attempt("model", lambda: [model_check(config.model), *package_checks(config)])
    yield from attempt("memory", lambda: _sizes(config, folder, studies=len(counted.keys)))
    yield from attempt("ontology", lambda: ontology_checks(config))
    yield from attempt("encoder", lambda: encoder_check(config))
    yield from attempt("readers", lambda: reader_checks(config))
    yield from attempt("metrics", lambda: metric_checks(config))
    yield from attempt("capo", lambda: capo_checks(config))
    yield from attempt("judge", lambda: judge_checks(config))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _data(config: RunConfig, counted: Counted) -> Iterator[Check]:
    count_studies(config.data, into=counted, seed=config.seed)
    yield from data_checks(config, counted)


def _sizes(config: RunConfig, folder: Path, *, studies: int) -> Iterator[Check]:
    shape: Shape | None = None
    device = pick_device(config.model.device)
    try:
        shape = model_shape(config)
    except ModelError as error:
        yield warning("memory", f"no estimate: {error.what} ({error.where})", error.next_step or "")
    memory = memory_of(device)
    yield from memory_checks(stage_parts(config, shape, kind=memory.kind), memory)
    yield disk_check(run_bytes(config, shape, studies), free_disk(folder))
    yield writable_check(folder)


def table_of(checks: list[Check]) -> Table:
    """One row a check; the remedy under the message where there is one."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        text = escape(check.message) + (f"\n[dim]{escape(check.remedy)}[/]" if check.remedy else "")
        table.add_row(f"[{COLOURS[check.state]}]{check.state}[/]", check.name, text)
    return table
