"""Judge agreement: consistency by rules and by a language model, some Impressions exchanged"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.consistency_judge import JudgeConsistency
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure
from radflow.config import RunConfig
from radflow.data.sections import report_from_fields
from radflow.errors import DataError, JudgeError
from radflow.experiments.declaration import Request
from radflow.experiments.pages import Page, show, write_page
from radflow.experiments.prepared import evaluated, prepared_studies
from radflow.metrics.triage import Agreement, Rate, agreement, wilson
from radflow.records import Record, Report, Study
from radflow.reporting.view import Section, Table

Cases = dict[str, Report]
Verdicts = Mapping[str, bool | None]
"""Case -> whether its sections agree; ``None`` where the judge failed."""
RULES, MODEL = "rules", "language model"
INTACT, EXCHANGED = "intact", "exchanged"


class AgreementResults(Record):
    """Both judges on the same reports.

    Attributes:
        cases: by kind: intact, or with the Impression of another study.
        agreement: of both judges, over the reports that both decided: all, and by kind.
        consistent: judge -> kind -> share that it calls consistent.
        seconds: judge -> wall time a report.
        tally: what the language model was asked and what that cost.
    """

    experiment: str
    command: str
    model: str
    cases: dict[str, int]
    failed: int
    agreement: dict[str, Agreement]
    consistent: dict[str, dict[str, Rate]]
    seconds: dict[str, float]
    tally: dict[str, Any]


class JudgeAgreement:
    """No training: references are judged, half of them after their Impressions have been exchanged."""

    name = "judge-agreement"
    question = "Does a language model see the same inconsistencies as the rules, and what does it cost?"

    def run(self, request: Request) -> None:
        request.refuse("arms", "labels", why="the rules and the judge of judge.* are compared.")
        config = request.load()
        seeds = request.seeds or (config.seed,)
        studies = evaluated(prepared_studies(self.name, request, seeds), config)
        cases = cases_of(studies, seed=config.seed)
        found = compared(cases, config, request, name=self.name)
        write_page(page := page_of(self, found), found, request.out)
        show(page, request.out)


def cases_of(studies: Sequence[Study], *, seed: int) -> dict[str, Cases]:
    """Kind -> reports with both sections: one half intact, the other with each other's Impressions.

    Raises:
        DataError: fewer than four such reports.
    """
    whole = [study for study in studies if study.report.findings and study.report.impression]
    if len(whole) < 4:
        raise DataError(
            f"{len(whole)} reports have both sections, and at least four are needed",
            where="evaluate.split, evaluate.limit",
        )
    random.Random(f"exchange {seed}").shuffle(whole)
    half = len(whole) // 2
    intact, exchanged = whole[:half], whole[half:]
    others = [*exchanged[1:], exchanged[0]]
    return {
        INTACT: {study.study_id: study.report for study in intact},
        EXCHANGED: {
            study.study_id: report_from_fields(
                findings=study.report.findings, impression=other.report.impression
            )
            for study, other in zip(exchanged, others, strict=True)
        },
    }


def compared(
    cases: Mapping[str, Cases], config: RunConfig, request: Request, *, name: str
) -> AgreementResults:
    """Ask both judges about all cases.

    Raises:
        JudgeError: the language model can't be used at all, or answered nothing.
    """
    every = {study: report for kind in cases.values() for study, report in kind.items()}
    judge = Judge(config.judge, cache=request.out / "judge-cache")
    verdicts: dict[str, Verdicts] = {}
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    verdicts[MODEL] = {
        study: None if isinstance(result, JudgeFailure) else result.verdict == "consistent"
        for study, result in zip(every, JudgeConsistency(judge).check_all(every.items()), strict=True)
    }
    seconds[MODEL] = (time.perf_counter() - started) / len(every)
    if not judge.tally.answered:
        raise JudgeError(
            f"the judge answered none of {len(every)} questions",
            where=f"judge.base_url {config.judge.base_url}",
            next_step="Is a server running there? docs/judges.md says how to set a judge up.",
        )
    rules = LabelConsistency(config.reward.ontology)
    started = time.perf_counter()
    verdicts[RULES] = {study: rules.check(report).verdict == "consistent" for study, report in every.items()}
    seconds[RULES] = (time.perf_counter() - started) / len(every)
    return AgreementResults(
        experiment=name,
        command=request.command(name),
        model=config.judge.model,
        cases={kind: len(own) for kind, own in cases.items()},
        failed=sum(verdict is None for verdict in verdicts[MODEL].values()),
        agreement={"all": _agreement(verdicts, every)}
        | {kind: _agreement(verdicts, own) for kind, own in cases.items()},
        consistent={
            who: {kind: _share(own_verdicts, own) for kind, own in cases.items()}
            for who, own_verdicts in verdicts.items()
        },
        seconds=seconds,
        tally=judge.tally.summary(config.judge),
    )


def _agreement(verdicts: Mapping[str, Verdicts], cases: Cases) -> Agreement:
    pairs = [(verdicts[RULES][study], verdicts[MODEL][study]) for study in cases]
    return agreement((bool(one), bool(other)) for one, other in pairs if other is not None)


def _share(verdicts: Verdicts, cases: Cases) -> Rate:
    known = [verdicts[study] for study in cases if verdicts[study] is not None]
    return wilson(sum(map(bool, known)), len(known))


def page_of(experiment: JudgeAgreement, found: AgreementResults) -> Page:
    """Agreement, what each judge calls consistent, and what it costs."""
    kinds = tuple(found.cases)
    agreed = Table(
        "Rules and language model",
        ("reports", "equal verdicts", "kappa", "both decided"),
        tuple(
            (
                kind,
                "-" if each.raw is None else f"{each.raw:.3f}",
                "-" if each.kappa is None else f"{each.kappa:.3f}",
                str(each.pairs),
            )
            for kind, each in found.agreement.items()
        ),
    )
    called = Table(
        "Called consistent, with 95 % Wilson intervals",
        ("judge", *kinds),
        tuple((who, *(str(shares[kind]) for kind in kinds)) for who, shares in found.consistent.items()),
    )
    tokens = found.tally["prompt_tokens"] + found.tally["completion_tokens"]
    answered = max(1, found.tally["answered"])
    cost = Table(
        "Cost",
        ("judge", "s a report", "tokens a report", "price of all"),
        (
            (RULES, f"{found.seconds[RULES]:.4f}", "0", "0"),
            (
                f"{MODEL} {found.model}",
                f"{found.seconds[MODEL]:.2f}",
                f"{tokens / answered:.0f}",
                f"{found.tally['cost']:.4f}",
            ),
        ),
    )
    notes = (
        f"{', '.join(f'{count} reports {kind}' for kind, count in found.cases.items())}. Intact ones are "
        "references; exchanged ones have the Impression of another study, which may agree by chance (two "
        "normal studies), so that neither share has a right value of 0 or 1.",
        f"The language model gave no verdict on {found.failed} reports: these are in no number but the cost. "
        f"{found.tally['cached']} answers were kept from an earlier attempt, which took no time now.",
    )
    tables = (agreed, called, cost)
    section = Section("agreement", "Agreement and cost", notes=notes, tables=tables)
    return Page(experiment.name, experiment.question, found.command, (section,), tables)


JUDGE_AGREEMENT = JudgeAgreement()
