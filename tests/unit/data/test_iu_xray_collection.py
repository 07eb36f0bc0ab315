"""The IU X-ray source and R2Gen's split on the real collection: counts are those of the data's own README."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from radflow.config import DataConfig, SplitConfig
from radflow.data.sources import SourceStudy
from radflow.data.sources.iu_xray import Entry, _read_entries, read_iu_xray
from radflow.data.splits import assign_splits
from radflow.records import LeftOut

pytestmark = pytest.mark.data

Items = list[SourceStudy | LeftOut]


def read(root: Path, **settings: Any) -> Items:
    return list(read_iu_xray(DataConfig(source="iu_xray", root=root, **settings), 0))


def entries_of(root: Path) -> dict[int, Entry]:
    return {entry.number: entry for entry in _read_entries(root) if isinstance(entry, Entry)}


def studies_of(items: Items) -> list[SourceStudy]:
    return [item for item in items if isinstance(item, SourceStudy)]


def counts(items: Items) -> dict[str, int]:
    return dict(Counter(item.reason if isinstance(item, LeftOut) else "study" for item in items))


@pytest.fixture(scope="module")
def collection(real_data: Path) -> Path:
    return real_data / "iu_xray"


@pytest.fixture(scope="module")
def original(collection: Path) -> dict[int, Entry]:
    return entries_of(collection)


@pytest.fixture(scope="module")
def frontal(collection: Path) -> Items:
    return read(collection)


@pytest.fixture(scope="module")
def every_view(collection: Path) -> Items:
    return read(collection, views="all", max_images=8)


@pytest.fixture(scope="module")
def csv_layout(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kaggle")
    for name in ("indiana_reports.csv", "indiana_projections.csv"):
        (folder / name).write_bytes((collection / name).read_bytes())
    return folder


def test_studies_and_reasons(frontal: Items, every_view: Items) -> None:
    assert counts(every_view) == {"study": 3826, "no_image_listed": 104, "image_file_missing": 25}
    assert counts(frontal) == {
        "study": 3666,
        "no_image_listed": 104,
        "image_file_missing": 25,
        "no_frontal_view": 160,
    }
    assert sum(len(study.images) for study in studies_of(every_view)) == 7426
    numbers = [int(item.study_id.removeprefix("CXR")) for item in every_view]
    assert len(numbers) == 3955
    assert numbers == sorted(numbers)


def test_every_kept_image_has_a_known_view(frontal: Items, every_view: Items) -> None:
    assert {view for study in studies_of(frontal) for view in study.metadata["views"]} == {"frontal"}
    for study in studies_of(every_view):
        assert study.metadata["views"] == sorted(
            study.metadata["views"]
        )  # frontal before lateral, none unknown


def test_sections_of_the_xml_files(original: dict[int, Entry]) -> None:
    findings = {number for number, entry in original.items() if entry.report.findings}
    impression = {number for number, entry in original.items() if entry.report.impression}
    assert (len(original), len(findings), len(impression)) == (3955, 3425, 3921)
    assert len(findings & impression) == 3419
    assert sum(not entry.image_keys for entry in original.values()) == 104
    assert sum(len(entry.image_keys) for entry in original.values()) == 7470


def test_reports_without_sections_have_no_image(original: dict[int, Entry], frontal: Items) -> None:
    """So no study is left out as no_report here: 25 of these 28 list images that aren't on disk."""
    empty = {f"CXR{n}" for n, entry in original.items() if not entry.report.text}
    left_out = {item.study_id: item.reason for item in frontal if isinstance(item, LeftOut)}
    assert Counter(left_out[study_id] for study_id in empty) == {
        "image_file_missing": 25,
        "no_image_listed": 3,
    }


def test_layouts_agree(original: dict[int, Entry], csv_layout: Path) -> None:
    """Findings, Impression, comparison and codings agree in all 3,851 shared reports.

    Three indications differ: a spreadsheet turned them, which start with + or -, into #NAME?. Four images
    that three XML files list are unknown to the CSVs; none of them is on disk.
    """
    copy = entries_of(csv_layout)
    assert len(copy) == 3851
    assert sum(bool(entry.report.findings and entry.report.impression) for entry in copy.values()) == 3331
    shared = [(original[number], entry) for number, entry in copy.items()]
    assert {
        "report": [a.number for a, b in shared if a.report != b.report],
        "comparison": [a.number for a, b in shared if a.comparison != b.comparison],
        "mesh": [a.number for a, b in shared if a.codings["mesh"] != b.codings["mesh"]],
        "indication": [a.number for a, b in shared if a.indication != b.indication],
        "images": [a.number for a, b in shared if set(a.image_keys) != set(b.image_keys)],
    } == {
        "report": [],
        "comparison": [],
        "mesh": [],
        "indication": [1555, 3477, 3784],
        "images": [2084, 2560, 3809],
    }


def test_csv_layout_gives_the_same_studies(collection: Path, csv_layout: Path, every_view: Items) -> None:
    copy = read(csv_layout, images=collection / "images", views="all")
    assert counts(copy) == {"study": 3826, "image_file_missing": 25}
    pairs = zip(studies_of(copy), studies_of(every_view), strict=True)
    assert all(a.study_id == b.study_id and a.report == b.report for a, b in pairs)


def test_native_images_are_found_under_both_names(collection: Path) -> None:
    studies = studies_of(read(collection, images=collection / "native_resolution"))
    assert [study.study_id for study in studies] == ["CXR3", "CXR1000", "CXR1900"]  # CXR7's is lateral


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ("all", {"train": 2069, "validation": 296, "test": 590}),
        ("frontal", {"train": 2063, "validation": 294, "test": 590}),
    ],
)
def test_r2gen_split(
    collection: Path, frontal: Items, every_view: Items, views: str, expected: dict[str, int]
) -> None:
    """All 2,955 entries have an image here; eight of them, six for training, no frontal view."""
    studies = studies_of(every_view if views == "all" else frontal)
    config = SplitConfig(method="r2gen", file=collection / "r2gen" / "annotation.json")
    assigned, left_out, _ = assign_splits(studies, config, seed=0)
    assert Counter(split for _, split in assigned) == expected
    assert {item.reason for item in left_out} == {"not_in_split_file"}
    assert len(assigned) + len(left_out) == len(studies)
