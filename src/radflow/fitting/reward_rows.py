"""Reports -> pairs with a known number of errors, as features, in parts that share no study and no text"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radflow.audit.bank import load_bank
from radflow.audit.files import AuditOptions, draw_reports
from radflow.audit.scoring import Study
from radflow.audit.statistics import Drops
from radflow.audit.variants import CONTROLS, ERRORS, KINDS, variants_of
from radflow.config import EngineConfig
from radflow.engine import map_rows
from radflow.errors import ConfigError, DataError, RunError
from radflow.metrics.learned_features import LearnedFeatures
from radflow.metrics.resampling import Matrix
from radflow.records import RowFailure
from radflow.registry import names_in, nearest

LEAST_STUDIES = 40
"""Fewer reports than this hold too few errors of most kinds."""
VALIDATION = 4
"""One in so many studies that aren't held out chooses among models and calibrates."""


@dataclass(frozen=True)
class FitOptions:
    """What a reward is fitted on.

    Attributes:
        limit: reports to fit on, validation included; 0 takes all that aren't held out.
        held_out: reports kept for the test: those that `radflow audit --limit N` draws with the same seed.
        kinds: errors to learn from.
        groups: of features, see `learned_features.GROUPS`.
        seed: of draws, errors and fits.
    """

    limit: int = 1000
    held_out: int = 500
    kinds: tuple[str, ...] = ERRORS
    groups: tuple[str, ...] = ("words", "graph", "statements", "consistency", "phrases")
    ontology: str = "chest-xray"
    seed: int = 0
    workers: int = 1
    id_column: str = "id"
    report_column: str = "report"


class Parts(NamedTuple):
    """Studies by what they are for; ``same_text`` counts those left out for the text of a held-out one."""

    fit: list[Study]
    validation: list[Study]
    test: list[Study]
    same_text: int


@dataclass(frozen=True)
class Rows:
    """Variants of some studies.

    Attributes:
        studies: (rows,) places of their studies.
        kinds: (rows,) what was done.
        counts: (rows,) how often.
        features: (rows, features).
    """

    studies: NDArray[np.int64]
    kinds: NDArray[np.str_]
    counts: NDArray[np.int64]
    features: Matrix

    @cached_property
    def errors(self) -> NDArray[np.int64]:
        """(rows,) errors of each: 0 for harmless changes."""
        return np.where(np.isin(self.kinds, CONTROLS), 0, self.counts)

    def only(self, keep: NDArray[np.bool_]) -> Rows:
        return Rows(self.studies[keep], self.kinds[keep], self.counts[keep], self.features[keep])

    def of_kinds(self, kinds: Sequence[str]) -> Rows:
        return self.only(np.isin(self.kinds, list(kinds)))

    def with_columns(self, columns: Sequence[int]) -> Rows:
        return Rows(self.studies, self.kinds, self.counts, self.features[:, list(columns)])

    def drops(self, scores: Matrix, kind: str) -> Drops:
        """What a term with these (rows,) scores, 1 for a reference, says of a kind."""
        mine = self.kinds == kind
        return Drops(self.studies[mine], self.counts[mine], np.round(1 - scores[mine], 12))


