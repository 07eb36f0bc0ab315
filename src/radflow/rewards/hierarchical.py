"""The hierarchical reward R = R_global + gamma R_imp as one callable, with a record of every term

R_global = w_syn R_syn + w_dom R_dom + w_con R_con. Gates, None rules and failures follow docs/reward.md.

    reward = HierarchicalReward(RewardConfig())
    scores = reward.score(references=reports, predictions=texts, study_ids=ids)
    GRPOTrainer(..., reward_funcs=reward, train_dataset=data)  # columns prompt, reference, maybe study_id
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.config import JudgeConfig, RewardConfig
from radflow.errors import ConfigError, DataError
from radflow.records import Report, RewardScore, RewardTerm
from radflow.rewards import terms
from radflow.rewards.scorers import Scorers, check_settings, report_key
from radflow.rewards.verdicts import Case, Verdict

TERMS = ("language", "domain", "consistency", "impression")
LEARNED = "learned"
"""The term of a fitted reward; only there where the settings name one."""
NO_REFERENCE = "the reference is empty"
NO_ENTITY = "the reference names no entity or states nothing"
NO_IMPRESSION = "the reference has no Impression"
NO_FINDINGS = "the reference has no Findings"


def applies_always(reference: Report) -> bool:
    """For a term that applies to every study."""
    return True


@dataclass(frozen=True)
class OwnTerm:
    """A term of one's own beside the four.

    Attributes:
        score: keyword-only ``reference`` and ``prediction``, both `Report`; ``None`` says that scoring
            failed, which leaves the whole reward undefined.
        weight: what the value is multiplied with.
        applies: whether the term applies to a study; it sees the reference only, so that a term is there or
            missing for all completions of a prompt alike.
    """

    score: Callable[..., float | None]
    weight: float = 1.0
    applies: Callable[[Report], bool] = applies_always


class HierarchicalReward:
    """Scores reports against references; a reward function for TRL as it is.

    Picklable: readers, memories and the judge's connections are opened in each process when first needed.

    Args:
        config: weights and backends; every default is METHOD's.
        judge: settings of the judge, needed for ``consistency_backend: judge`` or ``both`` only.
        judge_cache: folder of kept answers; by default ``judge-cache`` in the working directory.
        own_terms: further terms by name.

    Attributes:
        records: the scores of the last call.

    Raises:
        ConfigError: unknown backend, a judge that is missing, or an own term with a name that is taken.
    """

    def __init__(
        self,
        config: RewardConfig | None = None,
        *,
        judge: JudgeConfig | None = None,
        judge_cache: Path | None = None,
        own_terms: Mapping[str, OwnTerm] | None = None,
    ) -> None:
        self.config = config or RewardConfig()
        self.own_terms = dict(own_terms or {})
        self.records: list[RewardScore] = []
        self.__name__ = "hierarchical_reward"  # what trainers call it in their logs
        self._judge = judge
        self._judge_cache = judge_cache
        self._opened: Scorers | None = None
        check_settings(self.config, judge)
        if taken := sorted(set(self.own_terms) & {*TERMS, LEARNED}):
            raise ConfigError(f"a term {taken[0]!r} exists already", next_step="Give yours another name.")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        reference: Sequence[str],
        study_id: Sequence[str] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """TRL's signature: a reward per completion, ``None`` where a scorer failed.

        Args:
            prompts: not looked at.
            completions: texts, or conversations of which the last message is the report.
            reference: text of the reference report for each completion (a data set column).
            study_id: id of its study, likewise; by default its place in the batch.
            log_metric: TRL's; gets the mean of every term over the completions it applies to.
        """
        ids = study_id if study_id is not None else [f"row {number}" for number in range(len(completions))]
        self.score(
            references=self._scorers.parse(list(reference)),
            predictions=[completion_text(completion) for completion in completions],
            study_ids=ids,
        )
        if log_metric is not None:
            for name, value in mean_terms(self.records).items():
                log_metric(f"reward/{name}", value)
        return [record.total for record in self.records]

    def score(
        self, *, references: Sequence[Report], predictions: Sequence[str], study_ids: Sequence[str]
    ) -> list[RewardScore]:
        """The reward of each prediction with all of its terms, in order; also kept in ``records``.

        Predictions are parsed strictly: a section without its header is missing.

        Raises:
            DataError: not as many references, predictions and ids.
            JudgeError: the judge can't be used at all.
        """
        if not len(references) == len(predictions) == len(study_ids):
            raise DataError(
                f"{len(references)} references, {len(predictions)} predictions, {len(study_ids)} ids"
            )
        config, scorers = self.config, self._scorers
        texts = scorers.canonical([report_key(report) for report in references])
        written = scorers.parse(predictions)
        similarities = scorers.similarity(list(zip(texts, predictions, strict=True)))
        domains = self._domains(texts, predictions)
        labels = self._labels(references, written)
        verdicts = self._verdicts(texts, references, written, study_ids)
        factors = self._factors(texts, predictions)
        learned = scorers.learned(list(zip(texts, predictions, strict=True))) if scorers.learned else None
        records = []
        for row, (reference, report) in enumerate(zip(references, written, strict=True)):
            factor = factors[row]
            found: dict[str, RewardTerm] = {}
            value = terms.language(reference=texts[row], similarity=similarities[row])
            found["language"] = _term(_scaled(value, factor), config.language, NO_REFERENCE)
            found["domain"] = _term(_scaled(domains[row], factor), config.domain, NO_ENTITY)
            found["consistency"] = self._consistency(reference, report, verdicts.get(row))
            value = terms.impression(
                reference=labels[row][0],
                prediction=labels[row][1],
                uncertain=config.impression_uncertain,
                weights=scorers.severity,
            )
            found["impression"] = _term(value, config.impression, NO_IMPRESSION)
            if learned is not None:
                found[LEARNED] = _term(learned[row], config.learned_weight, NO_REFERENCE)
            for name, own in self.own_terms.items():
                found[name] = _own_term(own, reference, report)
            records.append(RewardScore(study_id=study_ids[row], total=total_of(found), terms=found))
        self.records = records
        return records

    def judge_summary(self) -> dict[str, Any] | None:
        """What the judge was asked and cost in this process so far; ``None`` where no judge is asked."""
        return None if self._opened is None else self._opened.judge_summary()

    @property
    def _scorers(self) -> Scorers:
        if self._opened is None:
            self._opened = Scorers(self.config, self._judge, self._judge_cache)
        return self._opened

    def _domains(self, texts: Sequence[str], predictions: Sequence[str]) -> list[float | None]:
        """The domain term of each row, before repetition counts."""
        values, share = self._level(texts, predictions), self.config.domain_observations
        if not share:
            return values
        said = self._scorers.statements([*texts, *predictions])
        return [
            None
            if value is None
            else (1 - share) * value + share * terms.observations(reference=one, prediction=other)
            for value, one, other in zip(values, said[: len(texts)], said[len(texts) :], strict=True)
        ]

    def _level(self, texts: Sequence[str], predictions: Sequence[str]) -> list[float | None]:
        """F1 at the domain term's level."""
        level = self.config.domain_level
        if level == "statements":
            said = self._scorers.statements([*texts, *predictions])
            stated = zip(said[: len(texts)], said[len(texts) :], strict=True)
            return [terms.statements(reference=one, prediction=other) for one, other in stated]
        graphs = self._scorers.graphs([*texts, *predictions])
        read = zip(graphs[: len(texts)], graphs[len(texts) :], strict=True)
        return [terms.domain(reference=one, prediction=other, level=level) for one, other in read]

    def _labels(self, references: Sequence[Report], written: Sequence[Report]) -> list[tuple[Any, Any]]:
        """Labels of both Impressions of each row, ``None`` for one that is missing."""
        said: list[str | None] = [report.impression for report in references]
        said += [
            report.impression if terms.has_impression(reference=reference, prediction=report) else None
            for reference, report in zip(references, written, strict=True)
        ]
        found = iter(self._scorers.labels([text for text in said if text is not None]))
        labels = [None if text is None else next(found) for text in said]
        return list(zip(labels[: len(references)], labels[len(references) :], strict=True))

    def _factors(self, texts: Sequence[str], predictions: Sequence[str]) -> list[float]:
        """What each prediction keeps of its language and domain terms."""
        if self.config.repetition == "ignored":
            return [1.0] * len(texts)
        pairs = zip(self._scorers.novelty(texts), self._scorers.novelty(predictions), strict=True)
        return [terms.repetition_factor(reference=one, prediction=other) for one, other in pairs]

    def _verdicts(
        self,
        texts: Sequence[str],
        references: Sequence[Report],
        written: Sequence[Report],
        study_ids: Sequence[str],
    ) -> dict[int, Verdict]:
        """Row -> verdict on its report, where the table asks for one."""
        rows: list[int] = []
        cases: list[Case] = []
        for row, (reference, report) in enumerate(zip(references, written, strict=True)):
            if not terms.has_both(reference) or terms.lacks_section(reference=reference, prediction=report):
                continue
            group = (study_ids[row], texts[row])
            rows.append(row)
            cases.append(Case(group, study_ids[row], report.findings or "", report.impression or ""))
        verdicts = self._scorers.consistent(cases, [written[row] for row in rows])
        return dict(zip(rows, verdicts, strict=True))

    def _consistency(self, reference: Report, report: Report, verdict: Verdict | None) -> RewardTerm:
        weight = self.config.consistency
        if isinstance(verdict, str):
            return _failed(weight, verdict)
        value = terms.consistency(reference=reference, prediction=report, is_consistent=verdict)
        return _term(value, weight, NO_IMPRESSION if reference.impression is None else NO_FINDINGS)


