"""Fuzz for minutes: python -m tests.fuzz.run [TARGET ...] [--seconds 180] [--engine atheris|mutation]

Each target runs in a process of its own, so that a crash of a C library or a full memory ends only that. With
atheris (pip install atheris) inputs are bred by the code that they reach; without it seeds are mutated at
random. Every new kind of crash is made smaller and saved below tests/fuzz/cases, where the tests find it; it
stays there as a test once it is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).resolve().parents[2]
MEMORY = 6 << 30
INSTRUMENTED = ("radflow", "yaml", "tarfile", "pydicom", "defusedxml", "csv", "gzip")
SHRINKING_S = 20.0
POOL = 300
"""Inputs that were read to the end and serve as seeds of others."""


class Findings:
    """What one target showed: inputs tried, refusals, and each kind of crash once."""

    def __init__(self, name: str, seconds: float) -> None:
        from tests.fuzz.targets import TARGETS

        self.target = TARGETS[name]
        self.started = time.process_time()
        self.seconds = seconds
        self.tried = 0
        self.slowest = 0.0
        self.kinds: dict[str, str] = {}
        self.last = Path(tempfile.gettempdir()) / f"radflow-fuzz-{name}-{os.getpid()}.bin"

    @property
    def is_over(self) -> bool:
        return time.process_time() - self.started > self.seconds

    def attempt(self, data: bytes) -> bool:
        """Try an input; whether it was read to its end."""
        self.last.write_bytes(data)  # what a process that dies was doing
        self.tried += 1
        started = time.process_time()
        is_read, kind = _outcome(self.target, data)
        self.slowest = max(self.slowest, time.process_time() - started)
        if kind is not None and kind not in self.kinds:
            self.kinds[kind] = _save(self.target.name, _smaller(self.target, data, kind))
        return is_read

    def finish(self) -> None:
        """Tell the parent process."""
        self.last.unlink(missing_ok=True)
        spent = time.process_time() - self.started
        told = {"tried": self.tried, "seconds": round(spent), "slowest": round(self.slowest, 3)}
        _say("RESULT " + json.dumps({**told, "crashes": self.kinds}))


def _outcome(target: Any, data: bytes) -> tuple[bool, str | None]:
    """Whether an input was read, and the kind of crash, ``None`` without one."""
    from tests.fuzz.target import Hang, attempt

    try:
        return attempt(target, data), None
    except (Exception, Hang) as error:  # noqa: BLE001 (every one is a finding)
        return False, _kind(error)


def _kind(error: BaseException) -> str:
    """The error's class and the innermost line of radflow that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "radflow" in frame.filename] or frames
    place = inside[-1]
    where = "" if type(error).__name__ == "Hang" else f":{place.lineno}"
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.name}{where}"


def _smaller(target: Any, data: bytes, kind: str) -> bytes:
    """The input with as much left out as leaves the crash the same, for some seconds."""
    until = time.process_time() + SHRINKING_S
    size = len(data) // 2
    while size and time.process_time() < until:
        start = 0
        while start < len(data) and time.process_time() < until:
            shorter = data[:start] + data[start + size :]
            if _outcome(target, shorter)[1] == kind:
                data = shorter
            else:
                start += size
        size //= 2
    return data


def _save(name: str, data: bytes) -> str:
    path = CASES / name / f"{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path.name


def mutate(findings: Findings, seed: int) -> None:
    """Random mutations of the seeds, and of inputs that were read to the end."""
    from tests.fuzz.mutation import mutated

    target, random = findings.target, Random(seed)
    pool = list(target.seeds)
    for data in target.seeds:
        findings.attempt(data)
    while not findings.is_over:
        most = random.choice((256, 4096, target.most_bytes))
        data = (
            mutated(pool, target.words, random, most=most) if random.random() < 0.95 else random.randbytes(64)
        )
        if findings.attempt(data) and len(data) <= 8192:
            if len(pool) < POOL:
                pool.append(data)
            else:
                pool[random.randrange(len(target.seeds), POOL)] = data
    findings.finish()


def breed(name: str, seconds: float, seed: int) -> None:
    """atheris: coverage of radflow and of the Python readers it rests on decides which inputs live on."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        findings = Findings(name, seconds)

    def one(data: bytes) -> None:
        findings.attempt(data)
        if findings.is_over:
            findings.finish()
            os._exit(0)  # libFuzzer knows wall time only

    with tempfile.TemporaryDirectory(prefix="radflow-corpus-") as corpus:
        for number, data in enumerate(findings.target.seeds):
            Path(corpus, str(number)).write_bytes(data)
        words = Path(corpus).parent / f"{Path(corpus).name}.dict"
        words.write_text(
            "\n".join(f'"{_escaped(word)}"' for word in findings.target.words if len(word) <= 60)
        )
        options = [f"-dict={words}"] if findings.target.words else []
        limits = [
            f"-max_len={findings.target.most_bytes}",
            f"-seed={seed}",
            "-rss_limit_mb=0",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, *limits, corpus], one)
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def child(name: str, seconds: float, engine: str, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if engine == "atheris":
        breed(name, seconds, seed)
    else:
        mutate(Findings(name, seconds), seed)


def run_target(name: str, seconds: float, engine: str, seed: int) -> bool:
    """One target in a process of its own; whether nothing was found."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--child", "--engine", engine]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not told:
        last = Path(tempfile.gettempdir(), f"radflow-fuzz-{name}-*")
        _say(f"| {name} | died with exit code {done.returncode} | | | see {last} |")
        _say(done.stderr[-2000:])
        return False
    result = json.loads(told[-1].removeprefix("RESULT "))
    crashes = "; ".join(f"{kind} ({case})" for kind, case in result["crashes"].items()) or "none"
    _say(f"| {name} | {result['tried']:,} | {result['seconds']} | {result['slowest']:.3f} | {crashes} |")
    return not result["crashes"]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    from tests.fuzz import names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(names.NAMES)}; all by default")
    parser.add_argument("--seconds", type=float, default=180.0, help="processor time for each target")
    parser.add_argument("--engine", choices=("atheris", "mutation"))
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**31))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.chdir(ROOT)
    engine = given.engine or ("atheris" if importlib.util.find_spec("atheris") else "mutation")
    if given.child:
        child(given.targets[0], given.seconds, engine, given.seed)
        return
    _say(f"engine {engine}, seed {given.seed}, {given.seconds:g} s of processor time a target")
    _say("| target | inputs | processor s | slowest, s | crashes |\n| --- | ---: | ---: | ---: | --- |")
    clean = [run_target(name, given.seconds, engine, given.seed) for name in given.targets or names.NAMES]
    sys.exit(not all(clean))


if __name__ == "__main__":
    main()
