"""The rules of consistency on cases that were written before them; one half was never looked at in tuning."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from radflow.clinical.consistency import LabelConsistency
from radflow.records import Consistency, Report

CASES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("consistency_cases.yaml").read_text(encoding="utf-8")
)
CHECKS = {name: LabelConsistency(name) for name in ("chest-xray", "carotid-ultrasound")}


def tuned_ids() -> set[str]:
    """The half that was looked at: a seeded draw over the sorted ids."""
    ids = sorted(case["id"] for case in CASES)
    random.Random(0).shuffle(ids)
    return set(ids[: len(ids) // 2])


TUNED = tuned_ids()


def check(case: dict[str, Any]) -> Consistency:
    report = Report(text="", findings=case["findings"], impression=case["impression"])
    return CHECKS[case["ontology"]].check(report)


def is_right(case: dict[str, Any]) -> bool:
    wanted = case["want"] if case["want"] in {"consistent", "not_applicable"} else "inconsistent"
    return check(case).verdict == wanted


@pytest.mark.parametrize("case", [case for case in CASES if case["id"] in TUNED], ids=lambda case: case["id"])
def test_every_tuned_case_is_right(case: dict[str, Any]) -> None:
    assert is_right(case)


def test_nine_of_ten_held_out_cases_are_right_the_hard_ones_too() -> None:
    held_out = [case for case in CASES if case["id"] not in TUNED]
    hard = [case for case in held_out if case["hard"]]
    assert sum(map(is_right, held_out)) / len(held_out) >= 0.9
    assert sum(map(is_right, hard)) / len(hard) >= 0.85


def test_the_set_is_large_and_mostly_hard() -> None:
    assert len(CASES) >= 150
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert sum(case["hard"] for case in CASES) > len(CASES) / 2
    assert sum(case["ontology"] == "carotid-ultrasound" for case in CASES) >= 15


def test_verdict_and_problems_belong_together_and_spans_show_the_words() -> None:
    for case in CASES:
        found = check(case)
        assert (found.verdict == "inconsistent") == bool(found.problems)
        for problem in found.problems:
            for span, section in (
                (problem.findings_span, case["findings"]),
                (problem.impression_span, case["impression"]),
            ):
                assert span is None or section[slice(*span)].strip()
            assert (problem.impression_span is None) == (problem.kind == "critical_omitted")
            assert (problem.findings_span is None) == (problem.kind == "unsupported")
