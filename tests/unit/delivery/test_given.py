"""What is given on the command line becomes the studies that a person means."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.unit.delivery.images import STUDY, write_dicom, write_picture

from radflow.config import TableConfig
from radflow.delivery.given import HowToRead, find_given
from radflow.errors import ConfigError, DataError

PLAIN = HowToRead()


def test_each_file_is_a_study_of_its_own_even_of_one_dicom_study(tmp_path: Path) -> None:
    files = [write_dicom(tmp_path / f"{n}.dcm", number=n) for n in (1, 2)]
    files.append(write_picture(tmp_path / "a.png"))
    found = find_given(files, PLAIN)
    assert [(study.study_id, study.files) for study in found.studies] == [(f.name, (f,)) for f in files]


def test_a_folder_groups_dicom_by_study_frontal_first_and_leaves_pictures_alone(tmp_path: Path) -> None:
    lateral = write_dicom(tmp_path / "in/a/1", number=1, ViewPosition="LL")
    frontal = write_dicom(tmp_path / "in/b/2", number=2, ViewPosition="PA")
    other = write_dicom(tmp_path / "in/c.dcm", StudyInstanceUID=f"{STUDY}.7")
    picture = write_picture(tmp_path / "in/d.png")
    (tmp_path / "in/notes.txt").write_text("nothing")
    found = find_given([tmp_path / "in"], PLAIN)
    files = {study.study_id: study.files for study in found.studies}
    assert files == {STUDY: (frontal, lateral), f"{STUDY}.7": (other,), "d.png": (picture,)}
    assert found.ignored == 1


def test_images_of_a_study_stand_in_the_order_of_training(tmp_path: Path) -> None:
    """As those of MIMIC-CXR do: an AP AXIAL view is a frontal one, and PA comes before AP."""
    views = ["LL", "", "AP AXIAL", "AP", "PA", "SWIMMERS"]
    files = {
        view: write_dicom(tmp_path / f"{number}.dcm", number=number, ViewPosition=view or None)
        for number, view in enumerate(views)
    }
    (study,) = find_given([tmp_path], PLAIN).studies
    assert study.files == tuple(files[view] for view in ("PA", "AP", "AP AXIAL", "", "LL", "SWIMMERS"))


def test_a_study_over_two_folders_is_one(tmp_path: Path) -> None:
    files = [write_dicom(tmp_path / name / "x.dcm", number=n) for n, name in enumerate("ab")]
    (study,) = find_given([tmp_path / "a", tmp_path / "b"], PLAIN).studies
    assert study.files == tuple(files)


def test_one_study_uid_with_two_patients_is_left_out(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in/1.dcm", number=1)
    write_dicom(tmp_path / "in/2.dcm", number=2, PatientID="somebody else")
    found = find_given([tmp_path / "in"], PLAIN)
    assert found.studies == ()
    assert [(item.study_id, item.reason) for item in found.left_out] == [(STUDY, "several_patients")]


def test_as_one_keeps_the_given_order_and_takes_the_studys_own_id(tmp_path: Path) -> None:
    lateral = write_dicom(tmp_path / "z.dcm", number=2, ViewPosition="LL")
    frontal = write_dicom(tmp_path / "a.dcm", number=1, ViewPosition="PA")
    (study,) = find_given([lateral, frontal], HowToRead(as_one=True, indication="cough")).studies
    assert (study.study_id, study.files, study.indication) == (STUDY, (lateral, frontal), "cough")


def test_as_one_refuses_several_patients_without_naming_them(tmp_path: Path) -> None:
    files = [write_dicom(tmp_path / "1.dcm"), write_dicom(tmp_path / "2.dcm", PatientID="Q-18")]
    with pytest.raises(DataError, match="several patients") as caught:
        find_given(files, HowToRead(as_one=True))
    assert "Q-18" not in str(caught.value)


def test_equal_names_are_told_apart_and_one_file_twice_is_one_study(tmp_path: Path) -> None:
    files = [write_picture(tmp_path / folder / "x.png") for folder in ("a", "b")]
    found = find_given([*files, files[0]], PLAIN).studies
    assert [study.study_id for study in found] == [str(file) for file in files]


def test_tables_give_ids_images_and_indications(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        write_picture(tmp_path / name)
    table = tmp_path / "t.csv"
    table.write_text("key,front,why\nA,1.png;2.png,cough\nB,3.png,\nC,gone.png,fever\n")
    columns = TableConfig(id_column="key", image_columns=("front",), indication_column="why")
    found = find_given([table], HowToRead(indication="routine", table=columns))
    told = [(study.study_id, len(study.images), study.indication) for study in found.studies]
    assert told == [("A", 2, "cough"), ("B", 1, "routine")]
    assert [(item.study_id, item.reason) for item in found.left_out] == [("C", "image_file_missing")]


def test_a_table_that_leads_out_of_its_folder_is_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    write_picture(tmp_path / "elsewhere/1.png")
    (tmp_path / "in").mkdir()
    table = tmp_path / "in/t.csv"
    table.write_text("id,image\nA,../elsewhere/1.png\n")
    with pytest.raises(DataError, match="--images FOLDER"):
        find_given([table], PLAIN)
    (study,) = find_given([table], HowToRead(images=tmp_path)).studies or [None]
    assert study is not None


@pytest.mark.parametrize("name", ["t.csv.gz", "t.JSONL.GZ"])
def test_a_compressed_table_is_a_table(name: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png")
    text = '{"id": "A", "image": "1.png"}\n' if "JSONL" in name else "id,image\nA,1.png\n"
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    (study,) = find_given([tmp_path / name], PLAIN).studies
    assert (study.study_id, study.files) == ("A", (tmp_path / "1.png",))


def test_a_table_is_no_single_study(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,image\n")
    with pytest.raises(ConfigError, match="--study"):
        find_given([tmp_path / "t.csv"], HowToRead(as_one=True))


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image was found"):
        find_given([tmp_path], PLAIN)


def test_the_digest_changes_with_images_and_indication(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.png")
    before = find_given([file], PLAIN).studies[0].digest
    assert find_given([file], PLAIN).studies[0].digest == before
    assert find_given([file], HowToRead(indication="cough")).studies[0].digest != before
    file.write_bytes(file.read_bytes() + b"\0")
    assert find_given([file], PLAIN).studies[0].digest != before