def split_studies(path: Path, options: FitOptions) -> Parts:
    """Draw the three parts of a file; the same file and seed give the same ones.

    Raises:
        DataError: unreadable, or too few reports.
    """

    def drawn(count: int) -> list[Study]:
        columns = (options.id_column, options.report_column)
        return draw_reports(path, AuditOptions(count, "", options.seed, 1, *columns)).studies

    everything = drawn(0)
    if len(everything) - options.held_out < LEAST_STUDIES:
        raise DataError(
            f"{len(everything)} reports can be used and {options.held_out} are held out: too few are left "
            f"to fit on, {LEAST_STUDIES} are the least",
            where=str(path),
            next_step="Give more reports, or a smaller --held-out.",
        )
    test = drawn(options.held_out) if options.held_out else []
    held_out, texts = {study.study_id for study in test}, {study.reference.text for study in test}
    others = [study for study in everything if study.study_id not in held_out]
    rest = [study for study in others if study.reference.text not in texts]
    if len(rest) < LEAST_STUDIES:
        raise DataError(
            f"only {len(rest)} reports differ in text from those held out; {LEAST_STUDIES} are the least",
            where=str(path),
            next_step="Give more reports, or a smaller --held-out.",
        )
    rng = Random(options.seed)
    rng.shuffle(rest)
    used = rest[: options.limit or len(rest)]
    count = max(1, len(used) // VALIDATION)
    # a text that several studies share goes to one part
    validation = {study.reference.text for study in used[:count]}
    return Parts(
        fit=[study for study in used if study.reference.text not in validation],
        validation=[study for study in used if study.reference.text in validation],
        test=test,
        same_text=len(others) - len(rest),
    )


class VariantFeatures:
    """A study -> (kind, count, features) of its variants; picklable, readers are opened per process."""

    def __init__(self, ontology: str, seed: int) -> None:
        self.ontology, self.seed = ontology, seed

    def __call__(self, study: Study) -> list[tuple[str, int, Matrix]]:
        made = list(variants_of(study.reference, load_bank(), seed=self.seed, study_id=study.study_id))
        references = [study.reference.text] * len(made)
        features = self._features(reference=references, prediction=[variant.text for variant in made])
        return [(one.kind, one.times, row) for one, row in zip(made, features, strict=True)]

    @cached_property
    def _features(self) -> LearnedFeatures:
        return LearnedFeatures(self.ontology)

    def __getstate__(self) -> dict[str, object]:
        return {"ontology": self.ontology, "seed": self.seed}


def rows_of(studies: Sequence[Study], options: FitOptions, *, label: str) -> Rows:
    """All variants of the studies with their features.

    Raises:
        RunError: making them failed on a study.
    """
    made = map_rows(
        VariantFeatures(options.ontology, options.seed),
        studies,
        engine=EngineConfig(workers=options.workers),
        label=label,
        total=len(studies),
    )
    found = [(place, *row) for place, rows in enumerate(made) for row in _checked(rows)]
    if not found:
        raise DataError("no report leaves room for an error or a harmless change")
    places, kinds, counts, features = zip(*found, strict=True)
    return Rows(np.array(places), np.array(kinds), np.array(counts), np.stack(features))


def _checked(result: list[tuple[str, int, Matrix]] | RowFailure) -> Iterator[tuple[str, int, Matrix]]:
    if isinstance(result, RowFailure):
        raise RunError(f"making variants failed: {result.kind}: {result.message}", where=result.study_id)
    yield from result


def kinds_wanted(names: str, left_out: str) -> tuple[str, ...]:
    """The kinds that are named, all for an empty text, less those left out.

    Raises:
        ConfigError: unknown name, or none is left.
    """
    gone = kinds_named(left_out)
    kept = tuple(kind for kind in kinds_named(names) or ERRORS if kind not in gone)
    if not kept:
        raise ConfigError("no kind of error is left to learn from", next_step=f"Known: {', '.join(ERRORS)}.")
    return kept


def kinds_named(names: str) -> tuple[str, ...]:
    """Error kinds from a text with commas.

    Raises:
        ConfigError: unknown name, or one of a harmless change, which every fit has.
    """
    wanted = tuple(dict.fromkeys(names_in(names)))
    for name in wanted:
        if name not in ERRORS:
            is_harmless = name in KINDS
            raise ConfigError(
                f"{name!r} is a harmless change, which every fit learns from"
                if is_harmless
                else f"unknown kind of error {name!r}",
                next_step=f"{'' if is_harmless else nearest(name, ERRORS)}Known: {', '.join(ERRORS)}.",
            )
    return wanted
