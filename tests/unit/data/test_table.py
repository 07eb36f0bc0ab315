"""The table source: every kind of file, every way to name images, and what a wrong table is told."""

from __future__ import annotations

import csv
import errno
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from radflow.config import DataConfig, TableConfig
from radflow.data import tables
from radflow.data.sources import SourceStudy
from radflow.data.sources.table import read_table
from radflow.errors import DataError, ImageError
from radflow.records import LeftOut

REPORT = "FINDINGS: Heart is normal.\nIMPRESSION: No acute disease."
Row = dict[str, Any]


def row(study_id: object = "a", **cells: object) -> Row:
    return {"id": study_id, "image": "a.png", "report": REPORT, **cells}


def write(folder: Path, kind: str, *rows: Row) -> Path:
    """The rows as CSV, JSONL, Parquet or a saved dataset."""
    path = folder / f"table.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    else:
        import datasets

        datasets.Dataset.from_list(list(rows)).save_to_disk(str(path))
    return path


def read(root: Path, *, table: dict[str, Any] | None = None, **settings: Any) -> list[SourceStudy | LeftOut]:
    data = DataConfig(source="table", root=root, table=TableConfig(**(table or {})), **settings)
    return list(read_table(data, 0))


def read_one(root: Path, **settings: Any) -> SourceStudy:
    (study,) = read(root, **settings)
    assert isinstance(study, SourceStudy)
    return study


def reasons(root: Path, **settings: Any) -> list[str]:
    return [getattr(item, "reason", "study") for item in read(root, **settings)]


def encoded(colour: int = 200, size: tuple[int, int] = (6, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "images/c.png"):
        (tmp_path / name).write_bytes(encoded())
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "saved"])
def test_every_kind_of_table_gives_the_same_studies(folder: Path, kind: str) -> None:
    first = row("a", patient="p1", split="val", why="Cough", before="None.")
    second = row("b", patient="p2", split="Training", why="", before="CT", image="b.png;images/c.png")
    columns = {
        "patient_column": "patient",
        "split_column": "split",
        "indication_column": "why",
        "comparison_column": "before",
    }
    # data.images takes part, as a saved dataset's own folder holds no images
    a, b = read(write(folder, kind, first, second), table=columns, images=folder, max_images=2)
    assert isinstance(a, SourceStudy)
    assert isinstance(b, SourceStudy)
    assert (a.study_id, a.patient_id, a.split, a.indication, a.comparison) == (
        "a",
        "p1",
        "validation",
        "Cough",
        None,
    )
    assert (a.report.findings, a.report.impression) == ("Heart is normal.", "No acute disease.")
    assert a.report.text == REPORT
    assert (b.split, b.indication, b.comparison) == ("train", None, "CT")
    assert b.images == (folder / "b.png", folder / "images" / "c.png")


def test_images_from_columns_lists_and_separators(folder: Path) -> None:
    expected = (folder / "a.png", folder / "b.png")
    for cells, table in (
        ({"image": "a.png", "lateral": "b.png"}, {"image_columns": ("image", "lateral")}),
        ({"image": ["a.png", "b.png"]}, {}),
        ({"image": "a.png | b.png"}, {"image_separator": "|"}),
        ({"image": "a.png;;b.png;"}, {}),
        ({"image": [{"path": "a.png", "bytes": None}, {"path": str(folder / "b.png"), "bytes": None}]}, {}),
    ):
        path = write(folder, "jsonl", row(**cells))
        assert read_one(path, table=table, max_images=8).images == expected
        assert read_one(path, table=table).images == expected[:1]


def test_sections_of_their_own_columns(folder: Path) -> None:
    path = write(folder, "csv", {"id": 1, "image": "a.png", "f": " Clear lungs. ", "i": "NaN"})
    study = read_one(path, table={"findings_column": "f", "impression_column": "i"})
    assert (study.report.findings, study.report.impression) == ("Clear lungs.", None)
    assert (study.report.findings_found_by, study.report.impression_found_by) == ("field", "none")
    assert study.report.text == "FINDINGS: Clear lungs."


def test_fallback_and_prompt_parts_come_from_the_parser(folder: Path) -> None:
    text = "INDICATION: Cough.\nCOMPARISON: None.\nThe lungs are clear.\n\nNo acute disease."
    path = write(folder, "jsonl", row(report=text))
    assert reasons(path) == ["no_sections"]
    study = read_one(path, sections={"fallback": "last_paragraph"})
    assert (study.report.impression, study.report.impression_found_by) == ("No acute disease.", "fallback")
    assert study.indication == "Cough."


