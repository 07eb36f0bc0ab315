"""The IU X-ray source on miniature layouts and on crafted files."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from PIL import Image

from radflow.config import DataConfig
from radflow.data.sources import SourceStudy
from radflow.data.sources.iu_xray import MAX_XML_BYTES, read_iu_xray
from radflow.data.sources.iu_xray_images import image_key
from radflow.errors import DataError
from radflow.records import LeftOut

FINDINGS, IMPRESSION = "The heart is XXXX in size.", "Normal chest x-XXXX."
LISTED = ("CXR7_IM-0001-2001", "CXR7_IM-0001-1001")  # lateral, frontal


def xml(
    number: int = 7,
    *,
    findings: str | None = FINDINGS,
    impression: str | None = IMPRESSION,
    images: tuple[str, ...] = LISTED,
) -> bytes:
    fields = {"COMPARISON": "None.", "INDICATION": "Cough", "FINDINGS": findings, "IMPRESSION": impression}
    texts = "".join(
        f'<AbstractText Label="{label}">{escape(text or "")}</AbstractText>' for label, text in fields.items()
    )
    pictures = "".join(f"<parentImage id={quoteattr(name)}/>" for name in images)
    return (
        f'<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>{texts}</Abstract></Article>'
        "</MedlineCitation><MeSH><major>Opacity/lung</major><automatic>opacity</automatic></MeSH>"
        f"{pictures}</eCitation>"
    ).encode()


def save_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return path


def write_archive(root: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_projections(root: Path) -> None:
    rows = [
        {"uid": 7, "filename": "7_IM-0001-2001.dcm.png", "projection": "Lateral"},
        {"uid": 7, "filename": "7_IM-0001-1001.dcm.png", "projection": "Frontal"},
    ]
    write_csv(root / "indiana_projections.csv", rows)


def write_kaggle(root: Path, **cells: str) -> None:
    row = {
        "uid": "7",
        "MeSH": "Opacity/lung",
        "Problems": "Opacity",
        "image": "PA and lateral",
        "indication": "Cough",
        "comparison": "None.",
        "findings": FINDINGS,
        "impression": IMPRESSION,
    }
    write_csv(root / "indiana_reports.csv", [{**row, **cells}])
    write_projections(root)


def read(root: Path, **settings: Any) -> list[SourceStudy | LeftOut]:
    return list(read_iu_xray(DataConfig(source="iu_xray", root=root, **settings), 0))


def read_one(root: Path, **settings: Any) -> SourceStudy:
    (study,) = read(root, **settings)
    assert isinstance(study, SourceStudy)
    return study


def read_reason(root: Path, **settings: Any) -> str:
    (left_out,) = read(root, **settings)
    assert isinstance(left_out, LeftOut)
    assert left_out.study_id == "CXR7"
    return left_out.reason


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Both images under Open-i's names, no reports yet."""
    for name in LISTED:
        save_image(tmp_path / "images" / f"{name}.png")
    return tmp_path


@pytest.fixture(params=["folder", "ecgen-radiology", "archive", "kaggle"])
def layout(request: pytest.FixtureRequest, root: Path) -> Path:
    if request.param == "archive":
        write_archive(root, {"ecgen-radiology/7.xml": xml()})
    elif request.param == "kaggle":
        write_kaggle(root)
    else:
        folder = root / ("." if request.param == "folder" else request.param)
        folder.mkdir(exist_ok=True)
        (folder / "7.xml").write_bytes(xml())
    return root


def test_every_layout_gives_the_same_study(layout: Path) -> None:
    write_projections(layout)
    study = read_one(layout)
    assert (study.study_id, study.patient_id, study.split) == ("CXR7", "7", None)
    assert study.report.text == f"FINDINGS: {FINDINGS}\nIMPRESSION: {IMPRESSION}"
    assert (study.report.findings, study.report.impression) == (FINDINGS, IMPRESSION)
    assert study.report.findings_found_by == study.report.impression_found_by == "field"
    assert (study.indication, study.comparison) == ("Cough", None)
    assert study.metadata["mesh"] == ["Opacity/lung"]
    assert study.metadata["views"] == ["frontal"]
    assert [Path(str(path)).name for path in study.images] == ["CXR7_IM-0001-1001.png"]


