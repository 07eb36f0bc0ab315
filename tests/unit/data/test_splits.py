"""Splits partition the studies, keep patients together, and don't depend on the order of a file."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.config import SplitConfig
from radflow.data.sources import SourceStudy
from radflow.data.splits import assign_splits, parse_split
from radflow.errors import DataError
from radflow.records import Report, Split


def study(study_id: str, patient: str | None = None, split: Split | None = None) -> SourceStudy:
    return SourceStudy(study_id=study_id, patient_id=patient, images=(), report=Report(text=""), split=split)


def split_ids(
    studies: Sequence[SourceStudy], *, seed: int = 0, **settings: Any
) -> tuple[dict[str, Split], dict[str, str]]:
    """Split by study id, and the reason by id of those left out."""
    assigned, left_out, _ = assign_splits(studies, SplitConfig(**settings), seed=seed)
    return {s.study_id: split for s, split in assigned}, {item.study_id: item.reason for item in left_out}


@st.composite
def many_studies(draw: st.DrawFn) -> list[SourceStudy]:
    patients = draw(st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=60, max_size=120))
    return [study(f"s{i}", None if p is None else f"p{p}") for i, p in enumerate([*range(41, 61), *patients])]


@settings(deadline=None, max_examples=40)
@given(studies=many_studies(), seed=st.integers(0, 2**31), order=st.randoms(use_true_random=False))
def test_seeded_draw_is_a_partition_of_patients_whatever_the_order(
    studies: list[SourceStudy], seed: int, order: Any
) -> None:
    splits, left_out = split_ids(studies, seed=seed, method="seeded")
    assert set(splits) == {s.study_id for s in studies}
    assert not left_out
    of_patient = defaultdict(set)
    for s in studies:
        of_patient[s.patient_id or s.study_id].add(splits[s.study_id])
    assert all(len(found) == 1 for found in of_patient.values())
    sizes = Counter(next(iter(found)) for found in of_patient.values())
    assert sizes["test"] == round(0.2 * len(of_patient))
    assert sizes["validation"] == round(0.1 * len(of_patient))
    shuffled = list(studies)
    order.shuffle(shuffled)
    assert split_ids(shuffled, seed=seed, method="seeded")[0] == splits
    assert split_ids(studies, seed=seed + 1, method="seeded")[0] != splits


def test_result_keeps_the_order_of_the_studies() -> None:
    studies = [study(f"s{n}") for n in (5, 3, 9, 1, 7, 2)]
    division = assign_splits(studies, SplitConfig(), seed=1)
    assert [s for s, _ in division.assigned] == studies


def test_the_draw_never_changes_between_versions() -> None:
    splits, _ = split_ids([study(f"s{n}") for n in range(10)], method="seeded")
    assert {key for key, split in splits.items() if split == "test"} == {"s0", "s2"}
    assert {key for key, split in splits.items() if split == "validation"} == {"s7"}


def test_a_patient_is_never_mistaken_for_a_study_of_the_same_id() -> None:
    studies = [study("7"), *(study(f"a{n}", "7") for n in range(3)), *(study(f"b{n}") for n in range(30))]
    differ = [
        seed
        for seed in range(20)
        if (splits := split_ids(studies, seed=seed, method="seeded")[0])["7"] != splits["a0"]
    ]
    assert differ


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_a_share_above_zero_gets_a_patient(share: float) -> None:
    splits, _ = split_ids([study(f"s{n}") for n in range(9)], method="seeded", test=share, validation=share)
    expected = {"train": 7, "test": 1, "validation": 1} if share else {"train": 9}
    assert Counter(splits.values()) == expected


def test_auto_takes_the_sources_split_else_draws() -> None:
    with_split = [study("a", split="train"), study("b", split="test"), study("c")]
    assert split_ids(with_split) == ({"a": "train", "b": "test"}, {"c": "no_split_in_source"})
    without = [study(f"s{n}") for n in range(20)]
    assert split_ids(without) == split_ids(without, method="seeded")


def test_leaking_patients_are_named_up_to_five_with_a_remedy() -> None:
    studies = [study(f"{p}{s}", p, s) for p in "abcdefg" for s in ("train", "test")]
    with pytest.raises(DataError, match=r"7 \(a, b, c, d, e, \.\.\.\)") as caught:
        split_ids(studies, method="source")
    assert "seeded" in str(caught.value)
    assert len(split_ids(studies, method="seeded")[0]) == 14


def test_no_training_study_is_an_error() -> None:
    for studies in ([], [study("a", split="test")], [study("a"), study("b")]):
        with pytest.raises(DataError, match="no training study") as caught:
            split_ids(studies)
        assert "split file" not in str(caught.value)  # there is none


def annotation(path: Path, **splits: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({key.replace("spaces", "    "): entries for key, entries in splits.items()}))
    return path


def test_r2gen_ids_and_keys(tmp_path: Path) -> None:
    """The published test split is called by four spaces; an entry's own split counts before the key."""
    file = annotation(
        tmp_path / "annotation.json",
        train=[{"id": "CXR2384_IM-0942", "report": "secret", "split": "train"}, {"id": "CXR1_1_IM-0001"}],
        val=[{"id": "CXR2056_IM-0694-1001"}, {"id": "CXR11_IM-0067", "split": "test"}],
        spaces=[{"id": "CXR9_IM-0001"}, {"id": "CXR404_IM-0001"}],
    )
    studies = [study(f"CXR{n}", str(n)) for n in (2384, 1, 2056, 11, 9, 5)]
    splits, left_out = split_ids(studies, method="r2gen", file=file)
    assert splits == {
        "CXR2384": "train",
        "CXR1": "train",
        "CXR2056": "validation",
        "CXR11": "test",
        "CXR9": "test",
    }
    assert left_out == {"CXR5": "not_in_split_file"}
    (note,) = assign_splits(studies, SplitConfig(method="r2gen", file=file), seed=0).notes
    assert "1 of 6 ids" in note
    assert "CXR404" in note


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"train": {}}',
        '{"train": [1]}',
        '{"train": [{"split": "train"}]}',
        '{"x": [{"id": "a"}]}',
    ],
)
def test_bad_annotation_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "annotation.json"
    file.write_text(content)
    with pytest.raises(DataError, match=r"annotation\.json"):
        split_ids([study("a")], method="r2gen", file=file)
    with pytest.raises(DataError, match=r"annotation\.json"):
        split_ids([study("a")], method="r2gen", file=tmp_path / "none.json")