def test_reasons_for_leaving_out(folder: Path) -> None:
    path = write(
        folder,
        "jsonl",
        row(1, image=""),
        row(2, image="gone.png"),
        row(3, report=None),
        row(4, report="Text without headers."),
        row(5, report="IMPRESSION: Normal."),
        row(6),
    )
    common = ["no_image_listed", "image_file_missing", "no_report", "no_sections"]
    assert reasons(path) == [*common, "study", "study"]
    assert reasons(path, require="findings") == [*common, "no_findings", "study"]
    assert reasons(path, require="both", limit=1) == [*common, "no_findings", "study"]
    assert reasons(path, limit=1) == [*common, "study"]


def test_a_missing_image_is_listed_and_the_others_remain(folder: Path) -> None:
    items = read(write(folder, "csv", row(image="gone.png;b.png")))
    assert [getattr(item, "reason", "study") for item in items] == ["image_file_missing", "study"]
    assert isinstance(items[1], SourceStudy)
    assert items[1].images == (folder / "b.png",)


def test_ids_that_pandas_made_floats_are_whole_again(folder: Path) -> None:
    path = write(folder, "parquet", row(12.0, patient=7.0), row(13.0, patient=float("nan")))
    studies = read(path, table={"patient_column": "patient"})
    assert [(s.study_id, s.patient_id) for s in studies if isinstance(s, SourceStudy)] == [
        ("12", "7"),
        ("13", None),
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "saved"])
def test_wrong_column_lists_the_columns_and_the_nearest(folder: Path, kind: str) -> None:
    path = write(folder, kind, row(Reports="x"))
    with pytest.raises(DataError) as caught:
        read(path, table={"report_column": "raport"})
    message = str(caught.value)
    assert "'raport', which data.table.report_column names" in message
    assert "Did you mean 'report'?" in message
    assert "id, image, report, Reports" in message
    with pytest.raises(DataError, match=r"data\.table\.image_columns"):
        read(path, table={"image_columns": ("image", "lateral")})


@pytest.mark.parametrize(
    ("rows", "table", "message"),
    [
        ([row("a"), row("a")], {}, "row 2 and row 1"),
        ([row("a"), row(" ")], {}, "row 2"),
        ([row("a", split="later")], {"split_column": "split"}, "row 1"),
        ([row("a", report=["secret"])], {}, "no text but a list"),
        ([row("a")], {"report_column": None}, "no column holds the report"),
    ],
)
def test_wrong_rows_are_named_by_number(
    folder: Path, rows: list[Row], table: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(write(folder, "jsonl", *rows), table=table)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"id,image,report\na,a.png,secret,more\n"),
        ("t.csv", b"id,image,report\na,a.png\n"),
        ("t.csv", b'id,image,report\na,a.png,"secret\n'),
        ("t.csv", b"id,image,report\na,a.png,secret\xff\n"),
        ("t.csv", b"id,id,report\na,a.png,secret\n"),
        ("t.csv", b"id,image,report\n"),
        ("t.csv", b""),
        ("t.jsonl", b'{"id": "secret"\n'),
        ("t.jsonl", b'["secret"]\n'),
        ("t.jsonl", b"[" * 100_000),
        ("t.parquet", b"secret"),
        ("t.xlsx", b"secret"),
    ],
)
def test_unreadable_tables_are_data_errors_without_their_text(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name.replace(".", r"\.")) as caught:
        read(folder / name)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


def test_missing_table_and_wrong_folder(folder: Path) -> None:
    for path in (folder / "none.csv", folder):
        with pytest.raises(DataError, match="save_to_disk"):
            read(path)
    (folder / "state.json").write_text("{}")
    with pytest.raises(DataError, match="can't be read"):
        read(folder)


def test_long_reports_and_lone_surrogates_are_read(folder: Path) -> None:
    long = "FINDINGS: " + "Clear. " * 30_000
    study = read_one(write(folder, "csv", row(report=long)))
    assert study.report.text == long
    path = write(folder, "jsonl", row(f="Clear \ud800 lungs."))
    assert read_one(path, table={"findings_column": "f"}).report.findings == "Clear ? lungs."


@pytest.mark.parametrize(
    "cell", ["../private.png", "images/../../private.png", "{outside}/private.png", "link.png"]
)
def test_image_path_that_leads_out_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, cell: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    private = outside / "private.png"
    private.write_bytes(encoded())
    (folder.parent / "private.png").write_bytes(encoded())
    (folder / "link.png").symlink_to(private)
    path = write(folder, "csv", row(), row("b", image=cell.format(outside=outside)))
    with pytest.raises(DataError, match=r"leads out.*row 2"):
        read(path)
    with pytest.raises(DataError, match=r"leads out.*row 2"):
        read(path, images=folder / "images")


def test_report_text_in_the_image_column_is_only_a_missing_file(folder: Path) -> None:
    path = write(folder, "jsonl", row(image=REPORT * 200), row("b", image="a\0.png/../a.png"))
    assert reasons(path, images=folder / "images") == ["image_file_missing", "study"]
    assert "Heart" not in repr(read(path)[0])


