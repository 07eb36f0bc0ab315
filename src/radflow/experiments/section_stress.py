"""Section stress: malformed reports under the reward and as references, against docs/reward.md's table"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from radflow.config import RewardConfig, RunConfig
from radflow.data.sections import parse_report, render_report, report_from_fields
from radflow.data.sources.checks import missing_section
from radflow.data.sources.phantoms import read_phantoms
from radflow.experiments.declaration import Request
from radflow.experiments.pages import Page, show, write_page
from radflow.experiments.shapes import CLEAN, SHAPES, Shape
from radflow.records import LeftOut, Record, Report, RewardScore
from radflow.reporting.view import Section, Table
from radflow.rewards.hierarchical import HierarchicalReward
from radflow.run_dir import RunDir

CASES = 40
REFERENCES = ("both", "only Findings", "only Impression")
GLOBAL = ("language", "domain", "consistency")


class ShapeResult(Record):
    """What became of one shape, over all cases.

    Attributes:
        has: the sections that a reader finds in it.
        read: how often the parser finds Findings, and an Impression.
        differently: cases in which the parser finds other sections than a reader.
        breaches: how often a term was scored, skipped or left undefined against docs/reward.md's table,
            given the sections that the parser found; 0 is right.
        undefined: how often R_global had no value; 0 is right.
        consistency, impression: mean value where the term applies, against references with both sections.
        skipped: share of cases in which the Impression's term was skipped, by kind of reference.
        reward, loss: mean reward against references with both sections, and how far it lies below that of
            the same texts in clean form.
        kept: as a training reference: cases that `data.require` keeps; the reasons of the others.
    """

    shape: str
    group: str
    has: tuple[bool, bool]
    cases: int
    read: tuple[int, int]
    differently: int
    breaches: int
    undefined: int
    consistency: float | None
    impression: float | None
    skipped: dict[str, float]
    reward: float
    loss: float
    kept: int
    left_out: dict[str, int]
    found_by: tuple[str, str]


class StressResults(Record):
    """All shapes."""

    experiment: str
    command: str
    seeds: tuple[int, ...]
    cases: int
    require: str
    shapes: tuple[ShapeResult, ...]


class SectionStress:
    """Pure computation: no model, no training."""

    name = "section-stress"
    question = (
        "Is the Impression's reward skipped exactly where it must be, and R_global always defined, whatever "
        "shape a report has?"
    )

    def run(self, request: Request) -> None:
        request.refuse("arms", "share", "labels", why="nothing is trained or compared with people.")
        config = request.load()
        seeds = request.seeds or (config.seed,)
        pairs = [pair for seed in seeds for pair in texts_of(config, seed)]
        reward = config.reward.model_copy(update={"consistency_backend": "labels"})
        found = StressResults(
            experiment=self.name,
            command=request.command(self.name),
            seeds=seeds,
            cases=len(pairs),
            require=config.data.require,
            shapes=tuple(results_of(pairs, reward, config)),
        )
        with RunDir.open(request.out):
            write_page(page := page_of(self, found), found, request.out)
        show(page, request.out)


def texts_of(config: RunConfig, seed: int) -> list[tuple[str, str]]:
    """Findings and Impression of generated reports of the config's modality; no image is drawn."""
    data = config.data.model_copy(update={"require": "both"})
    studies = (study for study in read_phantoms(data, seed) if not isinstance(study, LeftOut))
    return [
        (study.report.findings, study.report.impression)
        for study in islice(studies, CASES)
        if study.report.findings and study.report.impression
    ]


def results_of(
    pairs: Sequence[tuple[str, str]], reward: RewardConfig, config: RunConfig
) -> Iterator[ShapeResult]:
    """Every shape of every pair, under the reward and as a reference."""
    scorer = HierarchicalReward(reward)
    clean = _rewards(CLEAN, pairs, "both", scorer)
    for shape in SHAPES:
        by_reference = {kind: _rewards(shape, pairs, kind, scorer) for kind in REFERENCES}
        texts = [shape.write(*pair) for pair in pairs]
        read = [parse_report(text) for text in texts]
        sections = [(one.findings is not None, one.impression is not None) for one in read]
        as_reference = [
            parse_report(text, fallback=config.data.sections.of_parser, headers=config.data.sections.headers)
            for text in texts
        ]
        reasons = [missing_section(report, config.data.require) for report in as_reference]
        both = by_reference["both"]
        yield ShapeResult(
            shape=shape.name,
            group=shape.group,
            has=shape.has,
            cases=len(pairs),
            read=(sum(one for one, _ in sections), sum(other for _, other in sections)),
            differently=sum(found != shape.has for found in sections),
            breaches=sum(
                breaks_table(score, reference, report, reward)
                for kind, scores in by_reference.items()
                for score, reference, report in zip(scores, _references(pairs, kind), read, strict=True)
            ),
            undefined=sum(
                global_reward(score) is None for scores in by_reference.values() for score in scores
            ),
            consistency=_mean([score.terms["consistency"].value for score in both]),
            impression=_mean([score.terms["impression"].value for score in both]),
            skipped={
                kind: sum(score.terms["impression"].value is None for score in scores) / len(scores)
                for kind, scores in by_reference.items()
            },
            reward=_mean([score.total for score in both]) or 0.0,
            loss=(_mean([score.total for score in clean]) or 0.0)
            - (_mean([score.total for score in both]) or 0.0),
            kept=sum(reason is None for reason in reasons),
            left_out={reason: reasons.count(reason) for reason in dict.fromkeys(reasons) if reason},
            found_by=(
                " / ".join(dict.fromkeys(one.findings_found_by for one in as_reference)),
                " / ".join(dict.fromkeys(one.impression_found_by for one in as_reference)),
            ),
        )


