"""What became of each study's consistency: the verdicts on both models' reports, as a table of all pairs"""

from __future__ import annotations

from collections import Counter

from radflow.reporting.cases import later_system, shown_systems
from radflow.reporting.heat_map import HeatMap, heat_map
from radflow.reporting.names import TRAINED_FIRST, system_name
from radflow.reporting.run_files import RunFiles
from radflow.reporting.view import Section, Table

MEASURE = "consistency-rate"
VERDICTS = {1.0: "consistent", 0.0: "inconsistent", None: "a section is missing"}


def consistency_section(files: RunFiles) -> Section:
    """Confusion of the verdicts before and after reinforcement, study by study."""
    title = "Consistency, study by study"
    systems = shown_systems(files)
    first = next((name for name in TRAINED_FIRST if name in systems), None)
    later = later_system(systems)
    if first is None or later is None:
        return Section("consistency", title, absent="Only one model was evaluated, so nothing has changed.")
    verdicts = _verdicts(files)
    before, after = verdicts.get(first, {}), verdicts.get(later, {})
    shared = [study for study in before if study in after]
    if not shared:
        return Section("consistency", title, absent="This evaluation did not score consistency.")
    counts = Counter((before[study], after[study]) for study in shared)
    names = list(VERDICTS.values())
    values = tuple(tuple(counts[one, two] / len(shared) for two in names) for one in names)
    tips = tuple(
        tuple(
            f"{system_name(first)} {one}, {system_name(later)} {two}: {counts[one, two]} studies"
            for two in names
        )
        for one in names
    )
    drawing = HeatMap(
        title=f"% of studies: rows {system_name(first)}, columns {system_name(later)}",
        rows=tuple(names),
        columns=tuple(names),
        values=values,
        tips=tips,
    )
    rows = tuple((one, *(str(counts[one, two]) for two in names)) for one in names)
    header = (f"{system_name(first)} \\ {system_name(later)}", *names)
    mended, broken = counts["inconsistent", "consistent"], counts["consistent", "inconsistent"]
    note = (
        f"Of {len(shared)} studies, {mended} reports became consistent and {broken} inconsistent, by rules "
        "that compare Findings and Impression of one report."
    )
    table = Table("Studies", header, rows)
    return Section("consistency", title, notes=(note,), charts=(heat_map(drawing),), tables=(table,))


def _verdicts(files: RunFiles) -> dict[str, dict[str, str]]:
    """System -> study -> verdict, from the evaluation's rows."""
    found: dict[str, dict[str, str]] = {}
    for row in files.scores:
        if row.get("part") == "report" and MEASURE in row.get("values", {}):
            verdict = VERDICTS.get(row["values"][MEASURE])
            if verdict is not None:
                found.setdefault(row["system"], {})[row["study_id"]] = verdict
    return found
