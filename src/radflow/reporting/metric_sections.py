"""Sections about the evaluation: metrics with intervals, system beside system, and their differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from radflow.reporting.names import (
    BASELINES,
    HEADLINES,
    LABEL_CHARTS,
    SAMPLED,
    TRAINED_FIRST,
    flat,
    in_order,
    metric_key,
    metric_name,
    plain,
    system_look,
    system_name,
)
from radflow.reporting.plots import Mark, Row, interval_chart
from radflow.reporting.run_files import RunFiles
from radflow.reporting.scales import short
from radflow.reporting.view import Fold, Section, Table

Metrics = Mapping[str, Mapping[str, Any]]
"""Metric -> value, low, high, studies (and p)."""
CLEAR, UNCLEAR = 2, 5
"""Looks of marks: the interval excludes 0, or doesn't."""
RIGHTNESS = ("report/truth-f1", "report/rules-label-f1", "report/lexicon-graph-partial", "report/rouge-l")
"""What says best whether reports are right, the best-founded first."""
UNKNOWN_SHOWN = 8
"""How many metrics are drawn of a summary that holds none of the headlines."""


def metrics_section(files: RunFiles) -> Section:
    """All systems on the held-out studies."""
    systems = {system: flat(table) for system, table in files.summary["systems"].items()}
    order = in_order(systems)
    shown = headlines(key for name in order for key in systems[name])
    charts = [_system_chart(key, order, systems) for key in shown]
    folds = [
        Fold(title, tables=(table,))
        for title, is_critical in (("All metrics", False), ("All metrics, critical studies only", True))
        if (table := _metric_table(title, order, systems, is_critical=is_critical)).rows
    ]
    by_label = _by_label(order, systems)
    return Section(
        "metrics",
        "Metrics against baselines",
        notes=(_evaluated(files), *_explained(shown)),
        charts=(*charts, *(chart for chart, _ in by_label if chart is not None)),
        folds=(*folds, *(Fold(table.caption, tables=(table,)) for _, table in by_label)),
    )


MEANINGS = {
    "consistency-rate": "Consistent are reports whose Findings and Impression agree, by rules.",
    "rules-label-f1": "Label F1 compares what rules read in both texts as columns of the ontology, of chest "
    "X-rays CheXpert's observations.",
    "lexicon-graph-partial": "Graph F1 compares the entities and relations of both texts, by lexicon.",
    "truth-f1": "True findings are those of the phantom itself, not of its reference report; with side, one "
    "on the wrong side is wrong.",
}
"""Measure -> what a reader has to know of it."""


def _explained(keys: Iterable[str]) -> list[str]:
    measures = {metric_key(key).measure for key in keys}
    told = " ".join(meaning for measure, meaning in MEANINGS.items() if measure in measures)
    return [told] if told else []


def _evaluated(files: RunFiles) -> str:
    summary = files.summary
    critical = summary.get("critical_studies")
    text = f"{summary['studies']} {summary['split']} studies"
    text += f", {critical} of them critical" if critical is not None else ""
    text += f"; each value with its {100 * summary['confidence']:.0f} % bootstrap interval over studies."
    unfinished = summary.get("unfinished_reports", 0)
    if isinstance(unfinished, Mapping):
        cut = {system_name(name): count for name, count in unfinished.items() if count}
        told = ", ".join(f"{count} of {name}" for name, count in cut.items())
    else:
        told = str(unfinished) if unfinished else ""
    return text + (f" Reports that met the length limit: {told}." if told else "")


def headlines(keys: Iterable[str]) -> list[str]:
    """The metrics to draw: the known headlines among these keys, else the first few."""
    known = [key for key in dict.fromkeys(keys) if metric_key(key).label is None]
    chosen = [key for key in HEADLINES if key in known]
    return chosen or [key for key in known if not metric_key(key).is_critical][:UNKNOWN_SHOWN]