@pytest.mark.parametrize(
    "name",
    [
        "images/7_IM-0001-1001.dcm.png",
        "images/7_IM-0001-1001.dcm.jpg",
        "images/images_normalized/7_IM-0001-1001.dcm.png",
        "images/CXR7_IM-0001-1001.png",
        "NLMCXR_png/CXR7_IM-0001-1001.JPG",
        "CXR7_IM-0001-1001.jpeg",
        "images/CXR7_IM-0001/0.png",
        "images/CXR7_IM-0001-1001/0.jpg",
    ],
)
def test_image_is_found_under_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "7.xml").write_bytes(xml())
    image = save_image(tmp_path / name)
    assert read_one(tmp_path).images == (image,)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1000_IM-0003-1001.dcm.png", "1000_IM-0003-1001"),
        ("CXR1000_IM-0003-1001", "1000_IM-0003-1001"),
        ("CXR1_1_IM-0001-3001", "1_IM-0001-3001"),
        ("1_IM-0001-3001.dcm.jpg", "1_IM-0001-3001"),
        ("1021_IM-0017-1001-0001.dcm.jpg", "1021_IM-0017-1001-0001"),
        ("CXR1_2_IM-0001-3001", None),
        ("0.png", None),
        ("../7_IM-0001-1001.png", None),
    ],
)
def test_image_key(name: str, key: str | None) -> None:
    assert image_key(name) == key


def test_the_lossless_copy_of_an_image_wins(root: Path) -> None:
    (root / "7.xml").write_bytes(xml(images=LISTED[1:]))
    save_image(root / "images" / "7_IM-0001-1001.dcm.jpg")
    assert read_one(root).images == (root / "images" / "CXR7_IM-0001-1001.png",)


def test_images_of_unknown_view_keep_the_order_of_the_file(root: Path) -> None:
    (root / "7.xml").write_bytes(xml())
    study = read_one(root, max_images=2)
    assert [Path(str(path)).stem for path in study.images] == list(LISTED)
    assert study.metadata["views"] == [None, None]


def test_all_views_come_frontal_first_and_max_images_limits(root: Path) -> None:
    (root / "7.xml").write_bytes(xml())
    write_projections(root)
    assert read_one(root, views="all", max_images=2).metadata["views"] == ["frontal", "lateral"]
    assert read_one(root, views="all", max_images=1).metadata["views"] == ["frontal"]
    assert read_one(root, views="frontal", max_images=2).metadata["views"] == ["frontal"]


def test_dicom_metadata_stand_in_for_projections(root: Path) -> None:
    """A header that says PA proves nothing, one that says LL does."""
    (root / "7.xml").write_bytes(xml())
    rows = [
        {"imageid": LISTED[0], "View Position": "LL"},
        {"imageid": LISTED[1], "View Position": "PA"},
    ]
    write_csv(root / "nlmcxr_dicom_metadata_slim.csv", rows)
    assert read_one(root, views="all", max_images=2).metadata["views"] == [None, "lateral"]
    assert read_one(root, max_images=2).metadata["views"] == [None]


def test_reasons_for_leaving_out(root: Path) -> None:
    write_projections(root)
    report = root / "7.xml"
    report.write_bytes(xml(images=()))
    assert read_reason(root) == "no_image_listed"
    report.write_bytes(xml(images=("CXR7_IM-0009-9001",)))
    assert read_reason(root) == "image_file_missing"
    report.write_bytes(xml(images=LISTED[:1]))
    assert read_reason(root) == "no_frontal_view"
    report.write_bytes(xml(findings=None, impression="NaN"))
    assert read_reason(root) == "no_report"
    report.write_bytes(xml(findings="None"))
    assert read_reason(root, require="findings") == "no_findings"
    assert read_reason(root, require="both") == "no_findings"
    assert read_one(root, require="impression").report.findings is None
    report.write_bytes(xml(impression=None))
    assert read_reason(root, require="impression") == "no_impression"
    report.write_bytes(b"<eCitation><uId")
    assert read_reason(root) == "unreadable_report"


