"""Score generated reports against references, study by study and part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from radflow.data.sections import parse_report
from radflow.metrics.clinical_scores import ClinicalReaders
from radflow.metrics.lexical import MAX_ORDER, bleu_counts, rouge_l, sentence_bleu_score
from radflow.metrics.truth_findings import modality_of, said_findings
from radflow.records import Finding, Report, Score, Study

Part = Literal["report", "findings", "impression"]
PARTS: tuple[Part, ...] = ("report", "findings", "impression")
Counts = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Written:
    """A report that a system wrote for a study."""

    study: Study
    system: str
    text: str

    @property
    def study_id(self) -> str:
        return self.study.study_id


def score_report(row: Written, *, readers: ClinicalReaders) -> list[Score]:
    """One row per part that the reference has; a part that the prediction lacks scores 0, not nothing."""
    prediction = parse_report(row.text)
    expected, written = parts_of(row.study.report), parts_of(prediction)
    is_critical = readers.is_critical(row.study_id, row.study.report)
    scores = [
        _score(row, part, expected[part], written.get(part, ""), readers, is_critical)
        for part in PARTS
        if part in expected
    ]
    is_consistent = readers.is_consistent(reference=row.study.report, prediction=prediction)
    return [scores[0].model_copy(update={"is_consistent": is_consistent}), *scores[1:]]


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


def _score(
    row: Written, part: Part, reference: str, prediction: str, readers: ClinicalReaders, is_critical: bool
) -> Score:
    sides: list[Counts | None] = [None, None]
    if part == "report" and row.study.truth is not None:
        sides = [
            finding_counts(row.study.truth, prediction, with_side=with_side, modality=modality_of(row.study))
            for with_side in (False, True)
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
        labels=readers.label_counts(reference=reference, prediction=prediction),
        graph_f1=readers.graph_f1(reference=reference, prediction=prediction),
        is_critical=is_critical,
    )


def finding_counts(
    truth: Sequence[Finding], text: str, *, with_side: bool, modality: str = "chest"
) -> Counts:
    """(true positives, false positives, false negatives) by observation against a phantom's truth table.

    A finding that the text calls possible counts as asserted. With sides, a finding on the wrong side is
    both a false positive and a false negative, and a bilateral one is two.
    """
    expected = {key for finding in truth for key in _keys(finding.observation, finding.side, with_side)}
    asserted = {
        key
        for observation, side in said_findings(text, modality)
        for key in _keys(observation, side, with_side)
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
