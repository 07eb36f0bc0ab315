"""A scripted chat-completions server on a loopback port, with real sockets: all that a judge can do wrong.

As a script it serves correct answers after a fixed latency, for benchmarks and kill tests:
    python tests/judge_server.py --latency 0.05 --log FILE    prints its base URL; FILE gets each report asked
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """What the server sends: `cut_at` closes the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut_at: int | None = None


Script = Callable[[dict[str, Any], int], Reply]
"""Takes the decoded request and how many came before it."""


def completion(content: str | None, *, finish: str = "stop", refusal: str | None = None) -> Reply:
    """A well-formed chat completion."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    value = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }
    return Reply(body=json.dumps(value).encode())


class JudgeServer:
    """Serves a script from a thread of its own; `requests` holds what came, headers under "headers".

    ``most_under_way`` is how many requests waited for their delayed answers together, at most.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        self.requests.append(body | {"headers": headers, "line": head[0]})
        reply = self.script(body, len(self.requests) - 1)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(reply.delay_s)
        self.under_way -= 1
        lines = [f"HTTP/1.1 {reply.status} Scripted", "content-type: application/json"]
        lines += [f"{key}: {value}" for key, value in reply.headers.items()]
        lines.append(f"content-length: {len(reply.body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body[: reply.cut_at])
        await writer.drain()
        return reply.cut_at is None


def payload_of(request: dict[str, Any]) -> dict[str, Any]:
    """The question's payload, as it arrived."""
    payload: dict[str, Any] = json.loads(request["messages"][1]["content"])
    return payload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    answer = completion('{"reason": "none", "is_critical": false, "confidence": 0.5}')
    reply = Reply(body=answer.body, delay_s=arguments.latency)
    log = os.open(arguments.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if arguments.log else None

    def script(request: dict[str, Any], number: int) -> Reply:
        if log is not None:
            os.write(log, f"{payload_of(request)['report']}\n".encode())
        return reply

    async def serve() -> None:
        server = JudgeServer(script)
        sys.stdout.write(await server.start() + "\n")
        sys.stdout.flush()
        server.requests = _Forgetful()
        await asyncio.Event().wait()

    asyncio.run(serve())


class _Forgetful(list[dict[str, Any]]):
    """Keeps no request: a benchmark sends many."""

    def append(self, item: dict[str, Any]) -> None:
        pass


if __name__ == "__main__":
    main()