def test_numeric_order_and_limit_of_yielded_studies(tmp_path: Path) -> None:
    write_archive(
        tmp_path,
        {
            f"ecgen-radiology/{n}.xml": xml(n, images=(f"CXR{n}_IM-1-1",) if n != 9 else ())
            for n in (10, 100, 9, 2)
        },
    )
    for number in (2, 10, 100):
        save_image(tmp_path / f"CXR{number}_IM-1-1.png")
    assert [item.study_id for item in read(tmp_path)] == ["CXR2", "CXR9", "CXR10", "CXR100"]
    assert [item.study_id for item in read(tmp_path, limit=2)] == ["CXR2", "CXR9", "CXR10"]


def test_missing_data_says_where_to_get_it(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match=r"openi\.nlm\.nih\.gov.*\n?.*chest-xrays-indiana-university"):
            read(folder)
    (tmp_path / "7.xml").write_bytes(xml())
    with pytest.raises(DataError, match=r"data\.images"):
        read(tmp_path)


def test_repeated_uid_is_an_error(root: Path) -> None:
    (root / "7.xml").write_bytes(xml())
    (root / "8.xml").write_bytes(xml())
    with pytest.raises(DataError, match="CXR7"):
        read(root)


def test_broken_archive_and_wrong_csv_are_errors(root: Path) -> None:
    write_kaggle(root, uid="seven")
    with pytest.raises(DataError, match="row 1"):
        read(root)
    write_archive(root, {"ecgen-radiology/7.xml": xml()})
    archive = root / "NLMCXR_reports.tgz"
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(DataError, match="archive can't be read"):
        read(root)


# Crafted files


@pytest.mark.parametrize("name", ["../7.xml", "ecgen-radiology/../../7.xml", "/7.xml"])
def test_archive_member_that_leads_out_is_refused(root: Path, name: str) -> None:
    write_archive(root, {name: xml()})
    with pytest.raises(DataError, match="leads out"):
        read(root)
    assert not (root.parent / "7.xml").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_archive_member_that_is_no_file_is_refused(root: Path, kind: bytes) -> None:
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("ecgen-radiology/7.xml")
        info.type, info.linkname = kind, "/etc/hostname"
        tar.addfile(info)
    with pytest.raises(DataError, match="link"):
        read(root)


def test_archive_bombs_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(root, {"ecgen-radiology/7.xml": b" " * (MAX_XML_BYTES + 1)})
    with pytest.raises(DataError, match="too large"):
        read(root)
    monkeypatch.setattr("radflow.data.sources.iu_xray.MAX_ARCHIVE_BYTES", 100_000)
    write_archive(root, {"padding.bin": bytes(200_000), "ecgen-radiology/7.xml": xml()})
    with pytest.raises(DataError, match="too large when unpacked"):
        read(root)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY a "secret"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
def test_xml_with_a_document_type_is_refused(root: Path, declaration: str) -> None:
    (root / "7.xml").write_bytes(declaration.encode() + xml(findings="&a;").replace(b"&amp;", b"&"))
    with pytest.raises(DataError, match=r"7\.xml") as caught:
        read(root)
    assert "secret" not in str(caught.value)


def test_links_out_of_the_data_are_never_followed(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = save_image(tmp_path_factory.mktemp("outside") / "private.png")
    (root / "7.xml").write_bytes(xml())
    image = root / "images" / f"{LISTED[1]}.png"
    image.unlink()
    image.symlink_to(outside)
    with pytest.raises(DataError, match="leads out"):
        read(root)
    image.unlink()
    (root / "images" / "CXR7_IM-0001").symlink_to(outside.parent)
    assert read_one(root, max_images=8).images == (root / "images" / f"{LISTED[0]}.png",)
    (root / "8.xml").symlink_to(outside)
    with pytest.raises(DataError, match="leads out"):
        read(root)


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "CXR7_IM-0001-1001/../../x"])
def test_image_id_is_never_used_as_a_path(root: Path, name: str) -> None:
    (root / "7.xml").write_bytes(xml(images=(name,)))
    assert read_reason(root) == "no_image_listed"


def test_elements_inside_of_others_are_read_once(root: Path) -> None:
    """Each of 20,000 nested ones would else hold the text of all below it."""
    nested = '<AbstractText Label="FINDINGS">a' * 20_000 + "</AbstractText>" * 20_000
    (root / "7.xml").write_bytes(xml(findings=None).replace(b"<Abstract>", b"<Abstract>" + nested.encode()))
    assert read_one(root).report.findings == "a" * 20_000
