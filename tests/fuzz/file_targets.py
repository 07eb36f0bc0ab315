"""Targets that read files which others wrote: tables, XML, archives, configs, JSON lines"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from atexit import register
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow
import pyarrow.parquet

from radflow.clinical.ontology_file import read_ontology
from radflow.config import DataConfig, SplitConfig
from radflow.config_file import load_config, show_config
from radflow.data.report_files import read_parsed
from radflow.data.rexrank import read_rexrank
from radflow.data.sources.iu_xray import read_iu_xray
from radflow.data.sources.table import read_table
from radflow.data.splits import StudyKey, assign_splits
from radflow.errors import RadflowError
from radflow.jsonl import Appender, IndexedAppender, read_jsonl
from radflow.records import Candidate, Study
from tests.fuzz.target import SECRET, Target

REPORT = f"FINDINGS: Small {SECRET}.\nIMPRESSION: {SECRET}."


@cache
def folder() -> Path:
    """A folder of this process, gone at its end."""
    made = Path(tempfile.mkdtemp(prefix="radflow-fuzz-"))
    register(shutil.rmtree, made, ignore_errors=True)
    return made


def put(name: str, data: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# Tables: the first line of an input says which kind of file it is


def csv_bytes(delimiter: str = ",") -> bytes:
    rows = (
        ("id", "report", "image", "split"),
        ("7", f'"{REPORT}"', "a.png", "train"),
        ("8", "", "b.png;a.png", ""),
    )
    return "\r\n".join(delimiter.join(row) for row in rows).encode()


def jsonl_bytes() -> bytes:
    rows = (
        {"id": "a", "report": REPORT, "image": "a.png"},
        {"id": 12.0, "report": None, "image": ["a.png", "../b.png"]},
        {"id": True, "findings": SECRET, "impression": "Größer \U0001fac1", "image": {"path": "a.png"}},
    )
    return "\n".join(json.dumps(row) for row in rows).encode()


KINDS = ("csv", "tsv", "jsonl", "csv.gz", "jsonl.gz")


def table_seeds() -> tuple[bytes, ...]:
    plain = {"csv": csv_bytes(), "tsv": csv_bytes("\t"), "jsonl": jsonl_bytes()}
    packed = {f"{kind}.gz": gzip.compress(plain[kind], mtime=0) for kind in ("csv", "jsonl")}
    return tuple(kind.encode() + b"\n" + content for kind, content in (plain | packed).items())


def tables(data: bytes) -> None:
    kind, _, content = data.partition(b"\n")
    name = kind.decode("ascii", "ignore")
    read_all(put(f"table.{name if name in KINDS else 'csv'}", content))


def parquet_seeds() -> tuple[bytes, ...]:
    columns = {
        "id": ["a", "b"],
        "report": [REPORT, None],
        "image": [{"bytes": b"\x89PNG", "path": "a.png"}, None],
    }
    tables = (
        pyarrow.table(columns),
        pyarrow.table({"id": [1.0, 2.0], "report": pyarrow.array([REPORT, "x"]).dictionary_encode()}),
    )
    found = []
    for table in tables:
        for compression in ("none", "snappy"):
            sink = io.BytesIO()
            pyarrow.parquet.write_table(table, sink, compression=compression)
            found.append(sink.getvalue())
    return tuple(found)


def parquet(data: bytes) -> None:
    read_all(put("table.parquet", data))


def by_each(*readers: Callable[[], object]) -> None:
    """Every reader reads or refuses the input; it is refused where all of them do."""
    refusals: list[RadflowError] = []
    for read in readers:
        try:
            read()
        except RadflowError as error:
            refusals.append(error)
    if len(refusals) == len(readers):
        raise refusals[-1]


def read_all(path: Path) -> None:
    """As reports, and as studies."""
    by_each(lambda: list(read_parsed(path)), lambda: list(read_table(table_data(path.name), 0)))


@cache
def table_data(name: str) -> DataConfig:
    return DataConfig(source="table", root=folder() / name)


# JSON


def json_files(data: bytes) -> None:
    path = put("annotation.json", data)
    keys = [StudyKey("CXR7", "7", None), StudyKey("CXR8", None, None)]
    by_each(
        lambda: list(read_rexrank(path, "reference")),
        lambda: list(read_rexrank(path, "prediction")),
        lambda: assign_splits(keys, SplitConfig(method="r2gen", file=path), seed=0),
    )


JSON_SEEDS = tuple(
    json.dumps(value).encode()
    for value in (
        {
            "7": {
                "section_findings": SECRET,
                "section_impression": None,
                "model_prediction": "Findings: a Impression: b",
            }
        },
        {
            "8": {
                "findings": "None",
                "impression": SECRET,
                "model_prediction": f"Findings: None Impression: {SECRET}",
            }
        },
        {"train": [{"id": "CXR7_IM-0001", "split": "train", "report": SECRET}], "val": [], "test": []},
    )
)
JSON_WORDS = tuple(rb'{ } [ ] " : , null true false 1 0.5 -0 1e5 NaN Infinity \ud800 \u0000 \n'.split())


CANDIDATE = Candidate(study_id="a", text=REPORT, tokens=3, finished=True)


def json_lines(data: bytes) -> None:
    path = put("rows.jsonl", data)
    by_each(
        lambda: list(read_jsonl(Candidate, path)),
        lambda: list(read_jsonl(Study, path)),
        lambda: reopened(path),
    )


def reopened(path: Path) -> None:
    """Both appenders go on behind whatever was torn; what they wrote is read back."""
    with Appender(path, Candidate) as rows:
        rows.append([CANDIDATE])
    with IndexedAppender(path, Candidate, key=lambda row: row.study_id) as indexed:
        assert indexed.read("a") == CANDIDATE


LINES = tuple(
    row.model_dump_json().encode() + b"\n"
    for row in (
        CANDIDATE,
        Study(
            study_id="b",
            split="train",
            images=("images/b.png",),
            report={"text": REPORT, "findings": SECRET, "findings_found_by": "header"},  # type: ignore[arg-type]
            metadata={"views": ["frontal", None], "n": [1, 2.5]},
        ),
    )
)


# The Open-i collection: files of XML, and the archive that holds them


def xml_seed(*, body: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR7"/><Abstract>'
        f'<AbstractText Label="FINDINGS">{SECRET}</AbstractText>'
        f'<AbstractText Label="IMPRESSION">{SECRET} &amp; more</AbstractText>'
        f"</Abstract><MeSH><major>Opacity/lung</major></MeSH>{body}"
        '<parentImage id="CXR7_IM-0001-1001"/></eCitation>'
    ).encode()


BOMB = b'<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;"><!ENTITY z SYSTEM "file:///etc/passwd">]>'
XML_SEEDS = (
    xml_seed(),
    xml_seed(body="<AbstractText Label='COMPARISON'><b>None</b>.</AbstractText>"),
    xml_seed().replace(b"<eCitation>", BOMB + b"<eCitation>").replace(b"more", b"&y;&z;"),
    xml_seed().decode().encode("utf-16"),
)
XML_WORDS = (
    *(b"<AbstractText Label='FINDINGS'>", b"</AbstractText>", b"<a>", b"</a>", b"<![CDATA[", b"]]>", b"<!--"),
    *(b"-->", b"&#0;", b"&#xD800;", b"&#x10FFFF;", b"&amp;", BOMB, b"&y;", b'encoding="utf-7"', b"<?x?>"),
    *(b'encoding="idna"', b'encoding="utf-16"', b"xmlns:a='b'", b"<parentImage id='", b"'/>", b'<uId id="'),
)


@cache
def openi() -> DataConfig:
    put("openi/images/CXR7_IM-0001-1001.png", b"")
    return DataConfig(source="iu_xray", root=folder() / "openi", images=folder() / "openi" / "images")


def xml(data: bytes) -> None:
    settings = openi()
    (folder() / "openi" / "NLMCXR_reports.tgz").unlink(missing_ok=True)
    put("openi/7.xml", data)
    list(read_iu_xray(settings, 0))


def archive(members: dict[str, bytes], *, form: int = tarfile.PAX_FORMAT, link: bool = False) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("9.xml")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return sink.getvalue()


def packed(tar: bytes) -> bytes:
    return gzip.compress(tar, mtime=0)


def tgz_seeds() -> tuple[bytes, ...]:
    """Archives as they lie on disk, and bare ones, which `tgz` packs: mutations reach their headers."""
    tars = (
        archive({"ecgen-radiology/7.xml": xml_seed()}),
        archive({"ecgen-radiology/" + "long" * 60 + "/7.xml": xml_seed(), "x.txt": b"y"}),
        archive({"7.xml": xml_seed(), "8.xml": b""}, form=tarfile.GNU_FORMAT),
        archive({"../7.xml": xml_seed()}, form=tarfile.USTAR_FORMAT),
        archive({"7.xml": xml_seed()}, link=True),
        archive({"7.xml": b"\0" * 3_000_000}),
    )
    return tuple(packed(tar) for tar in tars) + tuple(b"tar\n" + tar for tar in tars[:5])


def tgz(data: bytes) -> None:
    settings = openi()
    (folder() / "openi" / "7.xml").unlink(missing_ok=True)
    content = data if not data.startswith(b"tar\n") else packed(data[4:])
    put("openi/NLMCXR_reports.tgz", content)
    list(read_iu_xray(settings, 0))


# Settings and ontologies


def config(data: bytes) -> None:
    """A config file; behind a line of three dashes and a blank, overrides, one a line."""
    text, _, overrides = data.partition(b"\n--- \n")
    lines = [line.decode("utf-8", "surrogateescape") for line in overrides.splitlines()]
    show_config(load_config(put("config.yaml", text), overrides=lines))


CONFIG_SEEDS = (
    b"seed: 3\ndata:\n  source: table\n  root: ${HOME}/reports.csv\n  table:\n    image_columns: [a, b]\n"
    b"sft:\n  learning_rate: 1e-4\nrft:\n  kappa: 4\n",
    b"stages: [prepare, sft]\ndata: &d\n  sections:\n    headers: {Befund: findings}\nevaluate: {}\n"
    b"\n--- \nrft.learning_rate=1e-5\ndata.limit=3\njudge.base_url=http://127.0.0.1:8080/v1",
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    b"reward: {language: 1.0, domain: 0.5}\nmodel:\n  name: ./model\n  tiny: {hidden_size: 64}\n",
)
CONFIG_WORDS = (
    *(b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system ", b"!!binary ", b"!!timestamp ", b"!!int "),
    *(b"!!float ", b"!!set ", b"!!omap ", b"!!bool ", b"2020-13-45", b"~nosuchuser7/x", b"~", b"${HOME}"),
    *(b"{", b"}", b"[", b"]", b": ", b"- ", b"? ", b"|\n", b"'", b'"', b"#", b"%YAML 9.9\n", b"---\n"),
    *(b"...\n", b"1_000", b"0x_", b"0b_", b".inf", b".nan", b"1:60", b"=", b"-", b"\n--- \n", b"data.root="),
    *(b"seed: ", b"stages: ", b"data:\n", b"  root: ", b"sft.batch_size=", b"rft.steps=[[[", b"model.name="),
    *(b"${NOWHERE}", b"null"),
)


def ontology(data: bytes) -> None:
    read_ontology(data.decode("utf-8", "surrogateescape"), where="own.yaml")


ONTOLOGY_SEEDS = (
    b"name: own\ntitle: Own\nlanguage: de\ncolumns: [Erguss]\nobservations:\n  Erguss:\n    column: Erguss\n"
    b"    phrases: [erguss|ergusse, kleiner erguss]\n    critical: urgent\nsides:\n  left: [links]\n",
    b"name: own\ntitle: Own\ncolumns: [Nodule]\nobservations:\n  Nodule:\n    column: Nodule\n"
    b"    phrases: [nodule*, pulmonary nodule]\n    exceptions: [no nodule]\ncues: {normal: [plain]}\n",
)
_MARKS = (b'""', b'"', b",", b"\t", b"\r", b"\x1f\x8b", b"\x00", b"report", b'"image": ', b"../", b"/etc/")
TABLE_WORDS = (*JSON_WORDS, *_MARKS)

TARGETS = (
    Target("config", config, CONFIG_SEEDS, CONFIG_WORDS, keeps_secrets=False),
    Target("ontology", ontology, ONTOLOGY_SEEDS, CONFIG_WORDS, keeps_secrets=False, seconds=20.0),
    Target(
        "json_lines", json_lines, (LINES[0], LINES[1], LINES[0] * 3, LINES[0] + LINES[0][:40]), JSON_WORDS
    ),
    Target(
        "tables",
        tables,
        table_seeds(),
        TABLE_WORDS,
        keeps_secrets=False,  # a mutation may make a column's name of any text
    ),
    Target(
        "parquet", parquet, parquet_seeds(), (b"PAR1", b"id", b"report"), keeps_secrets=False, seconds=10.0
    ),
    Target("json_files", json_files, JSON_SEEDS, JSON_WORDS, keeps_secrets=False),  # ids may be any text
    Target("xml", xml, XML_SEEDS, XML_WORDS),
    Target(
        "tgz",
        tgz,
        tgz_seeds(),
        (
            b"ustar\x00",
            b"0000644\x00",
            b"77777777777\x00",
            b"\x80\x00\x00\x00",
            b"path=",
            b"size=-1\n",
            b"x" * 512,
        ),
        refuses=(RadflowError,),
    ),
)
