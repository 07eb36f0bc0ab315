"""Micro F1 of fitted expert models over the number of labelled reports, beside the rules: rows and a chart

    python benchmarks/labeler_learning_curve.py -o curve [--sets iu,carotid] [--sizes 25,50,...] [--draws 5]

iu: human labels of Indiana reports; trained on draws from the half that the rules were tuned on, tested on
the other half. carotid: phantoms with their truth; trained on draws from one seed, tested on another. All
models and the rules are scored on the same held-out reports.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from labeler_accuracy import DATA, EXTRA, GOLD, gold, halves, indiana
from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_text import TextSettings
from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.carotid import make_carotid_case
from radflow.data.phantoms.carotid_truth import OBSERVATIONS
from radflow.data.sections import render_report
from radflow.fitting.labeler_files import agreement, likeliest, sureness, together
from radflow.fitting.labeler_fit import LabelerOptions, fit_labeler
from radflow.reporting.plots import Line, line_chart

SIZES = (25, 50, 100, 200, 400, 800)
Labels = list[dict[str, LabelValue]]


class Collection(NamedTuple):
    """Reports with labels of people, or of phantoms: to train on, and held out."""

    name: str
    columns: tuple[str, ...]
    ontology: str
    texts: list[str]
    labels: Labels
    test_texts: list[str]
    test_labels: Labels


def from_indiana(data: Path) -> Collection:
    """The two halves of benchmarks/labeler_accuracy.py; 1 is what people call present, all else 0."""
    rows, truth = indiana(data), gold(data)
    mapping = {**GOLD, **{name: wanted for name, wanted in EXTRA.items() if name != "Hernia"}}
    tuned, held_out = halves(truth)

    def labels(ids: Sequence[str]) -> Labels:
        return [
            {name: int(not targets.isdisjoint(truth[study])) for name, targets in mapping.items()}  # type: ignore[misc]
            for study in ids
        ]

    def texts(ids: Sequence[str]) -> list[str]:
        parts = [(rows[study]["findings"] or None, rows[study]["impression"] or None) for study in ids]
        return [render_report(findings=findings, impression=said) for findings, said in parts]

    return Collection(
        "iu", tuple(mapping), "chest-xray", texts(tuned), labels(tuned), texts(held_out), labels(held_out)
    )


def from_carotid(train: int, test: int) -> Collection:
    """What a phantom has, on either side, is present in its report; all else is absent."""

    def made(count: int, seed: int) -> tuple[list[str], Labels]:
        cases = [make_carotid_case(index, seed=seed) for index in range(count)]
        cases = [case for case in cases if case.report.findings is not None]
        texts = [
            render_report(findings=case.report.findings, impression=case.report.impression) for case in cases
        ]
        found = [{finding.observation for finding in case.truth} for case in cases]
        return texts, [{name: int(name in own) for name in OBSERVATIONS} for own in found]  # type: ignore[misc]

    return Collection("carotid", OBSERVATIONS, "carotid-ultrasound", *made(train, 31), *made(test, 32))


def by_rules(texts: Sequence[str], columns: Sequence[str], ontology: str) -> Labels:
    """An observation is present where a mention says so, or its column is 1."""
    from radflow.clinical.label_table import labels_of

    labeler = RuleLabeler(ontology)
    found: Labels = []
    for text in texts:
        mentions = labeler.label(text)
        own = {one.observation for one in mentions if one.assertion == "present"}
        table = labels_of(mentions, labeler.ontology)
        found.append(
            {
                name: int(table[name] == 1 if name in table else name in own)  # type: ignore[misc]
                for name in columns
            }
        )
    return found


def micro_f1(said: Labels, truth: Labels, columns: Sequence[str]) -> float:
    return together(agreement(said, truth, columns)).f1 or 0.0


def macro_f1(said: Labels, truth: Labels, columns: Sequence[str]) -> float:
    """Over columns that a held-out report has."""
    found = agreement(said, truth, columns)
    values = [one.f1 or 0.0 for one in found.values() if one.true_positives + one.false_negatives]
    return float(np.mean(values))


def resampled(said: Labels, truth: Labels, columns: Sequence[str], *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of micro F1 over draws of the reports."""
    counts = np.array(
        [
            [
                sum(mine[name] == 1 == own[name] for name in columns),
                sum(mine[name] == 1 != own[name] for name in columns),
                sum(own[name] == 1 != mine[name] for name in columns),
            ]
            for mine, own in zip(said, truth, strict=True)
        ]
    )
    drawn = np.random.default_rng(seed).integers(len(counts), size=(1000, len(counts)))
    tp, fp, fn = counts[drawn].sum(axis=1).T
    low, high = np.percentile(2 * tp / np.maximum(1, 2 * tp + fp + fn), [2.5, 97.5])
    return float(low), float(high)


