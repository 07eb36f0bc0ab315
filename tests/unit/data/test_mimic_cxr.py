"""MIMIC-CXR's official layout, on generated trees: no text or image of the collection is here."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.mimic_tree import (
    CLEAR,
    MadeImage,
    MadeStudy,
    Tree,
    dicom_id,
    mixed,
    pa_and_lateral,
    report,
)

from radflow.config import DataConfig, RunConfig
from radflow.data.sources import SourceStudy
from radflow.data.sources.mimic_cxr import read_mimic_cxr
from radflow.data.views import choose_views
from radflow.errors import DataError
from radflow.jsonl import read_jsonl
from radflow.models.prompts import prompt_messages
from radflow.records import LeftOut, Study
from radflow.stages.pipeline import run_stages


def settings(root: Path, **data: Any) -> DataConfig:
    return DataConfig.model_validate({"source": "mimic_cxr", "root": str(root), **data})


def read(root: Path, **data: Any) -> tuple[dict[str, SourceStudy], dict[str, str]]:
    """Studies by id, and the reason by id of those left out."""
    items = list(read_mimic_cxr(settings(root, **data), 0))
    studies = {item.study_id: item for item in items if isinstance(item, SourceStudy)}
    return studies, {item.study_id: item.reason for item in items if isinstance(item, LeftOut)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mimic")
    return mixed(root, root).root


GOOD = ["s50000003", "s50000001", "s50000002", "s50000010", "s50000011", "s50000021", "s50000036"]
LEFT_OUT = {
    "s50000020": "no_frontal_view",
    "s50000030": "no_sections",
    "s50000031": "no_report",
    "s50000032": "image_file_missing",
    "s50000033": "no_image_listed",
    "s50000034": "unreadable_report",
    "s50000035": "no_report",
}


def test_each_study_is_read_or_left_out_for_its_own_reason(tree: Path) -> None:
    studies, left_out = read(tree)
    assert list(studies) == GOOD
    assert left_out == LEFT_OUT


@pytest.mark.parametrize("suffix", [".jpg", ".dcm"])
@pytest.mark.parametrize("reports", ["reports", "reports/mimic-cxr-reports"])
def test_reports_and_images_may_lie_apart(tmp_path: Path, suffix: str, reports: str) -> None:
    """mimic-cxr-reports.zip unpacked in one folder, MIMIC-CXR-JPG or the DICOM tree in another."""
    mixed(tmp_path / reports, tmp_path / "images", suffix)
    studies, left_out = read(tmp_path / "reports", images=str(tmp_path / "images"))
    assert (list(studies), left_out) == (GOOD, LEFT_OUT)
    assert {path.suffix for study in studies.values() for path in study.images} == {suffix}  # type: ignore[union-attr]


def test_root_may_be_the_folder_files_itself(tree: Path) -> None:
    assert list(read(tree / "files")[0]) == GOOD


def test_splits_are_the_official_ones(tree: Path) -> None:
    splits = {study_id: study.split for study_id, study in read(tree)[0].items()}
    assert [splits[name] for name in GOOD] == [*["train"] * 3, *["validation"] * 2, "test", None]


def test_patients_are_known(tree: Path) -> None:
    assert read(tree)[0]["s50000001"].patient_id == "p10000001"


def test_study_carries_the_report_before_it_in_time(tree: Path) -> None:
    """The order is that of StudyDate and StudyTime ("94500.0" is a quarter to ten), not of the ids."""
    studies = read(tree)[0]
    assert studies["s50000003"].previous is None
    assert studies["s50000001"].previous == "FINDINGS: First.\nIMPRESSION: First study."
    assert studies["s50000002"].previous == "FINDINGS: Second.\nIMPRESSION: Second study."
    assert studies["s50000010"].previous is None  # of another patient


def test_previous_report_counts_although_its_study_is_left_out(tmp_path: Path) -> None:
    lost = MadeStudy(50000001, report("Old.", None), [MadeImage(dicom_id(1), is_on_disk=False)], "21500101")
    empty = MadeStudy(50000002, "", [MadeImage(dicom_id(2))], "21510101")
    now = MadeStudy(50000003, CLEAR, [MadeImage(dicom_id(3))], "21520101")
    undated = MadeStudy(50000004, CLEAR, [MadeImage(dicom_id(4))], "")
    Tree(tmp_path, tmp_path, patients={10000001: [lost, empty, now, undated]}).write()
    studies = read(tmp_path)[0]
    assert studies["s50000003"].previous == "FINDINGS: Old."
    assert studies["s50000004"].previous is None


def test_frontal_views_only_or_all_with_frontal_first(tree: Path) -> None:
    assert read(tree)[0]["s50000001"].metadata == {"dicom_ids": [dicom_id(2)], "views": ["PA"]}
    all_views = read(tree, views="all", max_images=4)[0]["s50000001"]
    assert all_views.metadata == {"dicom_ids": [dicom_id(2), dicom_id(1)], "views": ["PA", "LATERAL"]}
    assert [path.stem for path in all_views.images] == [dicom_id(2), dicom_id(1)]  # type: ignore[union-attr]


def test_view_code_stands_in_for_an_empty_view_position(tree: Path) -> None:
    studies = read(tree)[0]
    assert studies["s50000011"].metadata["views"] == ["PA"]
    assert studies["s50000021"].metadata["views"] == [""]  # unknown, taken as none is known to be frontal


def test_views_are_ranked() -> None:
    views = ["SWIMMERS", "XTABLE LATERAL", "", "AP LLD", "LL", "AP", "PA", "LAO", "AP"]
    images = [(Path(str(number)), str(number), view) for number, view in enumerate(views)]
    ranked = [view for _, _, view in choose_views(images, lambda image: image[2], frontal_only=False)]
    assert ranked == ["PA", "AP", "AP", "AP LLD", "", "XTABLE LATERAL", "LL", "SWIMMERS", "LAO"]
    frontal = choose_views(images, lambda image: image[2], frontal_only=True)
    assert [name for _, name, _ in frontal] == ["6", "5", "8", "3"]


def test_group_that_was_not_downloaded_is_not_missed(tmp_path: Path) -> None:
    tree = Tree(tmp_path, tmp_path)
    tree.patients = {
        10000001: [MadeStudy(50000001, CLEAR, pa_and_lateral(1))],
        12000001: [MadeStudy(50000002, None, [MadeImage(dicom_id(3), is_on_disk=False)])],
    }
    tree.write()
    (tmp_path / "files/p12/p12000001/s50000002").rmdir()
    (tmp_path / "files/p12/p12000001").rmdir()
    assert read(tmp_path)[1] == {"s50000002": "no_report"}
    (tmp_path / "files/p12").rmdir()
    studies, left_out = read(tmp_path)
    assert (list(studies), left_out) == (["s50000001"], {})


def test_limit_counts_usable_studies(tree: Path) -> None:
    assert list(read(tree, limit=4)[0]) == GOOD[:4]


def test_official_rule_of_the_last_paragraph_is_a_setting(tmp_path: Path) -> None:
    text = "\n EXAMINATION:  CHEST\n \n Stable.\n"
    Tree(tmp_path, tmp_path, patients={10000001: [MadeStudy(50000001, text, pa_and_lateral(1))]}).write()
    assert read(tmp_path)[1] == {"s50000001": "no_sections"}
    found = read(tmp_path, sections={"fallback": "last_paragraph"})[0]["s50000001"].report
    assert (found.impression, found.impression_found_by) == ("Stable.", "fallback")


def test_history_stands_in_for_the_indication(tmp_path: Path) -> None:
    text = " HISTORY:  Fall.\n \n FINDINGS:  Clear.\n"
    Tree(tmp_path, tmp_path, patients={10000001: [MadeStudy(50000001, text, pa_and_lateral(1))]}).write()
    assert read(tmp_path)[0]["s50000001"].indication == "Fall."


def test_missing_tables_are_named_and_no_other_split_is_drawn(tmp_path: Path) -> None:
    root = mixed(tmp_path, tmp_path).root
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    for method in ("auto", "source"):
        with pytest.raises(DataError, match="no split table"):
            read(root, split={"method": method})
    assert list(read(root, split={"method": "seeded"})[0]) == GOOD
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    with pytest.raises(DataError, match=r"(?s)no metadata table .*mimic-cxr-2\.0\.0-metadata\.csv\.gz"):
        read(root, split={"method": "seeded"})


def test_folder_without_patients_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mimic-cxr-reports\.zip"):
        read(tmp_path)


def test_unpacked_tables_are_read_too(tmp_path: Path) -> None:
    root = mixed(tmp_path, tmp_path).root
    for path in root.glob("mimic-cxr-*.csv.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert list(read(root)[0]) == GOOD


def test_torn_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = mixed(tmp_path, tmp_path).root
    path = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"can't be read .*metadata\.csv\.gz"):
        read(root)


@pytest.mark.parametrize("name", ["../../../../etc/passwd", ".hidden", "a/b", ""])
def test_dicom_id_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    image = MadeImage(name, is_on_disk=False)
    Tree(tmp_path, tmp_path, patients={10000001: [MadeStudy(50000001, CLEAR, [image])]}).write()
    with pytest.raises(DataError, match="dicom_id is no file name"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["report", "image"])
def test_link_out_of_the_collection_is_refused(tmp_path: Path, kind: str) -> None:
    root = mixed(tmp_path / "mimic", tmp_path / "mimic").root
    patient = root / "files/p10/p10000001"
    path = patient / "s50000001.txt" if kind == "report" else next(patient.glob("s50000001/*.jpg"))
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="leads out of the data folder"):
        read(root, views="all")


def test_study_in_two_splits_is_refused(tmp_path: Path) -> None:
    twice = [
        MadeStudy(50000001, CLEAR, pa_and_lateral(1), split="train"),
        MadeStudy(50000001, CLEAR, pa_and_lateral(3), split="test"),
    ]
    Tree(tmp_path, tmp_path, patients={10000001: twice}).write()
    with pytest.raises(DataError, match="study s50000001 is in two splits"):
        read(tmp_path)


def run_config(root: Path, **model: Any) -> RunConfig:
    data = {"source": "mimic_cxr", "root": str(root), "views": "all", "max_images": 2, "image_long_side": 32}
    return RunConfig.model_validate({"data": data, "model": model, "engine": {"workers": 1}})


def test_prepare_writes_the_official_splits_and_lists_the_rest(tree: Path, tmp_path: Path) -> None:
    run_stages(run_config(tree), tmp_path, names=("prepare",))
    studies = list(read_jsonl(Study, tmp_path / "studies.jsonl"))
    # with all views the lateral study counts too; one study stands in no split
    assert [study.study_id for study in studies] == sorted([*GOOD[:-1], "s50000020"], key=order_of)
    assert all((tmp_path / name).is_file() for study in studies for name in study.images)
    left_out = {item.study_id: item.reason for item in read_jsonl(LeftOut, tmp_path / "left_out.jsonl")}
    expected = {**LEFT_OUT, "s50000036": "no_split_in_source"}
    del expected["s50000020"]
    assert left_out == expected


def order_of(study_id: str) -> int:
    return [*GOOD[:5], "s50000020", *GOOD[5:]].index(study_id)


def test_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    studies = [
        MadeStudy(50000001, CLEAR, pa_and_lateral(1), split="train"),
        MadeStudy(50000002, CLEAR, pa_and_lateral(3), split="test"),
    ]
    Tree(tmp_path, tmp_path, patients={10000001: studies}).write()
    with pytest.raises(DataError, match=r"patients in more than one split: 1 \(p10000001\)"):
        run_stages(run_config(tmp_path), tmp_path / "run", names=("prepare",))


@pytest.mark.parametrize("is_shown", [True, False])
def test_prompt_shows_indication_and_previous_report_as_set(
    tree: Path, tmp_path: Path, is_shown: bool
) -> None:
    config = run_config(tree, show_previous=is_shown, show_indication=is_shown)
    run_stages(config, tmp_path, names=("prepare",))
    study = next(row for row in read_jsonl(Study, tmp_path / "studies.jsonl") if row.study_id == "s50000001")
    prompt = prompt_messages(study, config.model)[0]["content"][-1]["text"]
    assert ("Previous report: FINDINGS: First. IMPRESSION: First study." in prompt) is is_shown
    assert ("Indication: Cough." in prompt) is is_shown
