"""Every metric of two systems on the same studies: values, difference, interval, p-values, effect size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from radflow.errors import DataError, RunError
from radflow.metrics.collected import Collected, Columns, Drawing, Drawn, Name, paired_columns
from radflow.metrics.declaration import CHEST, Metric, Vocabulary
from radflow.metrics.paired import bootstrap_difference, cohens_dz, difference_of, holm, permutation_p
from radflow.metrics.registry import METRICS, find_metric
from radflow.metrics.report_parts import PARTS
from radflow.metrics.sums import Sums
from radflow.records import Difference, MetricRow, Record
from radflow.registry import nearest
from radflow.terminal import with_late_bar


class Comparison(Record):
    """One metric of two systems, on the studies that both have a score for.

    Attributes:
        metric: ``part/metric``, for single labels ``part/metric/label``; ``critical/`` in front stands
            for the critical studies only.
        studies: how many the numbers rest on.
        first, second: the two values; ``None`` where a metric is undefined (0 / 0).
        difference: first minus second, by paired bootstrap; ``None`` without both values.
        p: of the paired permutation test; ``None`` without both values.
        p_holm: p corrected for all metrics that were compared.
        effect_size: Cohen's d_z of per-study scores; ``None`` for metrics that aren't means over studies.
    """

    metric: str
    studies: int
    first: float | None
    second: float | None
    difference: Difference | None = None
    p: float | None = None
    p_holm: float | None = None
    effect_size: float | None = None


class PairedScores(NamedTuple):
    """The rows of two systems, study by study in the same order, and the studies that only one of them has.

    A study of which the two have different parts is among the latter with the parts that only one has.
    """

    first: list[MetricRow]
    second: list[MetricRow]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def pair_scores(first: Sequence[MetricRow], second: Sequence[MetricRow]) -> PairedScores:
    """Match the rows of two systems by study and part.

    Raises:
        DataError: a system has two rows for a study's part, or the two disagree on its reference or patient.
    """
    rows_a, rows_b = _by_key(first), _by_key(second)
    shared = sorted(rows_a.keys() & rows_b.keys())
    for key in shared:
        one, other = rows_a[key], rows_b[key]
        if one.reference != other.reference:
            raise DataError(
                "the two systems were scored against different references",
                where=f"study {key[0]}, {key[1]}",
                next_step="Score both against the same reports.",
            )
        if one.patient_id and other.patient_id and one.patient_id != other.patient_id:
            raise DataError(
                "the two folders say that this study is of different patients",
                where=f"study {key[0]}",
                next_step="Compare runs on the same data.",
            )
    return PairedScores(
        [rows_a[key] for key in shared],
        [rows_b[key] for key in shared],
        tuple(dict.fromkeys(study for study, _ in sorted(rows_a.keys() - rows_b.keys()))),
        tuple(dict.fromkeys(study for study, _ in sorted(rows_b.keys() - rows_a.keys()))),
    )


def _by_key(scores: Sequence[MetricRow]) -> dict[tuple[str, str], MetricRow]:
    rows: dict[tuple[str, str], MetricRow] = {}
    for score in scores:
        if (score.study_id, score.part) in rows:
            raise DataError(
                f"two rows for one study of system {score.system!r}",
                where=f"study {score.study_id}, {score.part}",
                next_step="Keep one row per study, system and part.",
            )
        rows[(score.study_id, score.part)] = score
    return rows


def compare_systems(
    first: Sequence[MetricRow],
    second: Sequence[MetricRow],
    *,
    samples: int,
    seed: int,
    confidence: float = 0.95,
    metrics: Sequence[str] = (),
    vocabulary: Vocabulary = CHEST,
) -> list[Comparison]:
    """Compare two systems in every metric that both were scored with.

    All metrics of the same studies share one set of draws, the same as `paired.paired_difference` and
    `paired.paired_permutation` take for one metric. Patients with several studies are drawn and swapped as a
    whole; a study is critical where the first system's rows say so.

    Args:
        first, second: rows of two systems on the same studies.
        samples: resamplings and random swaps.
        confidence: coverage of the intervals.
        metrics: what is wanted, see `is_wanted`; none stands for all that any study has a score of, without
            those of single labels. Holm's correction is over these, so choose before looking.
        vocabulary: of the examination that was scored.

    Returns:
        One comparison per metric: part by part, then those of the critical studies.

    Raises:
        DataError: the systems don't have the same studies, or no metric of that name; see `pair_scores`.
        RunError: the rows are of another version of radflow.
    """
    pairs = pair_scores(first, second)
    if pairs.only_first or pairs.only_second:
        raise DataError(
            f"the systems don't have the same studies: {len(pairs.only_first)} only in the first, "
            f"{len(pairs.only_second)} only in the second",
            where=f"e.g. {(pairs.only_first or pairs.only_second)[0]}",
            next_step="Compare pair_scores(...).first with .second, which both have.",
        )
    sides = _collect(pairs, vocabulary)
    known = list(_keys(sides[0]))
    wanted = _chosen(known, metrics)
    drawing = Drawing(samples, seed, swaps=True)
    found = {row.metric: row for row in _compared(sides, drawing, wanted.__contains__, confidence)}
    rows = [
        found.get(key) or Comparison(metric=key, studies=0, first=None, second=None)
        for key in known
        if key in wanted and (key in found or metrics)
    ]
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else row.model_copy(update={"p_holm": next(corrected)}) for row in rows]


def _collect(pairs: PairedScores, vocabulary: Vocabulary) -> tuple[Collected, Collected]:
    """Both systems' rows with the metrics that all of their rows have, and the patients that either knows."""
    metrics = _metrics_of([*pairs.first, *pairs.second], vocabulary)
    sides = Collected(metrics, PARTS), Collected(metrics, PARTS)
    patients = [one.patient_id or other.patient_id for one, other in zip(*pairs[:2], strict=True)]
    for side, rows in zip(sides, pairs[:2], strict=True):
        known = zip(rows, patients, strict=True)
        side.add([row.model_copy(update={"patient_id": patient}) for row, patient in known])
    return sides


