"""Tables of scores for the terminal, in Markdown and in LaTeX: value and interval per metric and part"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE
from rich.table import Table

from radflow.metrics.declaration import Metric
from radflow.metrics.score_summary import Summary
from radflow.records import Interval, Part

HEADS: dict[Part, str] = {"report": "Report", "findings": "Findings", "impression": "Impression"}
UNDEFINED = "-"
_LATEX = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "[": "{[}", "]": "{]}"})


def number(value: float, *, high: float | None) -> str:
    """Three decimals, or one where the range goes beyond 10."""
    return f"{value:.1f}" if high is not None and high > 10 else f"{value:.3f}"


def cell(interval: Interval | None, metric: Metric) -> tuple[str, str]:
    """A value and its interval, as text."""
    if interval is None:
        return UNDEFINED, ""
    low, high = (number(end, high=metric.high) for end in (interval.low, interval.high))
    return number(interval.value, high=metric.high), f"{low} to {high}"


def arrow(metric: Metric) -> str:
    return "↑" if metric.direction == "higher" else "↓"


def _lines(
    summary: Summary, metrics: Sequence[Metric], subset: str
) -> Iterator[tuple[Metric, list[tuple[str, str]]]]:
    scores = summary.scores[subset]
    for metric in metrics:
        yield metric, [cell(found.get(metric.name), metric) for found in scores.values()]


def terminal_table(summary: Summary, metrics: Sequence[Metric], *, title: str, subset: str = "all") -> Table:
    """Metrics as rows, parts as columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("metric")
    for part in summary.scores[subset]:
        table.add_column(f"{HEADS[part]}\n{summary.studies[subset][part]} studies", justify="right")
    for metric, cells in _lines(summary, metrics, subset):
        shown = [f"{value}  [dim]{ends}[/]" if ends else value for value, ends in cells]
        table.add_row(f"{metric.name.replace('[', chr(92) + '[')} {arrow(metric)}", *shown)
    return table


def markdown_table(summary: Summary, metrics: Sequence[Metric]) -> str:
    """Both subsets, one table each."""
    blocks = []
    for subset, scores in summary.scores.items():
        if not scores:
            continue
        heads = [f"{HEADS[part]} ({summary.studies[subset][part]})" for part in scores]
        lines = [
            f"Subset {subset}: value (interval); number of studies in the head",
            "",
            f"| metric | {' | '.join(heads)} |",
            f"| --- |{' ---: |' * len(heads)}",
        ]
        for metric, cells in _lines(summary, metrics, subset):
            shown = [f"{value} ({ends})" if ends else value for value, ends in cells]
            lines.append(f"| {metric.name} {arrow(metric)} | {' | '.join(shown)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def latex_table(summary: Summary, metrics: Sequence[Metric], *, subset: str = "all") -> str:
    """A tabular for the package booktabs."""
    scores = summary.scores[subset]
    heads = [f"{HEADS[part]} ({summary.studies[subset][part]})" for part in scores]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\toprule",
        f"Metric & {' & '.join(heads)} " + r"\\",
        r"\midrule",
    ]
    for metric, cells in _lines(summary, metrics, subset):
        shown = [rf"{value} {{\scriptsize({ends})}}" if ends else "--" for value, ends in cells]
        direction = r"$\uparrow$" if metric.direction == "higher" else r"$\downarrow$"
        lines.append(f"{metric.name.translate(_LATEX)} {direction} & {' & '.join(shown)} " + r"\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
