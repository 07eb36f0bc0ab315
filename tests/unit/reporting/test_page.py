"""The page is one file that runs nothing but its own script and asks for nothing, whatever reports say."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.unit.reporting.made_run import ALL, HOSTILE, SFT_ONLY, STUDIES, interval, make_run, write_rows

from radflow.data.images import write_png
from radflow.errors import RunError
from radflow.reporting.cases import THUMBNAIL, thumbnails
from radflow.reporting.html import PATIENT_DATA, RESEARCH_USE, case_script, content_hash, render_report
from radflow.reporting.run_files import read_run
from radflow.run_dir import RunDir

VOID = {"meta", "img", "br", "hr", "link", "input"}
SECTIONS = [
    "overview", "gains", "metrics", "consistency", "losses", "exploration", "rewards", "clip", "signatures",
    "audit", "cases", "provenance",
]  # fmt: skip


class Page(HTMLParser):
    """Checks that tags nest; collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attributes.get("id") for attributes in self.named("section")]


def render(root: Path, *, stages: tuple[str, ...] = ALL, cases: int = 20) -> str:
    return render_report(read_run(RunDir(root), stages), cases=cases)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return make_run(tmp_path_factory.mktemp("made") / "full")


@pytest.fixture
def own(full: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(full, tmp_path / "own"))


def test_every_section_is_there_with_and_without_rft(full: Path, tmp_path: Path) -> None:
    assert Page(render(full)).sections == SECTIONS
    assert Page(render(make_run(tmp_path / "sft", SFT_ONLY), stages=SFT_ONLY)).sections == SECTIONS


