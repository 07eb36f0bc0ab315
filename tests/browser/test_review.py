"""Reviewing in a real browser: label, reload, kill the server, resume, compare, sum up; and attacks on it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from radflow.review.answers import file_of
from tests.browser.looks import SCHEMES, SIZES, complaints, looking, new_page, require_good_looks
from tests.review_run import HOSTILE, STUDIES, make_review_run

COMMAND = [sys.executable, "-m", "radflow", "review"]


class Serving:
    """A server in a process of its own, as a user starts it."""

    def __init__(self, root: Path, reviewer: str = "anna") -> None:
        command = [*COMMAND, str(root), "--reviewer", reviewer, "--port", "0"]
        self.log = root.parent / f"server-{reviewer}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.site = self.address.partition("/enter")[0]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        # Children of a shell's background jobs ignore Ctrl-C until the server itself asks for it.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(self.site, timeout=60)
        self.process.send_signal(how)
        return self.process.wait(180)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_review_run(tmp_path / "run")


@pytest.fixture
def serving(root: Path) -> Iterator[Serving]:
    server = Serving(root)
    yield server
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


def label(page: Page) -> None:
    """As the run's making has it; by key."""
    text = page.locator(".report").inner_text()
    page.keyboard.press("1" if "tension" in text else "2")


def test_ten_cases_are_labelled_across_a_reload_and_a_killed_server(
    chromium: Browser, root: Path, serving: Serving
) -> None:
    page = new_page(chromium)
    heard = complaints(page)
    page.goto(serving.address)
    assert page.url == f"{serving.site}/"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    page.keyboard.press("1")
    page.wait_for_url("**/criticality/1")
    for number in range(1, 6):
        page.wait_for_url(f"**/criticality/{number}")
        label(page)
    page.wait_for_url("**/criticality/6")
    page.reload()
    assert "5 answered" in page.locator("nav").inner_text()

    page.keyboard.press("ArrowLeft")  # a slip, and its correction
    page.wait_for_url("**/criticality/5")
    assert page.locator(".chosen").count() == 1
    page.keyboard.press("3")
    page.wait_for_url("**/criticality/6")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/criticality/5")
    assert "Can't tell" in page.locator(".chosen").inner_text()
    label(page)
    page.wait_for_url("**/criticality/6")

    assert heard == []
    serving.stop(signal.SIGKILL)
    page.goto("about:blank")  # what the page asks of the killed server meanwhile is no fault of the pages
    heard.clear()
    with file_of(root / "review", "anna").open("ab") as file:
        file.write(b'{"reviewer": "anna", "task": "crit')
    again = Serving(root)
    page.goto(again.address)
    assert page.locator(".tasks li").first.locator(".progress").inner_text().strip() == f"5 of {STUDIES}"
    page.keyboard.press("1")
    for number in range(6, STUDIES + 1):
        page.wait_for_url(f"**/criticality/{number}")
        label(page)
    page.wait_for_url(f"{again.site}/")
    assert f"{STUDIES} of {STUDIES}" in page.locator("main").inner_text()
    assert heard == []
    assert again.stop() == 0

    summed = subprocess.run([*COMMAND, str(root), "--table"], capture_output=True, text=True, check=True)
    assert "Judges against reviewers" in summed.stdout
    labels = dict(csv.reader((root / "review/labels.csv").open()))
    assert labels == {"id": "is_critical"} | {f"s{n}": "0" if n % 3 else "1" for n in range(STUDIES)}


def test_two_systems_are_compared_without_knowing_which_is_which(
    chromium: Browser, root: Path, serving: Serving
) -> None:
    """Prefers RFT wherever it stands: by its text, as the page tells nothing else."""
    page = new_page(chromium)
    page.goto(serving.address)
    page.goto(f"{serving.site}/comparison")
    for number in range(1, STUDIES):
        page.wait_for_url(f"**/comparison/{number}")
        texts = page.locator(".report").all_inner_texts()
        assert len(texts) == 3
        page.keyboard.press("1" if "RFT" in texts[1] else "2")
    page.wait_for_url(f"{serving.site}/")
    subprocess.run([*COMMAND, str(root), "--table"], capture_output=True, check=True)
    (found,) = json.loads((root / "review/table.json").read_text())["preferences"]
    assert (found["first"], found["wins"]) == ("rft", [STUDIES - 1, 0])
    assert 0 < found["left"]["hits"] < STUDIES - 1


