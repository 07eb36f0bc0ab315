"""What an experiment declares: its question, what varies, what is measured, and what is held fixed"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import ConfigError
from radflow.registry import nearest

Settings = Mapping[str, object]
"""Setting -> value: ``{"rft.kappa": 2}``."""
SEEDS = (0, 1, 2)
PRIOR_SHIFT = "label-prior-shift"
"""A measure of ours beside the metrics, see `measures.PriorShift`."""


@dataclass(frozen=True)
class Request:
    """What the command was given.

    Attributes:
        config: file with the settings of a run.
        overrides: of --set.
        seeds: empty where none were named.
        out: folder of the results.
        arms: the arms wanted; empty for all.
        share: folders in which finished stages may lie that needn't be made again.
        labels: human labels of the studies, where an experiment compares with them.
    """

    config: Path
    out: Path
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    arms: tuple[str, ...] = ()
    share: tuple[Path, ...] = ()
    labels: Path | None = None

    def command(self, name: str) -> str:
        """The command that repeats it."""
        parts = ["radflow", "experiment", name, str(self.config)]
        parts += ["--seeds", ",".join(map(str, self.seeds))] if self.seeds else []
        parts += ["--arms", ",".join(self.arms)] if self.arms else []
        parts += ["--labels", str(self.labels)] if self.labels else []
        return shlex.join([*parts, *(part for each in self.overrides for part in ("--set", each))])

    def load(self, *, settings: Settings | None = None, seed: int | None = None) -> RunConfig:
        """The config under these further settings, which count before --set; the seed counts last."""
        last = [] if seed is None else [f"seed={seed}"]
        return load_config(self.config, overrides=[*as_overrides(settings or {}), *self.overrides, *last])

    def refuse(self, *names: str, why: str) -> None:
        """
        Raises:
            ConfigError: one of these options was given, and would change nothing.
        """
        for name in names:
            if getattr(self, name):
                raise ConfigError(f"--{name} would change nothing here: {why}", next_step="Leave it out.")


class Experiment(Protocol):
    """Anything that `radflow experiment` can run."""

    @property
    def name(self) -> str: ...

    @property
    def question(self) -> str: ...

    def run(self, request: Request) -> None:
        """Write results.json, table.md, experiment.md and experiment.html into the request's folder."""
        ...


@dataclass(frozen=True)
class Arm:
    """One of the things compared: a run whose settings differ.

    Attributes:
        meaning: in a few words, for tables.
        settings: what it has apart from all others.
        system: whose reports count: the model after RFT, or "sft continued" (stage control).
    """

    name: str
    meaning: str
    settings: Settings = field(default_factory=dict)
    system: Literal["rft", "sft continued"] = "rft"


@dataclass(frozen=True)
class Trend:
    """A number of one training, from rft_history.jsonl or from what the stage's manifest tells.

    Attributes:
        key: column of the history, or fact of the manifest.
        how: mean over the rows that have it, mean of the last tenth of them, gain of the best over the
            first, mean gain over the first ("learning": the area under the curve), or a fact.
    """

    title: str
    key: str
    how: Literal["mean", "end", "gain", "learning", "fact"] = "mean"


@dataclass(frozen=True)
class Design:
    """An experiment in which a training varies.

    Attributes:
        arms: in the order of the tables.
        baseline: the arm that the others are compared with.
        measures: metrics of held-out reports, ``part/metric``, with ``critical/`` in front for critical
            studies only; Holm's correction is over arms and measures.
        instead: what takes a measure's place where nothing has it (the truth of phantoms in real data).
        trends: numbers of the training, shown without a test.
        curves: columns of rft_history.jsonl that are drawn.
        settings: what all arms have, whatever the config says; --set goes before them.
        fixed: what is the same in all arms, in a sentence.
        notes: what a reader must know to read the result.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    baseline: str
    measures: tuple[str, ...]
    fixed: str
    instead: Mapping[str, str] = field(default_factory=dict)
    trends: tuple[Trend, ...] = ()
    curves: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def run(self, request: Request) -> None:
        from radflow.experiments.runner import run_design

        run_design(self, request)

    def chosen(self, names: Sequence[str]) -> tuple[Arm, ...]:
        """The arms of these names, in the design's order; all for none.

        Raises:
            ConfigError: no such arm.
        """
        known = [arm.name for arm in self.arms]
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"{self.name} has no arm {name!r}",
                    next_step=f"{nearest(name, known)}Known: {', '.join(known)}.",
                )
        return tuple(arm for arm in self.arms if not names or arm.name in names)

    def config_of(self, arm: Arm, seed: int, request: Request) -> RunConfig:
        """Settings of one run.

        Raises:
            ConfigError: --set names what the arms vary, or the settings don't fit together.
        """
        self._refuse_varied(request.overrides)
        own = as_overrides(arm.settings)
        overrides = [*as_overrides(self.settings), *request.overrides, *own, f"seed={seed}"]
        config = load_config(request.config, overrides=overrides)
        needed = {"prepare", "sft", "explore", "annotate", "rft", "evaluate"}
        needed |= {"control"} if arm.system == "sft continued" else set()
        stages = tuple(sorted(needed | set(config.stages), key=STAGE_ORDER.index))
        return config.model_copy(update={"stages": stages})

    def _refuse_varied(self, overrides: Iterable[str]) -> None:
        varied = {"seed", "stages", *(name for arm in self.arms for name in arm.settings)}
        for override in overrides:
            name = override.partition("=")[0].strip()
            if any(name == each or each.startswith(f"{name}.") for each in varied):
                raise ConfigError(
                    f"{self.name} itself decides {name}",
                    where=f"--set {override}",
                    next_step="Leave it out; --seeds and --arms choose among what is run.",
                )


STAGE_ORDER = ("prepare", "sft", "explore", "annotate", "rft", "control", "evaluate", "report")


def as_overrides(settings: Settings) -> list[str]:
    """As --set takes them; JSON is YAML."""
    return [f"{name}={json.dumps(value)}" for name, value in settings.items()]
