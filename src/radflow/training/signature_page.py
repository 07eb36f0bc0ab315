"""docs/signatures.md from the signatures themselves: each is shown by a small history that has it"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from radflow.training.signatures import (
    CHECKS,
    Row,
    Signature,
    inert_clip,
)

HEAD = """# Failure signatures and remedies

Made by `radflow signatures --markdown` from `radflow.training.signatures`; a test compares the two. They are
looked for in `rft_history.jsonl`: by `rft` at its end, by `radflow watch` while it runs, and by the report. A
signature is a sign with its likely cause, not a proof; the thresholds are ours and stand at the top of that
module. The numbers below are of made-up histories.

| signature | what is seen, for example | likely cause | what to do |
| --- | --- | --- | --- |
"""


def _steps(count: int, **columns: Callable[[int], float]) -> list[Row]:
    """Rows with these columns, whose names have __ for a slash."""
    named = {name.replace("__", "/"): of_step for name, of_step in columns.items()}
    return [
        {"step": step, **{name: of_step(step) for name, of_step in named.items()}} for step in range(count)
    ]


def _validated(*pairs: tuple[float, float]) -> list[Row]:
    return [
        {"step": 20 * place, "validation_reward": reward, "validation_label_f1": f1}
        for place, (reward, f1) in enumerate(pairs)
    ]


EXAMPLES: dict[str, Sequence[Row]] = {
    "inconsistent-everywhere": _steps(8, all__reward_consistency=lambda step: -1.0),
    "impression-skipped": _steps(8, all__applies_impression=lambda step: 0.0),
    "equal-rewards": _steps(8, frac_reward_zero_std=lambda step: 1.0),
    "easy-samples": [
        *_steps(8, stratified__reward=lambda step: 2.6, anchor__reward=lambda step: 2.5),
        *_validated((2.7, 0.8), (2.7, 0.8)),
    ],
    "no-gain": _validated((2.7, 0.8), (2.69, 0.8), (2.68, 0.8)),
    "finds-nothing": _validated((2.1, 0.02), (2.3, 0.03)),
    "critical-instability": _steps(
        8, critical__clip_fraction=lambda step: 0.01 + 0.02 * step, entropy=lambda step: 0.4 / (1 + step)
    ),
    "reward-hacking": [
        *_steps(
            8, all__reward=lambda step: 2.5 + 0.03 * step, all__reward_consistency=lambda step: 0.1 * step
        ),
        *_validated((2.5, 0.82), (2.7, 0.76)),
    ],
    "inert-clip": _steps(8, all__reward=lambda step: 2.5, critical__clip_fraction=lambda step: 0.0),
}
"""Name -> a history that has this signature."""


def shown_signatures() -> list[Signature]:
    """Every signature there is, each found in its own example."""
    checks = (*CHECKS, inert_clip)
    found = ((name, check(history)) for name, history in EXAMPLES.items() for check in checks)
    return [seen for name, seen in found if seen is not None and seen.name == name]


def signatures_page() -> str:
    """The page in Markdown."""
    rows = (
        f"| **{one.name}** | {one.sign} | {one.cause} | {one.remedy} |".replace("\n", " ")
        for one in shown_signatures()
    )
    return HEAD + "\n".join(rows) + "\n"
