"""`radflow metrics`: what every metric declares, as a table, as a page with a worked example, and as docs"""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE
from rich.table import Table

from radflow.errors import RadflowError
from radflow.metrics.declaration import DEFAULT_JUDGE, JudgeSettings, Metric
from radflow.metrics.registry import METRICS, PRESETS, find_metric
from radflow.metrics.score import LoadedMetric
from radflow.metrics.score_tables import number

FAMILIES = {
    "lexical": "Words shared with the reference. They see wording, not truth: a report that denies what the "
    "reference asserts can score higher than a right one in other words.",
    "embedding": "Cosines of vectors that a network makes of the texts. Encoders score contradictions high: "
    "never read these as clinical correctness.",
    "labels": "Labels that both texts assert, counted in the conventions of the literature. Numbers of other "
    "conventions or labelers can't be compared, so the name says both.",
    "errors": "Findings that a report makes up, leaves out, or puts on the wrong side or in a wrong degree.",
    "truth": "Findings of written reports against what a phantom has. Undefined for all other reports.",
    "graph": "Entities and relations of both texts at RadGraph's published levels. lexicon-graph needs no "
    "model, and its numbers are not RadGraph's.",
    "composite": "Linear models of the errors that radiologists count. Only the four published inputs may be "
    "called RadCliQ.",
    "consistency": "Whether the Findings and the Impression of the written report agree with each other.",
    "judge": "Errors in the style of GREEN and ReXVal, counted by the language model of `judge.*`, which "
    "sees both texts. Computed only when asked for by name; worth what the model is worth, see judges.md. "
    "Numbers of another model, or of GREEN, can't be compared. Each part is a question: `--sections report` "
    "asks one for each study.",
}
"""Families in the order of the docs, with what to know before reading their numbers."""


def all_metrics() -> list[Metric]:
    """Every metric, family by family."""
    order = list(FAMILIES)
    return sorted((find_metric(name) for name in METRICS), key=lambda metric: order.index(metric.family))


def metrics_table() -> Table:
    """Name, range, cost, backend and meaning of every metric."""
    table = Table(box=SIMPLE, padding=(0, 0, 0, 1))
    for head in ("metric", "range", "ms/pair", "backend", "meaning"):
        table.add_column(head, overflow="fold")
    for metric in all_metrics():
        low, high = ("?" if end is None else f"{end:g}" for end in (metric.low, metric.high))
        best = "↑" if metric.direction == "higher" else "↓"
        table.add_row(metric.name, f"{low}-{high} {best}", metric.cost, metric.backend, metric.meaning)
    return table


def explain(name: str, *, judge: JudgeSettings = DEFAULT_JUDGE) -> str:
    """One metric, with an example that is computed now.

    Args:
        judge: whom to ask, if the metric needs a language model.

    Raises:
        ConfigError: unknown name.
    """
    metric = find_metric(name)
    return "\n".join(
        [
            f"{metric.name}: {metric.meaning}",
            "",
            *(f"{head}: {text}" for head, text in facts(metric)),
            "",
            *example(metric, judge=judge),
        ]
    )


def facts(metric: Metric) -> list[tuple[str, str]]:
    """What it declares, head by head."""
    presets = [name for name, members in PRESETS.items() if metric.name in members]
    return [
        ("range", metric.range_text),
        ("inputs", metric.inputs),
        ("sections", ", ".join(metric.sections)),
        ("an empty prediction gets", metric.empty),
        ("a text against itself gets", metric.identical or "the best value"),
        (
            "exchanging reference and prediction",
            "changes nothing" if metric.symmetric else "changes the value",
        ),
        ("depends on the other studies", "yes" if metric.corpus_dependent else "no"),
        ("backend", metric.backend),
        ("version", metric.version),
        ("cost", f"about {metric.cost} a pair"),
        ("citation", metric.citation),
        ("presets", ", ".join(presets)),
    ]


def example(metric: Metric, *, judge: JudgeSettings = DEFAULT_JUDGE) -> list[str]:
    """The worked example, study by study and as a set; the reason where it can't be computed here."""
    references, predictions = zip(*metric.example, strict=True)
    try:
        loaded = LoadedMetric(metric.name, judge=judge)
        values = loaded.per_study(references=references, predictions=predictions)
        whole = loaded.compute(references=references, predictions=predictions)[metric.name]
    except (RadflowError, ImportError) as error:
        return [f"No example on this machine: {error}"]
    if loaded.not_judged:
        return ["No example on this machine: the judge doesn't answer (see radflow config show judge)"]
    lines = ["example, computed now:"]
    for reference, prediction, value in zip(references, predictions, values, strict=True):
        lines += [f"  reference   {reference}", f"  prediction  {prediction}", f"    {_shown(value, metric)}"]
    return [*lines, f"  of the set: {_shown(whole, metric)}"]


def _shown(value: float | None, metric: Metric) -> str:
    return "undefined (0 / 0)" if value is None else number(value, high=metric.high)


def markdown() -> str:
    """docs/metrics.md, from the declarations."""
    lines = [
        "# Metrics",
        "",
        "Made by `radflow metrics --markdown` from what the metrics declare; a test compares the two.",
        "",
        "`radflow score --reference R --prediction P -o DIR --metrics NAMES` computes them; `radflow metrics "
        "NAME` explains one with a worked example. NAMES are names and presets, with commas:",
        "",
    ]
    lines += [f"- `{name}`: {_preset(name)}" for name in PRESETS]
    lines += [
        "",
        "A study's value is the metric of that study alone. The set's value is computed from stored counts, "
        "not from the studies' values, and its interval by drawing studies (patients, where the files name "
        "them) again.",
        "",
        "A study whose reference lacks a part is left out of it, counted and listed. A prediction that lacks "
        "a part is an empty text, and gets what the table says. 0 / 0 is undefined: `null`, never 0, unless "
        "a published convention says 0.",
    ]
    for family, advice in FAMILIES.items():
        members = [metric for metric in all_metrics() if metric.family == family]
        if members:
            lines += ["", f"## {family.capitalize()}", advice, "", *_family(members)]
    return "\n".join(lines) + "\n"


def _preset(name: str) -> str:
    return "every metric that needs no truth and no judge" if name == "all" else ", ".join(PRESETS[name])


def _family(members: Iterable[Metric]) -> list[str]:
    lines = [
        "| metric | meaning | range | empty prediction | a text against itself | backend | from |",
        "| --- " * 7 + "|",
    ]
    for metric in members:
        cells = (
            f"`{metric.name}`",
            metric.meaning,
            metric.range_text,
            metric.empty,
            metric.identical or "the best value",
            metric.backend,
            metric.citation,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines
