"""Judge answers/s at 50 ms latency and 32 connections against the ideal and bare sockets; kept answers/s.

Usage: python benchmarks/judge_speed.py [--questions 3000] [--rounds 3]
The ideal is connections / latency. The bare client writes ready bytes to 32 sockets and reads the answers:
what is left of the ideal on this machine at this moment. Server and clients share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import Answer, Question, criticality_question
from radflow.clinical.judge_verdicts import CriticalityVerdict
from radflow.config import JudgeConfig

CONNECTIONS = 32
LATENCY_S = 0.05
REPORT = "FINDINGS: The lungs are clear. No effusion or pneumothorax. IMPRESSION: No acute disease. Case {}."


@contextmanager
def server() -> Iterator[str]:
    """The scripted server in a process of its own; yields its base URL."""
    script = Path(__file__).parent.parent / "tests" / "judge_server.py"
    command = [sys.executable, str(script), "--latency", str(LATENCY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def questions(count: int) -> Iterator[Question[CriticalityVerdict]]:
    return (criticality_question(str(number), report=REPORT.format(number)) for number in range(count))


def ask(judge: Judge, count: int) -> tuple[float, float]:
    """Answers a second by the clock, and CPU seconds of this process per answer."""
    started, cpu = time.perf_counter(), time.process_time()
    answered = sum(isinstance(result, Answer) for result in judge.ask_all(questions(count)))
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert answered == count
    return count / wall, cpu / count


async def bare(url: str, count: int) -> float:
    """Answers a second that plain sockets get from the same server."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    body = b'{"messages": [{}, {"content": "{}"}], "padding": "' + b"x" * 1500 + b'"}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def one(share: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(share):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one(count // CONNECTIONS) for _ in range(CONNECTIONS)))
    return count // CONNECTIONS * CONNECTIONS / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ideal = CONNECTIONS / LATENCY_S
    asked, sockets, kept, cpu = [], [], [], []
    with server() as url, tempfile.TemporaryDirectory() as folder:
        config = JudgeConfig(base_url=url, concurrency=CONNECTIONS)
        ask(Judge(config, cache=Path(folder) / "warm"), CONNECTIONS)  # imports
        for number in range(arguments.rounds):
            judge = Judge(config, cache=Path(folder) / str(number))
            rate, seconds = ask(judge, arguments.questions)
            asked.append(rate)
            cpu.append(seconds)
            kept.append(ask(judge, arguments.questions)[0])
            sockets.append(asyncio.run(bare(url, arguments.questions)))
    rate, rival = statistics.median(asked), statistics.median(sockets)
    print(f"ideal:        {ideal:7.0f} answers/s ({CONNECTIONS} connections, {LATENCY_S * 1000:.0f} ms)")
    print(f"bare sockets: {rival:7.0f} answers/s, {rival / ideal:.0%} of the ideal")
    print(f"radflow:      {rate:7.0f} answers/s, {rate / ideal:.0%} of the ideal, {rate / rival:.0%} of bare")
    print(
        f"              {statistics.median(cpu) * 1000:.2f} ms CPU per answer; rounds: "
        f"{', '.join(f'{value:.0f}' for value in asked)}"
    )
    print(f"kept answers: {statistics.median(kept):7.0f} answers/s")


if __name__ == "__main__":
    main()
