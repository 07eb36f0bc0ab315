"""What a selection did: composites and labels of selected studies beside all others, as facts and a table"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.table import Table

from radflow.records import LeftOut, SelectedStudy

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def selection_facts(
    composites: Mapping[str, float],
    chosen: Sequence[SelectedStudy],
    labels: Mapping[str, Iterable[str]],
    unscored: Sequence[LeftOut],
) -> dict[str, Any]:
    """Counts, composites and label counts by group: all scored studies, each kind of choice, the rest.

    Args:
        composites: study id -> composite, of every study that has one.
        chosen: the selected ones of them.
        labels: study id -> labels that its reference asserts.
        unscored: the studies that have no composite.
    """
    taken = {row.study_id for row in chosen}
    groups: dict[str, list[str]] = {"all": list(composites)}
    for row in chosen:
        groups.setdefault(_shown(row), []).append(row.study_id)
    groups["selected"] = [row.study_id for row in chosen]
    groups["rest"] = [study for study in composites if study not in taken]
    return {
        "unscored": dict(Counter(row.reason for row in unscored)),
        "groups": {
            name: {
                "studies": len(members),
                "composite": _spread([composites[study] for study in members]),
                "labels": _counts(label for study in members for label in labels[study]),
            }
            for name, members in groups.items()
        },
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _shown(row: SelectedStudy) -> str:
    # "all" is the name of the group that the others stand beside.
    return "every one" if row.chosen_as == "all" else row.chosen_as


def _spread(scores: Sequence[float]) -> dict[str, float] | None:
    """Mean and quantiles; ``None`` without scores."""
    if not scores:
        return None
    spread = {f"q{round(100 * at):02d}": float(np.quantile(scores, at)) for at in QUANTILES}
    return {name: round(value, 4) for name, value in ({"mean": float(np.mean(scores))} | spread).items()}


def selection_table(facts: Mapping[str, Any]) -> Table:
    """Groups as columns: studies, composite (mean, 5 % to 95 %), and the share of studies with each label."""
    groups: Mapping[str, Mapping[str, Any]] = facts["groups"]
    left_out = sum(facts["unscored"].values())
    title = "training studies"
    if left_out:
        title += f"; {left_out} could not be scored: unscored.jsonl"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("")
    for name in groups:
        table.add_column(name, justify="right")
    table.add_row("studies", *(str(group["studies"]) for group in groups.values()))
    table.add_row("composite", *(_composite(group["composite"]) for group in groups.values()))
    for label in groups["all"]["labels"]:
        table.add_row(label, *(_percent(group, label) for group in groups.values()))
    return table


def _composite(spread: Mapping[str, float] | None) -> str:
    if spread is None:
        return "-"
    return f"{spread['mean']:.3f}\n{spread['q05']:.2f}-{spread['q95']:.2f}"


def _percent(group: Mapping[str, Any], label: str) -> str:
    if not group["studies"]:
        return "-"
    return f"{100 * group['labels'].get(label, 0) / group['studies']:.1f} %"
