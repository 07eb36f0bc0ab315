"""An event loop in a thread of its own: questions go in from a synchronous caller, futures come out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from radflow.clinical.judge_cache import AnswerCache, keep, recall
from radflow.clinical.judge_limits import Breaker
from radflow.clinical.judge_questions import (
    Answer,
    JudgeFailure,
    Message,
    NoAnswerError,
    Question,
    V,
    answer_to,
    messages_for,
    read_answer,
    repair_messages,
)
from radflow.clinical.judge_tally import Tally
from radflow.config import JudgeConfig

if TYPE_CHECKING:
    from radflow.clinical.judge_client import Client

CLOSING_S = 10.0


class Session:
    """The asynchronous core of one `ask_all`; loop, thread and connections exist from the first question on.

    Attributes:
        stopped: ends with the exception that stops the whole run, as soon as there is one.
    """

    def __init__(self, config: JudgeConfig, cache: AnswerCache, tally: Tally, breaker: Breaker) -> None:
        self.config = config
        self.cache = cache
        self.tally = tally
        self.breaker = breaker
        self.stopped: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self._under_way: dict[bytes, asyncio.Future[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(CLOSING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_S)
        self._loop.close()

    def submit(
        self, batch: Sequence[Question[V]], *, is_group: bool
    ) -> Future[list[Answer[V] | JudgeFailure]]:
        """Begin to answer the questions, in one call; the future holds a result for each."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="radflow-judge", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._answer_or_stop(batch, is_group), self._loop)

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        self.cache.close()

    async def _answer_or_stop(
        self, batch: Sequence[Question[V]], is_group: bool
    ) -> list[Answer[V] | JudgeFailure]:
        try:
            return await self._answer(batch, is_group)
        except Exception as error:
            if not self.stopped.done():
                self.stopped.set_exception(error)
            raise

    async def _answer(self, batch: Sequence[Question[V]], is_group: bool) -> list[Answer[V] | JudgeFailure]:
        """Ask what is neither kept nor under way; equal questions, here or elsewhere, share an answer."""
        addresses = [self.cache.address_of(item, self.config, is_group=is_group) for item in batch]
        kept: dict[bytes, V] = {}
        mine: dict[bytes, Question[V]] = {}
        shared: dict[bytes, asyncio.Future[V | NoAnswerError]] = {}
        for address, item in zip(addresses, batch, strict=True):
            if address in kept or address in shared:
                continue
            if address in self._under_way:
                shared[address] = self._under_way[address]
            elif (verdict := recall(self.cache, address, item)) is not None:
                kept[address] = verdict
            else:
                mine[address] = item
                shared[address] = self._under_way[address] = asyncio.get_running_loop().create_future()
        try:
            if mine:
                outcomes = await self._ask(list(mine.values()), is_group)
                for address, outcome in zip(mine, outcomes, strict=True):
                    if not isinstance(outcome, NoAnswerError):
                        keep(self.cache, address, outcome)  # before anybody hears of it
                    shared[address].set_result(outcome)
                for outcome in outcomes:
                    self.breaker.record(str(outcome) if isinstance(outcome, NoAnswerError) else None)
        finally:
            for address in mine:
                self._under_way.pop(address).cancel()  # does nothing to one that has its result
        results: list[Answer[V] | JudgeFailure] = []
        for address, item in zip(addresses, batch, strict=True):
            outcome = kept[address] if address in kept else await shared[address]
            results.append(self._result(item, outcome, is_group, was_cached=address in kept))
        return results

    def _result(
        self, item: Question[V], outcome: V | NoAnswerError, is_group: bool, *, was_cached: bool
    ) -> Answer[V] | JudgeFailure:
        if isinstance(outcome, NoAnswerError):
            self.tally.failures[outcome.kind] += 1
            return JudgeFailure(study_id=item.study_id, kind=outcome.kind, message=outcome.message)
        self.tally.answered += 1
        self.tally.cached += was_cached
        return answer_to(item, outcome, self.config.model, is_group=is_group, was_cached=was_cached)

    async def _ask(self, questions: Sequence[Question[V]], is_group: bool) -> list[V | NoAnswerError]:
        """One call, and one repair call if anything in its answer is unusable."""
        messages = messages_for(questions, is_group=is_group)
        outcomes, content = await self._call(messages, questions, is_group)
        complaints = [
            item for item in outcomes if isinstance(item, NoAnswerError) and item.kind == "malformed"
        ]
        if not complaints:
            return outcomes
        self.tally.repairs += 1
        again = repair_messages(messages, content, complaints[0].message)
        repaired, _ = await self._call(again, questions, is_group)
        return [
            after if isinstance(before, NoAnswerError) else before
            for before, after in zip(outcomes, repaired, strict=True)
        ]

    async def _call(
        self, messages: Sequence[Message], questions: Sequence[Question[V]], is_group: bool
    ) -> tuple[list[V | NoAnswerError], str]:
        """The outcome of one call for each question, and the raw answer."""
        task = questions[0].task
        try:
            content = await self._connected().complete(
                messages,
                name=task.name,
                schema=task.group_schema if is_group else task.schema,
                candidates=len(questions) * task.length,
            )
        except NoAnswerError as failure:
            return [failure] * len(questions), failure.content
        readings = read_answer(content, questions, is_group=is_group)
        return [
            NoAnswerError("malformed", item) if isinstance(item, str) else item for item in readings
        ], content

    def _connected(self) -> Client:
        if self._client is None:
            from radflow.clinical.judge_client import Client  # costs a second; kept answers need none of it

            self._client = Client(self.config, self.tally)
        return self._client
