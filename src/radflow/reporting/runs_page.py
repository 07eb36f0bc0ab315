"""Several finished runs on one page: gains side by side, values, learning curves, settings that differ"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from radflow.errors import RunError
from radflow.jsonl import write_text_atomically
from radflow.reporting.cases import later_system, shown_systems
from radflow.reporting.history import family, points_of, quantities, quantity_name
from radflow.reporting.html import RESEARCH_USE, page_template
from radflow.reporting.metric_sections import differences, headlines
from radflow.reporting.names import flat, metric_name, system_name
from radflow.reporting.overview import data_lines, training_lines
from radflow.reporting.plots import Line, Mark, Row, interval_chart, line_chart
from radflow.reporting.run_files import RunFiles, read_run
from radflow.reporting.training_sections import verdict
from radflow.reporting.view import Fold, Section, Table
from radflow.run_dir import RunDir

LOOKS = 6
STAGES = ("prepare", "sft", "explore", "annotate", "rft", "control", "evaluate")
NOT_SETTINGS = ("stages", "report", "engine")


def read_runs(folders: Sequence[Path]) -> dict[str, RunFiles]:
    """Runs by name, in the order given; the folders are only read.

    Raises:
        RunError: fewer than two, one twice, one without evaluation, or a damaged file.
    """
    roots = [folder.resolve() for folder in folders]
    if len(set(roots)) < max(2, len(roots)):
        raise RunError(
            "one run alone, or the same run twice, can't be compared",
            where=", ".join(map(str, folders)),
            next_step="Name two or more run folders: radflow runs runs/first runs/second -o runs.html",
        )
    found = {}
    for name, root in zip(_names(roots), roots, strict=True):
        run = RunDir(root)
        manifest = run.manifest("evaluate")
        if manifest is None:
            raise RunError(
                "this run has no finished evaluation",
                where=str(root),
                next_step="Finish it first: radflow run CONFIG -o FOLDER",
            )
        found[name] = read_run(run, manifest.get("config", {}).get("stages", STAGES))
    return found


def write_runs(folders: Sequence[Path], out: Path) -> None:
    """
    Raises:
        RunError: as `read_runs`, or the page can't be written.
    """
    page = render_runs(read_runs(folders))
    try:
        write_text_atomically(out, page)
    except OSError as error:
        raise RunError(f"can't be written: {error.strerror}", where=str(out)) from None


def _names(roots: Sequence[Path]) -> list[str]:
    """The folders' own names, with as much of the path in front as tells them apart."""
    for depth in range(1, max(len(root.parts) for root in roots) + 1):
        names = ["/".join(root.parts[-depth:]) for root in roots]
        if len(set(names)) == len(names):
            break
    return names


def render_runs(runs: Mapping[str, RunFiles]) -> str:
    """The page as text; the same files give the same text."""
    sections = [
        overview_section(runs),
        gains_section(runs),
        values_section(runs),
        curves_section(runs),
        settings_section(runs),
    ]
    return page_template("runs.html.jinja").render(
        name=f"{len(runs)} runs", research_use=RESEARCH_USE, sections=sections
    )


def overview_section(runs: Mapping[str, RunFiles]) -> Section:
    """One row a run, and a warning where they were not evaluated on the same studies."""
    rows = tuple(
        (
            name,
            "; ".join(data_lines(files)),
            "; ".join(training_lines(files)),
            str(_config(files).get("seed", "–")),
            f"{files.summary['studies']} {files.summary['split']}",
            verdict(files),
        )
        for name, files in runs.items()
    )
    header = ("run", "data", "training", "seed", "evaluated on", "failure signatures")
    warnings = []
    if len({_evaluated(files) for files in runs.values()}) > 1:
        warnings.append(
            "These runs were not evaluated on the same studies and references: their values can't be "
            "compared one to one. Gains over SFT are each of one run."
        )
    return Section("overview", "Runs", warnings=tuple(warnings), tables=(Table("Runs", header, rows),))


def _config(files: RunFiles) -> Mapping[str, Any]:
    return dict(files.manifests.get("evaluate", {}).get("config", {}))


def _evaluated(files: RunFiles) -> frozenset[tuple[str, str]]:
    rows = (row for row in files.scores if row.get("part") == "report")
    return frozenset((row["study_id"], str(row.get("reference", ""))) for row in rows)


