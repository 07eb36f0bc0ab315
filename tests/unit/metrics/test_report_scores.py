"""Scores of parts and of findings: the truth scores 1, every corruption scores less, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from radflow.metrics.clinical_scores import ClinicalReaders
from radflow.metrics.report_scores import Counts, Written, finding_counts, score_report
from radflow.metrics.summaries import differences, f1, summarise

from radflow.config import EvaluateConfig
from radflow.data.phantoms.chest import make_chest_case, make_chest_phantom
from radflow.data.sections import parse_report, render_report
from radflow.records import Finding, Score, Study

TEXT = (
    "FINDINGS: The heart is mildly enlarged. There is a small left pleural effusion.\n"
    "IMPRESSION: Small left pleural effusion and mild cardiomegaly."
)
WITHOUT_IMPRESSION = TEXT.partition("\n")[0]
READERS = ClinicalReaders()
PHANTOMS = [make_chest_case(index, seed=11) for index in range(150)]
ABNORMAL = [case for case in PHANTOMS if case.truth and case.report.findings]
SWAPPED = {"left": "right", "right": "left"}


def study(text: str, *, truth: tuple[Finding, ...] | None = None, study_id: str = "a") -> Study:
    return Study(study_id=study_id, split="test", images=("a.png",), report=parse_report(text), truth=truth)


def scores_by_part(reference: str, prediction: str) -> dict[str, Score]:
    return {
        score.part: score
        for score in score_report(Written(study(reference), "model", prediction), readers=READERS)
    }


def total(counts: Counts) -> tuple[int, int, int]:
    tp, fp, fn = np.sum([*counts.values(), (0, 0, 0)], axis=0).tolist()
    return tp, fp, fn


def f1_of(truth: Sequence[Finding], text: str, *, with_side: bool) -> float:
    return float(f1(np.array(total(finding_counts(truth, text, with_side=with_side)), dtype=np.float64)))


def true_keys(truth: Sequence[Finding], *, with_side: bool) -> int:
    if not with_side:
        return len({finding.observation for finding in truth})
    return sum(2 if finding.side == "bilateral" else 1 for finding in truth)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        (TEXT, {"report", "findings", "impression"}),
        (WITHOUT_IMPRESSION, {"report", "findings"}),
        ("IMPRESSION: No acute disease.", {"report", "impression"}),
        ("The heart is enlarged.", {"report"}),
    ],
)
def test_only_parts_of_the_reference_have_rows(reference: str, parts: set[str]) -> None:
    assert scores_by_part(reference, TEXT).keys() == parts
    assert scores_by_part(reference, "").keys() == parts


def test_reference_scores_1_on_itself() -> None:
    for score in scores_by_part(TEXT, TEXT).values():
        assert score.bleu == pytest.approx((1, 1, 1, 1))
        assert score.rouge_l == 1


def test_part_that_the_prediction_lacks_scores_0() -> None:
    impression = scores_by_part(TEXT, WITHOUT_IMPRESSION)["impression"]
    assert impression.bleu == (0, 0, 0, 0)
    assert impression.rouge_l == 0
    assert impression.bleu_counts[9] == 0  # nothing written
    assert impression.bleu_counts[8] > 0


def test_dropping_the_impression_never_pays() -> None:
    whole, dropped = scores_by_part(TEXT, TEXT), scores_by_part(TEXT, WITHOUT_IMPRESSION)
    for part in ("report", "impression"):
        assert all(less < more for less, more in zip(dropped[part].bleu, whole[part].bleu, strict=True))
        assert dropped[part].rouge_l < whole[part].rouge_l
    assert dropped["findings"] == whole["findings"]


def test_headers_are_no_words_of_the_report() -> None:
    plain = "The heart is enlarged."
    assert scores_by_part(plain, f"FINDINGS: {plain}")["report"].bleu_counts[9] == 5


def test_report_under_a_combined_header_counts_once() -> None:
    combined = "FINDINGS AND IMPRESSION: The heart is enlarged."
    rows = scores_by_part(combined, combined)
    assert rows.keys() == {"report", "findings", "impression"}
    assert {row.bleu_counts[8] for row in rows.values()} == {5}


@pytest.mark.parametrize("with_side", [False, True])
def test_findings_section_of_a_phantom_says_exactly_the_truth(with_side: bool) -> None:
    assert len(ABNORMAL) > 50
    for case in ABNORMAL:
        counts = finding_counts(case.truth, case.report.findings or "", with_side=with_side)
        assert total(counts) == (true_keys(case.truth, with_side=with_side), 0, 0), case.study_id


def test_impression_of_a_phantom_misses_what_it_omits_and_nothing_else() -> None:
    cases = [case for case in PHANTOMS if case.report.impression]
    assert any(case.report.omitted for case in cases)
    for case in cases:
        counts = finding_counts(case.truth, case.report.impression or "", with_side=False)
        missed = {name for name, (_, _, false_negatives) in counts.items() if false_negatives}
        assert missed == case.report.omitted, case.study_id
        assert total(counts)[1] == 0, case.study_id


def test_truth_of_a_rendered_phantom_is_that_of_its_text() -> None:
    phantom = make_chest_phantom(0, seed=11, image_size=32)
    assert phantom.truth == PHANTOMS[0].truth


@pytest.mark.parametrize("with_side", [False, True])
def test_empty_text_misses_everything(with_side: bool) -> None:
    for case in PHANTOMS:
        counts = finding_counts(case.truth, "", with_side=with_side)
        assert total(counts) == (0, 0, true_keys(case.truth, with_side=with_side))


def test_side_swap_lowers_the_score_with_sides_only() -> None:
    one_sided = [case for case in ABNORMAL if any(f.side in SWAPPED for f in case.truth)]
    assert len(one_sided) > 20
    for case in one_sided:
        text = case.report.findings or ""
        swapped = re.sub(
            r"\b(left|right)\b", lambda match: SWAPPED[match[0].lower()], text, flags=re.IGNORECASE
        )
        pairs = {(f.observation, f.side) for f in case.truth}
        if all((name, SWAPPED[side]) in pairs for name, side in pairs if side in SWAPPED):
            continue  # the same finding on either side: a swap changes nothing
        assert f1_of(case.truth, swapped, with_side=True) < 1, case.study_id
        assert f1_of(case.truth, swapped, with_side=False) == 1, case.study_id


@pytest.mark.parametrize("with_side", [False, True])
@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("There is a small left pleural effusion.", (1, 0, 0)),
        ("Possible left pleural effusion.", (1, 0, 0)),
        ("No pleural effusion.", (0, 0, 1)),
        ("No left pleural effusion.", (0, 0, 1)),
        ("Left pleural effusion. Left pneumothorax.", (1, 1, 0)),
    ],
)
def test_negated_finding_is_missed_and_an_invented_one_is_false(
    text: str, counts: tuple[int, int, int], with_side: bool
) -> None:
    truth = (Finding(observation="pleural_effusion", side="left"),)
    assert total(finding_counts(truth, text, with_side=with_side)) == counts


def test_wrong_side_is_a_miss_and_an_invention() -> None:
    truth = (Finding(observation="pleural_effusion", side="left"),)
    text = "Right pleural effusion."
    assert finding_counts(truth, text, with_side=True) == {"pleural_effusion": (0, 1, 1)}
    assert finding_counts(truth, text, with_side=False) == {"pleural_effusion": (1, 0, 0)}


def test_bilateral_finding_is_two() -> None:
    truth = (Finding(observation="pleural_effusion", side="bilateral"),)
    both = finding_counts(truth, "Bilateral pleural effusions.", with_side=True)
    one = finding_counts(truth, "Left pleural effusion.", with_side=True)
    assert (both, one) == ({"pleural_effusion": (2, 0, 0)}, {"pleural_effusion": (1, 0, 1)})


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    """Every phantom as four systems report it."""
    rows: list[Score] = []
    fixed = PHANTOMS[0].report
    for case in PHANTOMS:
        text = render_report(findings=case.report.findings, impression=case.report.impression)
        systems = {
            "reference": text,
            "fixed": render_report(findings=fixed.findings, impression=fixed.impression),
            "silent": "",
            "cut": text[: len(text) // 2],
        }
        truth = study(text, truth=case.truth, study_id=case.study_id)
        rows += [
            row
            for name, said in systems.items()
            for row in score_report(Written(truth, name, said), readers=READERS)
        ]
    return rows


def test_true_positives_and_misses_sum_to_the_true_findings_for_every_system(scores: list[Score]) -> None:
    for system in ("reference", "fixed", "silent", "cut"):
        mine = [score for score in scores if score.system == system and score.part == "report"]
        for with_side in (False, True):
            counts = [score.findings_with_side if with_side else score.findings for score in mine]
            tp, _, fn = np.sum([total(row or {}) for row in counts], axis=0)
            assert tp + fn == sum(true_keys(case.truth, with_side=with_side) for case in PHANTOMS)


def test_findings_are_scored_on_whole_reports_of_phantoms_only(scores: list[Score]) -> None:
    assert all((score.findings is not None) == (score.part == "report") for score in scores)
    assert all(score.findings is None for score in scores_by_part(TEXT, TEXT).values())


def test_summary_ranks_the_systems_and_its_intervals_hold_the_values(scores: list[Score]) -> None:
    summary = summarise(scores, EvaluateConfig(bootstrap_samples=100), seed=0)
    reference, cut, silent = summary["reference"], summary["cut"], summary["silent"]
    for metric in ("report/bleu_4", "report/rouge_l", "findings_truth/f1", "findings_truth_with_side/f1"):
        assert reference[metric].value > cut[metric].value > silent[metric].value == 0
        assert cut[metric].low <= cut[metric].value <= cut[metric].high
    assert reference["report/bleu_4"].value == pytest.approx(1)


def test_summary_lacks_what_is_undefined(scores: list[Score]) -> None:
    silent = summarise(scores, EvaluateConfig(bootstrap_samples=100), seed=0)["silent"]
    assert "findings_truth/precision" not in silent  # nothing asserted
    assert silent["findings_truth/recall"].value == 0


def test_summary_counts_the_studies_of_each_part(scores: list[Score]) -> None:
    summary = summarise(scores, EvaluateConfig(bootstrap_samples=100), seed=0)["reference"]
    with_impression = sum(case.report.impression is not None for case in PHANTOMS)
    assert with_impression < len(PHANTOMS)
    assert summary["impression/rouge_l"].studies == with_impression
    assert summary["report/rouge_l"].studies == len(PHANTOMS)


def test_labels_graph_and_consistency_rank_the_systems(scores: list[Score]) -> None:
    summary = summarise(scores, EvaluateConfig(bootstrap_samples=100), seed=0)
    reference, cut, silent = summary["reference"], summary["cut"], summary["silent"]
    for metric in ("report/label_f1", "impression/label_f1", "report/graph_f1", "consistent"):
        assert reference[metric].value > cut[metric].value
    assert reference["impression/label_f1"].value == reference["report/graph_f1"].value == 1
    assert (
        silent["report/label_f1"].value == silent["report/graph_f1"].value == silent["consistent"].value == 0
    )


def test_critical_studies_are_summed_up_apart(scores: list[Score]) -> None:
    mine = [score for score in scores if score.system == "reference" and score.part == "report"]
    critical = sum(score.is_critical for score in mine)
    assert 0 < critical < len(mine)
    summary = summarise(scores, EvaluateConfig(bootstrap_samples=100), seed=0)["reference"]
    assert summary["critical/report/rouge_l"].studies == critical


def test_a_system_differs_from_a_worse_one_and_not_from_itself(scores: list[Score]) -> None:
    pairs = [("reference", "cut"), ("cut", "cut"), ("cut", "absent")]
    compared = differences(scores, pairs, EvaluateConfig(bootstrap_samples=200), seed=0)
    assert set(compared) == {"reference - cut", "cut - cut"}
    better = compared["reference - cut"]["impression/label_f1"]
    assert 0 < better.low < better.value
    assert better.p < 0.02
    assert {(row.value, row.p) for row in compared["cut - cut"].values()} == {(0.0, 1.0)}


def test_dropping_a_section_is_no_way_to_be_consistent() -> None:
    with_both = scores_by_part(TEXT, TEXT)["report"]
    without = scores_by_part(TEXT, WITHOUT_IMPRESSION)["report"]
    not_asked = scores_by_part(WITHOUT_IMPRESSION, WITHOUT_IMPRESSION)["report"]
    assert (with_both.is_consistent, without.is_consistent, not_asked.is_consistent) == (True, False, None)
