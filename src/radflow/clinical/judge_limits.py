"""What holds a judge back: budgets per minute, pauses that its server asks for, and a breaker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

from radflow.errors import JudgeError

MINUTE_S = 60.0


class SlidingBudget:
    """At most `limit` units in any window of `window_s` seconds, wherever it begins.

    A bucket that refills evenly would let twice as much through in the first minute, and a server that counts
    in fixed minutes would refuse the rest.
    """

    def __init__(self, limit: int, window_s: float = MINUTE_S) -> None:
        self.limit = limit
        self.window_s = window_s
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def delay(self, amount: int, now: float) -> float:
        """Seconds until `amount` more fits, 0 if now; more than the limit waits for an empty window."""
        while self._spent and self._spent[0][0] <= now - self.window_s:
            self._sum -= self._spent.popleft()[1]
        excess = self._sum + min(amount, self.limit) - self.limit
        for when, spent in self._spent:
            if excess <= 0:
                break
            excess -= spent
            if excess <= 0:
                return when + self.window_s - now
        return 0.0

    def spend(self, amount: int, now: float) -> None:
        """Record what `delay` let through."""
        self._spent.append((now, min(amount, self.limit)))
        self._sum += min(amount, self.limit)


class Pace:
    """Lets requests of one event loop start: in order, within the budgets, not while the server pauses."""

    def __init__(
        self, *, requests_per_minute: int | None, tokens_per_minute: int | None, window_s: float = MINUTE_S
    ) -> None:
        limits = ((requests_per_minute, False), (tokens_per_minute, True))
        self._budgets = [
            (SlidingBudget(limit, window_s), by_token) for limit, by_token in limits if limit is not None
        ]
        self._resume = 0.0
        self._turn = asyncio.Lock()

    def hold(self, seconds: float) -> None:
        """Start nothing for so long: what one request was told holds for all."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    async def admit(self, tokens: int) -> None:
        """Wait until a request of so many tokens may start, and count it."""
        if not self._budgets and self._resume <= time.monotonic():
            return
        async with self._turn:
            while (delay := self._delay(tokens, time.monotonic())) > 0:
                await asyncio.sleep(delay)
            for budget, by_token in self._budgets:
                budget.spend(tokens if by_token else 1, time.monotonic())

    def _delay(self, tokens: int, now: float) -> float:
        waits = [budget.delay(tokens if by_token else 1, now) for budget, by_token in self._budgets]
        return max(self._resume - now, *waits, 0.0)


class Breaker:
    """Stops a run whose judge is broken, instead of failing ten thousand rows one by one."""

    def __init__(self, *, window: int, share: float) -> None:
        self._recent: deque[str | None] = deque(maxlen=window)
        self._limit = share * window

    def record(self, failure: str | None) -> None:
        """Note how a question ended: a short description of the failure, ``None`` for an answer.

        Raises:
            JudgeError: with this one, too many of the last questions failed.
        """
        self._recent.append(failure)
        if failure is None or len(self._recent) < (self._recent.maxlen or 0):
            return
        failures = Counter(item for item in self._recent if item is not None)
        if failures.total() >= self._limit:
            shown = "; ".join(f"{count} x {what}" for what, count in failures.most_common(3))
            raise JudgeError(
                f"the judge failed {failures.total()} of the last {len(self._recent)} questions: {shown}",
                where="judge",
                next_step="Answers so far are kept. See that the server runs and judge.model fits it, then "
                "run the same command again.",
            )
