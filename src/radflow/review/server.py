"""Serve the review pages of a run to one reviewer, on this machine unless told otherwise"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from radflow.errors import ConfigError, RunError
from radflow.review.answers import TASKS, open_answers
from radflow.review.guard import ENTRANCE, Guard, Tokens
from radflow.review.pages import ReviewPages
from radflow.review.questions import drawn_studies, questions_of, read_ids, read_material
from radflow.review.wording import TITLES
from radflow.terminal import console, print_result

CONNECTIONS = 64


@dataclass(frozen=True)
class Serving:
    """What the command was asked for."""

    root: Path
    reviewer: str
    host: str
    port: int
    allow_remote: bool
    cases: int
    ids: Path | None
    systems: Sequence[str]


def serve(asked: Serving) -> None:
    """Print the address and serve until Ctrl-C.

    Raises:
        ConfigError: an address that isn't allowed.
        RunError: no run, nothing to review, the reviewer's answers in use, or the port taken.
    """
    _require_allowed(asked.host, is_remote_allowed=asked.allow_remote)
    material = read_material(asked.root, systems=asked.systems)
    only = None if asked.ids is None else read_ids(asked.ids)
    questions = questions_of(material, drawn_studies(material, asked.cases, only))
    if not any(questions.values()):
        raise RunError("there is nothing to review in this run", where=str(asked.root))
    with open_answers(asked.root, asked.reviewer) as answers, _bound(asked.host, asked.port) as listener:
        port = int(listener.getsockname()[1])
        tokens = Tokens()
        pages = ReviewPages(material, questions, answers, reviewer=asked.reviewer, form_token=tokens.form)
        guard = Guard(pages.application(), tokens, hosts=own_names(asked.host, port))
        counts = ", ".join(f"{len(questions[task])} {TITLES[task].lower()}" for task in TASKS)
        console.print(f"questions: {counts}", markup=False, highlight=False)
        console.print(f"answers: {answers.path}", markup=False, soft_wrap=True)
        print_result(f"http://{_in_url(asked.host)}:{port}{ENTRANCE}?token={tokens.entrance}")
        console.print("Open this address in a browser; it is a key, so keep it to yourself. Ctrl-C stops.")
        _run(guard, listener)
    console.print("stopped; every answer is kept, and the same command goes on from here")


def own_names(host: str, port: int) -> list[str]:
    """What a browser may call this server: its address, and for loopback all names of it."""
    names = {_in_url(host)}
    if _is_loopback(host):
        names |= {"127.0.0.1", "localhost", "[::1]"}
    return [f"{name}:{port}" for name in sorted(names)] + ([] if port != 80 else sorted(names))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_allowed(host: str, *, is_remote_allowed: bool) -> None:
    if host in ("", "0.0.0.0", "::"):
        raise ConfigError(
            "this address means all networks at once, and no browser can call it by that",
            where="--host",
            next_step="Give the one address of this machine that the reviewer's browser will use.",
        )
    if _is_loopback(host):
        return
    if not is_remote_allowed:
        raise ConfigError(
            f"{host} can be reached from other machines, and reports are patient data",
            where="--host",
            next_step="Better leave it out and forward the port (ssh -L 8765:127.0.0.1:8765 THIS-MACHINE); "
            "or add --allow-remote if that network may see reports, images and answers unencrypted.",
        )
    console.print(
        f"[yellow]warning:[/] reports, images and answers go over the network to {host} unencrypted, and "
        "whoever sees the printed address can answer"
    )


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise RunError(
            f"can't listen there: {error.strerror or error}",
            where=f"{host}:{port}",
            next_step="Is another server running? Choose another port with --port; 0 takes a free one.",
        ) from None


def _run(guard: Guard, listener: socket.socket) -> None:
    """Without logs, whose lines would hold the token, and without trust in headers that say who is asking."""
    config = uvicorn.Config(
        guard,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return