def test_errors_are_counted_by_keys_and_by_hand(chromium: Browser, root: Path, serving: Serving) -> None:
    page = new_page(chromium)
    page.goto(serving.address)
    page.goto(f"{serving.site}/errors/1")
    for key in ("2", "2", "Shift+Digit6"):
        page.keyboard.press(key)
    page.get_by_label("Wrong location, insignificant").fill("4")
    page.keyboard.press("Enter")
    page.wait_for_url("**/errors/2")
    page.keyboard.press("Enter")  # no errors
    page.wait_for_url("**/errors/3")
    lines = file_of(root / "review", "anna").read_text().splitlines()
    first, second = (json.loads(line)["errors"] for line in lines)
    assert {name: counts for name, counts in first.items() if any(counts)} == {
        "missing_finding": [2, 0],
        "missing_comparison": [0, 1],
        "wrong_location": [0, 4],
    }
    assert not any(map(sum, second.values()))


def test_hostile_text_and_file_names_stay_text_and_files(
    chromium: Browser, root: Path, serving: Serving
) -> None:
    page = new_page(chromium)
    heard = complaints(page)
    page.goto(serving.address)
    seen = 0
    for number in range(1, STUDIES + 1):
        page.goto(f"{serving.site}/criticality/{number}")
        assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth === 48)")
        assert "radflow review" in page.title()
        assert page.locator("script").count() == 1
        seen += HOSTILE in page.locator(".report").inner_text()
    assert seen == 1
    assert heard == []


def test_a_foreign_page_can_neither_answer_nor_read(chromium: Browser, root: Path, serving: Serving) -> None:
    """Of another site, and of another port of this machine, whose requests carry the session's cookie."""
    page = new_page(chromium)
    page.goto(serving.address)
    form = (
        f'<form method="post" action="{serving.site}/criticality/1"><input name="choice" value="critical">'
        "</form><script>document.forms[0].submit()</script>"
    )
    for origin in ("http://evil.example/", "http://127.0.0.1:9/"):
        page.route(origin, lambda route: route.fulfill(body=form, content_type="text/html"))
        with page.expect_response(f"{serving.site}/criticality/1") as answer:
            page.goto(origin)
        assert answer.value.status == 403
    page.route("http://127.0.0.1:9/frame", lambda route: route.fulfill(body="<p>", content_type="text/html"))
    page.goto("http://127.0.0.1:9/frame")
    read = page.evaluate(f"fetch('{serving.site}/', {{credentials: 'include'}}).then(() => 1, () => 0)")
    assert read == 0
    assert file_of(root / "review", "anna").read_bytes() == b""


def test_a_second_server_for_the_same_reviewer_is_refused(root: Path, serving: Serving) -> None:
    command = [*COMMAND, str(root), "--reviewer", "anna", "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another server" in second.stderr
    other = Serving(root, "ben")
    assert other.address.startswith("http://127.0.0.1:")
    other.stop()


def test_no_log_holds_a_report_or_the_token(chromium: Browser, serving: Serving) -> None:
    page = new_page(chromium)
    page.goto(serving.address)
    page.goto(f"{serving.site}/criticality/1")
    page.keyboard.press("1")
    page.wait_for_url("**/criticality/2")
    serving.stop()
    assert serving.process.stdout is not None
    told = serving.log.read_text() + serving.process.stdout.read()
    assert serving.address.partition("token=")[2] not in told
    assert "FINDINGS" not in told
    assert "stopped" in told


def test_pages_look_right_wide_and_narrow_light_and_dark(
    chromium: Browser, serving: Serving, shots: Path
) -> None:
    for width in SIZES:
        for scheme in SCHEMES:
            with looking(chromium, width, scheme) as context:
                page = context.new_page()
                page.goto(serving.address)
                require_good_looks(page, shots / f"review-home-{width}-{scheme}.png")
                for task in ("criticality", "consistency", "comparison", "errors"):
                    page.goto(f"{serving.site}/{task}/1")
                    require_good_looks(page, shots / f"review-{task}-{width}-{scheme}.png")


def test_the_server_is_for_its_user_alone(root: Path, serving: Serving) -> None:
    assert (root / "review").stat().st_mode & 0o077 == 0
    assert file_of(root / "review", "anna").stat().st_mode & 0o077 == 0
    assert file_of(root / "review", "anna").stat().st_uid == os.geteuid()
