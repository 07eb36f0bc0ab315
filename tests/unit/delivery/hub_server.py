"""A small model hub on loopback: takes what `huggingface_hub` sends to make a repository and commit files."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What it was asked for.

    Attributes:
        exists: visibility of the repository, if it is there already.
        token: the only one that may write.
        created: bodies of requests for a repository.
        files: path -> content of what was committed.
        tokens: of all requests that write.
        models: the repositories that requests were about, its making aside.
    """

    exists: str | None = None
    token: str = "secret"
    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)
    models: set[str] = field(default_factory=set)

    @property
    def visibilities(self) -> list[str]:
        """What was asked for; clients before 2.0 say it by a flag."""
        flags = {True: "private", False: "public", None: "as the hub likes"}
        return [body.get("visibility") or flags[body.get("private")] for body in self.created]

    def note(self, path: str) -> None:
        """Which repository a request is about: /api/models/USER/MODEL/..., or without USER/."""
        if match := re.match(r"/api/models/([^?]+?)(/preupload/.*|/commit/.*|/revision/.*)?(\?.*)?$", path):
            self.models.add(match[1])

    @contextmanager
    def running(self) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.note(self.path)
            visibility = hub.exists or next(reversed(hub.visibilities), None)
            if visibility is None:
                self._answer(404, {"error": "no such repository"})
                return
            private = visibility == "private"
            self._answer(200, {"id": "me/model", "private": private, "sha": "0" * 40, "siblings": []})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.note(self.path)
            hub.tokens.add(self.headers.get("Authorization"))
            if self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer(401, {"error": "no such user"})
            elif self.path == "/api/repos/create":
                hub.created.append(json.loads(body))
                self._answer(409 if hub.exists else 200, {"url": f"{hub.url}/me/model"})
            elif "/preupload/" in self.path:
                names = [file["path"] for file in json.loads(body)["files"]]
                files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
                self._answer(200, {"files": files})
            elif "/commit/" in self.path:
                for line in body.splitlines():
                    row = json.loads(line)
                    if row["key"] == "file":
                        hub.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
                done = {"commitUrl": f"{hub.url}/me/model/commit/1", "commitOid": "1" * 40, "success": True}
                self._answer(200, done)
            else:
                self._answer(200, {})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler
