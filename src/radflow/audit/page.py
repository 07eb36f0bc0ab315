"""An audit -> one self-contained HTML page of numbers: heat map, tables with intervals, conclusions"""

from __future__ import annotations

from collections.abc import Mapping

from radflow.audit.examples import examples
from radflow.audit.result import (
    FEW,
    SEEN,
    UNSEEN,
    Audit,
    conclusions,
    cost_of,
    detection_of,
    reward_conclusions,
)
from radflow.audit.scoring import REWARD
from radflow.audit.variants import CONTROLS, ERRORS, KINDS
from radflow.records import Interval
from radflow.reporting.heat_map import HeatMap, heat_map
from radflow.reporting.html import RESEARCH_USE, page_template
from radflow.reporting.view import Fold, Section, Table

ADVANTAGE = (
    "Home advantage: what the errors change are words that the rule-based readers (labels, lexicon graph, "
    "consistency) know, save for inventions, whose sentences were written apart from what these "
    "know, duplication and truncation. Read their rows as an upper bound of what rules see elsewhere."
)

READING = (
    f"A term sees a kind of error where the interval of its detection lies above {SEEN:.0%}, and doesn't "
    f"see it where it lies below {UNSEEN:.0%}; fewer than {FEW} variants say nothing."
)


def definition(audit: Audit) -> str:
    """What the numbers are, in a paragraph."""
    return (
        f"A drop is how much worse a term rates a variant than its original. The threshold of a term is the "
        f"smallest drop that at most {audit.rate:.0%} of the harmless variants exceed, kinds weighing alike; "
        f"detection is the share of variants with an error whose drop exceeds it. An undefined metric (0/0) "
        f"raises no alarm. Intervals ({audit.confidence:.0%}): {audit.samples} draws of the reports, the "
        f"threshold found anew in each; where none of n variants is noticed, or all are, they have no width, "
        f"and the truth may be up to 3 / n away."
    )


def drawn_heat_map(audit: Audit) -> HeatMap:
    """Detection of single errors, in percent; to the right of the line, false alarms."""
    kinds = (*ERRORS, *CONTROLS)
    cells = {name: [detection_of(result, kind) for kind in kinds] for name, result in audit.terms.items()}
    return HeatMap(
        title="Detection of one error (%), and right of the line false alarms",
        rows=tuple(cells),
        columns=tuple(KINDS[kind].title for kind in kinds),
        values=tuple(tuple(None if one is None else one.value for one in row) for row in cells.values()),
        tips=tuple(
            tuple(f"{name}, {KINDS[kind].title}: {_share(one)}" for kind, one in zip(kinds, row, strict=True))
            for name, row in cells.items()
        ),
        apart=(len(ERRORS),),
    )


def render_audit(audit: Audit, *, name: str, provenance: Mapping[str, str]) -> str:
    """The page as text; the same audit gives the same text."""
    sections = [
        Section("conclusions", "Conclusions", notes=(*conclusions(audit), READING)),
        Section(
            "detection",
            "What each metric and term sees",
            notes=(definition(audit), ADVANTAGE),
            charts=(heat_map(drawn_heat_map(audit)),),
            folds=(Fold("Detection of one error, with intervals", (detection_table(audit),)),),
        ),
        Section(
            "reward",
            "The hierarchical reward",
            notes=tuple(reward_conclusions(audit)),
            tables=(reward_table(audit),),
        ),
        Section(
            "number",
            "Do more errors cost more?",
            notes=(
                "Of two variants of one report with different numbers of errors, how much more often the one "
                "with more errors is rated lower than higher (Somers' D): 1 always, 0 no relation. The "
                "original counts as a variant without errors.",
            ),
            tables=(trend_table(audit),),
            folds=(
                Fold("Detection and cost by number of errors", tuple(count_tables(audit))),
                Fold("Probability that an error drops more than a harmless change", (auc_table(audit),)),
            ),
        ),
        Section("kinds", "What was done to the reports", tables=(kinds_table(audit),)),
        Section(
            "provenance",
            "How to repeat it",
            tables=(Table("Settings", ("what", "value"), tuple(provenance.items())),),
        ),
    ]
    return page_template("audit.html.jinja").render(name=name, research_use=RESEARCH_USE, sections=sections)