def test_study_in_two_splits_of_the_file_is_an_error(tmp_path: Path) -> None:
    file = annotation(
        tmp_path / "annotation.json", train=[{"id": "CXR1_IM-0001"}], val=[{"id": "CXR1_IM-0002"}]
    )
    with pytest.raises(DataError, match="CXR1"):
        split_ids([study("CXR1")], method="r2gen", file=file)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_ids_file(tmp_path: Path, kind: str) -> None:
    rows = [("a", "training"), ("b", "dev"), ("c", "Test")]
    file = tmp_path / f"ids.{kind}"
    if kind == "csv":
        file.write_text("id,split\n" + "".join(f"{i},{s}\n" for i, s in rows))
    else:
        file.write_text("".join(json.dumps({"id": i, "split": s}) + "\n" for i, s in rows))
    splits, left_out = split_ids([study(i) for i in "abcd"], method="ids", file=file)
    assert splits == {"a": "train", "b": "validation", "c": "test"}
    assert left_out == {"d": "not_in_split_file"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,fold\na,train\n", "'split'"),
        ("id,split\na,\n", "row 1"),
        ("id,split\na,train\nb,later\n", "row 2"),
        ("id,split\na,train\na,test\n", "two splits"),
    ],
)
def test_bad_ids_file_names_the_row(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "ids.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        split_ids([study("a")], method="ids", file=file)


def test_leak_through_a_split_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("id,split\na,train\nb,test\n")
    with pytest.raises(DataError, match=r"1 \(p\)"):
        split_ids([study("a", "p"), study("b", "p")], method="ids", file=file)


def test_studies_without_patient_id_are_noted_unless_the_source_splits(tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("id,split\na,train\nb,test\nc,train\n")
    studies = [study("a", split="train"), study("b", "p", split="test"), study("c", split="train")]
    for method, noted in (("seeded", 1), ("ids", 1), ("source", 0), ("auto", 0)):
        config = SplitConfig.model_validate({"method": method, "file": file})
        notes = assign_splits(studies, config, seed=0).notes
        assert [note.startswith("2 studies have no patient id") for note in notes] == [True] * noted
    assert not assign_splits([study("a", "p"), study("b", "q"), study("c", "r")], SplitConfig(), seed=0).notes


def test_usual_names_of_splits() -> None:
    names = {
        "train": "train training",
        "validation": "val valid validate validation dev",
        "test": "test Testing",
    }
    for split, usual in names.items():
        assert {parse_split(f" {name.upper()} ") for name in usual.split()} == {split}
    assert parse_split("other") is None
    assert parse_split(None) is None