def test_hostile_text_stays_text(full: Path) -> None:
    page = Page(render(full))
    assert page.text.count('<script>alert("&")</script>') >= 2 * STUDIES  # in every prediction
    assert {tag for tag, _ in page.tags} & {"iframe", "object", "link", "base", "form"} == set()
    assert len(page.named("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_nothing_is_fetched(full: Path) -> None:
    text = render(full)
    page = Page(text)
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "xlink:href", "poster", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/jpeg;base64,"))
    css = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert len(css) == 1
    assert "url(" not in css[0]
    assert "@import" not in css[0]
    policy = next(meta["content"] for meta in page.named("meta") if "http-equiv" in meta)
    allowed = f"script-src 'sha256-{content_hash(case_script())}'"
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {allowed}"
    assert f"<script>{case_script()}</script>" in text
    assert not re.search(r"https?:|fetch|XMLHttp|import|innerHTML|eval", case_script())


def test_links_lead_to_sections(full: Path) -> None:
    page = Page(render(full))
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert {(link["href"] or "").removeprefix("#") for link in page.named("a")} <= targets


def test_every_picture_has_words(full: Path) -> None:
    page = Page(render(full))
    assert all(image["alt"] for image in page.named("img"))
    assert all("aria-label" in svg or svg.get("aria-hidden") == "true" for svg in page.named("svg"))


def test_research_use_is_said_once_and_patient_data_where_there_are_patients(own: Path) -> None:
    text = render(own)
    assert (text.count(RESEARCH_USE), text.count(PATIENT_DATA)) == (1, 1)
    manifest = own / "manifests/prepare.json"
    manifest.write_text(manifest.read_text().replace('"source": "table"', '"source": "phantoms"'))
    assert PATIENT_DATA not in render(own)


def test_same_files_same_bytes(full: Path, tmp_path: Path) -> None:
    again = shutil.copytree(full, tmp_path / "again" / "full")
    assert render(full) == render(again)


def test_what_does_not_apply_says_why_in_one_line(tmp_path: Path) -> None:
    text = render(make_run(tmp_path / "sft", SFT_ONLY), stages=SFT_ONLY)
    absent = re.findall(r'<p class="absent">(.*?)</p>', text, re.DOTALL)
    assert len(absent) == 7
    assert all("\n" not in line and len(line) < 110 for line in absent)
    assert "This run has no Target Exploration." in absent


def test_what_another_config_left_in_the_folder_is_not_shown(full: Path) -> None:
    text = render(full, stages=SFT_ONLY)
    assert "This run has no reinforcement fine-tuning." in text
    assert "This run has no Target Exploration." in text


@pytest.mark.parametrize(
    "name",
    [
        "sft_history.jsonl",
        "candidates.jsonl",
        "hard.jsonl",
        "criticality.jsonl",
        "rft_history.jsonl",
        "images",
    ],
)
def test_a_missing_optional_file_costs_its_own_part_only(own: Path, name: str) -> None:
    target = own / name
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert Page(render(own)).sections == SECTIONS


def test_a_damaged_file_is_named_without_its_text(own: Path) -> None:
    (own / "rft_history.jsonl").write_text('{"step": 1}\nSecret patient text\n')
    with pytest.raises(RunError, match=r"rft_history\.jsonl:2") as caught:
        render(own)
    assert "Secret" not in str(caught.value)


def test_an_evaluation_of_another_version_is_refused(own: Path) -> None:
    summary = json.loads((own / "summary.json").read_text())
    summary["systems"] = {"sft": {"report/rouge_l": {"value": 0.3}}}
    (own / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(RunError, match="another version") as caught:
        render(own)
    assert "--redo evaluate" in str(caught.value)


def test_unknown_metrics_and_systems_are_shown(full: Path) -> None:
    text = Page(render(full)).text
    assert "new metric, odd" in text
    assert HOSTILE in text


def test_images_are_thumbnails_and_the_page_itself_is_small(own: Path) -> None:
    write_png(np.zeros((600, 1200, 3), np.uint8), own / "images/large.png")
    (url,) = thumbnails(("images/large.png",), own)
    with Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        assert image.size == (THUMBNAIL, THUMBNAIL // 2)
    assert len(render(own)) < 150_000


def test_no_cases_asked_for(full: Path) -> None:
    text = render(full, cases=0)
    assert "report.cases is 0" in text
    assert "<script" not in text
    assert "script-src" not in text


def test_inert_clip_is_told(own: Path) -> None:
    told = "CAPO's tighter clip changed nothing"
    assert told in Page(render(own)).text
    rows = [json.loads(line) for line in (own / "rft_history.jsonl").read_text().splitlines()]
    rows[-1]["critical/clip_fraction"] = 0.01
    write_rows(own / "rft_history.jsonl", rows)
    assert told not in Page(render(own)).text


@pytest.mark.parametrize(
    ("rft", "nearest", "told"),
    [
        (0.30, 0.50, "No: nearest image is as good or better."),
        (0.30, 0.30, "No: nearest image is as good or better."),
        (0.10, 0.30, "No: nearest image and most frequent report are as good or better."),
        (0.32, 0.30, "Yes, but the intervals overlap."),
        (0.60, 0.50, "Yes, and the intervals are apart."),
    ],
)
def test_the_first_screen_says_whether_copying_would_do(
    own: Path, rft: float, nearest: float, told: str
) -> None:
    summary = json.loads((own / "summary.json").read_text())
    for name, value in (("rft", rft), ("nearest image", nearest), ("most frequent", 0.2)):
        scores = {"all": {"report": {"rules-label-f1": interval(value)}}}
        summary["systems"][name] = {"scores": scores, "per_label": {}}
    (own / "summary.json").write_text(json.dumps(summary))
    overview = Page(render(own)).text.partition("Gain over SFT")[0]  # the next tile
    assert told in overview
    assert f"nearest image{nearest:.3f}" in overview  # a name and its value


def test_failure_signatures_are_told_with_cause_and_remedy(own: Path) -> None:
    text = Page(render(own)).text
    assert "1 failure signature seen" in text
    assert "a cause" in text
    assert "a remedy" in text
    manifest = json.loads((own / "manifests/rft.json").read_text())
    manifest["facts"]["signatures"][0]["name"] = "reward-hacking"
    (own / "manifests/rft.json").write_text(json.dumps(manifest))
    assert "seenreward-hacking" in Page(render(own)).text  # in the tile, line after line
    manifest["facts"]["signatures"] = []
    (own / "manifests/rft.json").write_text(json.dumps(manifest))
    assert "None of the known signatures was seen." in Page(render(own)).text


def test_a_plain_grpo_run_has_no_clip_to_be_inert(own: Path) -> None:
    manifest = own / "manifests/rft.json"
    manifest.write_text(manifest.read_text().replace('"algorithm": "capo"', '"algorithm": "grpo"'))
    assert "CAPO's tighter clip changed nothing" not in Page(render(own)).text


def test_label_counts_of_the_stage_count_before_reading_again(own: Path) -> None:
    manifest = json.loads((own / "manifests/explore.json").read_text())
    manifest["facts"]["groups"] = {
        "all": {"studies": 8, "labels": {"Edema": 2}},
        "selected": {"studies": 3, "labels": {"Edema": 1}},
    }
    (own / "manifests/explore.json").write_text(json.dumps(manifest))
    text = Page(render(own)).text
    assert "25.0 %" in text
    assert "33.3 %" in text


def test_verdicts_are_paired_study_by_study(own: Path) -> None:
    rows = [json.loads(line) for line in (own / "scores.jsonl").read_text().splitlines()]
    after = [1.0, 1.0, 1.0, 0.0, None, 1.0, 1.0, 1.0]
    for row in rows:
        number = int(row["study_id"][1:])
        row["values"]["consistency-rate"] = (number > 1) * 1.0 if row["system"] == "sft" else after[number]
    write_rows(own / "scores.jsonl", rows)
    page = Page(render(own))
    assert "Of 8 studies, 2 reports became consistent and 1 inconsistent" in page.text
    assert "SFT consistent, RadFlow (RFT) a section is missing: 1 studies" in page.text


def test_an_audit_in_the_runs_folder_is_shown_and_a_damaged_one_named(own: Path) -> None:
    (own / "audit").mkdir()
    path = own / "audit/audit.json"
    share = {"value": 0.75, "low": 0.6, "high": 0.9, "studies": 20}
    kinds = {"side_swap": {"detection": {"1": share}}, "other_words": {"detection": {}}}
    path.write_text(
        json.dumps({"reports": 20, "terms": {"bleu-4": {"kinds": kinds}}, "conclusions": [HOSTILE]})
    )
    text = Page(render(own)).text
    assert "bleu-4, side swap: 75% [60%, 90%]" in text
    assert "bleu-4, other words: –" in text
    path.write_text('{"terms": {"bleu-4": "secret"}}')
    with pytest.raises(RunError, match="not an audit") as caught:
        render(own)
    assert "secret" not in str(caught.value)


def _gain(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def test_the_first_screen_says_what_surely_rose_or_fell(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run")
    path = root / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    scores = {
        "consistency-rate": _gain(0.1, 0.05, 0.15),
        "bleu-4": _gain(-0.02, -0.03, -0.01),
        "rouge-l": _gain(0.01, -0.01, 0.03),
    }
    summary["differences"] = {
        "rft - sft": {"scores": {"all": {"report": scores}, "critical": {}}, "per_label": {}}
    }
    path.write_text(json.dumps(summary), encoding="utf-8")
    text = Page(render(root)).text
    assert "Higher: consistent reports. Lower: BLEU-4. No clear difference in 1 of 3 measures." in text
