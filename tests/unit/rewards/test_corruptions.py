"""Gold scores the maximum, everything wrong less, and gaming less than honest imperfection."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rewards.corruptions import (
    CORRUPTIONS,
    DEGENERATE,
    always_normal,
    with_impression_of,
    written,
)
from tests.unit.rewards.own_reports import OWN_REPORTS

from radflow.config import RewardConfig
from radflow.data.phantoms.chest import make_chest_report
from radflow.data.sections import report_from_fields
from radflow.records import Report, RewardScore
from radflow.rewards.hierarchical import HierarchicalReward

GOLD = 4.0
"""All four terms at 1 with weight 1."""
CLEARLY = 0.9
"""What a degenerate output must lose at least against the reference."""
REWARD = HierarchicalReward()
OWN = [pair.report for pair in OWN_REPORTS]


def score(references: Sequence[Report], texts: Sequence[str]) -> list[RewardScore]:
    return REWARD.score(references=references, predictions=texts, study_ids=["x"] * len(texts))


def total(reference: Report, text: str) -> float:
    value = score([reference], [text])[0].total
    assert value is not None
    return value


def gold(report: Report) -> str:
    return written(report.findings, report.impression)


def corrupted(report: Report, other: Report) -> dict[str, str]:
    """Every corruption that applies to a report."""
    texts = {name: corrupt(report) for name, corrupt in CORRUPTIONS.items()}
    texts["copied Impression"] = with_impression_of(other)(report)
    return {name: text for name, text in texts.items() if text is not None}


@pytest.mark.parametrize("pair", OWN_REPORTS, ids=lambda pair: pair.kind)
def test_gold_scores_the_maximum_and_every_corruption_less(pair: object) -> None:
    place = OWN_REPORTS.index(pair)  # type: ignore[arg-type]
    assert total(OWN[place], gold(OWN[place])) == pytest.approx(GOLD)
    for name, text in corrupted(OWN[place], OWN[place - 1]).items():
        assert total(OWN[place], text) < GOLD - 0.02, name


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_applies_to_most_kinds_of_reports(name: str) -> None:
    assert sum(CORRUPTIONS[name](report) is not None for report in OWN) >= 12


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in ("omission", "side swap")])
def test_a_term_beyond_the_words_notices_each_corruption(name: str) -> None:
    for report in OWN:
        text = CORRUPTIONS[name](report)
        if text is not None:
            found = score([report], [text])[0].terms
            clinical = [found[term].value for term in ("domain", "consistency", "impression")]
            assert min(value for value in clinical if value is not None) < 1, name


@lru_cache(maxsize=512)
def phantom(index: int) -> Report:
    report = make_chest_report(index, seed=5)
    return report_from_fields(findings=report.findings, impression=report.impression)


COMPLETE = st.integers(0, 400).map(phantom).filter(lambda report: report.findings and report.impression)


@settings(max_examples=80, deadline=None)
@given(COMPLETE, COMPLETE)
def test_no_corruption_of_a_phantom_scores_like_gold(report: Report, other: Report) -> None:
    best = score([report], [gold(report)])[0]
    values = {name: term.value for name, term in best.terms.items()}
    assert (values["language"], values["domain"], values["impression"]) == (1.0, 1.0, 1.0)
    if values["consistency"] == 1:  # a phantom's own Impression may soften or omit, as real ones do
        for name, text in corrupted(report, other).items():
            assert total(report, text) < GOLD - 1e-6, name


@settings(max_examples=40, deadline=None)
@given(COMPLETE)
def test_degenerate_outputs_score_clearly_less_than_a_phantoms_report(report: Report) -> None:
    for name, degenerate in DEGENERATE.items():
        text = degenerate(report)
        if text is not None and not is_as_normal(report, text):
            assert total(report, text) < GOLD - 0.45, name


def is_as_normal(report: Report, text: str) -> bool:
    """Whether the most frequent report happens to be the right one, word for word or nearly."""
    return text == always_normal(report) and total(report, text) > GOLD - CLEARLY


MEANS = {
    "no headers": 0.85,
    "everything denied": 1.32,
    "everything asserted": 1.30,
    "Impression repeats Findings": 2.79,
    "one header for both": 0.93,
    "Findings twice": 2.96,
    "always normal": 1.62,
    "honest": 3.14,
}
"""Mean rewards over OWN_REPORTS (always normal: over those that aren't it word for word), as docs/reward.md
shows them; `python -m tests.unit.rewards.test_corruptions` prints them anew."""


def degenerate_mean(name: str, reward: HierarchicalReward = REWARD) -> float:
    """Mean reward of a degenerate output, or of the honest imperfect reports."""
    rows: list[tuple[Report, str]] = []
    for pair, report in zip(OWN_REPORTS, OWN, strict=True):
        text = pair.imperfect if name == "honest" else DEGENERATE[name](report)
        if text is not None and text != gold(report):
            rows.append((report, text))
    scores = reward.score(
        references=[report for report, _ in rows],
        predictions=[text for _, text in rows],
        study_ids=["x"] * len(rows),
    )
    return mean(record.total for record in scores if record.total is not None)


@pytest.mark.parametrize("name", DEGENERATE)
def test_gaming_the_reward_pays_less_than_honest_imperfection(name: str) -> None:
    value = degenerate_mean(name)
    assert value < degenerate_mean("honest") - 0.1
    assert value < GOLD - CLEARLY
    assert value == pytest.approx(MEANS[name], abs=0.1)


def test_without_the_repetition_factor_copying_pays_more_than_honest_imperfection() -> None:
    """Why `reward.repetition` is on by default, though the paper has nothing like it."""
    paper = HierarchicalReward(RewardConfig(repetition="ignored", domain_level="partial"))
    honest = degenerate_mean("honest", paper)
    assert degenerate_mean("Impression repeats Findings", paper) > honest
    assert degenerate_mean("Findings twice", paper) > honest


EXCHANGE = (
    "FINDINGS: Atelectasis at the left lung base. The right lung is clear.\nIMPRESSION: No acute disease.",
    "FINDINGS: Atelectasis at the right lung base. The left lung is clear.\nIMPRESSION: No acute disease.",
)


def test_exchanged_sides_are_seen_by_relations_and_not_by_the_papers_level() -> None:
    """Why `reward.domain_level` is partial_complete by default."""
    reference, prediction = EXCHANGE
    partial = HierarchicalReward(RewardConfig(domain_level="partial"))
    totals = {}
    for name, reward in (("paper", partial), ("ours", REWARD)):
        totals[name] = reward([None], [prediction], reference=[reference])[0]
        assert reward([None], [reference], reference=[reference])[0] == pytest.approx(GOLD)
    assert totals["paper"] == pytest.approx(GOLD)
    assert totals["ours"] is not None
    assert totals["ours"] < GOLD - 0.05


def real_reports(root: Path, count: int) -> list[Report]:
    with (root / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["findings"] and row["impression"]]
    random.Random(0).shuffle(rows)
    return [
        report_from_fields(findings=row["findings"], impression=row["impression"]) for row in rows[:count]
    ]


@pytest.mark.data
def test_real_reports_score_the_maximum_and_their_corruptions_less(real_data: Path) -> None:
    """Of 200 real reports; what exchanges two sides that read alike can go unseen: 1 of 63 swaps does."""
    reports = real_reports(real_data, 200)
    best = score(reports, [gold(report) for report in reports])
    consistent = [number for number, record in enumerate(best) if record.terms["consistency"].value == 1]
    assert len(consistent) >= 180
    assert all(best[number].total == pytest.approx(GOLD) for number in consistent)
    functions: dict[str, Callable[[Report], str | None]] = {**CORRUPTIONS, **DEGENERATE}
    for name, function in functions.items():
        texts = [(reports[number], function(reports[number])) for number in consistent]
        rows = [(report, text) for report, text in texts if text is not None and text != gold(report)]
        scores = score([report for report, _ in rows], [text for _, text in rows])
        unseen = sum((record.total or 0.0) >= GOLD - 1e-9 for record in scores)
        assert unseen <= (1 if name == "side swap" else 0), name
        if name in DEGENERATE:
            assert mean(record.total or 0.0 for record in scores) < GOLD - CLEARLY, name


if __name__ == "__main__":
    for each in MEANS:
        print(f"{each:28} {degenerate_mean(each):.2f}")  # noqa: T201
