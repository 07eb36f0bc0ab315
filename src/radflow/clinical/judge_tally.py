"""What a judge was asked, what came of it, and what it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from radflow.config import JudgeConfig


@dataclass
class Tally:
    """Counts over the life of one judge.

    Attributes:
        answered: questions with a verdict, those from the cache included.
        cached: those of them that came from the cache.
        failures: questions without a verdict, by kind.
        repairs: calls that asked once more because an answer was unusable.
        requests, retries: what went over the wire; requests include retries and repairs.
        prompt_tokens, completion_tokens: as the server counts them, unusable answers included.
        unmetered: completions whose server told no usage; tokens and cost lack them.
        scrubbed: identifiers hidden from the judge, by kind; ``None`` where nothing is scrubbed.
    """

    answered: int = 0
    cached: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    repairs: int = 0
    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unmetered: int = 0
    scrubbed: Counter[str] | None = None

    def cost(self, config: JudgeConfig) -> float:
        """Price of the metered tokens, in the currency of the settings."""
        prompt = self.prompt_tokens * config.prompt_price
        return (prompt + self.completion_tokens * config.completion_price) / 1e6

    def line(self, config: JudgeConfig) -> str:
        """For the terminal: what was asked, what came of it, what it cost."""
        failed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        return (
            f"judge {config.model}: {self.answered} answered ({self.cached} kept from before), "
            f"{self.failures.total()} failed{f' ({failed})' if failed else ''}, {self.requests} requests, "
            f"{self.prompt_tokens + self.completion_tokens} tokens, cost {self.cost(config):.4f}"
            f"{'' if self.scrubbed is None else f', {self.scrubbed.total()} identifiers hidden from it'}"
        )

    def summary(self, config: JudgeConfig) -> dict[str, Any]:
        """Plain values for a manifest."""
        counts = {name: value for name, value in vars(self).items() if name not in ("failures", "scrubbed")}
        told = counts | {"failures": dict(sorted(self.failures.items())), "cost": round(self.cost(config), 6)}
        return told if self.scrubbed is None else told | {"scrubbed": dict(sorted(self.scrubbed.items()))}
