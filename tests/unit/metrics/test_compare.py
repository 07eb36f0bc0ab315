"""Comparisons of two systems: the numbers of each test alone, and nothing compared unpaired."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from radflow.clinical.criticality import RuleCriticality
from radflow.data.phantoms.chest import make_chest_case
from radflow.data.sections import parse_report, render_report
from radflow.errors import DataError, RunError
from radflow.metrics.collected import Collected, columns_of
from radflow.metrics.compare import Comparison, compare_systems, pair_scores
from radflow.metrics.paired import holm, paired_difference, paired_permutation
from radflow.metrics.report_parts import PARTS
from radflow.metrics.run_scores import RunScores, Written, cases_of
from radflow.metrics.scoring import make_plan
from radflow.metrics.truth_findings import TRUTHS
from radflow.records import MetricRow, Study

OPTIONS = {"samples": 200, "seed": 3}
CASES = [make_chest_case(index, seed=11) for index in range(60)]


PLAN = make_plan("run", PARTS)
PLAN_METRICS = {metric.name: metric for metric in PLAN.metrics}


def scores_of(
    system: str, write: Callable[[str], str], patients: dict[str, str] | None = None
) -> list[MetricRow]:
    written, critical = [], {}
    rules = RuleCriticality()
    for case in CASES:
        text = render_report(findings=case.report.findings, impression=case.report.impression)
        report = parse_report(text)
        study = Study(
            study_id=case.study_id,
            patient_id=(patients or {}).get(case.study_id),
            split="test",
            images=("a.png",),
            report=report,
            truth=case.truth,
        )
        critical[case.study_id] = rules.decide(case.study_id, report).is_critical
        written.append(Written(study, system, write(text)))
    scores = RunScores(PLAN, [system], samples=100, confidence=0.95, seed=0)
    return [row for rows in scores.score(cases_of(written, critical)) for row in rows]


def collected(rows: list[MetricRow]) -> Collected:
    found = Collected(PLAN.metrics, PARTS)
    found.add(sorted(rows, key=lambda row: (row.study_id, row.part)))
    return found


WHOLE = scores_of("whole", lambda text: text)
CUT = scores_of("cut", lambda text: text[: len(text) // 2])
SILENT = scores_of("silent", lambda text: "")


def compared(first: list[MetricRow], second: list[MetricRow], **options: object) -> dict[str, Comparison]:
    rows = compare_systems(first, second, **{**OPTIONS, **options})  # type: ignore[arg-type]
    return {row.metric: row for row in rows}


def test_numbers_are_those_of_each_test_alone() -> None:
    rows = compared(WHOLE, CUT)
    whole, cut = collected(WHOLE), collected(CUT)
    tried = 0
    for part in PARTS:
        for subset, mask in whole.subsets(part).items():
            sides = (columns_of(side, part, labels=False) for side in (whole, cut))
            for one, other in zip(*sides, strict=True):
                both = one.scored & other.scored & mask
                rows_a, rows_b = one.rows[both], other.rows[both]
                for (metric, _), sums in one.sums.items():
                    key = ("critical/" if subset == "critical" else "") + f"{part}/{metric}"
                    if key not in rows:
                        assert not both.any()
                        continue
                    found, aggregate = rows[key], sums.aggregate
                    difference = paired_difference(rows_a, rows_b, aggregate, confidence=0.95, **OPTIONS)
                    assert found.p == paired_permutation(rows_a, rows_b, aggregate, **OPTIONS)
                    tried += 1
                    if difference is None:
                        assert found.difference is None
                    else:
                        assert found.difference is not None
                        assert found.difference.p == difference.p
                        assert found.difference.model_dump() == pytest.approx(difference.model_dump())
    assert tried == len(rows) > 100


def test_the_truth_beats_its_half() -> None:
    rows = compared(WHOLE, CUT)
    for metric in ("report/bleu-4", "report/rouge-l", "impression/rouge-l", "report/truth-f1"):
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
    names = {metric.rpartition("/")[2] for metric in sizes}
    assert names >= {"rouge-l", "cider", "lexicon-graph-partial", "consistency-rate"}
    assert all(PLAN_METRICS[name].sums.is_mean for name in names)
    assert (
        min(sizes[metric] for metric in sizes if metric.endswith(("rouge-l", "partial", "consistency-rate")))
        > 1
    )


def test_metrics_undefined_for_one_system_stay_in_the_table_without_a_test() -> None:
    row = compared(WHOLE, SILENT)["report/truth-precision"]  # silence asserts nothing: 0 / 0
    assert row.first is not None
    assert (row.second, row.difference, row.p, row.p_holm) == (None, None, None, None)


def test_correction_is_over_the_metrics_that_were_tested() -> None:
    rows = [row for row in compared(CUT, SILENT).values() if row.p is not None]
    assert len(rows) < len(compared(CUT, SILENT))
    assert [row.p_holm for row in rows] == holm([row.p for row in rows if row.p is not None])


def test_chosen_metrics_are_corrected_among_themselves() -> None:
    rows = compared(WHOLE, CUT, metrics=["report/bleu-4", "report/truth-f?"])
    assert rows.keys() == {"report/bleu-4", "report/truth-f1"}
    assert sorted(row.p_holm or 0 for row in rows.values()) == pytest.approx([2 / 201, 2 / 201])


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean report/bleu-4"):
        compared(WHOLE, CUT, metrics=["report/blue-4"])
    with pytest.raises(DataError, match="Did you mean bleu-4"):
        compared(WHOLE, CUT, metrics=["blue-4"])


def test_a_bare_name_is_the_metric_in_every_part_and_labels_are_asked_for() -> None:
    assert compared(WHOLE, CUT, metrics=["bleu-4"]).keys() == {f"{part}/bleu-4" for part in PARTS}
    assert compared(WHOLE, CUT, metrics=["critical/*/bleu-4"]).keys() == {
        f"critical/{part}/bleu-4" for part in PARTS
    }
    assert not any(metric.removeprefix("critical/").count("/") > 1 for metric in compared(WHOLE, CUT))
    labels = compared(WHOLE, CUT, metrics=["report/truth-f1/*"])
    assert "report/truth-f1/edema" in labels
    assert labels.keys() == {f"report/truth-f1/{name}" for name in TRUTHS["chest"].observations}


def test_metrics_of_one_system_only_are_not_compared() -> None:
    fewer = [row.model_copy(update={"values": {"bleu-4": row.values["bleu-4"]}}) for row in CUT]
    assert {metric.rpartition("/")[2] for metric in compared(WHOLE, fewer)} == {"bleu-4"}


def test_scores_of_a_metric_that_is_unknown_here_are_refused() -> None:
    rows = [row.model_copy(update={"values": {"bleu-9": 0.5}}) for row in CUT]
    with pytest.raises(RunError, match="bleu-9 as this version"):
        compared(rows, rows)


def test_order_of_the_rows_does_not_matter() -> None:
    assert compared(WHOLE[::-1], CUT) == compared(WHOLE, CUT)


def test_other_studies_are_refused_and_counted() -> None:
    dropped = CASES[4].study_id
    fewer = [score for score in CUT if score.study_id != dropped]
    with pytest.raises(DataError, match="1 only in the first, 0 only in the second"):
        compared(WHOLE, fewer)
    pairs = pair_scores(WHOLE, fewer)
    assert (pairs.only_first, pairs.only_second) == ((dropped,), ())
    row = compared(pairs.first, pairs.second)["report/rouge-l"]
    assert row.studies == len(CASES) - 1


def test_another_reference_of_the_same_study_is_refused() -> None:
    other = [WHOLE[0].model_copy(update={"reference": "0" * 12}), *WHOLE[1:]]
    with pytest.raises(DataError, match="different references"):
        pair_scores(other, CUT)


def test_two_rows_of_one_study_are_refused() -> None:
    with pytest.raises(DataError, match="two rows"):
        pair_scores([*WHOLE, WHOLE[0]], CUT)


def test_patients_are_drawn_as_a_whole() -> None:
    """Sixty studies of six patients: fewer units, so p can't go below that of all 2 ** 6 swaps."""
    patients = {case.study_id: str(index % 6) for index, case in enumerate(CASES)}
    row = compared(scores_of("whole", lambda text: text, patients), CUT)["report/rouge-l"]
    assert row.p == pytest.approx(2 / 2**6)
    assert row.studies == 60
    assert np.isfinite(row.difference.p if row.difference else np.nan)


def test_nothing_shared_compares_nothing() -> None:
    assert compare_systems([], [], **OPTIONS) == []  # type: ignore[arg-type]