def _mark(name: str, look: int, value: Mapping[str, Any]) -> Mark:
    return Mark(name, look, value["value"], value.get("low"), value.get("high"))


def _system_chart(key: str, order: Iterable[str], systems: Mapping[str, Metrics]) -> Markup:
    rows = [
        Row(system_name(system), (_mark(system_name(system), system_look(system), systems[system][key]),))
        for system in order
        if key in systems[system]
    ]
    return interval_chart(metric_name(key), rows)


def _metric_table(
    caption: str, order: list[str], systems: Mapping[str, Metrics], *, is_critical: bool
) -> Table:
    keys = dict.fromkeys(key for system in order for key in systems[system])
    rows = tuple(
        (metric_name(key), *(_cell(systems[system].get(key)) for system in order), _studies(key, systems))
        for key in keys
        if metric_key(key).is_critical == is_critical and metric_key(key).label is None
    )
    return Table(caption, ("metric", *map(system_name, order), "studies"), rows)


def _cell(value: Mapping[str, Any] | None) -> str:
    return "–" if value is None else _mark("", 1, value).text


def _studies(key: str, systems: Mapping[str, Metrics]) -> str:
    counts = {int(metrics[key].get("studies", 0)) for metrics in systems.values() if key in metrics}
    return " / ".join(str(count) for count in sorted(counts))


def _by_label(order: list[str], systems: Mapping[str, Metrics]) -> list[tuple[Markup | None, Table]]:
    """A table, and of the main ones a chart, for each measure that was taken label by label."""
    greedy = [system for system in order if not system.endswith(SAMPLED)]
    keys = dict.fromkeys(key for system in greedy for key in systems[system] if metric_key(key).label)
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.removesuffix(f"/{metric_key(key).label}"), []).append(key)
    found = []
    for group, members in groups.items():
        title = f"{metric_name(group)}, by observation"
        rows = [
            Row(
                plain(metric_key(key).label or ""),
                tuple(
                    _mark(system_name(system), system_look(system), systems[system][key])
                    for system in greedy
                    if key in systems[system]
                ),
            )
            for key in members
        ]
        cells = tuple(
            (row.label, *(_cell(systems[system].get(key)) for system in greedy))
            for row, key in zip(rows, members, strict=True)
        )
        header = ("observation", *map(system_name, greedy))
        chart = interval_chart(title, rows) if group in LABEL_CHARTS else None
        found.append((chart, Table(title, header, cells)))
    return found


def differences(files: RunFiles) -> dict[str, Metrics]:
    """Pair of systems -> metric -> paired difference; empty where the evaluation compared none."""
    return {pair: flat(table) for pair, table in (files.summary.get("differences") or {}).items()}


def pair_name(pair: str) -> str:
    """``rft - sft`` -> "RadFlow (RFT) − SFT"."""
    return " − ".join(system_name(system) for system in pair.split(" - "))


def differences_section(files: RunFiles) -> Section:
    """What reinforcement fine-tuning gained or lost on the same studies."""
    title = "Gains over SFT"
    pairs = {pair: metrics for pair, metrics in differences(files).items() if metrics}
    if not pairs:
        return Section(
            "gains", title, absent="Only one model was evaluated, so there is nothing to compare in pairs."
        )
    charts, folds = [], []
    for pair, metrics in pairs.items():
        keys = headlines(metrics)
        rows = [
            Row(_brief(key), (_mark(metric_name(key), _look(metrics[key]), metrics[key]),)) for key in keys
        ]
        charts.append(interval_chart(pair_name(pair), rows, reference=0.0))
        cells = tuple(
            (_full_name(key), _signed(value), _p(value), str(value.get("studies", "–")))
            for key, value in metrics.items()
        )
        header = ("metric", "difference", "p (bootstrap)", "studies")
        folds.append(Fold(f"{pair_name(pair)}: numbers", tables=(Table(pair_name(pair), header, cells),)))
    note = (
        "Paired differences on the same studies, with their bootstrap intervals; of the whole report where "
        "nothing else is said. Filled marks: the interval excludes 0. It is one of studies, and says nothing "
        "of how other seeds of the training would end."
    )
    return Section("gains", title, notes=(note,), charts=tuple(charts), folds=tuple(folds))


