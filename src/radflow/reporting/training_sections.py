"""Sections about training: losses, reward and its terms, the clip per stratum, failure signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from radflow.reporting.history import (
    Quantities,
    ends_table,
    family,
    lines_of,
    points_of,
    quantities,
    quantity_name,
)
from radflow.reporting.names import plain
from radflow.reporting.plots import Line, line_chart
from radflow.reporting.run_files import RunFiles
from radflow.reporting.scales import short
from radflow.reporting.view import Fold, Section, Table

NO_RFT = "This run has no reinforcement fine-tuning."
NO_HISTORY = "This run's reinforcement fine-tuning left no rft_history.jsonl."
LOSSES = {"loss": ("training", 1), "eval_loss": ("validation", 2)}


def losses_section(files: RunFiles) -> Section:
    """Loss of the supervised fine-tuning over steps; from the manifest's facts where no history was kept."""
    title = "Supervised fine-tuning"
    facts = files.facts("sft")
    if not facts:
        return Section("losses", title, absent="This run has no supervised fine-tuning.")
    rows = files.rows("sft_history.jsonl")
    lines = [Line(name, points_of(rows, key), look) for key, (name, look) in LOSSES.items()]
    drawn = [line for line in lines if line.points]
    charts = [line_chart("Loss, nats per report token", drawn)] if drawn else []
    rate = points_of(rows, "learning_rate")
    charts += [line_chart("Learning rate", [Line("learning rate", rate, 1)])] if rate else []
    notes = [] if drawn else ["The losses over steps were not kept (no sft_history.jsonl)."]
    gap = facts.get("image_gap")
    if gap is not None:
        notes.append(
            f"Beside other studies' images the validation loss is {gap:+.3f} higher: near 0, the model would "
            "write without looking at the image."
        )
    table = Table("What the stage recorded", ("fact", "value"), tuple(_facts(facts)))
    ends = ends_table("Losses", {line.name: {"all": line.points} for line in drawn})
    return Section(
        "losses",
        title,
        notes=tuple(notes),
        charts=tuple(charts),
        tables=(ends,) if drawn else (),
        folds=(Fold(table.caption, tables=(table,)),),
    )


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Plain numbers and words of a manifest; nested facts have sections of their own."""
    return [
        (plain(name), short(value) if isinstance(value, (int, float)) else str(value))
        for name, value in facts.items()
        if isinstance(value, (int, float, str)) and not isinstance(value, bool)
    ]


def rewards_section(files: RunFiles) -> Section:
    """Reward, its terms, KL and entropy over steps, critical and normal samples apart where logged so."""
    title = "Reward and its terms"
    missing = _missing(files)
    if missing:
        return Section("rewards", title, absent=missing)
    found = quantities(files.rows("rft_history.jsonl"))
    families = ("reward", "terms", "validation", "divergence")
    shown = {name: strata for kind in families for name, strata in family(found, kind).items()}
    other = family(found, "other")
    folds = [Fold("Numbers", tables=(ends_table("Reward, terms, validation and divergence", shown),))]
    if other:
        table = ends_table("Everything else that was logged", other)
        folds.append(Fold("Everything else that was logged", charts=_charts(other), tables=(table,)))
    return Section("rewards", title, charts=_charts(shown), folds=tuple(folds))


def clip_section(files: RunFiles) -> Section:
    """The share of clipped tokens, critical against normal samples; says so when the clip never acted."""
    title = "Clip fraction, critical against normal"
    missing = _missing(files)
    if missing:
        return Section("clip", title, absent=missing)
    found = family(quantities(files.rows("rft_history.jsonl")), "clip")
    if not found:
        return Section("clip", title, absent="No clip fraction was logged.")
    by_stratum = {name: strata for name, strata in found.items() if len(strata) > 1} or found
    rest = {name: strata for name, strata in found.items() if name not in by_stratum}
    table = ends_table("Clip fraction", by_stratum)
    other = "Other clip quantities"
    folds = [Fold(other, charts=_charts(rest), tables=(ends_table(other, rest),))] if rest else []
    return Section(
        "clip",
        title,
        warnings=_inert_clip(by_stratum) if _is_capo(files) else (),
        charts=_charts(by_stratum),
        tables=(table,),
        folds=tuple(folds),
    )


def _is_capo(files: RunFiles) -> bool:
    """Its control, plain GRPO, clips critical samples like all others."""
    settings = files.manifests["rft"].get("config", {}).get("rft", {})
    return bool(settings.get("algorithm", "capo") == "capo")


def _inert_clip(found: Quantities) -> tuple[str, ...]:
    values = [value for strata in found.values() for _, value in strata.get("critical", ())]
    if not values or any(values):
        return ()
    return (
        "The clip fraction of critical samples is 0 at every logged step: CAPO's tighter clip changed "
        "nothing in this run. A higher learning rate, more iterations per batch or a smaller epsilon would "
        "let it act.",
    )


def _missing(files: RunFiles) -> str | None:
    if "rft" not in files.stages:
        return NO_RFT
    return None if quantities(files.rows("rft_history.jsonl")) else NO_HISTORY


def _charts(found: Quantities) -> tuple[Markup, ...]:
    return tuple(line_chart(quantity_name(name), lines_of(strata)) for name, strata in found.items())


def signatures_section(files: RunFiles) -> Section:
    """The failure signatures that the run met, with their causes and remedies, from the rft manifest."""
    title = "Failure signatures"
    if "rft" not in files.stages:
        return Section("signatures", title, absent=f"{NO_RFT} Signatures are looked for while it runs.")
    found = signatures(files)
    if found is None:
        return Section("signatures", title, absent="This run's reinforcement fine-tuning recorded none.")
    if not found:
        return Section("signatures", title, notes=("None of the known signatures was seen.",))
    columns = list(dict.fromkeys(key for row in found for key in row))
    rows = tuple(tuple(_cell(row.get(column)) for column in columns) for row in found)
    table = Table("What was seen", tuple(plain(column) for column in columns), rows)
    return Section("signatures", title, warnings=(verdict(files),), tables=(table,))


def signatures(files: RunFiles) -> list[dict[str, Any]] | None:
    """``facts.signatures`` of the rft manifest: objects, or sentences; ``None`` where it has no such fact."""
    found = files.facts("rft").get("signatures")
    if found is None:
        return None
    return [row if isinstance(row, dict) else {"sign": str(row)} for row in found]


def verdict(files: RunFiles) -> str:
    """One sentence for the first screen."""
    if "rft" not in files.stages:
        return "not looked for: no reinforcement fine-tuning"
    found = signatures(files)
    if found is None:
        return "not recorded"
    if not found:
        return "none seen"
    return f"{len(found)} failure signature{'s' * (len(found) != 1)} seen"


def signature_names(files: RunFiles) -> tuple[str, ...]:
    """Of the failure signatures that were seen, those that have a name."""
    return tuple(str(row["name"]) for row in signatures(files) or () if "name" in row)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return short(value) if isinstance(value, (int, float)) else str(value)
