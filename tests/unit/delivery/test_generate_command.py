"""`radflow generate` and `radflow export` as a person types them."""

from __future__ import annotations

import json
import logging
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.unit.delivery.images import STUDY, write_dicom, write_picture

from radflow.cli import main
from radflow.delivery import report_writer
from radflow.delivery.report_writer import ReportWriter
from radflow.delivery.written import NOTICE, WrittenReport
from radflow.jsonl import read_jsonl
from radflow.records import Candidate, LeftOut

Cli = Callable[..., tuple[int, str, str]]
DISAGREES = "FINDINGS: No pneumothorax.\nIMPRESSION: Large right pneumothorax."


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Runs a command; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["radflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the model write this text."""

    def put(text: str) -> None:
        def batch(_: object, studies: list[object], *__: object, image_root: Path) -> list[Candidate]:
            ids = [str(study.study_id) for study in studies]
            return [Candidate(study_id=study_id, text=text, tokens=3, finished=True) for study_id in ids]

        monkeypatch.setattr(report_writer, "generate_batch", batch)

    return put


def rows(path: Path) -> list[WrittenReport]:
    return list(read_jsonl(WrittenReport, path))


@pytest.mark.data
def test_real_dicom_becomes_a_report_a_valid_fhir_resource_and_a_readable_sr(
    cli: Cli, whole_run: Path, real_data: Path, tmp_path: Path
) -> None:
    source = next((real_data / "dicom").glob("nih_*.dcm"))
    code, out, _ = cli("generate", "--run", whole_run, source)
    assert code == 0
    assert NOTICE in out
    assert source.name in out
    for kind in ("fhir", "sr"):
        assert cli("generate", "--run", whole_run, source, "-o", "out", "--format", kind)[0] == 0
    (row,) = rows(tmp_path / "out/reports.jsonl")
    header = dcmread(source, stop_before_pixels=True)
    document = dcmread(tmp_path / f"out/{source.name}.sr.dcm")
    assert document.StudyInstanceUID == header.StudyInstanceUID
    assert document.PatientID == header.PatientID
    assert document.VerificationFlag == "UNVERIFIED"
    resource = json.loads((tmp_path / f"out/{source.name}.fhir.json").read_text())
    assert resource["id"] == str(row.report_uuid)
    assert resource["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{header.StudyInstanceUID}"
    module = pytest.importorskip("fhir.resources.R4B.diagnosticreport")
    module.DiagnosticReport.model_validate(resource)


@pytest.mark.data
def test_all_real_encodings_are_written_for(
    cli: Cli, whole_run: Path, real_data: Path, tmp_path: Path
) -> None:
    """Six files; two pairs share a study: one differs in encoding, one in a tag."""
    code, _, err = cli(
        "generate", "--run", whole_run, real_data / "dicom", "-o", "all", "--allow-missing-preamble"
    )
    assert code == 0
    assert "4 written" in err
    assert len(list((tmp_path / "all").glob("*.txt"))) == 4


def test_rows_go_into_one_private_file_and_are_not_written_twice(
    cli: Cli, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [write_picture(tmp_path / f"{n}.png", seed=n) for n in range(3)]
    assert cli("generate", "--run", whole_run, *pictures[:2], "-o", "r.jsonl")[0] == 0
    before = (tmp_path / "r.jsonl").read_bytes()
    assert stat.S_IMODE((tmp_path / "r.jsonl").stat().st_mode) == 0o600
    (tmp_path / "r.jsonl").write_bytes(before + b'{"study_id":"2.png","te')  # killed in mid-line
    seen: list[str] = []
    original = ReportWriter.write
    monkeypatch.setattr(
        ReportWriter,
        "write",
        lambda self, studies: seen.extend(s.study_id for s in studies) or original(self, studies),
    )
    code, _, err = cli("generate", "--run", whole_run, *pictures, "-o", "r.jsonl")
    assert code == 0
    assert "1 written, 2 were there already" in err
    assert seen == ["2.png"]
    after = (tmp_path / "r.jsonl").read_bytes()
    assert after.startswith(before)
    assert [row.study_id for row in rows(tmp_path / "r.jsonl")] == ["0.png", "1.png", "2.png"]


def test_rows_of_another_model_or_other_images_are_refused(cli: Cli, whole_run: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    assert cli("generate", "--run", whole_run, picture, "-o", "r.jsonl")[0] == 0
    before = (tmp_path / "r.jsonl").read_bytes()
    code, _, err = cli("generate", "--run", whole_run, picture, "-o", "r.jsonl", "--max-new-tokens", 3)
    assert (code, "other settings" in err) == (1, True)
    code, _, err = cli("generate", "--run", whole_run, picture, "-o", "r.jsonl", "--indication", "cough")
    assert (code, "other images" in err) == (1, True)
    assert (tmp_path / "r.jsonl").read_bytes() == before


@pytest.mark.parametrize("content", ["a,b\n1,2", '{"id": 1}\n', "no line break"])
def test_a_file_of_somebody_else_is_never_touched(
    content: str, cli: Cli, whole_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.jsonl").write_text(content)
    code, _, err = cli("generate", "--run", whole_run, write_picture(tmp_path / "a.png"), "-o", "other.jsonl")
    assert code == 1
    assert "something else" in err
    assert (tmp_path / "other.jsonl").read_text() == content


def test_a_bad_file_is_told_counted_and_listed(cli: Cli, whole_run: Path, tmp_path: Path) -> None:
    good, bad = write_picture(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    code, _, err = cli("generate", "--run", whole_run, good, bad, "-o", "out")
    assert code == 0
    assert "bad.png: unreadable image: neither PNG, JPEG nor DICOM" in err
    assert re.search(r"1 written(, 1 with[^,]*)*, 1 failed \(1 unreadable image\)", err)
    (item,) = read_jsonl(LeftOut, tmp_path / "out/left_out.jsonl")
    assert item.study_id == "bad.png"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_a_folder_that_was_there_keeps_its_permissions_and_its_reports_are_private(
    cli: Cli, whole_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o755)
    picture = write_picture(tmp_path / "a.png")
    assert cli("generate", "--run", whole_run, picture, "-o", "out")[0] == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
    written = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert written == dict.fromkeys(("a.png.txt", "reports.jsonl", "left_out.jsonl"), 0o600)


def test_the_exit_code_tells_when_nothing_worked(cli: Cli, whole_run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert cli("generate", "--run", whole_run, "bad.png", "gone.dcm")[0] == 1
    assert cli("generate", "--run", whole_run, "bad.png", "-o", "out", "--format", "sr")[0] == 1


def test_what_is_written_stays_when_a_later_study_stops_everything(
    cli: Cli, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [write_picture(tmp_path / f"{n}.png", seed=n) for n in range(3)]
    original = report_writer.generate_batch

    def stops(policy: object, studies: list[object], *rest: object, image_root: Path) -> object:
        if studies[0].study_id == "2.png":
            raise KeyboardInterrupt
        return original(policy, studies, *rest, image_root=image_root)  # type: ignore[arg-type]

    monkeypatch.setattr(report_writer, "generate_batch", stops)
    arguments = (
        "generate",
        "--run",
        whole_run,
        *pictures,
        "-o",
        "out",
        "--format",
        "fhir",
        "--batch-size",
        1,
    )
    code, _, err = cli(*arguments)
    assert code == 130
    assert "What is written is kept" in err
    assert len(rows(tmp_path / "out/reports.jsonl")) == len(list((tmp_path / "out").glob("*.fhir.json"))) == 2
    monkeypatch.setattr(report_writer, "generate_batch", original)
    assert "1 written, 2 were there already" in cli(*arguments)[2]


def test_another_format_is_made_from_the_rows_without_writing_again(
    cli: Cli, whole_run: Path, tmp_path: Path, writes: Callable[[str], None]
) -> None:
    write_dicom(tmp_path / "in/a.dcm")
    writes(DISAGREES)
    assert cli("generate", "--run", whole_run, "in", "-o", "out", "--format", "jsonl")[0] == 0
    writes("something else")
    assert (
        "0 written, 1 were there already"
        in cli("generate", "--run", whole_run, "in", "-o", "out", "--format", "sr")[2]
    )
    assert b"Large right pneumothorax." in (tmp_path / f"out/{STUDY}.sr.dcm").read_bytes()


def test_a_disagreement_is_a_warning_line_beside_the_report_and_without_findings_in_a_log(
    cli: Cli, whole_run: Path, tmp_path: Path, writes: Callable[[str], None]
) -> None:
    picture = write_picture(tmp_path / "a.png")
    writes(DISAGREES)
    _, out, err = cli("generate", "--run", whole_run, picture)
    assert "Warning: Findings and Impression disagree: Pneumothorax" in out
    assert "neumothorax" not in err
    _, out, err = cli("generate", "--run", whole_run, picture, "-o", "r.jsonl")
    assert "a.png: Findings and Impression disagree (1 one contradicts the other)" in err
    assert "neumothorax" not in out + err


def test_neither_patient_nor_report_gets_into_logs(
    cli: Cli, whole_run: Path, tmp_path: Path, writes: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write_dicom(tmp_path / "in/a.dcm")
    writes(DISAGREES)
    for kind in ("fhir", "sr", "text"):
        _, out, err = cli(
            "generate", "--run", whole_run, "in", "-o", kind, "--format", kind, "--indication", "old sorrow"
        )
        for secret in ("Müller", "P-17", "A-99", "neumothorax", "old sorrow", "1950"):
            assert secret not in out + err + caplog.text


def test_all_images_as_one_study(cli: Cli, whole_run: Path, tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    assert cli("generate", "--run", whole_run, *pictures, "--study", "-o", "r.jsonl")[0] == 0
    (row,) = rows(tmp_path / "r.jsonl")
    assert row.images == tuple(map(str, pictures))


def test_a_table_with_columns_of_its_own(cli: Cli, whole_run: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "t.csv").write_text("key,front,why\nA,1.png,cough\nB,1.png,\n")
    code, out, _ = cli(
        "generate", "--run", whole_run, "t.csv", "--id-column", "key", "--image-column", "front",
        "--indication-column", "why", "--format", "jsonl",
    )  # fmt: skip
    assert code == 0
    assert sorted(json.loads(line)["study_id"] for line in out.splitlines()) == ["A", "B"]


def test_an_exported_folder_writes_too(cli: Cli, lora_run: Path, tmp_path: Path) -> None:
    code, _, err = cli("export", lora_run, "-o", "mine")
    assert code == 0
    assert "model-rft -> mine" in err
    picture = write_picture(tmp_path / "a.png")
    assert cli("generate", "--model", "mine", picture, "-o", "r.jsonl")[0] == 0
    assert rows(tmp_path / "r.jsonl")[0].model == "lora/model-rft"


def test_a_model_that_read_more_than_it_is_shown_is_warned_of_once(
    cli: Cli, lora_run: Path, tmp_path: Path
) -> None:
    assert cli("export", lora_run, "-o", "mine")[0] == 0
    pictures = [write_picture(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    assert "in its prompt" not in cli("generate", "--model", "mine", *pictures)[2]
    settings = json.loads((tmp_path / "mine/radflow.json").read_text())
    (tmp_path / "mine/radflow.json").write_text(json.dumps({**settings, "show_previous": True}))
    code, out, err = cli("generate", "--model", "mine", *pictures)
    assert code == 0
    assert err.count("trained with the patient's previous report in its prompt") == 1
    assert "in its prompt" not in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a.png",), "Give --run RUN"),
        (("a.png", "--run", "nowhere"), "no finished model"),
        (("a.png", "--model", "nowhere"), "no such model folder"),
        (("a.png", "--run", "RUN", "--temperature", "0.5"), "--best-of"),
        (("a.png", "--run", "RUN", "--format", "sr"), "-o FOLDER"),
        (("a.png", "--run", "RUN", "--format", "fihr"), "Did you mean fhir"),
        (("a.png", "--run", "RUN", "-o", "r.jsonl", "--format", "fhir"), "Name a folder"),
        (("t.jsonl", "--run", "RUN", "-o", "t.jsonl"), "one of the inputs"),
        (("a.png", "--run", "RUN", "--device", "gpu"), "auto, cpu, cuda, mps"),
        (("a.png", "--run", "RUN", "--ontology", "chest"), "chest-xray"),
    ],
)
def test_mistakes_are_one_message(
    arguments: tuple[str, ...], told: str, cli: Cli, whole_run: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "t.jsonl").write_text('{"id": "A", "image": "a.png"}\n')
    code, out, err = cli("generate", *(str(whole_run) if word == "RUN" else word for word in arguments))
    assert (code, out) == (1, "")
    assert told in err
    assert "Traceback" not in err


def test_export_asks_for_a_token_before_it_works(
    cli: Cli, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    code, _, err = cli("export", whole_run, "-o", "mine", "--push", "me/model")
    assert code == 1
    assert "hf auth login" in err
    assert not (tmp_path / "mine").exists()
    assert "--push" in cli("export", whole_run, "-o", "mine", "--public")[2]
