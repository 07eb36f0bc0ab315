"""Commands that read reports: sections, labels, consistency, criticality"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radflow.cli_options import IdColumn, OntologyName, Overrides, ReportColumn, Reports
from radflow.config_file import load_config
from radflow.errors import ConfigError, JudgeError
from radflow.registry import names_in
from radflow.terminal import console, print_result

if TYPE_CHECKING:
    from radflow.clinical.judge import Judge

texts = typer.Typer()


@texts.command()
def sections(
    reports: Reports,
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write.")],
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
    fallback: Annotated[
        str, typer.Option(help="none, or last_paragraph: what to do without either header.")
    ] = "none",
    ontology: Annotated[
        str, typer.Option(help="Ontology whose section headers are known beside the English ones.")
    ] = "chest-xray",
) -> None:
    """Cut reports into Findings, Impression and the rest; absent ones are null.

    Example: radflow sections reports.csv -o sections.jsonl --report-column text
    """
    from radflow.clinical.ontology_file import load_ontology
    from radflow.data.report_files import split_file

    settings = load_config(None, overrides=[f"data.sections.fallback={fallback}"])
    if settings.data.sections.fallback == "judge":
        raise ConfigError(
            "radflow sections asks no judge", next_step="Set data.sections.fallback: judge in a run's config."
        )
    counts = split_file(
        reports,
        out,
        id_column=id_column,
        report_column=report_column,
        fallback=settings.data.sections.of_parser,
        headers=load_ontology(ontology).headers,
    )
    console.print(
        f"{counts.reports} reports: {counts.with_findings} with findings, {counts.with_impression} with "
        f"impression, {counts.with_both} with both -> {out}"
    )


@texts.command()
def label(
    reports: Reports,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="labels.csv (a table) or labels.jsonl (all mentions).")
    ] = None,
    ontology: OntologyName = "chest-xray",
    labeler: Annotated[
        str, typer.Option(help="rules, or the folder of a labeler that radflow labeler fit wrote.")
    ] = "rules",
    extras: Annotated[
        bool, typer.Option("--all", help="Add the observations beyond the table's columns.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Print this report with its mentions marked, and why; needs no -o.")
    ] = None,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """Label reports by rules: CheXpert's 14 columns (1, 0, -1, blank), or every mention with what decided it.

    Example: radflow label reports.csv -o labels.csv --report-column text
    """
    from radflow.clinical.fitted_labeler import FittedLabeler
    from radflow.clinical.label_file import FittedRows, LabelRows, RuleRows, explain_report, label_file
    from radflow.clinical.labeler import RuleLabeler

    if out is None and explain is None:
        raise ConfigError(
            "nothing to do without an output",
            next_step="Give -o labels.csv, -o labels.jsonl or --explain ID.",
        )
    columns = {"id_column": id_column, "report_column": report_column}
    labels: LabelRows
    if labeler == "rules":
        rules = RuleLabeler(ontology)
        if explain is not None:
            print_result(explain_report(reports, explain, rules, **columns))
        labels = RuleRows(rules, extras)
    elif extras or explain is not None:
        raise ConfigError(
            "a fitted labeler writes labels only: it has no mentions to explain, and no further columns",
            next_step="Give -o labels.csv or -o labels.jsonl, without --explain and --all.",
        )
    else:
        labels = FittedRows(FittedLabeler.load(labeler))
    if out is not None:
        count = label_file(reports, out, labels, **columns)
        console.print(f"{count} reports labelled -> {out}")


@texts.command()
def consistency(
    reports: Reports,
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write: a verdict per report.")],
    backend: Annotated[
        str, typer.Option(help="labels (rules), judge (a language model), or both: rules, judge if unsure.")
    ] = "labels",
    ontology: OntologyName = "chest-xray",
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with judge settings; see docs/judges.md.")
    ] = None,
    overrides: Overrides = None,
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
) -> None:
    """Check whether each report's Impression follows from its Findings: verdict, problems, spans.

    Example: radflow consistency reports.csv -o consistency.jsonl --report-column text
    """
    from radflow.clinical.consistency_file import check_file, consistency_backend
    from radflow.clinical.ontology_file import load_ontology

    settings = load_config(config, overrides=overrides or ()).judge
    checker, judge = consistency_backend(
        backend, ontology=ontology, judge=settings, cache=out.parent / "judge-cache"
    )
    counts = check_file(
        reports,
        out,
        checker,
        id_column=id_column,
        report_column=report_column,
        headers=load_ontology(ontology).headers,
    )
    console.print(f"{counts} -> {out}", markup=False, soft_wrap=True)
    if judge is not None:
        _tell_what_was_asked(judge)


@texts.command()
def criticality(
    reports: Reports,
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write.")],
    backend: Annotated[
        str, typer.Option(help="rules, or judge: the model that judge.* settings name.")
    ] = "rules",
    ontology: OntologyName = "chest-xray",
    level: Annotated[
        str,
        typer.Option(help="critical, or urgent: what counts too is what somebody must hear within hours."),
    ] = "critical",
    against: Annotated[
        Path | None,
        typer.Option(help="Table of human labels: prints precision, recall, false-positive rate."),
    ] = None,
    against_column: Annotated[str, typer.Option(help="Its column with 1 or 0.")] = "is_critical",
    id_column: IdColumn = "id",
    report_column: ReportColumn = "report",
    config: Annotated[Path | None, typer.Option("--config", help="YAML file with judge.* settings.")] = None,
    overrides: Overrides = None,
) -> None:
    """Decide of each report whether somebody must be told at once, with confidence and reason.

    Example: radflow criticality reports.csv -o criticality.jsonl --against labels.csv
    """
    from radflow.clinical.criticality_file import compared, criticality_backend, decide_file, read_labels
    from radflow.metrics.triage import triage_rates

    settings = load_config(config, overrides=overrides or ()).judge
    decider, judge = criticality_backend(
        backend, ontology=ontology, level=level, judge=settings, cache=out.parent / "judge-cache"
    )
    labels = read_labels(against, id_column=id_column, column=against_column) if against else {}
    verdicts = dict(decide_file(reports, out, decider, id_column=id_column, report_column=report_column))
    counts = Counter(verdicts.values())
    unknown = f", {counts[None]} without a verdict" if counts[None] else ""
    console.print(f"{counts.total()} reports: {counts[True]} critical{unknown} -> {out}")
    if judge is not None:
        _tell_what_was_asked(judge)
    if against is not None:
        found = compared(verdicts, labels)
        for name, rate in triage_rates(found.pairs)._asdict().items():
            print_result(f"{name.replace('_', ' ')}: {rate}")
        print_result(
            f"{len(found.pairs)} verdicts compared; {found.unmatched} labels have no verdict, "
            f"{found.empty} labels are empty"
        )


@texts.command()
def scrub(
    source: Annotated[
        Path, typer.Argument(help="CSV, JSONL, Parquet, a .txt file, or a folder of .txt files.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help=".csv, .tsv, .jsonl, .txt, or a folder to write.")],
    column: Annotated[
        list[str] | None,
        typer.Option(help="A column that holds text; again for more. Else report, findings, impression."),
    ] = None,
    rules: Annotated[
        str, typer.Option(help="en, de, or .yaml files of your own, with commas: docs/privacy.md.")
    ] = "en,de",
) -> None:
    """Replace names, dates, numbers and places in reports by their kind: [NAME], [DATE]. Not all are found.

    Example: radflow scrub reports.csv -o scrubbed.csv --column report
    """
    from radflow.privacy.scrub import Scrubber
    from radflow.privacy.scrub_file import scrub_file

    counts = scrub_file(source, out, Scrubber(names_in(rules)), columns=column or ())
    console.print(f"{counts} -> {out}", markup=False, soft_wrap=True)
    if counts.untouched:
        others = ", ".join(counts.untouched)
        console.print(f"columns that were not looked at: {others}", markup=False, soft_wrap=True)
    console.print("rules don't find everything: read docs/privacy.md before you give the output away")


def _tell_what_was_asked(judge: Judge) -> None:
    """Raises JudgeError when the judge was asked and answered nothing; the output tells of each failure."""
    console.print(judge.tally.line(judge.config), markup=False, soft_wrap=True)
    if judge.tally.failures and not judge.tally.answered:
        raise JudgeError(
            f"the judge answered none of {judge.tally.failures.total()} questions",
            where=f"judge.base_url {judge.config.base_url}",
            next_step="Is a server running there? The output holds the kinds of failure; docs/judges.md says "
            "how to set a judge up. Then run the same command again.",
        )