def _metrics_of(rows: Sequence[MetricRow], vocabulary: Vocabulary) -> list[Metric]:
    names: dict[str, None] = {}
    lacking: set[str] = set()
    by_part = {part: [row for row in rows if row.part == part] for part in PARTS}
    for own in by_part.values():
        every = dict.fromkeys(name for row in own for name in row.values)
        names |= every
        lacking |= {name for name in every if not all(name in row.values for row in own)}
    metrics = []
    for name in names:
        if name in lacking:
            continue  # only one of the two was scored with it
        metric = find_metric(name).bound(vocabulary) if name in METRICS else None
        parts = [part for part in PARTS if metric is not None and part in metric.sections]
        mine = [row for part in parts for row in by_part[part]]
        if metric is None or not all(read in row.statistics for row in mine for read in metric.reads):
            raise RunError(
                f"the scores hold {name} as this version of radflow doesn't know it",
                next_step="Score again: radflow score, or radflow run CONFIG --redo evaluate.",
            )
        metrics.append(metric)
    return metrics


def _key(subset: str, part: str, name: Name) -> str:
    key = "/".join([part, *filter(None, name)])
    return f"critical/{key}" if subset == "critical" else key


def _keys(collected: Collected) -> Iterator[str]:
    """Everything that can be compared, in order; single labels of all studies only."""
    for subset in ("all", "critical"):
        for part in collected.parts:
            if not collected.subsets(part)[subset].any():
                continue
            for metric in collected.of_part(part):
                labels = metric.per_label if subset == "all" else ()
                yield from (_key(subset, part, (metric.name, label)) for label in ("", *labels))


def is_label(key: str) -> bool:
    return key.removeprefix("critical/").count("/") == 2


def is_wanted(key: str, pattern: str) -> bool:
    """Whether a key is what somebody asked for.

    Args:
        pattern: ``bleu-4`` is the metric in every part, ``report/bleu-4`` in one, ``critical/*`` all of the
            critical studies, ``report/hallucination-rate/*`` each label's.
    """
    if is_label(key) and pattern.count("/") < 2:
        return False
    named = key if "/" in pattern or key.startswith("critical/") else key.partition("/")[2]
    return named == pattern or fnmatchcase(named, pattern)


def _chosen(keys: Sequence[str], patterns: Sequence[str]) -> set[str]:
    if not patterns:
        return {key for key in keys if not is_label(key)}
    chosen: set[str] = set()
    for pattern in patterns:
        matched = [key for key in keys if is_wanted(key, pattern)]
        if not matched:
            plain = [key for key in keys if not is_label(key) and not key.startswith("critical/")]
            names = plain if "/" in pattern else list(dict.fromkeys(key.partition("/")[2] for key in plain))
            raise DataError(
                f"no metric {pattern!r} among the scores",
                next_step=f"{nearest(pattern, names)}Known: {', '.join(names)}.",
            )
        chosen.update(matched)
    return chosen


def _compared(
    sides: tuple[Collected, Collected],
    drawing: Drawing,
    wanted: Callable[[str], bool],
    confidence: float,
) -> Iterator[Comparison]:
    for part in with_late_bar(PARTS, "compare", total=lambda: len(PARTS)):
        for subset, mask in sides[0].subsets(part).items():
            columns = (
                own
                for each in paired_columns(*sides, part, labels=subset == "all")
                if (own := _only(each, lambda name: wanted(_key(subset, part, name)))).sums  # noqa: B023
            )
            patients = replace(drawing, patients=sides[0].patients(part))
            for found in patients.of(columns, mask) if mask.any() else ():
                for name, sums in found.sums.items():
                    yield _comparison(_key(subset, part, name), sums, found, confidence)


def _only(columns: Columns, wanted: Callable[[Name], bool]) -> Columns:
    return columns._replace(sums={name: sums for name, sums in columns.sums.items() if wanted(name)})


def _comparison(key: str, sums: Sums, found: Drawn, confidence: float) -> Comparison:
    total, studies = found.rows.sum(axis=0), len(found.rows)
    values = [float(value) for value in sums.aggregate(total.reshape(2, -1))]
    first, second = (value if np.isfinite(value) else None for value in values)
    if first is None or second is None:
        return Comparison(metric=key, studies=studies, first=first, second=second)
    draws = difference_of(found.draws, sums.aggregate)
    null = difference_of(total + found.swaps, sums.aggregate)
    return Comparison(
        metric=key,
        studies=studies,
        first=first,
        second=second,
        difference=bootstrap_difference(
            first - second, draws, confidence=confidence, units=found.units, studies=studies
        ),
        p=permutation_p(null, first - second, is_exact=found.is_exact),
        effect_size=cohens_dz(found.rows[:, 0], found.rows[:, 2]) if sums.is_mean else None,
    )
