"""Criticality validation: precision, recall and false-positive rate of each triage against human labels"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from radflow.clinical.criticality import JudgeCriticality, RuleCriticality
from radflow.clinical.criticality_file import read_labels
from radflow.clinical.judge import Judge
from radflow.clinical.judge_questions import JudgeFailure
from radflow.clinical.labeler import RuleLabeler
from radflow.config import RunConfig
from radflow.errors import ConfigError, DataError
from radflow.experiments.declaration import Request
from radflow.experiments.pages import Page, show, write_page
from radflow.experiments.prepared import evaluated, prepared_studies
from radflow.metrics.triage import Agreement, Rate, agreement, triage_rates
from radflow.records import Record, Study
from radflow.reporting.plots import Mark, Row, interval_chart
from radflow.reporting.view import Fold, Section, Table

Verdicts = dict[str, bool | None]
"""Study id -> critical or not; ``None`` where the judge failed."""
SHOWN = 20
PHANTOMS = "the phantoms' truth"
OF_PHANTOMS = (
    "The phantoms call critical what their own short list says: some severities and places of what the "
    "picture shows. The rules call more critical (any pneumothorax), so that their false alarms are mostly "
    "another definition; and a report may leave a finding out, which no triage that reads reports can know."
)
OF_PEOPLE = "Labels by people are not the truth either: give two readers the same cases to see their spread."
MEASURES = ("precision", "recall", "false_positive_rate")


class JudgeResult(Record):
    """One triage judge against the labels.

    Attributes:
        decided: studies with a label and a verdict; the judge failed on the others.
        precision, recall, false_positive_rate: with 95 % Wilson intervals.
        agreement: share of equal verdicts, and Cohen's kappa.
        missed, false_alarms: ids of the studies in question.
    """

    judge: str
    decided: int
    failed: int
    precision: Rate
    recall: Rate
    false_positive_rate: Rate
    agreement: Agreement
    missed: tuple[str, ...]
    false_alarms: tuple[str, ...]


class ValidationResults(Record):
    """All judges.

    Attributes:
        labels: whose labels they are.
        unknown: labels whose id is no study, or which are empty.
    """

    experiment: str
    command: str
    labels: str
    studies: int
    critical: int
    unknown: int
    judges: tuple[JudgeResult, ...]


class CriticalityValidation:
    """No training: the references are read, as annotate reads them."""

    name = "criticality-validation"
    question = "How often is a triage right about which cases are critical?"

    def run(self, request: Request) -> None:
        request.refuse("arms", why="all judges that the config names are compared.")
        config = request.load()
        studies = prepared_studies(self.name, request, request.seeds or (config.seed,))
        labels, whose, unknown = labels_of(studies, config, request)
        mine = [study for study in studies if study.study_id in labels]
        found = ValidationResults(
            experiment=self.name,
            command=request.command(self.name),
            labels=whose,
            studies=len(mine),
            critical=sum(labels[study.study_id] for study in mine),
            unknown=unknown,
            judges=tuple(
                validated(name, verdicts, labels) for name, verdicts in judges_of(mine, config, request)
            ),
        )
        write_page(page := page_of(self, found), found, request.out)
        show(page, request.out)


def labels_of(
    studies: Sequence[Study], config: RunConfig, request: Request
) -> tuple[dict[str, bool], str, int]:
    """Labels by study, whose they are, and how many labels can't be used.

    Raises:
        ConfigError: neither a file of labels nor phantoms.
        DataError: no label names a study.
    """
    if request.labels is not None:
        given = read_labels(request.labels)
        known = {study.study_id for study in studies}
        labels = {name: label for name, label in given.items() if label is not None and name in known}
        if not labels:
            raise DataError(
                "no label names a study of this data",
                where=str(request.labels),
                next_step="The column id must hold study ids, as in studies.jsonl of a run.",
            )
        return labels, f"people ({request.labels.name})", len(given) - len(labels)
    truth = {study.study_id: study.truth for study in evaluated(studies, config)}
    if any(findings is None for findings in truth.values()):
        raise ConfigError(
            "nobody knows which of these studies are critical",
            where="data.source",
            next_step="Give human labels: --labels FILE with the columns id and is_critical.",
        )
    critical = {
        name: any(finding.is_critical for finding in findings or ()) for name, findings in truth.items()
    }
    return critical, PHANTOMS, 0


def judges_of(
    studies: Sequence[Study], config: RunConfig, request: Request
) -> Iterator[tuple[str, Verdicts]]:
    """Every judge that needs no server, and the language model where annotate names it."""
    ontology = config.annotate.ontology
    for name, rules in (
        ("rules, critical", RuleCriticality(ontology, ("critical",))),
        ("rules, critical or urgent", RuleCriticality(ontology, ("critical", "urgent"))),
    ):
        yield name, {study.study_id: rules.decide("", study.report).is_critical for study in studies}
    labeler = RuleLabeler(ontology)
    yield (
        "labels alone",
        {study.study_id: by_labels_alone(study.report.text, labeler) for study in studies},
    )
    if config.annotate.asks_model:
        judge = JudgeCriticality(Judge(config.judge, cache=request.out / "judge-cache"))
        asked = judge.decide_all(((study.study_id, study.report) for study in studies), total=len(studies))
        yield (
            f"language model {config.judge.model}",
            {
                result.study_id: None if isinstance(result, JudgeFailure) else result.is_critical
                for result in asked
            },
        )


def by_labels_alone(text: str, labeler: RuleLabeler) -> bool:
    """Whether a report asserts an observation that is critical by itself: no severity, course or doubt."""
    known = labeler.ontology.observations
    return any(
        mention.assertion == "present" and known[mention.observation].critical == "critical"
        for mention in labeler.label(text)
    )


def validated(name: str, verdicts: Verdicts, labels: Mapping[str, bool]) -> JudgeResult:
    """A judge's rates over the studies that it decided."""
    both = [(study, labels[study], verdict) for study, verdict in verdicts.items() if verdict is not None]
    pairs = [(label, verdict) for _, label, verdict in both]
    rates = triage_rates(pairs)
    return JudgeResult(
        judge=name,
        decided=len(both),
        failed=len(verdicts) - len(both),
        **rates._asdict(),
        agreement=agreement(pairs),
        missed=_ids(both, label=True),
        false_alarms=_ids(both, label=False),
    )


