"""`radflow reward fit`: a file of reports -> model.json (model and card), metrics.json, fit.html: numbers"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from radflow import __version__
from radflow.audit.result import RATE
from radflow.audit.variants import CONTROLS, KINDS
from radflow.data.report_pairs import ReportFile
from radflow.errors import ConfigError
from radflow.fitting.reward_choice import (
    Calibration,
    KindMeasures,
    Trial,
    against_reference,
    calibration,
    choose,
    complete,
    kind_measures,
    unseen_alarms,
)
from radflow.fitting.reward_fit import Candidate, fit_model, require_fit
from radflow.fitting.reward_page import render_fit
from radflow.fitting.reward_rows import FitOptions, Parts, Rows, rows_of, split_studies
from radflow.jsonl import write_json, write_text_atomically
from radflow.metrics.learned_features import FEATURES, GROUPS
from radflow.metrics.learned_model import FILE, KIND, RewardModel
from radflow.metrics.score_files import file_facts
from radflow.records import Record
from radflow.registry import names_in, nearest


class Measures(Record):
    """What the fit is worth on the held-out reports; no choice was made on them.

    Attributes:
        seen: by kind of error, after a fit on all kinds.
        unseen: by kind, after a fit of the same candidate without that kind.
        unseen_alarms: by harmless kind, false alarms after a fit without it, at a threshold from the others.
    """

    seen: dict[str, KindMeasures]
    unseen: dict[str, KindMeasures]
    unseen_alarms: dict[str, float]
    calibration: Calibration


class Fitted(NamedTuple):
    """A fit and all that is known of it; ``measures`` is ``None`` where no report was held out."""

    model: RewardModel
    trials: list[Trial]
    measures: Measures | None
    facts: dict[str, Any]

    def lines(self) -> list[str]:
        """What the terminal shows."""
        found = [
            f"{trial.candidate.name}: on unseen kinds AUC {trial.auc:.3f}, in order {trial.order:.3f}"
            for trial in self.trials
        ]
        if self.measures is None:
            return found
        head = f"{'one error':<16}{'variants':>9}{'AUC':>7}{'unseen':>8}{'detected':>10}{'unseen':>8}"
        found += ["", f"{head}  (held-out reports; unseen: fitted without that kind)"]
        for kind in dict.fromkeys((*self.measures.seen, *self.measures.unseen)):
            one, other = self.measures.seen.get(kind), self.measures.unseen.get(kind)
            some = one or other
            assert some is not None
            aucs = [_plain(each.auc if each else None) for each in (one, other)]
            shares = [_percent(each.detection if each else None) for each in (one, other)]
            name = KINDS[kind].title
            found.append(f"{name:<16}{some.variants:>9}{aucs[0]:>7}{aucs[1]:>8}{shares[0]:>10}{shares[1]:>8}")
        known = self.measures.calibration
        found += ["", f"calibration error {known.ece:.3f}, Brier score {known.brier:.3f} (a constant: 0.25)"]
        return found


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def groups_named(names: str) -> tuple[str, ...]:
    """Groups of features from a text with commas.

    Raises:
        ConfigError: unknown name, or none.
    """
    wanted = names_in(names)
    for name in wanted:
        if name not in GROUPS:
            raise ConfigError(
                f"unknown group of features {name!r}",
                next_step=f"{nearest(name, GROUPS)}Known: {', '.join(GROUPS)}.",
            )
    if not wanted:
        raise ConfigError("no group of features is named", next_step=f"Known: {', '.join(GROUPS)}.")
    return tuple(name for name in GROUPS if name in wanted)


def fit_reward(path: Path, options: FitOptions, candidates: Sequence[Candidate]) -> Fitted:
    """Fit all candidates, choose, calibrate, measure.

    Raises:
        ConfigError: scikit-learn isn't installed.
        DataError: unreadable or too few reports, or none with errors or harmless changes.
        RunError: a report failed.
    """
    require_fit()
    names = [name for group in options.groups for name in GROUPS[group]]
    columns = [FEATURES.index(name) for name in names]
    parts = split_studies(path, options)
    fit = rows_of(parts.fit, options, label="errors to fit on").with_columns(columns)
    validation = rows_of(parts.validation, options, label="errors to choose by").with_columns(columns)
    trials = choose(fit, validation, options.kinds, candidates=candidates, seed=options.seed)
    best = trials[0].candidate
    model = fit_model(fit.of_kinds((*options.kinds, *CONTROLS)), best, seed=options.seed)
    whole = complete(model, validation, options.kinds, names=names, ontology=options.ontology)
    measures = None
    if parts.test:
        test = rows_of(parts.test, options, label="held-out reports").with_columns(columns)
        measures = _measures(whole, best, fit, validation, test, options)
    facts = _facts(path, options, parts, best, (fit, validation))
    return Fitted(whole, trials, measures, facts)


def _measures(
    whole: RewardModel, best: Candidate, fit: Rows, validation: Rows, test: Rows, options: FitOptions
) -> Measures:
    """On all kinds, those that the fit left out too: they are unseen by construction."""
    every = list(dict.fromkeys(kind for kind in test.kinds.tolist() if kind not in CONTROLS))
    unseen: dict[str, KindMeasures] = {}
    for kind in every:
        others = [other for other in options.kinds if other != kind]
        if others:
            model = fit_model(fit.of_kinds((*others, *CONTROLS)), best, seed=options.seed)
            unseen |= kind_measures(test, against_reference(model, test), [kind])
    alarms: dict[str, float] = {}
    for kind in CONTROLS:
        others = [other for other in CONTROLS if other != kind]
        some = fit.of_kinds((*options.kinds, *others))
        if any((some.kinds == other).any() for other in others):
            model = fit_model(some, best, seed=options.seed)
            alarms[kind] = unseen_alarms(test, against_reference(model, test)).get(kind, 0.0)
    known = test.of_kinds((*options.kinds, *CONTROLS))
    seen = [kind for kind in every if kind in options.kinds]
    return Measures(
        seen=kind_measures(test, whole.scores(test.features), seen),
        unseen=unseen,
        unseen_alarms=alarms,
        calibration=calibration(known, whole.probabilities(known.features)[:, 0]),
    )


def _facts(
    path: Path, options: FitOptions, parts: Parts, best: Candidate, rows: tuple[Rows, Rows]
) -> dict[str, Any]:
    file = file_facts(ReportFile(path, "reference"))
    return {
        "radflow": __version__,
        "python": platform.python_version(),
        "scikit-learn": version("scikit-learn"),
        "file": file["file"],
        "sha256": file["sha256"],
        "reports": {name: len(getattr(parts, name)) for name in ("fit", "validation", "test")},
        "left out, same text as a held-out report": parts.same_text,
        "pairs": {"fit": len(rows[0].kinds), "validation": len(rows[1].kinds)},
        "kinds": list(options.kinds),
        "features": list(options.groups),
        "ontology": options.ontology,
        "seed": options.seed,
        "limit": options.limit,
        "held out": options.held_out,
        "false alarms": RATE,
        "chosen": best.name,
    }


def write_fit(out: Path, fitted: Fitted) -> None:
    """The folder: each file appears whole, the model last."""
    trials = [
        {
            "candidate": trial.candidate.name,
            "value": trial.value,
            "auc": trial.auc,
            "order": trial.order,
            "unseen": {kind: one.model_dump() for kind, one in trial.unseen.items()},
        }
        for trial in fitted.trials
    ]
    measures = fitted.measures.model_dump(mode="json") if fitted.measures else None
    write_json(out / "metrics.json", {**fitted.facts, "trials": trials, "measures": measures})
    page = render_fit(fitted.model, fitted.trials, fitted.measures, fitted.facts)
    write_text_atomically(out / "fit.html", page)
    card = {
        **KIND.head,
        "what": "A score in [0, 1] of a written report against its reference, fitted on injected errors.",
        "fitted": fitted.facts,
        "reward": fitted.model.model_dump(mode="json"),
    }
    write_json(out / FILE, card)
