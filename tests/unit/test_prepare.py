"""The prepare stage on a small table of PNG files, run as `radflow prepare` runs it."""

from __future__ import annotations

import csv
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radflow.config import RunConfig
from radflow.data.file_names import file_name
from radflow.data.sources import SourceStudy
from radflow.errors import DataError
from radflow.jsonl import read_jsonl
from radflow.records import LeftOut, Report, Study
from radflow.run_dir import RunDir
from radflow.stages import prepare as stage
from radflow.stages.pipeline import run_stages

REPORT = "FINDINGS: Clear lungs.\nIMPRESSION: No acute disease."


def picture(path: Path, *, width: int = 90, height: int = 60) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path.name


def table(folder: Path, rows: list[tuple[str, str, str]]) -> RunConfig:
    """A config for a table with (id, image, report) rows."""
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("id", "image", "report"), *rows])
    return config(folder)


def config(folder: Path, **data: Any) -> RunConfig:
    settings = {"source": "table", "root": str(folder / "table.csv"), "image_long_side": 48, **data}
    return RunConfig.model_validate({"data": settings, "engine": {"workers": 1}})


@pytest.fixture
def mixed(tmp_path: Path) -> RunConfig:
    """Eight good studies, one of them with a second image that is corrupt, and one of each bad kind."""
    rows = [(f"s{n}", picture(tmp_path / f"{n}.png"), REPORT) for n in range(7)]
    (tmp_path / "corrupt.png").write_bytes((tmp_path / "0.png").read_bytes()[:200])
    rows += [
        ("half", "0.png;corrupt.png", REPORT),
        ("corrupt", "corrupt.png", REPORT),
        ("missing", "nowhere.png", REPORT),
        ("silent", "1.png", ""),
    ]
    settings = table(tmp_path, rows)
    return settings.model_copy(update={"data": settings.data.model_copy(update={"max_images": 2})})


def prepare(settings: RunConfig, folder: Path, **options: Any) -> list[Study]:
    run_stages(settings, folder, names=("prepare",), **options)
    return list(read_jsonl(Study, folder / "studies.jsonl"))


def image_files(folder: Path) -> dict[str, bytes]:
    root = folder / "images"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_usable_studies_are_kept_in_order(mixed: RunConfig, tmp_path: Path) -> None:
    studies = prepare(mixed, tmp_path / "run")
    assert [study.study_id for study in studies] == [*(f"s{n}" for n in range(7)), "half"]
    assert {study.report.impression for study in studies} == {"No acute disease."}
    assert Counter(study.split for study in studies).keys() == {"train", "validation", "test"}


def test_what_is_left_out_is_listed_with_its_reason_and_no_report_text(
    mixed: RunConfig, tmp_path: Path
) -> None:
    prepare(mixed, tmp_path / "run")
    left_out = list(read_jsonl(LeftOut, tmp_path / "run/left_out.jsonl"))
    assert {(item.study_id, item.reason) for item in left_out} == {
        ("half", "unreadable_image"),
        ("corrupt", "unreadable_image"),
        ("missing", "image_file_missing"),
        ("silent", "no_report"),
    }
    assert len(left_out) == 4
    assert not any("Clear lungs" in str(item) for item in left_out)
    assert all("corrupt.png" in (item.detail or "") for item in left_out if item.reason == "unreadable_image")


def test_study_keeps_its_readable_image(mixed: RunConfig, tmp_path: Path) -> None:
    half = prepare(mixed, tmp_path / "run")[-1]
    assert [(tmp_path / "run" / name).is_file() for name in half.images] == [True]


def test_images_are_bounded_and_keep_their_shape(tmp_path: Path) -> None:
    sizes = {"wide.png": (400, 100), "tall.png": (50, 200), "small.png": (20, 10)}
    rows = [(name, picture(tmp_path / name, width=w, height=h), REPORT) for name, (w, h) in sizes.items()]
    found = {}
    for study in prepare(table(tmp_path, rows), tmp_path / "run"):
        with Image.open(tmp_path / "run" / study.images[0]) as image:
            found[study.study_id] = image.size
            assert (image.format, image.mode) == ("PNG", "L")
    assert found == {"wide.png": (48, 12), "tall.png": (12, 48), "small.png": (20, 10)}


