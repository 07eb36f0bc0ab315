"""What the run's metrics and reward see of known errors: the heat map of an audit that lies in its folder"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radflow.reporting.heat_map import HeatMap, heat_map
from radflow.reporting.names import plain
from radflow.reporting.run_files import AUDIT, RunFiles
from radflow.reporting.view import Fold, Section, Table


def audit_section(files: RunFiles) -> Section:
    """Detection of one error of each kind, in percent; how to make one where the run has none."""
    title = "What metrics and reward see"
    audit = files.audit
    if audit is None:
        how = f"No audit in this run: radflow audit REPORTS -o RUN/{AUDIT.parent} makes one."
        return Section("audit", title, absent=how)
    terms: Mapping[str, Any] = audit["terms"]
    kinds = list(dict.fromkeys(kind for term in terms.values() for kind in term["kinds"]))
    found = {name: [_detection(term, kind) for kind in kinds] for name, term in terms.items()}
    drawing = HeatMap(
        title="Detection of one error, or share of false alarms (%)",
        rows=tuple(found),
        columns=tuple(map(plain, kinds)),
        values=tuple(tuple(None if one is None else one["value"] for one in row) for row in found.values()),
        tips=tuple(
            tuple(f"{name}, {plain(kind)}: {_share(one)}" for kind, one in zip(kinds, row, strict=True))
            for name, row in found.items()
        ),
    )
    rows = tuple((name, *map(_share, row)) for name, row in found.items())
    table = Table("Detection of one error, with intervals", ("term", *map(plain, kinds)), rows)
    lines = tuple((str(line),) for line in audit.get("conclusions", ()))
    conclusions = Table("What follows from it", ("conclusion",), lines)
    note = (
        f"{audit['reports']} reports were spoilt in known ways and scored against themselves; kinds that "
        "harm nothing are controls, on which a detection is a false alarm."
    )
    return Section(
        "audit",
        title,
        notes=(note,),
        charts=(heat_map(drawing),),
        folds=(Fold("Conclusions", (conclusions,)), Fold(table.caption, (table,))),
    )


def _detection(term: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Of one error of the kind; ``None`` where no variant has just one, or the term says nothing of it."""
    of_kind: Mapping[str, Any] = term["kinds"].get(kind, {}).get("detection", {})
    found: Mapping[str, Any] | None = of_kind.get("1")
    return found


def _share(one: Mapping[str, Any] | None) -> str:
    return "–" if one is None else f"{one['value']:.0%} [{one['low']:.0%}, {one['high']:.0%}]"