def breaks_table(score: RewardScore, reference: Report, written: Report, reward: RewardConfig) -> bool:
    """Whether the terms of a reward go against the table "when a section is missing"."""
    consistency, impression = (score.terms[name].value for name in ("consistency", "impression"))
    has_both = reference.findings is not None and reference.impression is not None
    lacks_one = written.findings is None or written.impression is None
    return (
        (consistency is not None) != has_both
        or (has_both and lacks_one and consistency != -1)
        or (impression is not None) != (reference.impression is not None)
        or (reference.impression is not None and written.impression is None and impression != 0)
        or global_reward(score) is None
        or score.total is None
    )


def global_reward(score: RewardScore) -> float | None:
    """R_global: the weighted sum of its terms that apply; ``None`` when none of them has a value."""
    known = [term for name in GLOBAL if (term := score.terms[name]).value is not None]
    return sum(term.weight * (term.value or 0.0) for term in known) if known else None


def _references(pairs: Sequence[tuple[str, str]], kind: str) -> list[Report]:
    return [
        report_from_fields(
            findings=None if kind == "only Impression" else findings,
            impression=None if kind == "only Findings" else impression,
        )
        for findings, impression in pairs
    ]


def _rewards(
    shape: Shape, pairs: Sequence[tuple[str, str]], kind: str, scorer: HierarchicalReward
) -> list[RewardScore]:
    written = [
        render_report(findings=findings, impression=impression)
        if shape is CLEAN
        else shape.write(findings, impression)
        for findings, impression in pairs
    ]
    ids = [f"case {number}" for number in range(len(pairs))]
    return scorer.score(references=_references(pairs, kind), predictions=written, study_ids=ids)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def page_of(experiment: SectionStress, found: StressResults) -> Page:
    """The table of shapes, and what it sums up to."""
    tables = (_table(found),)
    malformed = [shape for shape in found.shapes if shape.shape != CLEAN.name]
    breaches = sum(shape.breaches for shape in found.shapes)
    undefined = sum(shape.undefined for shape in found.shapes)
    differently = [shape for shape in found.shapes if shape.differently]
    notes = (
        f"{len(malformed)} malformed shapes and the clean one, each of {found.cases} generated reports "
        f"against references with both sections, without Impression and without Findings.",
        f"Terms scored or skipped against the table of docs/reward.md: {breaches}. R_global undefined: "
        f"{undefined}.",
        "Read otherwise than a reader would: "
        + (
            "; ".join(f"{shape.shape} ({shape.differently} of {shape.cases})" for shape in differently)
            or "none"
        )
        + ".",
        "R_con, R_imp and the reward are means against references with both sections, where the generated "
        "report says what the reference says; the loss is what its shape costs. One header for both "
        "sections makes no Impression of its own in a generated report: it can't contradict its Findings.",
        f"Kept: as a reference, by prepare under data.require: {found.require}.",
    )
    sections = (Section("shapes", "Shapes", notes=notes, tables=tables),)
    return Page(experiment.name, experiment.question, found.command, sections, tables)


def _table(found: StressResults) -> Table:
    header = (
        "shape", "kind", "a reader finds", "the parser finds", "R_con", "R_imp", "R_imp skipped (reference "
        "with both / without Impression / without Findings)", "reward", "loss", "kept as reference",
    )  # fmt: skip
    return Table("Malformed shapes", header, tuple(_row(shape) for shape in found.shapes))


def _row(shape: ShapeResult) -> tuple[str, ...]:
    left_out = ", ".join(f"{reason} {count}" for reason, count in shape.left_out.items())
    return (
        shape.shape,
        shape.group,
        "".join(letter for letter, has in zip("FI", shape.has, strict=True) if has) or "-",
        " ".join(f"{letter} {count}/{shape.cases}" for letter, count in zip("FI", shape.read, strict=True)),
        "-" if shape.consistency is None else f"{shape.consistency:+.2f}",
        "-" if shape.impression is None else f"{shape.impression:.2f}",
        " / ".join(f"{shape.skipped[kind]:.0%}" for kind in REFERENCES),
        f"{shape.reward:.2f}",
        f"{shape.loss:+.2f}",
        f"{shape.kept}/{shape.cases}" + (f" ({left_out})" if left_out else ""),
    )


SECTION_STRESS = SectionStress()