def measured(data: Collection, kind: str, size: int, draw: int) -> dict[str, object]:
    """A row: one fit, and what it makes of the held-out reports."""
    begun = time.process_time()
    chosen = sorted(random.Random(f"{draw}/{size}").sample(range(len(data.texts)), size))
    groups = tuple(kind.split("+"))
    text = TextSettings(groups=groups, ontology=data.ontology if "rules" in groups else None)  # type: ignore[arg-type]
    fit = fit_labeler(
        [data.texts[row] for row in chosen],
        [data.labels[row] for row in chosen],
        data.columns,
        LabelerOptions(text=text, constants=True, seed=draw),
    )
    found = fit.labeler.probabilities(data.test_texts)
    said, sure = likeliest(found), sureness(found, data.test_labels, data.columns)
    return {
        "set": data.name,
        "features": kind,
        "size": size,
        "draw": draw,
        "micro": micro_f1(said, data.test_labels, data.columns),
        "macro": macro_f1(said, data.test_labels, data.columns),
        "ece": sure.ece,
        "brier": sure.brier,
        "C": fit.strength,
        "temperature": fit.labeler.model.temperature,
        "seconds": time.process_time() - begun,
    }


def ruled(data: Collection) -> dict[str, object]:
    """What the rules make of the held-out reports."""
    said = by_rules(data.test_texts, data.columns, data.ontology)
    by_column = agreement(said, data.test_labels, data.columns)
    return {
        "set": data.name,
        "held out": len(data.test_texts),
        "rules micro": micro_f1(said, data.test_labels, data.columns),
        "rules macro": macro_f1(said, data.test_labels, data.columns),
        "rules interval": resampled(said, data.test_labels, data.columns),
        "rules by column": {column: one.f1 for column, one in by_column.items()},
    }


def drawn(name: str, rows: Sequence[Mapping[str, object]], rules: float) -> str:
    """The chart: mean over draws, and the rules as a line."""
    points: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        by_size = points.setdefault(str(row["features"]), {})
        by_size.setdefault(float(str(row["size"])), []).append(float(str(row["micro"])))
    lines = [
        Line(kind, tuple((size, float(np.mean(values))) for size, values in sorted(by_size.items())), look)
        for look, (kind, by_size) in enumerate(points.items(), 1)
    ]
    sizes = sorted({size for by_size in points.values() for size in by_size})
    lines.append(Line("rules", tuple((size, rules) for size in (sizes[0], sizes[-1])), 6))
    return str(line_chart(f"{name}: micro F1 over labelled reports", lines, x_label="report"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sets", default="iu,carotid")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--features", default="words,words+characters,words+rules")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sets = [
        from_indiana(DATA) if name == "iu" else from_carotid(1000, 1000) for name in options.sets.split(",")
    ]
    facts = {data.name: ruled(data) for data in sets}
    print(json.dumps(facts), flush=True)
    rows: dict[str, list[dict[str, object]]] = {data.name: [] for data in sets}
    for draw in range(options.draws):  # outermost: what is cut short holds whole curves
        for data in sets:
            for size in map(int, options.sizes.split(",")):
                for kind in options.features.split(","):
                    rows[data.name].append(measured(data, kind, size, draw))
                    print(json.dumps(rows[data.name][-1]), flush=True)
            known = {**facts[data.name], "rows": rows[data.name]}
            (options.out / f"{data.name}.json").write_text(json.dumps(known, indent=1) + "\n")
            value = float(str(facts[data.name]["rules micro"]))
            (options.out / f"{data.name}.svg").write_text(drawn(data.name, rows[data.name], value) + "\n")


if __name__ == "__main__":
    main()
