"""Scores of parts and of findings: the truth scores 1, every corruption scores less, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from radflow.clinical.criticality import RuleCriticality
from radflow.data.phantoms.chest import make_chest_case, make_chest_phantom
from radflow.data.sections import parse_report, render_report
from radflow.errors import ConfigError
from radflow.metrics.lexical import smoothed_bleu
from radflow.metrics.report_parts import PARTS
from radflow.metrics.run_scores import RunScores, Written, cases_of
from radflow.metrics.score_summary import Summary
from radflow.metrics.scoring import make_plan
from radflow.metrics.sums import f1
from radflow.metrics.truth_scores import Counts, finding_counts
from radflow.records import Finding, Interval, MetricRow, Study

TEXT = (
    "FINDINGS: The heart is mildly enlarged. There is a small left pleural effusion.\n"
    "IMPRESSION: Small left pleural effusion and mild cardiomegaly."
)
WITHOUT_IMPRESSION = TEXT.partition("\n")[0]
PLAN = make_plan("run", PARTS)
ORDERS = range(1, 5)
PHANTOMS = [make_chest_case(index, seed=11) for index in range(150)]
ABNORMAL = [case for case in PHANTOMS if case.truth and case.report.findings]
SWAPPED = {"left": "right", "right": "left"}


def study(text: str, *, truth: tuple[Finding, ...] | None = None, study_id: str = "a") -> Study:
    return Study(study_id=study_id, split="test", images=("a.png",), report=parse_report(text), truth=truth)


def run_scores(written: Sequence[Written], critical: Mapping[str, bool]) -> tuple[RunScores, list[MetricRow]]:
    systems = list(dict.fromkeys(row.system for row in written))
    scores = RunScores(PLAN, systems, samples=200, confidence=0.95, seed=0)
    return scores, [row for rows in scores.score(cases_of(written, critical)) for row in rows]


def scores_by_part(reference: str, prediction: str) -> dict[str, MetricRow]:
    _, rows = run_scores([Written(study(reference), "model", prediction)], {})
    return {row.part: row for row in rows}


def sentence_bleu_of(row: MetricRow) -> list[float]:
    """BLEU-1..4 of the study alone, smoothed."""
    counts = np.array(row.statistics["bleu"], dtype=np.float64)
    return [float(smoothed_bleu(counts, order=order)) for order in ORDERS]


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
        assert [score.values[f"bleu-{order}"] for order in ORDERS] == pytest.approx([1, 1, 1, 1])
        assert sentence_bleu_of(score) == pytest.approx([1, 1, 1, 1])
        assert score.values["rouge-l"] == 1


def test_part_that_the_prediction_lacks_scores_0() -> None:
    impression = scores_by_part(TEXT, WITHOUT_IMPRESSION)["impression"]
    assert sentence_bleu_of(impression) == [0, 0, 0, 0]
    assert impression.values["rouge-l"] == 0
    assert impression.statistics["bleu"][9] == 0  # nothing written
    assert impression.statistics["bleu"][8] > 0  # type: ignore[operator]


def test_dropping_the_impression_never_pays() -> None:
    whole, dropped = scores_by_part(TEXT, TEXT), scores_by_part(TEXT, WITHOUT_IMPRESSION)
    for part in ("report", "impression"):
        bleu = zip(sentence_bleu_of(dropped[part]), sentence_bleu_of(whole[part]), strict=True)
        assert all(less < more for less, more in bleu)
        assert dropped[part].values["rouge-l"] < whole[part].values["rouge-l"]  # type: ignore[operator]
    assert dropped["findings"] == whole["findings"]


def test_headers_are_no_words_of_the_report() -> None:
    plain = "The heart is enlarged."
    assert scores_by_part(plain, f"FINDINGS: {plain}")["report"].statistics["bleu"][9] == 5


def test_report_under_a_combined_header_counts_once() -> None:
    combined = "FINDINGS AND IMPRESSION: The heart is enlarged."
    rows = scores_by_part(combined, combined)
    assert rows.keys() == {"report", "findings", "impression"}
    assert {row.statistics["bleu"][8] for row in rows.values()} == {5}


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


class Scored(NamedTuple):
    scores: RunScores
    rows: list[MetricRow]
    summary: dict[str, Summary]


@pytest.fixture(scope="module")
def scored() -> Scored:
    """Every phantom as four systems report it."""
    written: list[Written] = []
    critical: dict[str, bool] = {}
    rules, fixed = RuleCriticality(), PHANTOMS[0].report
    for case in PHANTOMS:
        text = render_report(findings=case.report.findings, impression=case.report.impression)
        systems = {
            "reference": text,
            "fixed": render_report(findings=fixed.findings, impression=fixed.impression),
            "silent": "",
            "cut": text[: len(text) // 2],
        }
        truth = study(text, truth=case.truth, study_id=case.study_id)
        written += [Written(truth, name, said) for name, said in systems.items()]
        critical[case.study_id] = rules.decide(case.study_id, truth.report).is_critical
    scores, rows = run_scores(written, critical)
    return Scored(scores, rows, scores.summaries())


def of_report(scored: Scored, system: str) -> dict[str, Interval]:
    return scored.summary[system].scores["all"]["report"]


def test_true_positives_and_misses_sum_to_the_true_findings_for_every_system(scored: Scored) -> None:
    for system in ("reference", "fixed", "silent", "cut"):
        mine = [row for row in scored.rows if row.system == system and row.part == "report"]
        assert len(mine) == len(PHANTOMS)
        for name, with_side in (("truth", False), ("truth-side", True)):
            counts = np.array([row.statistics[name] for row in mine], dtype=np.float64)
            tp, _, fn = counts.sum(axis=0).reshape(-1, 3).sum(axis=0)
            assert tp + fn == sum(true_keys(case.truth, with_side=with_side) for case in PHANTOMS)


def test_findings_are_scored_on_whole_reports_of_phantoms_only(scored: Scored) -> None:
    assert all(("truth-f1" in row.values) == (row.part == "report") for row in scored.rows)
    for row in (*(row for row in scored.rows if row.part != "report"), *scores_by_part(TEXT, TEXT).values()):
        assert set(row.statistics["truth"]) == {None}
    assert scores_by_part(TEXT, TEXT)["report"].values["truth-f1"] is None


def test_summary_ranks_the_systems_and_its_intervals_hold_the_values(scored: Scored) -> None:
    reference, cut, silent = (of_report(scored, name) for name in ("reference", "cut", "silent"))
    for metric in ("bleu-4", "rouge-l", "cider", "truth-f1", "truth-side-f1"):
        assert reference[metric].value > cut[metric].value > silent[metric].value == 0
        assert cut[metric].low <= cut[metric].value <= cut[metric].high
    assert reference["bleu-4"].value == pytest.approx(1)


def test_summary_lacks_what_is_undefined(scored: Scored) -> None:
    silent = of_report(scored, "silent")
    assert "truth-precision" not in silent  # nothing asserted
    assert silent["truth-recall"].value == 0


def test_summary_counts_the_studies_of_each_part(scored: Scored) -> None:
    found = scored.summary["reference"]
    with_impression = sum(case.report.impression is not None for case in PHANTOMS)
    assert with_impression < len(PHANTOMS)
    assert found.scores["all"]["impression"]["rouge-l"].studies == with_impression
    assert found.scores["all"]["report"]["rouge-l"].studies == len(PHANTOMS)
    assert found.studies["all"]["impression"] == with_impression


def test_a_mean_counts_only_the_studies_that_have_a_score(scored: Scored) -> None:
    both = sum(bool(case.report.findings and case.report.impression) for case in PHANTOMS)
    assert both < len(PHANTOMS)
    assert of_report(scored, "reference")["consistency-rate"].studies == both


def test_labels_graph_and_consistency_rank_the_systems(scored: Scored) -> None:
    reference, cut, silent = (of_report(scored, name) for name in ("reference", "cut", "silent"))
    for metric in ("rules-label-f1", "rules-radeval-micro-14", "lexicon-graph-partial", "consistency-rate"):
        assert reference[metric].value > cut[metric].value
    impression = [scored.summary[name].scores["all"]["impression"] for name in ("reference", "cut")]
    assert impression[0]["rules-label-f1"].value == reference["lexicon-graph-partial"].value == 1
    assert impression[0]["rules-label-f1"].value > impression[1]["rules-label-f1"].value
    for metric in ("rules-label-f1", "lexicon-graph-partial", "consistency-rate"):
        assert silent[metric].value == 0


def test_label_f1_is_the_published_convention_on_chest_x_rays(scored: Scored) -> None:
    for found in scored.summary.values():
        for part in PARTS:
            metrics = found.scores["all"][part]
            assert metrics["rules-label-f1"] == metrics["rules-radeval-micro-14"]


def test_what_is_made_up_and_left_out_is_told_label_by_label(scored: Scored) -> None:
    labels = scored.summary["silent"].per_label["report"]["omission-rate"]
    assert {value.value for value in labels.values()} == {1.0}
    assert "Edema" in labels
    assert scored.summary["reference"].per_label["report"]["truth-f1"]["edema"].value > 0.9


def test_critical_studies_are_summed_up_apart(scored: Scored) -> None:
    mine = [row for row in scored.rows if row.system == "reference" and row.part == "report"]
    critical = sum(bool(row.is_critical) for row in mine)
    assert 0 < critical < len(mine)
    assert scored.summary["reference"].scores["critical"]["report"]["rouge-l"].studies == critical


def test_a_study_that_nobody_decided_is_in_no_critical_subset() -> None:
    written = [Written(study(TEXT, study_id=name), "model", TEXT) for name in ("a", "b", "c")]
    scores, rows = run_scores(written, {"a": True, "b": False})
    assert {row.study_id: row.is_critical for row in rows} == {"a": True, "b": False, "c": None}
    assert scores.summaries()["model"].studies["critical"]["report"] == 1


def test_a_system_differs_from_a_worse_one_and_not_from_itself(scored: Scored) -> None:
    compared = scored.scores.differences([("reference", "cut"), ("cut", "cut"), ("cut", "absent")])
    assert set(compared) == {"reference - cut", "cut - cut"}
    better = compared["reference - cut"].scores["all"]["impression"]["rules-label-f1"]
    assert 0 < better.low < better.value
    assert better.p < 0.02
    same = compared["cut - cut"].scores["all"]
    assert {(row.value, row.p) for part in same.values() for row in part.values()} == {(0.0, 1.0)}


def test_systems_are_scored_as_if_each_were_alone(scored: Scored) -> None:
    """Equal texts are scored once and references are read once: that must not show in any number."""
    truth = {row.study_id: row.is_critical for row in scored.rows}
    for system in ("fixed", "cut"):
        alone = []
        for case in PHANTOMS[:40]:
            text = render_report(findings=case.report.findings, impression=case.report.impression)
            fixed = render_report(
                findings=PHANTOMS[0].report.findings, impression=PHANTOMS[0].report.impression
            )
            said = fixed if system == "fixed" else text[: len(text) // 2]
            alone.append(Written(study(text, truth=case.truth, study_id=case.study_id), system, said))
        others = [Written(row.study, "another", row.text) for row in alone[::-1]]
        mine = run_scores(alone, truth)[1]  # type: ignore[arg-type]
        together = run_scores([*alone, *others], truth)[1]  # type: ignore[arg-type]
        assert [row for row in together if row.system == system] == mine
        assert [
            row.model_copy(update={"system": system}) for row in together if row.system == "another"
        ] == mine


def test_other_examinations_have_their_own_labels_and_none_of_chexpert() -> None:
    plan = make_plan("run", PARTS, ontology="carotid-ultrasound")
    assert "rules-radeval-micro-14" in plan.not_run
    text = (
        "FINDINGS: Calcified plaque in the right internal carotid artery.\nIMPRESSION: Right carotid plaque."
    )
    scores = RunScores(plan, ["model"], samples=100, confidence=0.95, seed=0)
    written = [Written(study(text), "model", "FINDINGS: Soft plaque in the left internal carotid artery.")]
    rows = [row for rows in scores.score(cases_of(written, {})) for row in rows]
    assert len(rows[0].statistics["rules-labels"]) == 2 * len(plan.vocabulary.columns)
    labels = scores.summaries()["model"].per_label["report"]
    assert labels["omission-rate"]["Calcified Plaque"].value == 1
    assert labels["hallucination-rate"]["Soft Plaque"].value == 1
    assert labels["rules-label-f1"]["Plaque"].value == 1
    with pytest.raises(ConfigError, match="14 CheXpert classes"):
        make_plan("rules-radeval-micro-14", PARTS, ontology="carotid-ultrasound")


def test_dropping_a_section_is_no_way_to_be_consistent() -> None:
    with_both = scores_by_part(TEXT, TEXT)["report"]
    without = scores_by_part(TEXT, WITHOUT_IMPRESSION)["report"]
    not_asked = scores_by_part(WITHOUT_IMPRESSION, WITHOUT_IMPRESSION)["report"]
    rates = [row.values["consistency-rate"] for row in (with_both, without, not_asked)]
    assert rates == [1, 0, None]