def test_second_run_skips(mixed: RunConfig, tmp_path: Path) -> None:
    prepare(mixed, tmp_path / "run")
    file = tmp_path / "run/studies.jsonl"
    before = file.stat()
    prepare(mixed, tmp_path / "run")
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_deleted_output_is_made_again(mixed: RunConfig, tmp_path: Path) -> None:
    studies = prepare(mixed, tmp_path / "run")
    (tmp_path / "run/studies.jsonl").unlink()
    assert prepare(mixed, tmp_path / "run") == studies


def test_redo_makes_all_again(mixed: RunConfig, tmp_path: Path) -> None:
    prepare(mixed, tmp_path / "run")
    stray = tmp_path / "run/images/stray.png"
    stray.write_bytes(b"")
    prepare(mixed, tmp_path / "run", redo="prepare")
    assert not stray.exists()


def test_two_runs_make_the_same_files_on_any_number_of_workers(mixed: RunConfig, tmp_path: Path) -> None:
    prepare(mixed, tmp_path / "one")
    many = mixed.model_copy(update={"engine": mixed.engine.model_copy(update={"workers": 2})})
    prepare(many, tmp_path / "two")
    assert image_files(tmp_path / "one") == image_files(tmp_path / "two")
    assert len(image_files(tmp_path / "one")) == 8
    for name in ("studies.jsonl", "left_out.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


AWKWARD = [
    "a/b",
    "../../up",
    "a b",
    "%2e",
    "胸部" * 60,
    "é🫁",
    "x" * 300,
    "x" * 301,
    "/etc/passwd",
    "~a",
    ".a",
    "..a",
]


def test_awkward_ids_stay_inside_the_images_folder_and_apart(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    settings = table(tmp_path, [(name, "a.png", REPORT) for name in AWKWARD])
    before = {*tmp_path.rglob("*"), tmp_path / "run"}
    studies = prepare(settings, tmp_path / "run")
    assert [study.study_id for study in studies] == AWKWARD
    folders = {(tmp_path / "run" / study.images[0]).resolve().parent for study in studies}
    assert {folder.parent for folder in folders} == {(tmp_path / "run/images").resolve()}
    assert len(folders) == len(AWKWARD)
    assert {path for path in tmp_path.rglob("*") if tmp_path / "run" not in path.parents} == before


@pytest.mark.parametrize("study_id", ["..", ".", "...", "", "/", "\\", "a\0b", "../.."])
def test_folder_of_an_id_is_one_plain_name(study_id: str) -> None:
    """Whatever a source gives; the table source itself refuses ids without a letter or digit."""
    name = file_name(study_id)
    assert name.strip(".")
    assert not {"/", "\\", "\0"} & set(name)


def test_nothing_readable_is_an_error_that_counts_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    settings = table(tmp_path, [(f"s{n}", "bad.png", REPORT) for n in range(5)])
    with pytest.raises(DataError, match="no study is left: 5 unreadable_image"):
        prepare(settings, tmp_path / "run")
    assert not (tmp_path / "run/studies.jsonl").exists()


def listed_when_it_fails(settings: RunConfig, folder: Path, message: str) -> tuple[list[str], str]:
    """Reasons in left_out.jsonl as the stage leaves it, and the next step of its error."""
    with RunDir.open(folder) as run, pytest.raises(DataError, match=message) as caught:
        stage.run(settings, run)
    left_out = read_jsonl(LeftOut, folder / "left_out.jsonl")
    return [item.reason for item in left_out], caught.value.next_step or ""


def test_reports_without_header_are_counted_listed_and_told_the_fallback(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    text = "The lungs are clear.\n\nNo acute disease."
    settings = table(tmp_path, [("s0", "a.png", text), ("s1", "a.png", text), ("s2", "a.png", "")])
    message = r"no study is left: 2 no_sections \(e\.g\. s0\), 1 no_report \(e\.g\. s2\)"
    reasons, next_step = listed_when_it_fails(settings, tmp_path / "run", message)
    assert reasons == ["no_sections", "no_sections", "no_report"]
    assert "data.sections.fallback: last_paragraph" in next_step


def test_images_in_another_folder_are_told_where_they_were_looked_for(tmp_path: Path) -> None:
    settings = table(tmp_path, [("s0", "gone.png", REPORT), ("s1", "gone.png", REPORT)])
    reasons, next_step = listed_when_it_fails(settings, tmp_path / "run", "no study is left")
    assert reasons == ["image_file_missing"] * 2
    assert "left_out.jsonl" in next_step
    assert "data.images" in next_step


def test_what_the_source_left_out_is_listed_even_when_the_split_fails(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    settings = table(tmp_path, [("s0", "gone.png", REPORT), ("s1", "a.png", REPORT)])
    reasons, _ = listed_when_it_fails(settings, tmp_path / "run", "no training study")
    assert reasons == ["image_file_missing"]


def test_user_sees_that_patients_and_ids_are_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"s{n}", picture(tmp_path / f"{n}.png"), REPORT) for n in range(3)]
    settings = table(tmp_path, rows)
    (tmp_path / "ids.csv").write_text("id,split\ns0,train\ns1,test\ns2,train\ns9,test\n")
    split = settings.data.split.model_copy(update={"method": "ids", "file": tmp_path / "ids.csv"})
    data = settings.data.model_copy(update={"split": split})
    prepare(settings.model_copy(update={"data": data}), tmp_path / "run")
    shown = capsys.readouterr().err
    assert shown.count("3 studies have no patient id") == 1
    assert "data.table.patient_column" in shown
    assert "1 of 4 ids" in shown
    assert '"without_patient_id": 3' in (tmp_path / "run/manifests/prepare.json").read_text()


def test_temporary_files_of_a_killed_run_are_removed(mixed: RunConfig, tmp_path: Path) -> None:
    stale = tmp_path / "run/images/s0/.0.png.abcd1234.tmp"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    prepare(mixed, tmp_path / "run")
    assert not list((tmp_path / "run/images").rglob("*.tmp"))


def test_run_that_was_cut_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = table(tmp_path, [(f"s{n}", picture(tmp_path / f"{n}.png"), REPORT) for n in range(6)])
    decoded: list[Path] = []

    def stops_at_the_fourth(path: Path, **options: bool) -> np.ndarray[Any, Any]:
        if len(decoded) == 3:
            raise KeyboardInterrupt
        decoded.append(path)
        return original(path, **options)

    original = stage.read_image
    with monkeypatch.context() as patch:
        patch.setattr(stage, "read_image", stops_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings, tmp_path / "run")
        decoded.clear()
        assert len(prepare(settings, tmp_path / "run")) == 6
    assert [path.name for path in decoded] == ["3.png", "4.png", "5.png"]


TEXT_BYTES = 100_000


def long_reports(data: Any, seed: int) -> Iterator[SourceStudy | LeftOut]:
    """Studies with reports of 100 kB, made as they are asked for, and as many that are left out."""
    for number in range(150):
        text = f"FINDINGS: {number} " + "x" * TEXT_BYTES
        report = Report(text=text, findings=text[10:], findings_found_by="header")
        yield SourceStudy(f"s{number}", f"p{number}", (np.zeros((8, 8), np.uint8),), report)
        yield LeftOut(study_id=f"o{number}", reason="no_image", detail="y" * TEXT_BYTES)


def test_memory_holds_few_reports_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 studies with text twice and 150 left out: 45 MB pass through, 6 at once would be too many."""
    monkeypatch.setitem(stage.SOURCES, "long", f"{__name__}:long_reports")
    settings = config(tmp_path, source="long")
    tracemalloc.start()
    try:
        with RunDir.open(tmp_path / "run") as run:
            stage.run(settings, run)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "run/studies.jsonl").stat().st_size > 150 * 2 * TEXT_BYTES
    assert peak < 60 * TEXT_BYTES


def test_source_that_loses_a_study_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = table(tmp_path, [(f"s{n}", picture(tmp_path / f"{n}.png"), REPORT) for n in range(6)])

    def loses_a_row(*arguments: Any, **options: Any) -> Any:
        table(tmp_path, [(f"s{n}", f"{n}.png", REPORT) for n in range(5)])
        return original(*arguments, **options)

    original = stage.assign_splits
    monkeypatch.setattr(stage, "assign_splits", loses_a_row)
    with RunDir.open(tmp_path / "run") as run, pytest.raises(DataError, match=r"lost 1 studies .*s5"):
        stage.run(settings, run)
