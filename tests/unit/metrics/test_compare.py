"""Comparisons of two systems: the numbers of each test alone, and nothing compared unpaired."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from radflow.data.phantoms.chest import make_chest_case
from radflow.data.sections import parse_report, render_report
from radflow.errors import DataError
from radflow.metrics.clinical_scores import ClinicalReaders
from radflow.metrics.compare import Comparison, compare_systems, pair_scores
from radflow.metrics.paired import holm, paired_difference, paired_permutation
from radflow.metrics.report_scores import Written, score_report
from radflow.metrics.summaries import statistics_of
from radflow.records import Score, Study

OPTIONS = {"samples": 200, "seed": 3}
CASES = [make_chest_case(index, seed=11) for index in range(60)]


def scores_of(system: str, write: Callable[[str], str]) -> list[Score]:
    rows: list[Score] = []
    for case in CASES:
        text = render_report(findings=case.report.findings, impression=case.report.impression)
        report = parse_report(text)
        study = Study(
            study_id=case.study_id, split="test", images=("a.png",), report=report, truth=case.truth
        )
        rows += score_report(Written(study, system, write(text)), readers=ClinicalReaders())
    return rows


WHOLE = scores_of("whole", lambda text: text)
CUT = scores_of("cut", lambda text: text[: len(text) // 2])
SILENT = scores_of("silent", lambda text: "")


def compared(first: list[Score], second: list[Score], **options: object) -> dict[str, Comparison]:
    rows = compare_systems(first, second, **{**OPTIONS, **options})  # type: ignore[arg-type]
    return {row.metric: row for row in rows}


def test_numbers_are_those_of_each_test_alone() -> None:
    rows = compared(WHOLE, CUT)
    whole = sorted(WHOLE, key=lambda score: (score.study_id, score.part))
    cut = sorted(CUT, key=lambda score: (score.study_id, score.part))
    alone = {statistic.name: statistic for statistic in statistics_of(cut)}
    for name, _, rows_a, aggregate in statistics_of(whole):
        if name not in alone:
            continue
        found, rows_b = rows[name], alone[name].rows
        difference = paired_difference(rows_a, rows_b, aggregate, confidence=0.95, **OPTIONS)
        assert found.p == paired_permutation(rows_a, rows_b, aggregate, **OPTIONS)
        if difference is None:
            assert found.difference is None
        else:
            assert found.difference is not None
            assert found.difference.p == difference.p
            assert found.difference.model_dump() == pytest.approx(difference.model_dump())


def test_the_truth_beats_its_half() -> None:
    rows = compared(WHOLE, CUT)
    for metric in ("report/bleu_4", "report/rouge_l", "impression/rouge_l", "findings_truth/f1"):
        row = rows[metric]
        assert row.difference is not None
        assert row.first is not None
        assert row.second is not None
        assert row.difference.value == pytest.approx(row.first - row.second)
        assert row.difference.low > 0
        assert row.p is not None
        assert row.p < 0.01


def test_effect_sizes_are_for_means_over_studies_only() -> None:
    rows = compared(WHOLE, CUT)
    sizes = {metric: row.effect_size for metric, row in rows.items() if row.effect_size is not None}
    assert sizes
    assert {metric.rpartition("/")[2] for metric in sizes} == {"rouge_l", "graph_f1", "consistent"}
    assert min(sizes.values()) > 1


def test_metrics_undefined_for_one_system_stay_in_the_table_without_a_test() -> None:
    row = compared(WHOLE, SILENT)["findings_truth/precision"]  # silence asserts nothing: 0 / 0
    assert row.first is not None
    assert (row.second, row.difference, row.p, row.p_holm) == (None, None, None, None)


def test_correction_is_over_the_metrics_that_were_tested() -> None:
    rows = [row for row in compared(CUT, SILENT).values() if row.p is not None]
    assert len(rows) < len(compared(CUT, SILENT))
    assert [row.p_holm for row in rows] == holm([row.p for row in rows if row.p is not None])


def test_chosen_metrics_are_corrected_among_themselves() -> None:
    rows = compared(WHOLE, CUT, metrics=["report/bleu_4", "findings_truth/f?"])
    assert rows.keys() == {"report/bleu_4", "findings_truth/f1"}
    assert sorted(row.p_holm or 0 for row in rows.values()) == pytest.approx([2 / 201, 2 / 201])


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean report/bleu_4"):
        compared(WHOLE, CUT, metrics=["report/blue_4"])


def test_order_of_the_rows_does_not_matter() -> None:
    assert compared(WHOLE[::-1], CUT) == compared(WHOLE, CUT)


def test_other_studies_are_refused_and_counted() -> None:
    dropped = CASES[4].study_id
    fewer = [score for score in CUT if score.study_id != dropped]
    with pytest.raises(DataError, match="1 only in the first, 0 only in the second"):
        compared(WHOLE, fewer)
    pairs = pair_scores(WHOLE, fewer)
    assert (pairs.only_first, pairs.only_second) == ((dropped,), ())
    row = compared(pairs.first, pairs.second)["report/rouge_l"]
    assert row.studies == len(CASES) - 1


def test_another_reference_of_the_same_study_is_refused() -> None:
    row = WHOLE[0]
    counts = (*row.bleu_counts[:-2], row.bleu_counts[-2] + 1, row.bleu_counts[-1])
    other = [row.model_copy(update={"bleu_counts": counts}), *WHOLE[1:]]
    with pytest.raises(DataError, match="different references"):
        pair_scores(other, CUT)


def test_two_rows_of_one_study_are_refused() -> None:
    with pytest.raises(DataError, match="two rows"):
        pair_scores([*WHOLE, WHOLE[0]], CUT)


def test_patients_are_drawn_as_a_whole() -> None:
    """Sixty studies of six patients: fewer units, so p can't go below that of all 2 ** 6 swaps."""
    patients: dict[str, str | None] = {case.study_id: str(index % 6) for index, case in enumerate(CASES)}
    row = compared(WHOLE, CUT, patients=patients)["report/rouge_l"]
    assert row.p == pytest.approx(2 / 2**6)
    assert row.studies == 60
    assert np.isfinite(row.difference.p if row.difference else np.nan)


def test_nothing_shared_compares_nothing() -> None:
    assert compare_systems([], [], **OPTIONS) == []  # type: ignore[arg-type]
