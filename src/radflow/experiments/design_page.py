"""A design's results as sections of a page: estimates, differences, what the trainings did, what failed"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from radflow.experiments.declaration import Design
from radflow.experiments.pooled import Contrast, Estimate
from radflow.experiments.results import START, ArmResult, Results
from radflow.metrics.paired import format_p
from radflow.reporting.history import quantity_name, stratum_of
from radflow.reporting.plots import Line, Mark, Row, interval_chart, line_chart
from radflow.reporting.view import Fold, Section, Table

LOOKS = 6


def design_sections(design: Design, results: Results) -> Iterator[Section]:
    """Everything, in the order in which it is read."""
    yield _set_up(design, results)
    if not results.arms:
        yield Section("results", "Results", absent="No run is finished yet.")
    else:
        tables = main_tables(results)
        yield Section(
            "results",
            "Values",
            notes=(_reading(results),),
            tables=tuple(tables[:1]),
            folds=(Fold("Seed by seed", (_per_seed(results),)),),
        )
        title = f"Differences to {results.baseline}"
        if tables[1:]:
            yield Section("differences", title, charts=tuple(_charts(results)), tables=tuple(tables[1:]))
        else:
            yield Section("differences", title, absent="No arm has a seed in common with the baseline.")
        if any(arm.trends for arm in results.arms):
            yield Section(
                "training",
                "What the trainings did",
                notes=("Means over seeds, with their standard deviation; no test is made on them.",),
                charts=tuple(_curves(design, results)),
                tables=(_trends(results),),
            )
    yield _failures(results)
    yield Section("provenance", "How to repeat it", tables=(_provenance(results),))


def main_tables(results: Results) -> list[Table]:
    """Values of all arms, and their differences to the baseline."""
    arms = [arm for arm in results.arms if arm.estimates]
    if not arms:
        return []
    header = ("arm", *(_head(results, key) for key in results.measures))
    rows = tuple((arm.name, *(_estimate(arm.estimates.get(key)) for key in results.measures)) for arm in arms)
    tables = [Table("Mean over seeds [interval], and standard deviation over seeds", header, rows)]
    rows = tuple(
        (arm.name, *(_contrast(arm.contrasts.get(key)) for key in results.measures))
        for arm in arms
        if arm.contrasts
    )
    if rows:
        tables.append(Table(f"Arm minus {results.baseline}, on the same studies", header, rows))
    return tables


def _head(results: Results, key: str) -> str:
    sign = "↑" if results.directions[key] == "higher" else "↓"
    return f"{results.titles[key]} {sign}"


def _estimate(found: Estimate | None) -> str:
    if found is None or found.value is None:
        return "-"
    spread = "" if found.spread is None else f" ± {found.spread:.3f}"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]{spread}"


def _contrast(found: Contrast | None) -> str:
    if found is None or found.value is None or found.p is None or found.p_holm is None:
        return "-"
    same = sum(value is not None and value * found.value > 0 for value in found.per_seed.values())
    return (
        f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p {format_p(found.p)}, "
        f"Holm {format_p(found.p_holm)}, {same} of {len(found.per_seed)} seeds"
    )


def _set_up(design: Design, results: Results) -> Section:
    rows = tuple(
        (
            arm.name,
            arm.meaning,
            ", ".join(f"{name}: {value}" for name, value in arm.settings.items()) or "-",
        )
        for arm in design.arms
    )
    common = ", ".join(f"{name}: {value}" for name, value in design.settings.items())
    notes = (
        f"Held fixed: {design.fixed}",
        *([f"All arms have {common}, unless the command says otherwise."] if common else []),
        *design.notes,
    )
    return Section(
        "set-up", "What is compared", notes=notes, tables=(Table("Arms", ("arm", "is", "settings"), rows),)
    )


def _reading(results: Results) -> str:
    return (
        f"Seeds {', '.join(map(str, results.seeds))}. ↑ higher is better, ↓ lower. Intervals "
        f"({results.confidence:.0%}) draw the test studies of each seed apart, together where seeds share "
        f"them, and take the trained models as they are; ± is the standard deviation over seeds, which also "
        f"has the training's chance in it. p: paired permutation test of all seeds' studies, "
        f"{results.samples} draws; Holm: corrected over all arms and measures of the table. The last number "
        f"says in how many seeds the difference has the sign of its mean."
    )


def _charts(results: Results) -> Iterator[Markup]:
    for key in results.measures:
        marks = [
            (arm.name, look, found)
            for look, arm in _looks(results)
            if (found := arm.contrasts.get(key)) is not None and found.value is not None
        ]
        if marks:
            rows = [
                Row(name, (Mark(name, look, found.value, found.low, found.high),))
                for name, look, found in marks
                if found.value is not None
            ]
            yield interval_chart(f"{results.titles[key]}: arm minus {results.baseline}", rows, reference=0.0)


def _looks(results: Results) -> list[tuple[int, ArmResult]]:
    arms = [arm for arm in results.arms if arm.name != START]
    return [(1 + place % LOOKS, arm) for place, arm in enumerate(arms)]


def _curves(design: Design, results: Results) -> Iterator[Markup]:
    for key in design.curves:
        lines = [Line(arm.name, arm.curves.get(key, ()), look) for look, arm in _looks(results)]
        if any(line.points for line in lines):
            name, stratum = stratum_of(key)
            of = "" if stratum == "all" else f", {stratum} samples"
            yield line_chart(f"{quantity_name(name)}{of}, mean over seeds", lines)


def _trends(results: Results) -> Table:
    titles = list(dict.fromkeys(title for arm in results.arms for title in arm.trends))
    rows = []
    for arm in results.arms:
        if arm.trends:
            cells = []
            for title in titles:
                found = arm.trends.get(title)
                spread = "" if found is None or found.spread is None else f" ± {_short(found.spread)}"
                cells.append("-" if found is None else f"{_short(found.mean)}{spread}")
            rows.append((arm.name, *cells))
    return Table("Training", ("arm", *titles), tuple(rows))


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _per_seed(results: Results) -> Table:
    rows = []
    for arm in results.arms:
        for key, found in arm.estimates.items():
            cells = [found.per_seed.get(seed) for seed in results.seeds]
            rows.append(
                (
                    arm.name,
                    results.titles[key],
                    *("-" if value is None else f"{value:.3f}" for value in cells),
                    str(found.studies),
                )
            )
    header = ("arm", "measure", *(f"seed {seed}" for seed in results.seeds), "studies")
    return Table("Value of each seed", header, tuple(rows))


def _failures(results: Results) -> Section:
    if not results.failures:
        return Section(
            "failures", "Runs without a result", absent="None: every arm finished with every seed."
        )
    rows = tuple((each.arm, str(each.seed), each.kind, each.message) for each in results.failures)
    count = len(rows)
    return Section(
        "failures",
        "Runs without a result",
        warnings=(
            f"{count} {'run has' if count == 1 else 'runs have'} no result and no part in the tables.",
        ),
        tables=(Table("Failed or unfinished", ("arm", "seed", "kind", "what"), rows),),
    )


def _provenance(results: Results) -> Table:
    rows = [
        ("command", results.command),
        ("seeds", ", ".join(map(str, results.seeds))),
        ("draws", str(results.samples)),
        ("radflow", results.radflow),
        ("commits of the runs", ", ".join(commit[:12] for commit in results.commits) or "unknown"),
    ]
    return Table("Provenance", ("what", "value"), tuple(rows))