FAILED = "failed: "
"""How the reason of a term begins whose scorer failed; the others say why the term doesn't apply."""


def total_of(found: Mapping[str, RewardTerm]) -> float | None:
    """The weighted sum of the terms that apply; ``None`` when one that counts has failed: never 0."""
    total = 0.0
    for term in found.values():
        if term.value is not None:
            total += term.weight * term.value
        elif has_failed(term) and term.weight:
            return None
    return total


def has_failed(term: RewardTerm) -> bool:
    """Whether the term's scorer failed, as against a term that doesn't apply."""
    return term.value is None and (term.reason or "").startswith(FAILED)


def mean_terms(records: Sequence[RewardScore]) -> dict[str, float]:
    """Mean of every term where it applies, and the share of rewards that are undefined ("failed")."""
    values: dict[str, list[float]] = {}
    for record in records:
        for name, term in record.terms.items():
            if term.value is not None:
                values.setdefault(name, []).append(term.value)
    means = {name: sum(found) / len(found) for name, found in values.items()}
    if records:
        means["failed"] = sum(record.total is None for record in records) / len(records)
    return means


def completion_text(completion: Any) -> str:
    """The report in a completion: a text, or the last message of a conversation.

    Raises:
        DataError: neither of them.
    """
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if isinstance(completion, list) and completion else None
    if isinstance(content, list):  # parts, as vision-language models have them
        content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise DataError("a completion is neither a text nor a list of messages with content")
    return content


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _term(value: float | None, weight: float, reason: str) -> RewardTerm:
    return RewardTerm(value=value, weight=weight, reason=reason if value is None else None)


def _failed(weight: float, why: str) -> RewardTerm:
    return RewardTerm(value=None, weight=weight, reason=FAILED + why)


def _own_term(own: OwnTerm, reference: Report, report: Report) -> RewardTerm:
    if not own.applies(reference):
        return RewardTerm(value=None, weight=own.weight, reason="it does not apply to this reference")
    value = own.score(reference=reference, prediction=report)
    return _failed(own.weight, "it gave no value") if value is None else _term(value, own.weight, "")
