"""Logged quantities over steps: which belong together, and which are of critical or normal samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from radflow.reporting.names import plain
from radflow.reporting.plots import Line
from radflow.reporting.scales import Point, short
from radflow.reporting.view import Table

STRATA = ("all", "critical", "normal")
CHOICES = ("hardest", "stratified", "anchor", "random")
LOOKS = {"all": 1, "critical": 2, "normal": 4, "hardest": 2, "stratified": 2, "anchor": 1, "random": 3}
BY_CHOICE = ", by choice"
TERMS = ("language", "domain", "consistency", "impression", "learned")
NOT_DRAWN = ("step", "epoch", "total_flos", "num_tokens", "step_time")
NOT_DRAWN_PREFIXES = (
    "train_", "profiling/",
    *(f"{kind}_{what}" for kind in ("eval", "validation") for what in ("runtime", "samples", "steps")),
)  # fmt: skip

Quantities = dict[str, dict[str, tuple[Point, ...]]]
"""Quantity -> stratum (all, critical, normal; or how a study was chosen) -> points over steps."""


def points_of(rows: Iterable[Mapping[str, Any]], key: str) -> tuple[Point, ...]:
    """(step, value) of the rows that have a finite number under this key, in order."""
    return tuple(
        (float(row["step"]), float(row[key]))
        for row in rows
        if _is_number(row.get("step")) and _is_number(row.get(key))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def stratum_of(key: str) -> tuple[str, str]:
    """A key without its stratum, and the stratum: ``critical/kl`` -> ("kl", "critical").

    The stratum is a part of the path or, for critical and normal, the first or last word of one
    (``kl_critical``); a key without one is of all samples. How a study was chosen (``hardest/reward``) makes
    a quantity of its own: "reward, by choice".
    """
    pieces = key.split("/")
    if len(pieces) > 1 and pieces[0] in ("all", *CHOICES):
        return "/".join(pieces[1:]) + (BY_CHOICE if pieces[0] in CHOICES else ""), pieces[0]
    for stratum in STRATA[1:]:
        for index, piece in enumerate(pieces):
            rest = piece.removeprefix(f"{stratum}_").removesuffix(f"_{stratum}")
            if rest != piece or piece == stratum:
                kept = [*pieces[:index], *([] if piece == stratum else [rest]), *pieces[index + 1 :]]
                return "/".join(kept) or key, stratum
    return key, "all"


def quantities(rows: Sequence[Mapping[str, Any]]) -> Quantities:
    """All numbers that a history holds, by quantity and stratum, in the order of first appearance."""
    found: Quantities = {}
    keys = dict.fromkeys(key for row in rows for key in row)
    # What a key says to be of all samples counts before the trainer's own number of the same name.
    for key in sorted(keys, key=lambda key: key.startswith("all/")):
        name, stratum = stratum_of(key)
        if name in NOT_DRAWN or name.startswith(NOT_DRAWN_PREFIXES):
            continue
        points = points_of(rows, key)
        if points:
            found.setdefault(name, {})[stratum] = points
    return found


def family_of(name: str) -> str:
    """Which charts a quantity stands with: validation, clip, terms, reward, divergence or other."""
    name = name.removesuffix(BY_CHOICE)
    if name.startswith("validation_"):
        return "validation"
    words = set(name.lower().replace("/", " ").replace("_", " ").split())
    if "clip" in words:
        return "clip"
    if words & {"applies", "undefined"}:
        return "other"
    if words & {"term", "terms"} or words & set(TERMS):
        return "terms"
    if name in ("reward", "reward_std"):
        return "reward"
    if words & {"kl", "entropy", "moved"}:
        return "divergence"
    return "other"


def family(found: Quantities, *names: str) -> Quantities:
    return {name: strata for name, strata in found.items() if family_of(name) in names}


def lines_of(strata: Mapping[str, tuple[Point, ...]]) -> list[Line]:
    """A line for each stratum, in a fixed order."""
    return [Line(stratum, strata[stratum], look) for stratum, look in LOOKS.items() if stratum in strata]


def ends_table(caption: str, found: Quantities) -> Table:
    """First, last, lowest and highest value of every quantity and stratum."""
    rows = []
    for name, strata in found.items():
        for stratum, points in strata.items():
            low, high = (pick(points, key=lambda point: point[1]) for pick in (min, max))
            label = quantity_name(name) + ("" if stratum == "all" else f", {stratum}")
            shown = [short(points[0][1]), short(points[-1][1])]
            shown += [f"{short(value)} (step {short(step)})" for step, value in (low, high)]
            rows.append((label, *shown))
    return Table(caption, ("quantity", "first", "last", "lowest", "highest"), tuple(rows))


def quantity_name(name: str) -> str:
    """``terms/language`` -> "terms: language"."""
    return {"kl": "KL divergence", "reward_std": "reward, standard deviation"}.get(
        name, plain(name).replace("/", ": ")
    )
