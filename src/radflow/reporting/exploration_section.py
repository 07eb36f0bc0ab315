"""What Target Exploration chose: the composite score of all candidates, and labels before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler
from radflow.records import Study
from radflow.reporting.plots import Bars, Mark, Row, histogram, interval_chart
from radflow.reporting.run_files import RunFiles
from radflow.reporting.scales import short
from radflow.reporting.view import Section, Table

BINS = 30
LOOKS = {"hardest": 2, "stratified": 2, "anchor": 1, "random": 3, "all": 3}
NOT_CHOSEN = ("not chosen", 5)


def exploration_section(files: RunFiles, labeler: RuleLabeler) -> Section:
    """Histogram of the composite with the chosen ones marked; share of studies by label, all and chosen."""
    title = "What Target Exploration chose"
    if "explore" not in files.stages:
        return Section("exploration", title, absent="This run has no Target Exploration.")
    chosen = {row["study_id"]: str(row.get("chosen_as", "chosen")) for row in files.rows("hard.jsonl")}
    composites = {row["study_id"]: composite_of(row) for row in files.rows("candidates.jsonl")}
    composites |= {
        row["study_id"]: composite_of(row)
        for row in files.rows("hard.jsonl")
        if composites.get(row["study_id"]) is None
    }
    scored = {study: value for study, value in composites.items() if value is not None}
    train = [study for study in files.studies if study.split == "train"]
    before, after = (
        label_shares(train, labeler),
        label_shares([study for study in train if study.study_id in chosen], labeler),
    )
    ways = Counter(chosen.values())
    how = ", ".join(f"{count} {way}" for way, count in ways.items())
    notes = [f"{len(chosen)} of {len(train)} training studies were chosen: {how or 'none'}."]
    unscored = len(composites) - len(scored)
    if unscored:
        notes.append(f"{unscored} candidates could not be scored.")
    charts = [_composites(scored, chosen)] if scored else []
    charts += [_shares(before, after)] if before and after else []
    tables = [_chosen_table(scored, chosen)] if scored else []
    tables += [_share_table(before, after, len(train), len(chosen))] if before else []
    return Section("exploration", title, notes=tuple(notes), charts=tuple(charts), tables=tuple(tables))


def composite_of(row: Mapping[str, Any]) -> float | None:
    """The composite score of a candidate, wherever its row keeps it; ``None`` when it has none."""
    for place in (row, row.get("scores"), row.get("score")):
        value = place.get("composite") if isinstance(place, Mapping) else None
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _layers(scored: Mapping[str, float], chosen: Mapping[str, str]) -> dict[str, list[float]]:
    """Way of choosing -> composites, the chosen first; what was not chosen stands on top of them."""
    layers: dict[str, list[float]] = {way: [] for way in LOOKS if way in chosen.values()}
    layers |= {way: [] for way in sorted(set(chosen.values()) - layers.keys())}
    layers[NOT_CHOSEN[0]] = []
    for study, value in scored.items():
        layers[chosen.get(study, NOT_CHOSEN[0])].append(value)
    return layers


def _composites(scored: Mapping[str, float], chosen: Mapping[str, str]) -> Any:
    low, high = min(scored.values()), max(scored.values())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    bars = [
        Bars(way, tuple(int(n) for n in np.histogram(values, edges)[0]), LOOKS.get(way, NOT_CHOSEN[1]))
        for way, values in _layers(scored, chosen).items()
    ]
    return histogram(
        "Composite score of the SFT model's reports",
        [round(float(edge), 6) for edge in edges],
        bars,
        x_label="composite (low is hard)",
    )


def _chosen_table(scored: Mapping[str, float], chosen: Mapping[str, str]) -> Table:
    rows = [
        (way, str(len(values)), *(short(float(q)) for q in np.quantile(values, [0, 0.5, 1])))
        for way, values in _layers(scored, chosen).items()
        if values
    ]
    return Table("Composite score", ("studies", "count", "lowest", "median", "highest"), tuple(rows))


def label_shares(studies: Sequence[Study], labeler: RuleLabeler) -> dict[str, float]:
    """Share of studies whose reference asserts each label as present, by the ontology's columns."""
    if not studies:
        return {}
    counts: Counter[str] = Counter()
    for study in studies:
        labels = labels_of(labeler.label(study.report), labeler.ontology)
        counts.update(name for name, value in labels.items() if value == 1)
    return {name: counts[name] / len(studies) for name in labeler.ontology.columns}


def _either(before: Mapping[str, float], after: Mapping[str, float]) -> Iterable[str]:
    return [name for name in before if before[name] or after.get(name)]


def _shares(before: Mapping[str, float], after: Mapping[str, float]) -> Any:
    rows = [
        Row(name, (Mark("all training studies", 5, before[name]), Mark("chosen", 2, after[name])))
        for name in _either(before, after)
    ]
    return interval_chart("Share of studies with each label (by rules)", rows)


def _share_table(before: Mapping[str, float], after: Mapping[str, float], total: int, chosen: int) -> Table:
    rows = tuple(
        (name, f"{100 * before[name]:.1f} %", f"{100 * after[name]:.1f} %" if after else "–")
        for name in _either(before, after)
    )
    header = ("label", f"all {total}", f"chosen {chosen}")
    return Table("Share of training studies that assert a label as present", header, rows)
