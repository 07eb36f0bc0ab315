"""`radflow labeler fit`: a table of labelled reports -> labeler.json, weights.safetensors, metrics.json"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from radflow import __version__
from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_labeler import WEIGHTS, FittedLabeler
from radflow.clinical.fitted_text import GROUPS, NEGATIONS, TextSettings
from radflow.clinical.ontology_file import load_ontology
from radflow.data.report_pairs import ReportFile
from radflow.errors import ConfigError
from radflow.fitting.labeler_fit import FOLDS, LabelerFit, LabelerOptions, fit_labeler
from radflow.fitting.labeler_rows import Labelled, read_labelled
from radflow.jsonl import write_json
from radflow.metrics.score_files import file_facts
from radflow.records import Record
from radflow.registry import nearest

BINS = 10
Probabilities = Sequence[Mapping[str, Mapping[LabelValue, float]]]
Labels = Sequence[Mapping[str, LabelValue]]


class Agreement(Record):
    """How often a labeler and people agree that something is present.

    Attributes:
        f1: in [0, 1]; ``None`` where neither says so of any report.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float | None:
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else None

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            true_positives=self.true_positives + other.true_positives,
            false_positives=self.false_positives + other.false_positives,
            false_negatives=self.false_negatives + other.false_negatives,
        )


NOTHING = Agreement(true_positives=0, false_positives=0, false_negatives=0)


class Sureness(NamedTuple):
    """Of the probability of presence: expected calibration error over ten bins, and Brier score."""

    ece: float
    brier: float


def agreement(said: Labels, truth: Labels, columns: Sequence[str]) -> dict[str, Agreement]:
    """By column, of presence (1)."""
    found = {}
    for name in columns:
        pairs = [(mine[name] == 1, own[name] == 1) for mine, own in zip(said, truth, strict=True)]
        found[name] = Agreement(
            true_positives=sum(mine and own for mine, own in pairs),
            false_positives=sum(mine and not own for mine, own in pairs),
            false_negatives=sum(own and not mine for mine, own in pairs),
        )
    return found


def together(found: Mapping[str, Agreement]) -> Agreement:
    """All columns (micro)."""
    return sum(found.values(), start=NOTHING)


def likeliest(probabilities: Probabilities) -> list[dict[str, LabelValue]]:
    return [
        {name: max(own, key=lambda state: own[state]) for name, own in row.items()} for row in probabilities
    ]


def sureness(probabilities: Probabilities, truth: Labels, columns: Sequence[str]) -> Sureness:
    """Over all reports and columns alike."""
    predicted = np.array([row[name].get(1, 0.0) for row in probabilities for name in columns])
    observed = np.array([float(row[name] == 1) for row in truth for name in columns])
    places = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    gaps = [
        (places == place).mean() * abs(predicted[places == place].mean() - observed[places == place].mean())
        for place in range(BINS)
        if (places == place).any()
    ]
    return Sureness(float(sum(gaps)), float(((predicted - observed) ** 2).mean()))


def text_settings(features: Sequence[str], *, ontology: str | None, negations: Sequence[str]) -> TextSettings:
    """Settings from the command's options; English negations where none are named.

    Raises:
        ConfigError: unknown features, none, or rules without an ontology.
    """
    for name in features:
        if name not in GROUPS:
            raise ConfigError(
                f"unknown features {name!r}", next_step=f"{nearest(name, GROUPS)}Known: {', '.join(GROUPS)}."
            )
    if not features or (("rules" in features) != (ontology is not None)):
        raise ConfigError(
            "the features rules and --ontology go together" if features else "no features are named",
            next_step="For example --features words,rules --ontology chest-xray; or --features words.",
        )
    if ontology is not None:
        load_ontology(ontology)
    groups = tuple(group for group in GROUPS if group in features)
    return TextSettings(groups=groups, negations=tuple(negations) or NEGATIONS, ontology=ontology)


class FitFiles(NamedTuple):
    """Where a fit comes from and goes to."""

    reports: Path
    labels: Path | None
    out: Path
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    id_column: str = "id"
    report_column: str = "report"


def fit_labeler_files(files: FitFiles, options: LabelerOptions) -> list[str]:
    """Fit, write the folder, and return what the terminal shows.

    Raises:
        ConfigError: scikit-learn isn't installed.
        DataError: unreadable, unknown columns, too few labelled reports, a column that can't be learnt.
    """
    labelled = read_labelled(
        files.reports,
        labels=files.labels,
        columns=files.columns,
        left_out=files.left_out,
        id_column=files.id_column,
        report_column=files.report_column,
    )
    fit = fit_labeler(labelled.texts, labelled.labels, labelled.columns, options)
    found = agreement(likeliest(fit.crossed), labelled.labels, labelled.columns)
    sure = sureness(fit.crossed, labelled.labels, labelled.columns)
    facts = _facts(files, options, labelled, fit)
    by_column = {name: {**one.model_dump(), "f1": one.f1} for name, one in found.items()}
    total = together(found)
    measures = {
        "crossed": by_column,
        "micro f1": total.f1,
        "calibration error": sure.ece,
        "brier": sure.brier,
    }
    write_json(files.out / "metrics.json", {**facts, **measures})
    fit.labeler.save(files.out, {"what": "An expert model fitted on labelled reports.", "fitted": facts})
    return _lines(labelled, fit.labeler, found, sure)


def _lines(
    labelled: Labelled, labeler: FittedLabeler, found: Mapping[str, Agreement], sure: Sureness
) -> list[str]:
    width = max(len(name) for name in found) + 2
    lines = [f"{'present':<{width}}{'F1':>7}{'right':>7}{'wrong':>7}{'missed':>8}   (folds left out)"]
    for name, one in {**found, "all": together(found)}.items():
        counts = (one.true_positives, one.false_positives, one.false_negatives)
        f1 = "-" if one.f1 is None else f"{one.f1:.3f}"
        lines.append(f"{name:<{width}}{f1:>7}{counts[0]:>7}{counts[1]:>7}{counts[2]:>8}")
    left_out = [
        f"{count} {what}"
        for count, what in (
            (labelled.without_labels, "reports without labels left out"),
            (labelled.without_text, "labels of reports without text left out"),
        )
        if count
    ]
    constant = [head.name for head in labeler.model.heads if len(head.states) == 1]
    if constant:
        left_out.append(f"always the same: {', '.join(constant)}")
    return [*lines, f"calibration error {sure.ece:.3f}, Brier score {sure.brier:.3f}", *left_out]


def _facts(files: FitFiles, options: LabelerOptions, labelled: Labelled, fit: LabelerFit) -> dict[str, Any]:
    file = file_facts(ReportFile(files.reports, "reference"))
    labels = file_facts(ReportFile(files.labels, "reference")) if files.labels else file
    return {
        "radflow": __version__,
        "python": platform.python_version(),
        "scikit-learn": version("scikit-learn"),
        "file": file["file"],
        "sha256": file["sha256"],
        "labels": labels["file"],
        "labels_sha256": labels["sha256"],
        "reports": len(labelled.ids),
        "folds": FOLDS,
        "seed": options.seed,
        "C": fit.strength,
        "temperature": fit.labeler.model.temperature,
        "names": len(fit.labeler.model.names),
        "weights": WEIGHTS,
    }
