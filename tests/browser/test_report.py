"""The report in a real browser: it fetches nothing, looks right, prints, and its cases can be chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from radflow.data.images import write_png
from radflow.data.sections import parse_report
from radflow.records import Study
from radflow.reporting.html import render_report
from radflow.reporting.run_files import read_run
from radflow.reporting.runs_page import read_runs, render_runs
from radflow.run_dir import RunDir
from tests.browser.looks import SCHEMES, SIZES, complaints, looking, patient, require_good_looks
from tests.unit.reporting.made_run import ALL, make_run, write_rows

CASES = 200
LIMIT = 15_000_000
CONTRADICTION = "FINDINGS: No pneumothorax.\nIMPRESSION: Large left pneumothorax."


def make_large_run(root: Path) -> Path:
    """200 evaluated studies of two images each, with more noise (32 grey levels) than radiographs have."""
    make_run(root)
    noise = np.random.default_rng(0)
    studies, predictions, scores = [], [], []
    for number in range(CASES):
        names = [f"images/large-{number}-{view}.png" for view in range(2)]
        for name in names:
            grain = noise.integers(64, 96, (256, 256, 1)).astype(np.uint8)
            write_png(np.repeat(grain, 3, axis=2), root / name)
        study = f"study-{number}"
        finding = ("small left pleural effusion", "mild cardiomegaly")[number % 2]
        text = f"FINDINGS: There is {finding}. No pneumothorax.\nIMPRESSION: {finding.capitalize()}."
        studies.append(Study(study_id=study, split="test", images=tuple(names), report=parse_report(text)))
        for system in ("sft", "rft"):
            is_odd = system == "rft" and number % 10 == 0
            written = CONTRADICTION if is_odd else text
            predictions.append({"study_id": study, "system": system, "text": written})
            values = {"lexicon-graph-partial": number / CASES if system == "rft" else 0.5}
            values |= {"consistency-rate": 0.0 if is_odd else 1.0}
            scores.append(
                {
                    "study_id": study, "system": system, "part": "report", "values": values,
                    "is_critical": number % 5 == 0,
                }
            )  # fmt: skip
    (root / "studies.jsonl").write_text("".join(study.model_dump_json() + "\n" for study in studies))
    write_rows(root / "predictions.jsonl", predictions)
    write_rows(root / "scores.jsonl", scores)
    return root


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    page = render_report(read_run(RunDir(make_large_run(folder / "run")), ALL), cases=CASES)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def page(chromium: Browser, report: Path) -> Iterator[Page]:
    with looking(chromium, 1280, "light") as context:
        page = context.new_page()
        page.goto(report.as_uri())
        yield page


def shown(page: Page) -> list[str]:
    return [title.split(".")[0] for title in page.locator(".case:visible h3").all_inner_texts()]


def test_200_cases_are_under_15_megabytes(report: Path) -> None:
    assert report.stat().st_size < LIMIT


def test_nothing_is_asked_for_and_nothing_complains(chromium: Browser, report: Path) -> None:
    with looking(chromium, 1280, "light") as context:
        page = context.new_page()
        heard, asked = complaints(page), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        page.get_by_label("critical only").check()
        page.wait_for_timeout(300)
        outside = [url for url in asked if not url.startswith("data:image/jpeg") and url != report.as_uri()]
        assert (outside, heard) == ([], [])
        loaded = "[...document.images].every((one) => one.complete && one.naturalWidth > 0)"
        assert page.evaluate(loaded)


def test_a_script_in_a_report_does_not_run(chromium: Browser, tmp_path: Path) -> None:
    """Both ends: it is escaped, and the policy would stop it, as it stops one that is put in afterwards."""
    text = render_report(read_run(RunDir(make_run(tmp_path / "run")), ALL), cases=20)
    foreign = text.replace("</main>", "</main><script>document.title = 'broken out'</script>")
    for name, content in (("own.html", text), ("foreign.html", foreign)):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with looking(chromium, 1280, "light") as context:
            page = context.new_page()
            heard = complaints(page)
            page.goto((tmp_path / name).as_uri())
            assert page.title() == "run – radflow report"
            assert len(heard) == (name == "foreign.html")  # the policy says that it stopped one


def test_cases_are_chosen_by_label_criticality_and_consistency(page: Page) -> None:
    assert len(shown(page)) == CASES
    page.get_by_label("critical only").check()
    assert len(shown(page)) == CASES // 5
    page.get_by_label("inconsistent only").check()
    assert len(shown(page)) == CASES // 10
    page.get_by_label("critical only").uncheck()
    page.get_by_label("inconsistent only").uncheck()
    page.get_by_label("Asserted in the reference").select_option(label=f"Cardiomegaly ({CASES // 2})")
    assert len(shown(page)) == CASES // 2
    assert page.locator("#case-count").inner_text() == f"{CASES // 2} of {CASES} shown"


def test_cases_are_ordered_by_loss_and_by_gain(page: Page) -> None:
    assert shown(page)[:2] == ["1", "2"]
    page.get_by_label("Order").select_option("most improved first")
    assert shown(page)[:2] == [str(CASES), str(CASES - 1)]


def test_keys_step_through_the_cases_that_are_shown(page: Page) -> None:
    page.get_by_label("inconsistent only").check()
    page.locator("#case-count").click()
    places = []
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
        places.append(page.evaluate("document.activeElement.querySelector('h3').innerText.split('.')[0]"))
    assert places == [shown(page)[0], shown(page)[1], shown(page)[0]]
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") < 100


def test_problems_are_drawn_between_the_sections(page: Page) -> None:
    page.get_by_label("inconsistent only").check()
    case = page.locator(".case:visible").first
    first, bridge, second = (
        case.locator(where).bounding_box() for where in (".odd >> nth=0", ".bridge", ".odd >> nth=1")
    )
    assert first is not None
    assert bridge is not None
    assert second is not None
    assert first["y"] < bridge["y"] < second["y"]


def test_without_script_every_case_is_there(chromium: Browser, report: Path) -> None:
    context = patient(chromium.new_context(java_script_enabled=False))
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".case:visible").count() == CASES
    assert not page.locator("#case-controls").is_visible()
    context.close()


def test_it_prints(page: Page, shots: Path) -> None:
    pdf = page.pdf(format="A4")
    (shots / "report.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert not page.locator("#case-controls").is_visible()
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_looks_right(chromium: Browser, tmp_path: Path, shots: Path, width: int, scheme: str) -> None:
    """Of a small run, as axe-core takes minutes for 200 cases."""
    root = make_run(tmp_path / "run")
    pages = {
        "report": render_report(read_run(RunDir(root), ALL), cases=20),
        "runs": render_runs(read_runs([root, make_run(tmp_path / "other")])),
    }
    for name, content in pages.items():
        (tmp_path / f"{name}.html").write_text(content, encoding="utf-8")
        with looking(chromium, width, scheme) as context:
            page = context.new_page()
            page.goto((tmp_path / f"{name}.html").as_uri())
            require_good_looks(page, shots / f"{name}-{width}-{scheme}.png", full_page=True)
