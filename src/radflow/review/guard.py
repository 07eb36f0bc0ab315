"""Who may speak to the review server: checks before any page is made, and headers on every answer

The server is for one person at one browser. A random token in the printed address opens a session, whose
cookie every other request must carry; what changes something must also carry the session's form token. Other
names of the machine than its own are refused, so that no foreign page can reach it by a name of its own.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radflow.terminal import console

BODY_LIMIT = 8192
"""Bytes of a form; the largest of ours has some 600."""
MOST_FIELDS = 40
WRONG_TRIES, WINDOW_S = 10, 60.0
"""So many wrong tokens or cookies of one address in so many seconds, and it has to wait."""
MOST_ADDRESSES = 1000
ENTRANCE = "/enter"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer. Not no-referrer: browsers then send forms without saying where from."""


def _random() -> str:
    return secrets.token_urlsafe(32)


class WrongTries:
    """Remembers who gave wrong tokens lately; in bounded memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def note(self, address: str) -> None:
        times = self._times.pop(address, deque(maxlen=WRONG_TRIES))
        times.append(self._clock())
        self._times[address] = times
        if len(self._times) > MOST_ADDRESSES:
            del self._times[next(iter(self._times))]

    def must_wait(self, address: str) -> bool:
        times = self._times.get(address)
        return times is not None and len(times) >= WRONG_TRIES and self._clock() - times[0] < WINDOW_S


@dataclass(frozen=True)
class Tokens:
    """Random secrets of one server: in the printed address, in the cookie, in every form."""

    entrance: str = field(default_factory=_random)
    session: str = field(default_factory=_random)
    form: str = field(default_factory=_random)


class Guard:
    """ASGI middleware around the pages.

    A POST reaches them only with its form read and checked: ``scope["form"]`` holds its fields.

    Args:
        hosts: what the Host header may be, with port.
    """

    def __init__(
        self,
        pages: ASGIApp,
        tokens: Tokens,
        *,
        hosts: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pages, self._tokens = pages, tokens
        self._hosts = frozenset(host.lower() for host in hosts)
        port = next(iter(self._hosts)).rpartition(":")[2]
        self.cookie = f"radflow_review_{port}"  # cookies of one name are shared by all ports of a host
        self._wrong = WrongTries(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no web sockets, and nothing to do at start and end
        sent = False

        async def send_guarded(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            refusal = await self._refusal(scope, receive)
            await (refusal or self._pages)(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001 (any; only its kind is told, as its text may quote a report)
            console.print(f"a page failed: {type(error).__name__}", markup=False)
            if not sent:
                await _plain(500, "This page failed; the terminal says more.")(scope, receive, send_guarded)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """What to answer instead of a page; ``None`` lets the request through."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return _plain(421, "This server doesn't answer to that name.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _plain(405, "Only GET and POST.")
        address = str((scope.get("client") or ("unknown",))[0])
        given = self._given_cookie(headers)
        if given is not None and _same(given, self._tokens.session):
            if scope["path"] == ENTRANCE:
                return RedirectResponse("/", 303)
            return await self._refused_form(scope, receive, headers) if scope["method"] == "POST" else None
        if self._wrong.must_wait(address):
            return _plain(429, "Too many wrong links. Wait a minute.", {"Retry-After": str(int(WINDOW_S))})
        if scope["path"] == ENTRANCE and scope["method"] == "GET":
            tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
            if len(tokens) == 1 and _same(tokens[0], self._tokens.entrance):
                return self._opened()
            self._wrong.note(address)
        elif given is not None:
            self._wrong.note(address)
        return _plain(403, "Open the link that radflow review printed in the terminal.")

    def _given_cookie(self, headers: Headers) -> str | None:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        return cookies[self.cookie].value if self.cookie in cookies else None

    def _opened(self) -> Response:
        """The session's cookie, and away from the address with the token."""
        response = RedirectResponse("/", 303)
        response.set_cookie(self.cookie, self._tokens.session, httponly=True, samesite="strict", path="/")
        return response

    async def _refused_form(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self._hosts}:
            return _plain(403, "This form comes from elsewhere.")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return _plain(415, "Not a form of this page.")
        body = await _body(receive, headers)
        if body is None:
            return _plain(413, "This form is too large.")
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            return _plain(400, "Not a form of this page.")
        form = dict(fields)
        if not _same(form.pop("form_token", ""), self._tokens.form):
            return _plain(403, "This page is out of date: reload it and answer again.")
        scope["form"] = form
        return None


async def _body(receive: Receive, headers: Headers) -> bytes | None:
    """The request's body; ``None`` as soon as it is known to be larger than `BODY_LIMIT`."""
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:12]) > BODY_LIMIT:
        return None
    body = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body", False):
            return body


def _same(given: str, expected: str) -> bool:
    """Takes as long wherever the two differ."""
    return secrets.compare_digest(given.encode(), expected.encode())


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(text + "\n", status, headers)
