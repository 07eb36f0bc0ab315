"""What a check of the doctor found: ok, warning or problem, in one sentence, with a remedy"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from radflow.errors import RadflowError

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    Attributes:
        name: what was looked at.
        state: a warning is worth reading, a problem stops the run or makes it useless.
        message: what was found, with its numbers.
        remedy: what to type or change; empty when ok.
    """

    name: str
    state: State
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def ok(name: str, message: str) -> Check:
    return Check(name, "ok", message)


def warning(name: str, message: str, remedy: str) -> Check:
    return Check(name, "warning", message, remedy)


def problem(name: str, message: str, remedy: str) -> Check:
    return Check(name, "problem", message, remedy)


def refused(name: str, error: RadflowError) -> Check:
    """What the run would stop with, said now."""
    message = f"{error.what} ({error.where})" if error.where else error.what
    return problem(name, message, error.next_step or "See the message.")


def attempt(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks of a group; an error of ours, a missing package or a bad disk is no crash."""
    try:
        return list(look())
    except RadflowError as error:
        return [refused(name, error)]
    except ImportError as error:
        return [problem(name, f"a package is missing: {error.name}", f"pip install {error.name}")]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return [problem(name, f"{reason}: {error.filename}", "Correct the path or its permissions.")]


def gibibytes(count: float) -> str:
    """Bytes for a person: 0.7 GiB, 21 GiB."""
    size = count / 2**30
    return f"{size:.1f} GiB" if size < 10 else f"{size:.0f} GiB"
