"""`radflow generate`: images -> reports; what is there is kept, what fails is told, the rest is written"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from radflow.delivery.given import Given, GivenStudy, HowToRead, find_given
from radflow.delivery.outputs import Output, Terminal, checked_format, open_output
from radflow.delivery.report_writer import Decoding, ReportWriter
from radflow.delivery.writing import open_author
from radflow.delivery.written import NOTICE, WrittenReport, disagreement_kinds, lacking_sections
from radflow.errors import ConfigError
from radflow.records import LeftOut
from radflow.terminal import console, progress_bar

TOLD_AT_MOST = 20
"""So many problems are printed one by one; all are counted, and a folder lists them in left_out.jsonl."""


@dataclass
class Outcome:
    """What came of it."""

    written: int = 0
    kept: int = 0
    disagree: int = 0
    incomplete: int = 0
    failed: set[str] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def has_worked(self) -> bool:
        return bool(self.written or self.kept)

    def line(self) -> str:
        parts = [f"{self.written} written"]
        parts += [f"{self.kept} were there already"] if self.kept else []
        parts += [f"{self.disagree} with sections that disagree"] if self.disagree else []
        parts += [f"{self.incomplete} without Findings or Impression"] if self.incomplete else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        reasons = Counter(item.reason.replace("_", " ") for item in self.left_out)
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return ", ".join(parts) + (f" ({told})" if told else "")


@dataclass(frozen=True)
class Asked:
    """What `radflow generate` was told.

    Attributes:
        images, how: what is given, and how it is to be read.
        decoding: how reports are written.
        run, model: which model writes, see `open_author`.
        out, kind: where to, and in which format; see `open_output`.
        device: auto, cpu, cuda or mps.
        ontology: what checks the sections; ``None`` takes the model's own.
    """

    images: tuple[Path, ...]
    how: HowToRead
    decoding: Decoding
    run: Path | None
    model: str | None
    out: Path | None
    kind: str | None
    device: str = "auto"
    ontology: str | None = None


def write_reports(asked: Asked) -> Outcome:
    """Find the images, load the model, write.

    Raises:
        ConfigError, DataError, ModelError, RunError: a mistake that concerns all studies.
    """
    checked_format(asked.out, asked.kind)
    refuse_own_input(asked.out, asked.images)
    given = find_given(asked.images, asked.how)
    if given.ignored:
        console.print(f"{given.ignored} files in the folders are no images, ignored")
    author = open_author(asked.run, asked.model, device=asked.device)
    if not author.settings.show_indication and any(study.indication for study in given.studies):
        raise ConfigError(
            "the model was trained without indications and would not be shown any",
            where="--indication, --indication-column",
            next_step="Leave it out, or train with model.show_indication: true.",
        )
    if missing := author.settings.never_given:
        console.print(
            f"[yellow]warning:[/] the model was trained with {' and '.join(missing)} in its prompt and is "
            "shown none here: it may write otherwise than it was evaluated",
            soft_wrap=True,
        )
    is_open = asked.how.allow_missing_preamble
    writer = ReportWriter(
        author,
        asked.decoding,
        ontology=asked.ontology or author.settings.ontology,
        allow_missing_preamble=is_open,
    )
    output = open_output(asked.out, asked.kind, made_with=writer.made_with, allow_missing_preamble=is_open)
    console.print(f"model {author.settings.model}. {NOTICE}", markup=False, soft_wrap=True)
    return write_all(given, writer, output)


def write_all(given: Given, writer: ReportWriter, output: Output) -> Outcome:
    """Write for all given studies that the output doesn't have yet.

    Raises:
        RunError: the output holds reports of other images or settings.
    """
    outcome = Outcome()
    with output:
        left = [study for study in given.studies if not output.has(study)]
        outcome.kept = len(given.studies) - len(left)
        known = {study.study_id: study for study in left}
        done = {study.study_id for study in given.studies} - known.keys()
        for item in given.left_out:
            _note(item, outcome)
        reports = _shown(writer.write(left), known, total=len(left), quietly=isinstance(output, Terminal))
        for found in reports:
            if isinstance(found, LeftOut):
                _note(found, outcome)
                continue
            output.put(found, known[found.study_id])
            outcome.written += 1
            _warn(found, outcome, is_printed=isinstance(output, Terminal))
            done.add(found.study_id)
        outcome.failed = {*known, *(item.study_id for item in given.left_out)} - done
        output.finish(outcome.left_out)
    return outcome


def _shown(
    rows: Iterable[WrittenReport | LeftOut], studies: dict[str, GivenStudy], *, total: int, quietly: bool
) -> Iterable[WrittenReport | LeftOut]:
    """The rows, with a bar while they come; none where the reports themselves are printed."""
    if quietly:
        yield from rows
        return
    with progress_bar() as progress:
        task = progress.add_task("generate", total=total, note="")
        for row in rows:
            progress.update(task, advance=isinstance(row, WrittenReport))
            yield row


def _note(item: LeftOut, outcome: Outcome) -> None:
    outcome.left_out.append(item)
    if len(outcome.left_out) <= TOLD_AT_MOST:
        detail = f": {item.detail}" if item.detail else ""
        line = f"[yellow]{escape(item.study_id)}: {item.reason.replace('_', ' ')}[/]{escape(detail)}"
        console.print(line, soft_wrap=True)
    elif len(outcome.left_out) == TOLD_AT_MOST + 1:
        console.print("(further problems are only counted)")


def _warn(report: WrittenReport, outcome: Outcome, *, is_printed: bool) -> None:
    """Where the report itself isn't printed, its id and the kind of disagreement, not what it says."""
    outcome.incomplete += bool(lacking_sections(report))
    if not report.consistency.problems:
        return
    outcome.disagree += 1
    if not is_printed and outcome.disagree <= TOLD_AT_MOST:
        console.print(
            f"[yellow]warning:[/] {escape(report.study_id)}: Findings and Impression disagree "
            f"({disagreement_kinds(report)})",
            soft_wrap=True,
        )


def refuse_own_input(out: Path | None, paths: Sequence[Path]) -> None:
    """Raises ConfigError when the output is one of the inputs."""
    if out is not None and out.is_file() and any(path.exists() and path.samefile(out) for path in paths):
        raise ConfigError(
            "the output is one of the inputs", where=f"-o {out}", next_step="Name another output file."
        )