def detection_table(audit: Audit) -> Table:
    kinds = (*ERRORS, *CONTROLS)
    rows = [
        (name, f"{result.threshold:.3f}", *(_share(detection_of(result, kind)) for kind in kinds))
        for name, result in audit.terms.items()
    ]
    header = ("metric or term", "threshold", *(KINDS[kind].title for kind in kinds))
    return Table("Share of variants with one change whose drop exceeds the threshold", header, tuple(rows))


def reward_table(audit: Audit) -> Table:
    """The whole reward, kind by kind."""
    reward = audit.terms.get(REWARD)
    rows = []
    for kind in (*ERRORS, *CONTROLS):
        result = reward.kinds.get(kind) if reward else None
        if result is None:
            continue
        rows.append(
            (
                KINDS[kind].title,
                str(audit.variants[kind].get(1, 0)),
                _number(cost_of(result)),
                _share(detection_of(reward, kind)),
                _number(audit.against.get(kind), signed=True),
                _number(audit.ranking.get(kind), signed=True),
                _number(audit.margins.get(kind), signed=True),
            )
        )
    control = KINDS[audit.costliest].title if audit.costliest else "harmless change"
    header = (
        "one change",
        "reports",
        "cost",
        "detection",
        "detection less BLEU-2's",
        "AUC less BLEU-2's",
        f"cost less {control}'s",
    )
    return Table("The total reward", header, tuple(rows))


def trend_table(audit: Audit) -> Table:
    rows = [
        (
            name,
            *(
                "-" if kind not in result.kinds else _number(result.kinds[kind].trend, digits=2)
                for kind in ERRORS
            ),
        )
        for name, result in audit.terms.items()
    ]
    header = ("metric or term", *(KINDS[kind].title for kind in ERRORS))
    return Table("Rank correlation with the number of errors", header, tuple(rows))


def count_tables(audit: Audit) -> list[Table]:
    tables = []
    for kind in (*ERRORS, "paraphrase"):
        counts = sorted(audit.variants[kind])
        rows = []
        for name, result in audit.terms.items():
            found = result.kinds.get(kind)
            if found is None:
                continue
            cells = []
            for count in counts:
                cells += [_share(found.detection.get(count)), _number(found.cost.get(count))]
            rows.append((name, *cells))
        heads = [f"{what}, {count}" for count in counts for what in ("detection", "cost")]
        if rows:
            tables.append(Table(KINDS[kind].title, ("metric or term", *heads), tuple(rows)))
    return tables


def auc_table(audit: Audit) -> Table:
    rows = [
        (name, *(_plain(result.kinds[kind].auc if kind in result.kinds else None) for kind in ERRORS))
        for name, result in audit.terms.items()
    ]
    header = ("metric or term", *(KINDS[kind].title for kind in ERRORS))
    return Table("One error against one harmless change; 0.5 is chance", header, tuple(rows))


def kinds_table(audit: Audit) -> Table:
    made = examples()
    rows = [
        (
            kind.title,
            "harmless" if kind.is_harmless else "error",
            " / ".join(str(count) for count in audit.variants[name].values()) or "0",
            "yes" if kind.shares_words else "no",
            kind.meaning,
            made[name],
        )
        for name, kind in KINDS.items()
    ]
    header = (
        "kind",
        "is",
        "variants with 1 / 2 / 3",
        "in words of the rules",
        "what is done",
        "made-up example",
    )
    return Table("Kinds", header, tuple(rows))


def _share(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{100 * interval.value:.0f} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _number(interval: Interval | None, *, digits: int = 3, signed: bool = False) -> str:
    if interval is None:
        return "-"
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
