"""Score generated reports against references, part by part, and sum the scores up with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radflow.config import EvaluateConfig
from radflow.data.phantoms.chest_reader import read_findings
from radflow.data.sections import parse_report
from radflow.metrics.lexical import MAX_ORDER, bleu_counts, bleu_from_counts, rouge_l, sentence_bleu_score
from radflow.metrics.statistics import bootstrap_interval, mean_of_rows
from radflow.records import Finding, Interval, Report, Score, Study

Part = Literal["report", "findings", "impression"]
PARTS: tuple[Part, ...] = ("report", "findings", "impression")
Counts = dict[str, tuple[int, int, int]]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Written:
    """A report that a system wrote for a study."""

    study: Study
    system: str
    text: str

    @property
    def study_id(self) -> str:
        return self.study.study_id


def score_report(row: Written) -> list[Score]:
    """One row per part that the reference has; a part that the prediction lacks scores 0, not nothing."""
    prediction = parse_report(row.text)
    expected, written = parts_of(row.study.report), parts_of(prediction)
    return [_score(row, part, expected[part], written.get(part, "")) for part in PARTS if part in expected]


def parts_of(report: Report) -> Mapping[Part, str]:
    """The texts that are compared: section bodies without headers; a report without sections is all body."""
    sections = {
        part: text
        for part, text in (("findings", report.findings), ("impression", report.impression))
        if text is not None
    }
    combined = report.findings_found_by == "combined"
    bodies = list(sections.values())[:1] if combined else list(sections.values())
    return {"report": " ".join(bodies) or report.text, **sections}  # type: ignore[dict-item]


def _score(row: Written, part: Part, reference: str, prediction: str) -> Score:
    sides: list[Counts | None] = [None, None]
    if part == "report" and row.study.truth is not None:
        sides = [
            finding_counts(row.study.truth, prediction, with_side=with_side) for with_side in (False, True)
        ]
    scores = [
        sentence_bleu_score(reference=reference, prediction=prediction, order=order)
        for order in range(1, MAX_ORDER + 1)
    ]
    return Score(
        study_id=row.study_id,
        system=row.system,
        part=part,
        bleu=(scores[0], scores[1], scores[2], scores[3]),
        rouge_l=rouge_l(reference=reference, prediction=prediction),
        bleu_counts=tuple(bleu_counts(reference=reference, prediction=prediction).row()),
        findings=sides[0],
        findings_with_side=sides[1],
    )


def finding_counts(truth: Sequence[Finding], text: str, *, with_side: bool) -> Counts:
    """(true positives, false positives, false negatives) by observation against a phantom's truth table.

    A finding that the text calls possible counts as asserted. With sides, a finding on the wrong side is
    both a false positive and a false negative, and a bilateral one is two.
    """
    expected = {key for finding in truth for key in _keys(finding.observation, finding.side, with_side)}
    asserted = {
        key
        for mention in read_findings(text)
        if mention.assertion != "absent"
        for key in _keys(mention.observation, mention.side, with_side)
    }
    counts: dict[str, list[int]] = {}
    for index, keys in enumerate((expected & asserted, asserted - expected, expected - asserted)):
        for observation, _ in keys:
            counts.setdefault(observation, [0, 0, 0])[index] += 1
    return {name: (row[0], row[1], row[2]) for name, row in sorted(counts.items())}


def _keys(observation: str, side: str | None, with_side: bool) -> list[tuple[str, str | None]]:
    if not with_side:
        return [(observation, None)]
    return [(observation, each) for each in (("left", "right") if side == "bilateral" else (side,))]


class Statistic(NamedTuple):
    """What a metric is computed from: rows of counts, one a study, and what their sums give."""

    name: str
    study_ids: tuple[str, ...]
    rows: Matrix
    aggregate: Callable[[Matrix], Matrix]


def summarise(
    scores: Sequence[Score],
    config: EvaluateConfig,
    *,
    seed: int,
    patients: Mapping[str, str | None] | None = None,
) -> dict[str, dict[str, Interval]]:
    """Per system: every metric of every part over its studies, with bootstrap intervals.

    Keys are ``part/metric``: corpus BLEU-1..4 (no smoothing), mean ROUGE-L, and on phantoms micro precision,
    recall and F1 of findings, overall (``findings_truth/...``), with sides, and by observation.

    Args:
        patients: patient of each study; patients with several are then resampled as a whole.
    """
    systems = list(dict.fromkeys(score.system for score in scores))
    summary: dict[str, dict[str, Interval]] = {}
    for system in systems:
        mine = [score for score in scores if score.system == system]
        metrics: dict[str, Interval] = {}
        for name, study_ids, rows, aggregate in statistics_of(mine):
            interval = bootstrap_interval(
                rows,
                aggregate,
                samples=config.bootstrap_samples,
                confidence=config.confidence,
                seed=seed,
                clusters=None if patients is None else [patients.get(study_id) for study_id in study_ids],
            )
            if interval is not None:
                metrics[name] = interval
        summary[system] = metrics
    return summary


def statistics_of(scores: Sequence[Score]) -> Iterator[Statistic]:
    """Every metric that these scores have, with a row for each of its studies, in the order given."""
    for part in PARTS:
        rows = [score for score in scores if score.part == part]
        if not rows:
            continue  # no reference has this part
        ids = tuple(score.study_id for score in rows)
        counts = np.array([score.bleu_counts for score in rows], dtype=np.float64)
        for order in range(1, MAX_ORDER + 1):
            yield Statistic(f"{part}/bleu_{order}", ids, counts, partial(bleu_from_counts, order=order))
        means = np.array([[score.rouge_l, 1.0] for score in rows])
        yield Statistic(f"{part}/rouge_l", ids, means, mean_of_rows)
    with_truth = [score for score in scores if score.findings is not None]
    if with_truth:
        ids = tuple(score.study_id for score in with_truth)
        found = [score.findings or {} for score in with_truth]
        yield from _finding_statistics("findings_truth", ids, found)
        found = [score.findings_with_side or {} for score in with_truth]
        yield from _finding_statistics("findings_truth_with_side", ids, found)


def _finding_statistics(prefix: str, ids: tuple[str, ...], rows: Sequence[Counts]) -> Iterator[Statistic]:
    def matrix(names: Sequence[str]) -> Matrix:
        return np.array(
            [np.sum([row.get(name, (0, 0, 0)) for name in names], axis=0) for row in rows], dtype=np.float64
        )

    observations = sorted({name for row in rows for name in row})
    for ratio in (precision, recall, f1):
        yield Statistic(f"{prefix}/{ratio.__name__}", ids, matrix(observations), ratio)
    for observation in observations:
        yield Statistic(f"{prefix}/f1/{observation}", ids, matrix([observation]), f1)


def precision(counts: Matrix) -> Matrix:
    """True positives / all asserted, from (..., 3) sums of (tp, fp, fn); NaN when nothing was asserted."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 1])


def recall(counts: Matrix) -> Matrix:
    """True positives / all true, from (..., 3) sums; NaN when nothing was true."""
    return _ratio(counts[..., 0], counts[..., 0] + counts[..., 2])


def f1(counts: Matrix) -> Matrix:
    """2 tp / (2 tp + fp + fn), from (..., 3) sums; NaN when nothing was true or asserted."""
    return _ratio(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])


def _ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator / denominator)