def test_data_images_is_searched_first_and_allows_absolute_paths(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = tmp_path_factory.mktemp("images")
    (images / "a.png").write_bytes(encoded())
    assert read_one(write(folder, "csv", row()), images=images).images == (images / "a.png",)
    absolute = write(folder, "csv", row(image=str(images / "a.png")))
    assert read_one(absolute, images=images).images == (images / "a.png",)
    with pytest.raises(DataError, match="leads out"):
        read(absolute)
    with pytest.raises(DataError, match="no such folder"):
        read(absolute, images=images / "none")


@pytest.mark.parametrize("kind", ["saved", "dict", "parquet"])
def test_images_inside_the_table_are_decoded_when_called_for(folder: Path, kind: str) -> None:
    import datasets
    import pyarrow
    import pyarrow.parquet

    cells: list[Any] = [encoded(colour) for colour in (10, 20, 30, 40, 50)]
    path = folder / kind
    if kind == "parquet":
        path = folder / "table.parquet"
        rows = [row(f"s{i}", image=cell) for i, cell in enumerate(cells)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)
    else:
        rows = [row(f"s{i}", image={"bytes": cell, "path": None}) for i, cell in enumerate(cells)]
        whole = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
        if kind == "saved":
            whole.save_to_disk(str(path))
        else:
            parts = {"train": whole.select(range(3)), "test": whole.select(range(3, 5))}
            datasets.DatasetDict(parts).save_to_disk(str(path))
    studies = [study for study in read(path) if isinstance(study, SourceStudy)]
    images = [pickle.loads(pickle.dumps(study.images[0])) for study in studies]  # noqa: S301
    assert [image().shape for image in images] == [(4, 6, 3)] * 5
    assert [int(image()[0, 0, 0]) for image in reversed(images)] == [50, 40, 30, 20, 10]


def test_unreadable_image_inside_the_table_is_an_image_error_with_its_row(folder: Path) -> None:
    (image,) = read_one(write(folder, "parquet", row(image=b"no image"))).images
    assert callable(image)
    with pytest.raises(ImageError, match="row 1"):
        image()


@pytest.mark.parametrize("place", ["table", "image"])
def test_failing_disk_is_no_fault_of_an_image_inside_the_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (image,) = read_one(write(folder, "parquet", row(image=encoded()))).images
    assert callable(image)

    def fails(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    if place == "table":
        monkeypatch.setattr(tables, "_group_ends", fails)
    else:
        monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match="Input/output error") as caught:
        image()
    assert caught.value.errno == errno.EIO


def test_keys_of_a_dataset_dict_are_the_split(folder: Path) -> None:
    import datasets

    parts = {
        name: datasets.Dataset.from_list([row(f"{name}1", image="a.png"), row(f"{name}2", image="a.png")])
        for name in ("train", "validation", "test")
    }
    datasets.DatasetDict(parts).save_to_disk(str(folder / "dict"))
    studies = [s for s in read(folder / "dict", images=folder) if isinstance(s, SourceStudy)]
    assert [(s.study_id, s.split) for s in studies] == [
        (f"{n}{i}", n) for n in ("train", "validation", "test") for i in (1, 2)
    ]
    datasets.DatasetDict({"extra": parts["test"]}).save_to_disk(str(folder / "odd"))
    with pytest.raises(DataError, match="unknown split"):
        read(folder / "odd", images=folder)


def test_a_table_is_read_row_by_row(folder: Path) -> None:
    """A broken last row is no obstacle to the studies before it."""
    path = write(folder, "jsonl", row("a"), row("b"))
    path.write_text(path.read_text() + "{broken")
    studies = read_table(DataConfig(source="table", root=path), 0)
    assert [next(studies).study_id, next(studies).study_id] == ["a", "b"]
    with pytest.raises(DataError, match="row 3"):
        next(studies)


@pytest.mark.data
def test_real_kaggle_csv_as_a_table(real_data: Path, tmp_path: Path) -> None:
    """The reports of ../shared/data/iu_xray by way of a user's own table: 3,851, of which 25 say nothing."""
    images = real_data / "iu_xray" / "images"
    source = (real_data / "iu_xray" / "indiana_reports.csv").read_text(encoding="utf-8")
    with (tmp_path / "t.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["uid", "file", "f", "i"])
        for cells in csv.DictReader(io.StringIO(source)):
            writer.writerow(
                [cells["uid"], "1000_IM-0003-1001.dcm.jpg", cells["findings"], cells["impression"]]
            )
    columns = {
        "id_column": "uid",
        "image_columns": ("file",),
        "findings_column": "f",
        "impression_column": "i",
    }
    found = reasons(tmp_path / "t.csv", table=columns, images=images, require="both")
    counted = {reason: found.count(reason) for reason in set(found)}
    assert counted == {"study": 3331, "no_findings": 489, "no_impression": 6, "no_report": 25}