def _ids(both: Iterable[tuple[str, bool, bool]], *, label: bool) -> tuple[str, ...]:
    return tuple(study for study, truth, verdict in both if truth == label and verdict != label)


def page_of(experiment: CriticalityValidation, found: ValidationResults) -> Page:
    """Rates of every judge, and the studies in which it errs."""
    tables = (_table(found),)
    notes = (
        f"{found.studies} studies, {found.critical} of them critical by {found.labels}"
        + (f"; {found.unknown} labels are empty or of no study here" if found.unknown else "")
        + ". Intervals: 95 % Wilson. A judge's failures are no verdicts and count in nothing.",
        OF_PHANTOMS if found.labels == PHANTOMS else OF_PEOPLE,
    )
    charts = []
    for name in MEASURES:
        rows = []
        for look, judge in enumerate(found.judges, 1):
            rate: Rate = getattr(judge, name)
            if rate.value is not None:
                rows.append(Row(judge.judge, (Mark(judge.judge, look, rate.value, rate.low, rate.high),)))
        if rows:
            charts.append(interval_chart(name.replace("_", " "), rows))
    section = Section(
        "judges",
        "Judges",
        notes=notes,
        charts=tuple(charts),
        tables=tables,
        folds=(Fold("Where they err", (_errors(found),)),),
    )
    return Page(experiment.name, experiment.question, found.command, (section,), tables)


def _table(found: ValidationResults) -> Table:
    rows = tuple(
        (
            judge.judge,
            str(judge.precision),
            str(judge.recall),
            str(judge.false_positive_rate),
            "-" if judge.agreement.kappa is None else f"{judge.agreement.kappa:.3f}",
            str(judge.decided),
            str(judge.failed),
        )
        for judge in found.judges
    )
    header = ("judge", "precision", "recall", "false-positive rate", "kappa", "decided", "failed")
    return Table(f"Against {found.labels}", header, rows)


def _errors(found: ValidationResults) -> Table:
    rows = tuple((judge.judge, _some(judge.missed), _some(judge.false_alarms)) for judge in found.judges)
    return Table(f"Studies (the first {SHOWN})", ("judge", "missed", "false alarms"), rows)


def _some(ids: Sequence[str]) -> str:
    return ", ".join((*ids[:SHOWN], *(("...",) if len(ids) > SHOWN else ()))) or "-"


CRITICALITY_VALIDATION = CriticalityValidation()
