"""A fitted reward -> one self-contained HTML page of numbers: what it sees, how sure it is, what it weighs"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from radflow.audit.variants import KINDS
from radflow.fitting.reward_choice import Calibration, Trial
from radflow.fitting.reward_fit import FLOOR
from radflow.metrics.learned_model import Linear, RewardModel
from radflow.reporting.html import RESEARCH_USE, page_template
from radflow.reporting.plots import Line, Mark, Row, interval_chart, line_chart
from radflow.reporting.view import Section, Table

if TYPE_CHECKING:
    from radflow.fitting.reward_files import Measures

ADVANTAGE = (
    "The errors were injected by the rules of radflow audit, and all but the features of words read with "
    "rules too: what is said of kinds that the fit has seen is an upper bound. Kinds that it hasn't seen "
    "come nearer to what a policy may do."
)


def render_fit(
    model: RewardModel, trials: Sequence[Trial], measures: Measures | None, facts: Mapping[str, Any]
) -> str:
    """The page as text; the same fit gives the same text."""
    sections = [] if measures is None else [_kinds(measures), _calibration(measures.calibration)]
    sections += [
        Section(
            "choice",
            "Which model was chosen",
            notes=(
                "Each candidate was fitted without one kind of error and asked about it on other reports: "
                "how often one error scores lower than a harmless change (AUC), and how often the worse of "
                "two variants of one report scores lower (order). The highest mean of both is chosen.",
            ),
            tables=(
                Table(
                    "Candidates",
                    ("candidate", "AUC on unseen kinds", "order"),
                    tuple(
                        (trial.candidate.name, f"{trial.auc:.3f}", f"{trial.order:.3f}") for trial in trials
                    ),
                ),
            ),
        ),
        Section("weights", "What it weighs", notes=(_shape(model),), tables=_weights(model)),
        Section(
            "provenance",
            "How to repeat it",
            tables=(Table("Settings", ("what", "value"), tuple((k, str(v)) for k, v in facts.items())),),
        ),
    ]
    return page_template("audit.html.jinja").render(
        name=f"Reward fitted on {facts['file']}", research_use=RESEARCH_USE, sections=sections
    )


def _kinds(measures: Measures) -> Section:
    names = [name for name in KINDS if name in measures.seen or name in measures.unseen]
    rows, marks = [], []
    for name in names:
        seen, unseen = measures.seen.get(name), measures.unseen.get(name)
        some = seen or unseen
        rows.append(
            (
                KINDS[name].title,
                str(some.variants) if some else "0",
                *(_number(None if one is None else one.auc) for one in (seen, unseen)),
                *(_number(None if one is None else one.detection) for one in (seen, unseen)),
                _number(None if seen is None else seen.trend),
            )
        )
        pair = (("seen", 1, seen), ("unseen", 2, unseen))
        found = tuple(Mark(what, look, one.auc) for what, look, one in pair if one and one.auc is not None)
        if found:
            marks.append(Row(KINDS[name].title, found))
    alarms = tuple(
        (KINDS[name].title, f"{100 * value:.0f} %") for name, value in measures.unseen_alarms.items()
    )
    header = (
        "one error",
        "variants",
        "AUC, seen",
        "AUC, unseen",
        "detection, seen",
        "detection, unseen",
        "rank correlation",
    )
    return Section(
        "kinds",
        "What it sees on held-out reports",
        notes=(
            ADVANTAGE,
            "AUC: how often one error scores lower than one harmless change. Detection: at 5 % false alarms.",
        ),
        charts=(interval_chart("AUC of one error", marks, reference=0.5),) if marks else (),
        tables=(
            Table("By kind of error", header, tuple(rows)),
            Table("False alarms on a harmless change that the fit hasn't seen", ("change", "share"), alarms),
        ),
    )


def _calibration(found: Calibration) -> Section:
    points = tuple((one.predicted, one.observed) for one in found.bins)
    chart = line_chart(
        "Probability of an error: predicted and observed",
        [Line("observed", points, 1), Line("perfect", ((0.0, 0.0), (1.0, 1.0)), 2)],
        x_label="predicted",
    )
    rows = tuple(
        (f"{one.low:.1f} to {one.high:.1f}", str(one.pairs), f"{one.predicted:.3f}", f"{one.observed:.3f}")
        for one in found.bins
    )
    return Section(
        "calibration",
        "How sure it may be",
        notes=(
            f"Expected calibration error {found.ece:.3f}, Brier score {found.brier:.3f} (a constant gets "
            "0.25), harmless and wrong weighing alike: elsewhere errors are rarer or more frequent, and the "
            "probabilities are off by that.",
        ),
        charts=(chart,),
        tables=(Table("Reliability", ("predicted", "pairs", "mean predicted", "observed"), rows),),
    )


def _shape(model: RewardModel) -> str:
    if isinstance(model.model, Linear):
        used = sum(weight > FLOOR for weight in model.model.weights)
        return f"{used} of {len(model.features)} features weigh more than the least, {FLOOR:g}."
    return f"{len(model.model.trees)} monotone trees on {len(model.features)} features."


def _weights(model: RewardModel) -> tuple[Table, ...]:
    if not isinstance(model.model, Linear):
        return ()
    pairs = sorted(zip(model.features, model.model.weights, strict=True), key=lambda pair: -pair[1])
    rows = tuple((name, f"{weight:.3f}") for name, weight in pairs if weight > FLOOR)
    return (Table("Weight of one root mean square", ("feature", "weight"), rows),)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
