"""Random draws over studies: all are filled whatever the memory, and nobody is taken for somebody else."""

from __future__ import annotations

import numpy as np
import pytest

from radflow.errors import DataError
from radflow.metrics import resampling
from radflow.metrics.resampling import bootstrap_sums, cluster_sums, swap_sums


@pytest.mark.parametrize("held", [1, 7, 64])
def test_less_memory_draws_the_same_studies(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.eye(5)
    at_once = bootstrap_sums(rows, samples=23, seed=4)
    monkeypatch.setattr(resampling, "CHUNK", held)
    assert np.array_equal(bootstrap_sums(rows, samples=23, seed=4), at_once)
    assert (at_once.sum(axis=1) == 5).all()


@pytest.mark.parametrize(("held", "units"), [(1, 17), (40, 24), (2**20, 17), (2**20, 20)])
def test_each_study_is_swapped_in_half_of_the_draws(
    held: int, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "CHUNK", held)
    sums, is_exact = swap_sums(np.eye(units), samples=1000, seed=0)
    assert not is_exact
    assert set(np.unique(sums)) == {0, 1}
    assert sums.mean(axis=0) == pytest.approx(np.full(units, 0.5), abs=0.08)
    assert len(np.unique(sums, axis=0)) > 990


def test_the_swaps_are_other_draws_than_the_resamplings() -> None:
    """With one seed for both, a study that is drawn often would be one that is swapped."""
    drawn = bootstrap_sums(np.eye(30), samples=2000, seed=0)
    swapped, _ = swap_sums(np.eye(30), samples=2000, seed=0)
    together = [np.corrcoef(drawn[:, place], swapped[:, place])[0, 1] for place in range(30)]
    assert np.abs(together).max() < 0.1


def test_all_swaps_are_taken_for_up_to_16_studies_where_that_many_are_asked_for() -> None:
    assert swap_sums(np.ones((3, 1)), samples=8, seed=0)[1]
    assert not swap_sums(np.ones((3, 1)), samples=7, seed=0)[1]
    assert swap_sums(np.ones((16, 1)), samples=2**17, seed=0)[0].shape == (2**16, 1)
    assert swap_sums(np.ones((17, 1)), samples=2**17, seed=0)[1] is False
    all_swaps, _ = swap_sums(np.eye(3), samples=8, seed=0)
    assert {tuple(row) for row in all_swaps} == {(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)}


def test_a_patient_whose_name_is_a_number_is_not_the_study_of_that_number() -> None:
    rows = np.array([[1.0], [2.0], [4.0], [8.0]])
    assert cluster_sums(rows, [None, 0, None, 2]).ravel().tolist() == [1, 2, 4, 8]
    assert cluster_sums(rows, ["b", "a", None, "b"]).ravel().tolist() == [9, 2, 4]


def test_as_many_patients_as_studies() -> None:
    with pytest.raises(DataError, match="2 studies but 3 patients"):
        cluster_sums(np.ones((2, 1)), ["a", "b", "c"])
