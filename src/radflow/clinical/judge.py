"""Ask a language model about reports: answers in order, in bounded memory, cached, and failures typed.

    judge = Judge(config.judge, cache=folder)
    for result in judge.ask_all(criticality_question(study.study_id, report=study.report.text) for ...):
        ...  # an Answer or a JudgeFailure

A failure is never a verdict and never 0. Answers are on disk before they are handed out: a run that is killed
and started again asks for none of them twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from radflow.clinical.judge_cache import AnswerCache, recall
from radflow.clinical.judge_limits import Breaker
from radflow.clinical.judge_questions import Answer, JudgeFailure, Question, V, answer_to
from radflow.clinical.judge_session import Session
from radflow.clinical.judge_tally import Tally
from radflow.config import JudgeConfig
from radflow.privacy.scrub import Scrubbed, Scrubber
from radflow.terminal import progress_bar

Result = Answer[V] | JudgeFailure
R = TypeVar("R")

WINDOW_PER_CONNECTION = 16
"""Questions under way per connection: one that waits for its next try must not leave the others idle."""


class Judge:
    """A judge for one run. Give each thread its own; processes may share the cache folder.

    A judge on another machine is shown texts without what `radflow.privacy` takes for identifiers
    (judge.scrub): its verdicts quote these texts, and its kept answers are found by them.

    Attributes:
        tally: what was asked, answered and spent so far.

    Raises:
        ConfigError: unknown or broken rules of scrubbing.
    """

    def __init__(self, config: JudgeConfig, *, cache: Path) -> None:
        self.config = config
        self.cache = AnswerCache(config.cache or cache)
        self._scrubber = Scrubber(config.scrub_rules) if config.scrubs else None
        self.tally = Tally(scrubbed=None if self._scrubber is None else Counter())
        self._breaker = Breaker(window=config.breaker_window, share=config.breaker_share)

    def shown(self, text: str) -> Scrubbed:
        """A text as this judge gets to see it, and how its places lead back."""
        return Scrubbed(text) if self._scrubber is None else self._scrubber.scrub(text)

    def ask_all(
        self, questions: Iterable[Question[V]], *, label: str | None = None, total: int | None = None
    ) -> Iterator[Result[V]]:
        """Ask every question and yield one result for each, in the questions' order.

        Questions are drawn as they are needed. Equal questions are asked once.

        Args:
            label: what the progress bar says; ``None`` shows none.
            total: number of questions if known, for the time left.

        Raises:
            JudgeError: the server refuses all questions, or too many of the last ones failed. Answers so far
                are kept.
        """
        single = ([question] for question in questions)
        with closing(self._run(single, is_group=False)) as batches:
            results = chain.from_iterable(batches)
            yield from _with_bar(results, label, total) if label else results

    def ask_groups(self, groups: Iterable[Sequence[Question[V]]]) -> Iterator[list[Result[V]]]:
        """Ask for each group of candidates (questions of one task) in one call; results as in `ask_all`.

        Each candidate is kept, and fails, for itself; of a known group only the missing ones are asked for.

        Raises:
            ValueError: a group mixes tasks.
            JudgeError: as in `ask_all`.
        """
        return self._run(groups, is_group=True)

    def judge_group(self, questions: Sequence[Question[V]]) -> list[Result[V]]:
        """One group of candidates, as a reward needs it."""
        return next(iter(self.ask_groups([questions])))

    def _run(
        self, batches: Iterable[Sequence[Question[V]]], *, is_group: bool
    ) -> Generator[list[Result[V]], None, None]:
        source = iter(batches)
        pending: deque[list[Result[V]] | Future[list[Result[V]]]] = deque()
        with closing(self.cache), Session(self.config, self.cache, self.tally, self._breaker) as session:
            while True:
                while len(pending) < self.config.concurrency * WINDOW_PER_CONNECTION:
                    batch = next(source, None)
                    if batch is None:
                        break
                    if any(item.task != batch[0].task for item in batch):
                        raise ValueError("the candidates of a group must share their task")
                    batch = [self._as_shown(item) for item in batch]
                    kept = self._kept(batch, is_group)
                    pending.append(session.submit(batch, is_group=is_group) if kept is None else kept)
                if not pending:
                    return
                head = pending.popleft()
                yield head if isinstance(head, list) else _outcome(head, session.stopped)

    def _as_shown(self, question: Question[V]) -> Question[V]:
        """The question with its texts as the judge gets to see them; what that hides is counted."""
        if self._scrubber is None or self.tally.scrubbed is None:
            return question
        payload = {name: self._scrubber.scrub(text) for name, text in question.payload.items()}
        for scrubbed in payload.values():
            self.tally.scrubbed.update(scrubbed.counts)
        return replace(question, payload={name: scrubbed.text for name, scrubbed in payload.items()})

    def _kept(self, batch: Sequence[Question[V]], is_group: bool) -> list[Result[V]] | None:
        """The results when all of them are known: neither loop nor connection is needed then."""
        answers: list[Result[V]] = []
        for item in batch:
            address = self.cache.address_of(item, self.config, is_group=is_group)
            verdict = recall(self.cache, address, item)
            if verdict is None:
                return None
            answers.append(answer_to(item, verdict, self.config.model, is_group=is_group, was_cached=True))
        self.tally.answered += len(answers)
        self.tally.cached += len(answers)
        return answers


def _outcome(head: Future[R], stopped: Future[None]) -> R:
    """The result of the oldest question, or at once the error that stops the run."""
    if not head.done():
        either: tuple[Future[Any], ...] = (head, stopped)
        wait(either, return_when=FIRST_COMPLETED)
    if stopped.done():
        stopped.result()
    return head.result()


def _with_bar(results: Iterable[Result[V]], label: str, total: int | None) -> Iterator[Result[V]]:
    with progress_bar() as progress:
        task = progress.add_task(label, total=total, note="")
        failures = 0
        for result in results:
            failures += isinstance(result, JudgeFailure)
            progress.update(task, advance=1, note=f"{failures} not answered" if failures else "")
            yield result
