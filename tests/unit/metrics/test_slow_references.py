"""Metrics without a published package: the same numbers counted by hand in fractions; no set makes a NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES
from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.label_table import RuleLabels
from radflow.clinical.labeler import RuleLabeler
from radflow.data.sections import parse_report
from radflow.metrics.score import Options, score
from radflow.records import Mention

REFERENCE = (
    "FINDINGS: Small left pleural effusion. Heart size is normal.\nIMPRESSION: Left pleural effusion.",
    "FINDINGS: Large right pneumothorax. Mild edema.\nIMPRESSION: Pneumothorax.",
    "FINDINGS: Bilateral pleural effusions. Possible left consolidation.\nIMPRESSION: Effusions.",
    "FINDINGS: Severe cardiomegaly. Right rib fracture.\nIMPRESSION: Cardiomegaly.",
    "FINDINGS: The lungs are clear.\nIMPRESSION: No acute disease.",
)
PREDICTION = (
    "FINDINGS: Moderate right pleural effusion. Mild cardiomegaly.\nIMPRESSION: No pleural effusion.",
    "FINDINGS: Small right pneumothorax. No edema.\nIMPRESSION: Pneumonia.",
    "FINDINGS: Left pleural effusion. Right consolidation.\nIMPRESSION: Left pleural effusion.",
    "FINDINGS: Severe cardiomegaly. Left rib fracture.",
    "FINDINGS: Small granuloma. Possible edema.\nIMPRESSION: Possible edema.",
)
PAIRS = tuple(zip(REFERENCE, PREDICTION, strict=True))
NAMES = (
    *("hallucination-rate", "omission-rate", "rules-label-precision", "rules-label-recall", "rules-label-f1"),
    *("laterality-error-rate", "severity-error-rate", "consistency-rate", "contradicted-rate"),
    *("unsupported-rate", "critical-omitted-rate", "side-or-severity-conflict-rate"),
)
LABELER, LABELS = RuleLabeler(), RuleLabels()


def bodies(report: str) -> str:
    parsed = parse_report(report)
    return " ".join(part for part in (parsed.findings, parsed.impression) if part)


def labels(report: str) -> dict[str, int | None]:
    return LABELS.label([bodies(report)])[0]


def unmatched(*, of_prediction: bool) -> Fraction:
    said = missed = 0
    for reference, prediction in PAIRS:
        mine, other = (
            labels(prediction if of_prediction else reference),
            labels(reference if of_prediction else prediction),
        )
        for name in CHEXPERT_CLASSES:
            if name != "No Finding" and mine[name] == 1:
                said += 1
                missed += other[name] not in (1, -1)
    return Fraction(missed, said)


def counted() -> tuple[int, int, int]:
    """True and false positives and misses, uncertain counted as present."""
    both = added = missed = 0
    for reference, prediction in PAIRS:
        expected, written = labels(reference), labels(prediction)
        for name in CHEXPERT_CLASSES:
            there, said = expected[name] in (1, -1), written[name] in (1, -1)
            both += there and said
            added += said and not there
            missed += there and not said
    return both, added, missed


def differing(words: Callable[[Mention], Sequence[str]]) -> Fraction:
    """Share of the observations that both texts describe which they describe otherwise."""
    other = compared = 0
    for reference, prediction in PAIRS:
        sides = []
        for report in (reference, prediction):
            found: dict[str, set[str]] = {}
            for mention in LABELER.label(bodies(report)):
                if mention.assertion != "absent" and words(mention):
                    found.setdefault(mention.observation, set()).update(words(mention))
            sides.append(found)
        for name in sides[0].keys() & sides[1].keys():
            compared += 1
            other += sides[0][name] != sides[1][name]
    return Fraction(other, compared)


def side_words(mention: Mention) -> Sequence[str]:
    if mention.side is None:
        return ()
    return ("left", "right") if mention.side == "bilateral" else (mention.side,)


def consistency(kind: str | None) -> Fraction:
    rules = LabelConsistency()
    hits = of = 0
    for prediction in PREDICTION:
        report = parse_report(prediction)
        if report.impression is None:  # every reference has one
            of += kind is None
            continue
        kinds = {problem.kind for problem in rules.check(report).problems}
        of += 1
        hits += kind in kinds if kind else not kinds
    return Fraction(hits, of)


def by_hand() -> dict[str, Fraction]:
    both, added, missed = counted()
    return {
        "hallucination-rate": unmatched(of_prediction=True),
        "omission-rate": unmatched(of_prediction=False),
        "rules-label-precision": Fraction(both, both + added),
        "rules-label-recall": Fraction(both, both + missed),
        "rules-label-f1": Fraction(2 * both, 2 * both + added + missed),
        "laterality-error-rate": differing(side_words),
        "severity-error-rate": differing(lambda mention: (mention.severity,) if mention.severity else ()),
        "consistency-rate": consistency(None),
        "contradicted-rate": consistency("contradicted"),
        "unsupported-rate": consistency("unsupported"),
        "critical-omitted-rate": consistency("critical_omitted"),
        "side-or-severity-conflict-rate": consistency("side_or_severity_conflict"),
    }


def test_rates_of_a_set_are_the_counts_by_hand() -> None:
    found = score(
        reference=REFERENCE,
        prediction=PREDICTION,
        metrics=NAMES,
        sections=["report"],
        options=Options(samples=50),
    )
    expected = by_hand()
    assert {name: found[name].value for name in NAMES} == pytest.approx(
        {name: float(expected[name]) for name in NAMES}, rel=1e-12
    )
    assert 0 < expected["hallucination-rate"] < 1
    assert 0 < expected["laterality-error-rate"] < 1
    assert 0 < expected["severity-error-rate"] < 1
    assert 0 < expected["consistency-rate"] < 1


@pytest.mark.parametrize(
    "predictions",
    [
        [""],
        [""] * 5,
        ["No acute disease."] * 5,
        [".", "", "effusion " * 300, "\x00\u202e\u0301", REFERENCE[4]],
    ],
    ids=["one empty", "all empty", "one report for all", "odd ones"],
)
def test_no_degenerate_set_makes_a_nan(predictions: list[str]) -> None:
    found = score(
        reference=REFERENCE[: len(predictions)],
        prediction=predictions,
        metrics=("fast", "run"),
        options=Options(samples=20),
    )
    json.dumps(found.summary.as_json(), allow_nan=False)
    for row in found.per_study:
        assert all(value is None or math.isfinite(value) for value in row.values.values())
