"""The plan of a run on some hardware: its studies counted, its work billed, as a table or as JSON"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.table import Table

from radflow.config import RunConfig
from radflow.data.splits import assign_splits
from radflow.doctor.data import COUNTING_SECONDS, Counted, count_studies
from radflow.doctor.shapes import model_shape
from radflow.errors import ConfigError, DataError
from radflow.models.vlm import pick_device, pick_dtype
from radflow.planning.bill import HARDWARE, Hardware, Post, Prices, bill, measure_here
from radflow.planning.work import Counts, stage_work

HERE = "this"


@dataclass(frozen=True)
class Plan:
    """A bill with what it was made from."""

    counts: Counts
    hardware: Hardware
    devices: int
    posts: Sequence[Post]

    @property
    def hours(self) -> float:
        return sum(post.hours for post in self.posts)

    @property
    def device_hours(self) -> float:
        return sum(post.device_hours for post in self.posts)

    @property
    def judge_calls(self) -> int:
        return sum(post.judge_calls for post in self.posts)

    @property
    def money(self) -> float:
        return sum(post.money for post in self.posts)

    def as_dict(self) -> dict[str, Any]:
        totals = {name: getattr(self, name) for name in ("hours", "device_hours", "judge_calls", "money")}
        return {**asdict(self), **totals}


def studies_of(
    config: RunConfig, train: int | None, validation: int, test: int, report_tokens: int
) -> Counts:
    """The studies that are given, or those of the config's data, divided as prepare would.

    Raises:
        ConfigError: validation or test studies without training studies.
        DataError: the data can't be counted in half a minute.
    """
    if train is not None:
        return Counts(train, validation, test, report_tokens)
    if validation or test:
        raise ConfigError(
            "--validation and --test stand beside --train",
            where="radflow cost",
            next_step="Give --train too.",
        )
    counted = Counted()
    count_studies(config.data, into=counted, seed=config.seed)
    if not counted.is_all:
        raise DataError(
            f"{len(counted.keys)} studies in {COUNTING_SECONDS:.0f} s, and more to come",
            where="data",
            next_step="Give their number: --train, --validation and --test.",
        )
    division = assign_splits(counted.keys, config.data.split, seed=config.seed)
    splits = Counter(split for _, split in division.assigned)
    return Counts(splits["train"], splits["validation"], splits["test"], report_tokens)


def plan(
    config: RunConfig,
    counts: Counts,
    *,
    hardware: str,
    reached: float | None = None,
    reached_writing: float | None = None,
    devices: int = 1,
    cores: int = 8,
    prices: Prices = Prices(),  # noqa: B008 (frozen)
) -> Plan:
    """Bill the config's stages; on a GPU of the list, what dtype auto would take there: bfloat16.

    Args:
        hardware: a name of `HARDWARE`, or ``this``.
        reached, reached_writing: see `Hardware`; ``None`` is its own.

    Raises:
        ConfigError: hardware that isn't listed.
        ModelError: a model whose config.json is not on this machine.
    """
    if hardware not in (*HARDWARE, HERE):
        raise ConfigError(
            f"no hardware is called {hardware}",
            where="--hardware",
            next_step=f"Choose one of {', '.join((*HARDWARE, HERE))}.",
        )
    if hardware == HERE:
        device = pick_device(config.model.device)
        found = measure_here(device, pick_dtype(config.model.dtype, device))
    else:
        found = HARDWARE[hardware]
        if config.model.dtype == "auto":
            config = config.model_copy(
                update={"model": config.model.model_copy(update={"dtype": "bfloat16"})}
            )
    found = replace(
        found,
        reached=reached or found.reached,
        reached_writing=reached_writing or found.reached_writing,
    )
    works = stage_work(config, model_shape(config), counts)
    return Plan(counts, found, devices, bill(works, found, devices=devices, cores=cores, prices=prices))


def table_of(planned: Plan) -> Table:
    """One row a stage, and the sum."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("reports", "10^15 operations", "hours", "device hours", "judge calls", "money"):
        table.add_column(name, justify="right")
    table.add_column("bound by")
    for post in planned.posts:
        table.add_row(post.stage, *_cells(post), post.bound_by)
    hours, device_hours = f"{planned.hours:.2f}", f"{planned.device_hours:.2f}"
    table.add_row("all", "", "", hours, device_hours, f"{planned.judge_calls:,}", f"{planned.money:,.2f}")
    return table


def _cells(post: Post) -> tuple[str, ...]:
    return (
        f"{post.sequences:,}",
        f"{post.petaoperations:,.1f}",
        f"{post.hours:.2f}",
        f"{post.device_hours:.2f}",
        f"{post.judge_calls:,}",
        f"{post.money:,.2f}",
    )
