"""Against human labels of real reports: what was reached on the half that no rule was tuned on."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.labeler_accuracy import GOLD, compare, gold, halves, indiana, micro, said_present

from radflow.clinical.labeler import RuleLabeler

pytestmark = pytest.mark.data


def test_held_out_reports_agree_with_human_readers(real_data: Path) -> None:
    """Micro F1 of eight findings >= 0.92, and >= 0.80 for each that has 15 positives or more."""
    labels, rows, labeler = gold(real_data), indiana(real_data), RuleLabeler()
    _, held_out = halves(labels)
    assert len(held_out) == 960
    said = {study: said_present(rows[study], labeler) for study in held_out}
    counts = compare(said, labels, GOLD, held_out)
    assert (micro(counts).f1 or 0) >= 0.92
    common = {name: count for name, count in counts.items() if count[0] + count[2] >= 15}
    assert len(common) >= 4
    assert {name: count.f1 for name, count in common.items() if (count.f1 or 0) < 0.80} == {}
