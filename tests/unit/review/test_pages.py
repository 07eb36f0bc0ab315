"""The server speaks to nobody without the session, takes no form from elsewhere, and serves no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.review_run import HOSTILE, STUDIES, make_review_run

from radflow.review.answers import AnswerFile, open_answers
from radflow.review.guard import BODY_LIMIT, HEADERS, WINDOW_S, WRONG_TRIES, Guard, Tokens, WrongTries
from radflow.review.pages import ReviewPages
from radflow.review.questions import drawn_studies, questions_of, read_material
from radflow.review.server import own_names

HOST = "127.0.0.1:8765"
REVIEWER = f"dr <i>{HOSTILE[:30]}"


class Server:
    """The whole application in this process, with a clock that stands still."""

    def __init__(self, root: Path, answers: AnswerFile) -> None:
        self.now = 1000.0
        self.answers, self.tokens = answers, Tokens()
        self.material = read_material(root)
        self.questions = questions_of(self.material, drawn_studies(self.material, 99))
        pages = ReviewPages(
            self.material,
            self.questions,
            answers,
            reviewer=REVIEWER,
            form_token=self.tokens.form,
            clock=lambda: self.now,
        )
        guard = Guard(
            pages.application(), self.tokens, hosts=own_names("127.0.0.1", 8765), clock=lambda: self.now
        )
        self.stranger = TestClient(guard, base_url=f"http://{HOST}", follow_redirects=False)
        self.client = TestClient(guard, base_url=f"http://{HOST}", follow_redirects=False)
        assert self.client.get("/enter", params={"token": self.tokens.entrance}).status_code == 303

    def form(self, path: str, **changes: str) -> dict[str, str]:
        digest = re.search(r'name="texts" value="(\w+)"', self.client.get(path).text)
        assert digest is not None
        return {"form_token": self.tokens.form, "texts": digest[1], **changes}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = make_review_run(tmp_path / "run")
    with open_answers(root, REVIEWER) as answers:
        yield Server(root, answers)


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(server: Server) -> None:
    answer = server.stranger.get("/enter", params={"token": server.tokens.entrance})
    cookie = answer.headers["set-cookie"].lower()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert server.tokens.entrance not in answer.headers["set-cookie"]
    assert server.client.get("/enter", params={"token": server.tokens.entrance}).headers["location"] == "/"


@pytest.mark.parametrize(
    "path", ["/", "/criticality/1", "/criticality/1/image/1", "/static/review.css", "/nothing", "/enter"]
)
def test_without_the_session_nothing_is_shown(server: Server, path: str) -> None:
    for headers in ({}, {"cookie": "radflow_review_8765=wrong"}, {"cookie": "=;;\x7f"}):
        answer = server.stranger.get(path, headers=headers)
        assert answer.status_code == 403
        assert "radflow review printed" in answer.text
        assert "set-cookie" not in answer.headers


def test_a_wrong_token_opens_nothing(server: Server) -> None:
    for query in ("token=", "token=x", f"token={server.tokens.entrance}&token=x", "token=%ff%00", "t=1"):
        assert server.stranger.get(f"/enter?{query}").status_code == 403


def test_wrong_tokens_are_slowed_down_but_not_the_session(server: Server) -> None:
    for _ in range(WRONG_TRIES):
        assert server.stranger.get("/enter?token=x").status_code == 403
    right = {"token": server.tokens.entrance}
    assert server.stranger.get("/enter", params=right).status_code == 429
    assert server.client.get("/").status_code == 200
    server.now += WINDOW_S
    assert server.stranger.get("/enter", params=right).status_code == 303


def test_wrong_cookies_count_as_wrong_tokens(server: Server) -> None:
    for _ in range(WRONG_TRIES):
        server.stranger.get("/", headers={"cookie": "radflow_review_8765=guess"})
    assert server.stranger.get("/enter?token=x").status_code == 429


def test_who_gave_wrong_tokens_is_remembered_in_bounded_memory() -> None:
    tries = WrongTries()
    for number in range(5000):
        tries.note(str(number))
    assert len(tries._times) <= 1000


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1", "127.0.0.1:80", "", "localhost.evil:8765"]
)
def test_other_names_of_the_machine_are_refused(server: Server, host: str) -> None:
    """A page of a foreign name that resolves to this machine (DNS rebinding) reads nothing."""
    assert server.client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_head_and_post_are_answered(server: Server, method: str) -> None:
    """Nor is there an answer to what a browser asks before a request from another site (CORS)."""
    for client in (server.client, server.stranger):
        answer = client.request(method, "/criticality/1", headers={"origin": "http://evil.example"})
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert server.answers.answers == {}


def test_loopback_has_three_names_and_other_addresses_one() -> None:
    assert own_names("127.0.0.1", 99) == ["127.0.0.1:99", "[::1]:99", "localhost:99"]
    assert own_names("10.0.0.7", 99) == ["10.0.0.7:99"]
    assert "10.0.0.7" in own_names("10.0.0.7", 80)


def test_every_answer_carries_the_policies(server: Server) -> None:
    for client, path in ((server.client, "/"), (server.client, "/nothing"), (server.stranger, "/")):
        headers = client.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({"form_token": "wrong"}, {}, 403),
        ({"form_token": ""}, {}, 403),
        ({}, {"origin": "http://evil.example"}, 403),
        ({}, {"origin": "null"}, 403),
        ({}, {"content-type": "text/plain"}, 415),
        ({}, {"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"texts": "0" * 12}, {}, 409),
        ({"choice": "<script>"}, {}, 400),
        ({"choice": "left"}, {}, 400),
        ({"note": "x" * BODY_LIMIT}, {}, 413),
        ({f"f{number}": "x" for number in range(60)}, {}, 400),
    ],
)
def test_forms_from_elsewhere_or_unlike_ours_are_refused(
    server: Server, changes: dict[str, str], headers: dict[str, str], status: int
) -> None:
    form = server.form("/criticality/1", choice="critical") | changes
    assert server.client.post("/criticality/1", data=form, headers=headers).status_code == status
    assert server.answers.answers == {}
    assert server.answers.path.read_bytes() == b""


def test_a_body_that_does_not_tell_its_size_is_cut_off_too(server: Server) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 1024

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert server.client.post("/criticality/1", content=endless(), headers=kind).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/criticality/0", "/criticality/11", "/criticality/-1", "/criticality/1/image/0",
        "/criticality/1/image/2", "/other/1", "/static/..%2fpages.py", "/static/pages.py",
        "/static/%2e%2e/pages.py", "/criticality/s1",
        "/criticality/1/image/..%2f..%2fstudies.jsonl", "/criticality/99999999999999999999",
    ],
)  # fmt: skip
def test_nothing_but_the_runs_own_cases_can_be_asked_for(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 404


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/hostname", "images/link.png", "studies.jsonl", "images"]
)
def test_image_paths_that_lead_out_of_the_run_or_to_no_image_are_refused(tmp_path: Path, name: str) -> None:
    root = make_review_run(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes((root / "images/1.png").read_bytes())
    (root / "images/link.png").symlink_to(tmp_path / "secret.png")
    lines = (root / "studies.jsonl").read_text().replace("images/1.png", name)
    (root / "studies.jsonl").write_text(lines)
    with open_answers(root, REVIEWER) as answers:
        server = Server(root, answers)
        statuses = [server.client.get(f"/criticality/{n}/image/1").status_code for n in range(1, STUDIES + 1)]
    assert sorted(statuses) == [200] * (STUDIES - 1) + [404]


def test_reports_and_names_are_escaped(server: Server) -> None:
    pages = [server.client.get(f"/criticality/{number}").text for number in range(1, STUDIES + 1)]
    assert sum(HOSTILE in unescape(page) for page in pages) == 1
    assert all("<script>" not in page and "onerror" not in page and "<i>" not in page for page in pages)
    assert all(REVIEWER in unescape(page) for page in pages)


def test_pages_tell_neither_ids_nor_systems_nor_verdicts(server: Server) -> None:
    for task, questions in server.questions.items():
        for number in range(1, len(questions) + 1):
            page = server.client.get(f"/{task}/{number}").text
            shown = re.sub(r'<p class="report">.*?</p>', "", page, flags=re.DOTALL)
            for word in ("s1", "sft", "rft", "SFT", "RFT", "a-model", "rules", "images/"):
                assert not re.search(rf"\b{re.escape(word)}\b", shown), (task, word)


def test_answering_goes_to_the_next_open_case_and_ends_at_the_overview(server: Server) -> None:
    where = "/criticality/3"
    for _ in range(STUDIES):
        server.now += 2
        form = server.form(where, choice="normal")
        server.now += 5
        where = server.client.post(where, data=form).headers["location"]
    assert where == "/"
    assert len(server.answers.answers) == STUDIES
    assert {answer.seconds for answer in server.answers.answers.values()} == {5.0}
    assert server.client.get("/criticality").headers["location"] == "/"
    assert "10 of 10" in server.client.get("/").text


def test_the_side_is_recorded_with_the_choice(server: Server) -> None:
    for number in range(1, STUDIES):
        server.client.post(f"/comparison/{number}", data=server.form(f"/comparison/{number}", choice="left"))
    answers = [one for one in server.answers.answers.values() if one.task == "comparison"]
    assert {one.systems for one in answers} == {("rft", "sft"), ("sft", "rft")}
    page = server.client.get("/comparison/1").text
    texts = re.findall(r'<p class="report">(.*?)</p>', page, re.DOTALL)
    first = next(one for one in server.answers.answers.values())
    assert unescape(texts[1]) == server.material.texts[first.study_id][first.systems[0]]


def test_an_answer_is_shown_again_and_can_be_corrected(server: Server) -> None:
    for choice in ("critical", "unsure"):
        server.client.post("/criticality/1", data=server.form("/criticality/1", choice=choice))
        page = server.client.get("/criticality/1").text
        assert re.search(rf'value="{choice}"[^>]*aria-pressed="true"', page)
        assert page.count("aria-pressed") == 1
    assert len(server.answers.path.read_text().splitlines()) == 2


def test_errors_are_counted_by_category_and_weight(server: Server) -> None:
    form = server.form("/errors/1", choice="counted")
    for name in re.findall(r'type="number" name="([\w.]+)"', server.client.get("/errors/1").text):
        form[name] = "0"
    assert len(form) == 3 + 12
    bad = form | {"false_finding.significant": "-1"}
    assert server.client.post("/errors/1", data=bad).status_code == 400
    assert (
        server.client.post("/errors/1", data=form | {"wrong_severity.insignificant": "99"}).status_code == 400
    )
    server.client.post("/errors/1", data=form | {"wrong_severity.insignificant": "3"})
    (answer,) = server.answers.answers.values()
    assert answer.errors is not None
    assert answer.errors["wrong_severity"] == (0, 3)
    assert 'name="wrong_severity.insignificant"' in server.client.get("/errors/1").text


def test_a_page_that_fails_tells_no_text(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> str:
        raise ValueError("secret report text")

    monkeypatch.setattr(type(server.material), "digest", fails)
    answer = server.client.get("/criticality/1")
    told = capsys.readouterr()
    assert answer.status_code == 500
    assert "secret" not in answer.text + told.out + told.err
    assert "ValueError" in told.err