def gains_section(runs: Mapping[str, RunFiles]) -> Section:
    """What reinforcement gained over SFT in each run, metric by metric."""
    title = "Gains over SFT"
    pairs = {name: next(iter(differences(files).values()), {}) for name, files in runs.items()}
    if not any(pairs.values()):
        return Section("gains", title, absent="None of these runs has two models to compare.")

    def marks(name: str, key: str) -> tuple[Mark, ...]:
        return (_mark("RadFlow (RFT) − SFT", 2, pairs[name][key]),) if key in pairs[name] else ()

    keys = headlines(key for found in pairs.values() for key in found)
    note = (
        "Paired differences on the same studies of each run, with their bootstrap intervals of studies. What "
        "runs of other seeds differ by is seen between the rows."
    )
    return Section("gains", title, notes=(note,), charts=_charts(runs, keys, marks, reference=0.0))


def values_section(runs: Mapping[str, RunFiles]) -> Section:
    """The values of each run's models."""
    systems = {name: files.summary["systems"] for name, files in runs.items()}
    tables = {
        name: {system: flat(table) for system, table in found.items()} for name, found in systems.items()
    }
    shown = {name: _first_and_last(files) for name, files in runs.items()}

    def marks(name: str, key: str) -> tuple[Mark, ...]:
        return tuple(
            _mark(system_name(system), look, tables[name][system][key])
            for system, look in shown[name]
            if key in tables[name].get(system, {})
        )

    every = (key for name in runs for system, _ in shown[name] for key in tables[name].get(system, ()))
    keys = headlines(every)
    header = ("run and model", *map(metric_name, keys))
    rows = tuple(
        (
            f"{name}, {system_name(system)}",
            *(_text(tables[name].get(system, {}).get(key)) for key in keys),
        )
        for name in runs
        for system, _ in shown[name]
    )
    fold = Fold("Numbers", (Table("Values", header, rows),))
    return Section("values", "Values", charts=_charts(runs, keys, marks), folds=(fold,))


def _first_and_last(files: RunFiles) -> list[tuple[str, int]]:
    """The supervised model and what came of it, with their looks."""
    systems = shown_systems(files)
    later = later_system(systems)
    return [(name, look) for name, look in ((later, 2), (next(iter(systems), None), 1)) if name is not None]


def _mark(name: str, look: int, value: Mapping[str, Any]) -> Mark:
    return Mark(name, look, value["value"], value.get("low"), value.get("high"))


def _text(value: Mapping[str, Any] | None) -> str:
    return "–" if value is None else _mark("", 1, value).text


def _charts(
    runs: Mapping[str, RunFiles],
    keys: Sequence[str],
    marks: Callable[[str, str], tuple[Mark, ...]],
    *,
    reference: float | None = None,
) -> tuple[Markup, ...]:
    charts = []
    for key in keys:
        rows = [Row(name, found) for name in runs if (found := marks(name, key))]
        charts.append(interval_chart(metric_name(key), rows, reference=reference))
    return tuple(charts)


def curves_section(runs: Mapping[str, RunFiles]) -> Section:
    """Validation over steps, a line a run."""
    lines: dict[str, list[Line]] = {}
    for place, (name, files) in enumerate(runs.items()):
        look = 1 + place % LOOKS
        if points := points_of(files.rows("sft_history.jsonl"), "eval_loss"):
            lines.setdefault("SFT: validation loss", []).append(Line(name, points, look))
        found = family(quantities(files.rows("rft_history.jsonl")), "validation")
        for quantity, strata in found.items():
            if "all" in strata:
                title = f"RFT: {quantity_name(quantity)}"
                lines.setdefault(title, []).append(Line(name, strata["all"], look))
    if not lines:
        return Section("curves", "Learning curves", absent="None of these runs kept its history.")
    charts = tuple(line_chart(title, found) for title, found in lines.items())
    return Section("curves", "Learning curves", charts=charts)


def settings_section(runs: Mapping[str, RunFiles]) -> Section:
    """The settings in which the runs differ, and no others."""
    title = "Settings that differ"
    flat_settings = {name: dict(_flat_settings(_config(files))) for name, files in runs.items()}
    keys = dict.fromkeys(key for found in flat_settings.values() for key in found)
    rows = tuple(
        (key, *(found.get(key, "–") for found in flat_settings.values()))
        for key in keys
        if len({found.get(key) for found in flat_settings.values()}) > 1
    )
    if not rows:
        return Section("settings", title, absent="None: these runs have the same settings and seed.")
    return Section("settings", title, tables=(Table(title, ("setting", *flat_settings), rows),))


def _flat_settings(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if prefix or key not in NOT_SETTINGS:
                yield from _flat_settings(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(value, ensure_ascii=False)