def _brief(key: str) -> str:
    """What fits beside a chart: of the whole report where nothing else is said."""
    return metric_name(key).removesuffix(", whole report")


def _look(value: Mapping[str, Any]) -> int:
    low, high = value.get("low"), value.get("high")
    return UNCLEAR if low is None or high is None or low <= 0 <= high else CLEAR


def _full_name(key: str) -> str:
    parsed = metric_key(key)
    text = metric_name(key) + (f": {plain(parsed.label)}" if parsed.label else "")
    return f"{text}, critical studies" if parsed.is_critical else text


def _signed(value: Mapping[str, Any]) -> str:
    if value.get("low") is None:
        return f"{value['value']:+.3f}"
    return f"{value['value']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"


def _p(value: Mapping[str, Any]) -> str:
    return "–" if value.get("p") is None else short(value["p"])


def gains(files: RunFiles) -> list[tuple[str, str]]:
    """The first pair's headline differences for the first screen: name, value with interval."""
    for metrics in differences(files).values():
        return [(_brief(key), _signed(metrics[key])) for key in headlines(metrics)[:5]]
    return []


def gains_in_words(files: RunFiles) -> str:
    """Which of the first pair's headlines surely rose or fell: those whose interval excludes 0."""
    for metrics in differences(files).values():
        keys = headlines(metrics)
        clear = [key for key in keys if _look(metrics[key]) != UNCLEAR]
        told = [
            f"{verb} {'; '.join(names)}"
            for verb, names in (
                ("Higher:", [_brief(key) for key in clear if metrics[key]["value"] > 0]),
                ("Lower:", [_brief(key) for key in clear if metrics[key]["value"] < 0]),
            )
            if names
        ]
        open_ones = len(keys) - len(clear)
        rest = [f"No clear difference in {open_ones} of {len(keys)} measures"] if open_ones else []
        return ". ".join([*told, *rest]) + "."
    return ""


def against_baselines(files: RunFiles) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """For the first screen: is the last trained model right more often than a report copied from the training
    set? A verdict, and the values of the best-founded measure that all of them have; empty where none has.
    """
    systems = {name: flat(table) for name, table in files.summary.get("systems", {}).items()}
    model = next((name for name in ("rft", *TRAINED_FIRST) if name in systems), None)
    copied = [name for name in BASELINES if name in systems]
    if model is None or not copied:
        return (), ()
    for key in RIGHTNESS:
        values = {name: systems[name].get(key, {}) for name in (model, *copied)}
        if all(value.get("value") is not None for value in values.values()):
            shown = tuple((system_name(name), _unsigned(value)) for name, value in values.items())
            return (_ahead(values.pop(model), values), f"{metric_name(key)}:"), shown
    return (), ()


def _ahead(mine: Mapping[str, Any], copied: Mapping[str, Mapping[str, Any]]) -> str:
    """Higher is better in all measures of `RIGHTNESS`."""
    better = [system_name(name) for name, value in copied.items() if value["value"] >= mine["value"]]
    if better:
        verb = "is" if len(better) == 1 else "are"
        return f"No: {' and '.join(better)} {verb} as good or better. Gains over SFT say little then."
    ends = [value.get("high") for value in copied.values()]
    if mine.get("low") is None or None in ends:
        return "Yes."
    is_apart = mine["low"] > max(float(end) for end in ends if end is not None)
    return "Yes, and the intervals are apart." if is_apart else "Yes, but the intervals overlap."


def _unsigned(value: Mapping[str, Any]) -> str:
    interval = f" [{value['low']:.3f}, {value['high']:.3f}]" if value.get("low") is not None else ""
    return f"{value['value']:.3f}{interval}"
