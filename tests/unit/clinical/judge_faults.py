"""What a judge's server can do wrong, and what becomes of the question: the tests run it, the docs show it.

`python -m tests.unit.clinical.judge_faults` prints the table of docs/judges.md.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import Any

from tests.judge_server import Reply, Script, completion

RETRIES = 2
TIMEOUT_S = 1.0
"""For the servers that are slow on purpose; the others get time, so that a busy machine is not a fault."""
GOOD = json.dumps({"reason": "none", "is_critical": False, "confidence": 0.9})
ANSWER = completion(GOOD)
STOPPED = "run stopped"


@dataclass(frozen=True)
class Fault:
    """One misbehaviour.

    Attributes:
        name: as the table says it.
        script: what the server does.
        outcome: "answer", a failure kind, or STOPPED.
        requests: how many requests the question costs.
        note: what else the table says.
    """

    name: str
    script: Script
    outcome: str
    requests: int
    note: str = ""

    @property
    def timeout_s(self) -> float:
        """Short where slowness is the fault."""
        return TIMEOUT_S if "slow" in self.name else 20.0


def always(reply: Reply) -> Script:
    return lambda request, number: reply


def at_first(*replies: Reply) -> Script:
    """These replies in order, then a good answer."""
    return lambda request, number: replies[number] if number < len(replies) else ANSWER


def _without_schema(request: dict[str, Any], number: int) -> Reply:
    """A server that ignores response_format until it is asked again."""
    return ANSWER if len(request["messages"]) == 4 else completion("The report shows nothing critical.")


def _status(code: int, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": "refused", "echo": "of the prompt"}}).encode()
    return Reply(
        status=code, body=body, headers={key.replace("_", "-"): text for key, text in headers.items()}
    )


ALL = RETRIES + 1
CUT = replace(ANSWER, cut_at=20)
SLOW = replace(ANSWER, delay_s=5)
TRUNCATED = Reply(body=ANSWER.body[:-30])
WRONG_SHAPE = completion('{"verdict": "fine"}')
OUT_OF_RANGE = completion('{"reason": "x", "is_critical": true, "confidence": 7}')
NO_CHOICES = Reply(body=b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}')

FAULTS = (
    Fault("429 with Retry-After, then fine", at_first(_status(429, retry_after="0.2")), "answer", 2, "waits"),
    Fault("429 for ever", always(_status(429)), "unavailable", ALL),
    Fault("429 with Retry-After of an hour", always(_status(429, retry_after="3600")), STOPPED, 1, "says so"),
    Fault("408, then 503, then fine", at_first(_status(408), _status(503)), "answer", 3),
    Fault("409, then fine", at_first(_status(409)), "answer", 2),
    Fault("500 for ever", always(_status(500)), "unavailable", ALL),
    Fault("slow once", at_first(SLOW), "answer", 2),
    Fault("slower than timeout_s", always(SLOW), "timeout", ALL),
    Fault("connection closed in mid-answer", always(CUT), "unavailable", ALL),
    Fault("connection closed once", at_first(CUT), "answer", 2),
    Fault("truncated JSON", always(TRUNCATED), "malformed", 2, "asked once more"),
    Fault("truncated JSON once", at_first(TRUNCATED), "answer", 2),
    Fault("valid JSON of the wrong shape", always(WRONG_SHAPE), "malformed", 2, "one repair call"),
    Fault("value out of range", always(OUT_OF_RANGE), "malformed", 2, "one repair call"),
    Fault("schema ignored, repaired when asked", _without_schema, "answer", 2, "one repair call"),
    Fault("schema ignored for ever", always(completion("All is well.")), "malformed", 2, "one repair call"),
    Fault("JSON in a code fence", always(completion(f"```json\n{GOOD}\n```")), "answer", 1),
    Fault("empty choices", always(NO_CHOICES), "malformed", 2),
    Fault("empty answer", always(completion(None)), "malformed", 2),
    Fault("cut off at max_tokens", always(completion(GOOD[:20], finish="length")), "malformed", 2),
    Fault("refusal", always(completion(None, refusal="I can't.")), "refused", 1),
    Fault("content filter", always(completion(None, finish="content_filter")), "refused", 1),
    Fault("400 (prompt too long)", always(_status(400)), "refused", 1, "no retry"),
    Fault("401 (wrong key)", always(_status(401)), STOPPED, 1, "no retry"),
    Fault("404 (wrong model or path)", always(_status(404)), STOPPED, 1, "no retry"),
    Fault("redirect", always(_status(307, location="http://127.0.0.1:9/v1")), STOPPED, 1, "never followed"),
)  # fmt: skip


def table() -> str:
    """The Markdown table of docs/judges.md."""

    lines = ["| the server | the question | requests | |", "| --- | --- | --- | --- |"]
    for fault in FAULTS:
        outcome = fault.outcome if fault.outcome in ("answer", STOPPED) else f"failure: {fault.outcome}"
        requests = (
            "retries + 1" if fault.requests == ALL and fault.outcome != "answer" else str(fault.requests)
        )
        lines.append(f"| {fault.name} | {outcome} | {requests} | {fault.note} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
