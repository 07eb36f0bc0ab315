"""The frozen rows that pass between stages, one JSON object a line.

``None`` always means "not present" or "not scored"; it is never replaced by 0 or by an empty string.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

FoundBy = Literal["header", "typo", "combined", "view_title", "fallback", "judge", "field", "none"]
"""How a section was found: by its header, by a misspelt one, by a header that names both sections, by a
view title standing in for FINDINGS, by a fallback rule or a judge that the settings allow, by a
field of its own in the source (a column, an XML label), or not at all."""


class Record(BaseModel):
    """Frozen, and refuses unknown fields, so that a file of another version is noticed when it is read.

    Its errors don't show what was read: that may be a report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


SectionName = Literal[
    "findings", "impression", "findings_and_impression", "indication", "history", "comparison", "technique",
    "recommendation", "notification", "summary", "examination", "date", "addendum", "preliminary", "wet_read",
    "report", "comment",
]  # fmt: skip
"""Canonical names of sections, whatever their headers say."""


class Report(Record):
    """A report: its text as it came, and what the section parser read in it.

    Attributes:
        text: the whole text, unchanged.
        findings: body of the Findings section, ``None`` when absent or literally empty ("None", "NaN").
        impression: body of the Impression section, likewise.
        other: further sections by canonical name (indication, comparison, technique, recommendation, ...).
        findings_found_by, impression_found_by: how each was found; "none" exactly when it is ``None``.
    """

    text: str
    findings: str | None = None
    impression: str | None = None
    other: dict[str, str] = {}
    findings_found_by: FoundBy = "none"
    impression_found_by: FoundBy = "none"


class Finding(Record):
    """One true abnormality (or device) of a generated phantom.

    Attributes:
        observation: its name: snake case in chest phantoms (``pleural_effusion``), the ontology's own in
            carotid ones (``Stenosis 50-69%``).
        side: where it lies from the patient's view; ``None`` for midline findings.
        severity: the word of the writer's own scale (small, moderate, large, ...), ``None`` without one.
        location: zone, level or position, ``None`` when the side says it all.
        is_critical: whether a reader would have to call somebody.
    """

    observation: str
    side: Literal["left", "right", "bilateral"] | None = None
    severity: str | None = None
    location: str | None = None
    is_critical: bool = False


Part = Literal["report", "findings", "impression"]
"""What of a report is compared: the bodies of all that it says of the image, or one section."""

Assertion = Literal["present", "absent", "uncertain"]
Side = Literal["left", "right", "bilateral"]
Change = Literal["new", "unchanged", "resolved", "worse", "improved"]


class Mention(Record):
    """One place where a report speaks of an observation, and what it says about it.

    Attributes:
        observation: its name in the ontology.
        assertion: whether the report says that it is there, that it isn't, or leaves it open.
        side, location, severity, change: as the sentence says them, ``None`` where it doesn't. A side is the
            patient's; location and severity are the ontology's words.
        section: canonical name of the section; ``None`` in a text without headers.
        start, end: character span in the report's text; ``text[start:end]`` is the phrase.
        cue: the words that decided the assertion ("no", "may represent", "within normal limits"); ``None``
            where nothing spoke against presence.
    """

    observation: str
    assertion: Assertion
    side: Side | None = None
    location: str | None = None
    severity: str | None = None
    change: Change | None = None
    section: str | None = None
    start: int
    end: int
    cue: str | None = None


class Study(Record):
    """One examination: prepared images, prompt parts and the reference report.

    Attributes:
        study_id: unique in the run.
        patient_id: all studies of a patient share a split; ``None`` when the source doesn't know.
        split: train, validation or test.
        images: prepared 8-bit PNG files, relative to the run folder, frontal views first; all of them are one
            examination and stand in the prompt together.
        report: the reference.
        indication, comparison: optional prompt text.
        previous: the report of the patient's study before this one, likewise.
        metadata: what the source knows beyond this (codings, projections), JSON values only.
        truth: the exact findings of a phantom; ``None`` for real studies.
    """

    study_id: str
    patient_id: str | None = None
    split: Split
    images: tuple[str, ...]
    report: Report
    indication: str | None = None
    comparison: str | None = None
    previous: str | None = None
    metadata: dict[str, Any] = {}
    truth: tuple[Finding, ...] | None = None


class LeftOut(Record):
    """A study, or an image of one, that was not used, and why.

    Attributes:
        study_id: the study concerned.
        reason: a short countable kind: no_image, no_findings, no_impression, no_report, unreadable_image, ...
        detail: which file or setting; never report text.
    """

    study_id: str
    reason: str
    detail: str | None = None


class RowFailure(Record):
    """A row whose computation failed: typed, counted and listed, never a score.

    Attributes:
        study_id: the row concerned.
        kind: class name of the error.
        message: what is wrong; only radflow's own errors carry text, so that no report text leaks.
    """

    study_id: str
    kind: str
    message: str


class Candidate(Record):
    """A report generated for a study.

    Attributes:
        study_id: the study it was generated for.
        text: the decoded completion, special tokens removed.
        tokens: number of generated tokens, the end token included.
        finished: whether the end token was reached before the length limit.
    """

    study_id: str
    text: str
    tokens: int
    finished: bool


class Prediction(Candidate):
    """A candidate that stands for a system in an evaluation.

    Attributes:
        system: "sft", "rft", "sft continued", or one of them with " (sampled)".
    """

    system: str


ConflictKind = Literal["contradicted", "unsupported", "critical_omitted", "side_or_severity_conflict"]
"""What can be wrong between the Findings and the Impression of one report."""


class Conflict(Record):
    """One disagreement of a report's Findings and its Impression.

    Attributes:
        kind: contradicted (present in one, absent in the other), unsupported (only the Impression asserts
            it), critical_omitted (critical in the Findings, left out of the Impression), or another side or
            severity.
        label: the observation concerned.
        findings_span, impression_span: start and end of the words that show it, in the section's own text;
            ``None`` where that section says nothing of it.
    """

    kind: ConflictKind
    label: str
    findings_span: tuple[int, int] | None = None
    impression_span: tuple[int, int] | None = None


class Consistency(Record):
    """Whether the Findings and the Impression of one report agree.

    Attributes:
        verdict: inconsistent exactly when there are problems; not_applicable when a section is missing.
        problems: in the order of the report.
        source: who decided: "labels" (rules), or the judge's model.
    """

    verdict: Literal["consistent", "inconsistent", "not_applicable"]
    problems: tuple[Conflict, ...] = ()
    source: str = "labels"


class Criticality(Record):
    """Whether somebody must be told at once of what a report says.

    Attributes:
        is_critical: the verdict.
        confidence: in [0, 1], of the verdict, whichever it is.
        reason: one line; the observation and what grades it, in the judge's words.
        source: who decided: "rules", or the judge's model.
    """

    study_id: str
    is_critical: bool
    confidence: float
    reason: str
    source: str = "rules"


class SelectedStudy(Record):
    """A study that Target Exploration chose for reinforcement fine-tuning.

    Attributes:
        study_id: the study.
        chosen_as: why: one of the hardest, an anchor from the rest, by chance, because all are taken, or the
            hardest of its label group.
        composite: its composite score in [0, 1]; ``None`` when it was not scored.
    """

    study_id: str
    chosen_as: Literal["hardest", "anchor", "random", "all", "stratified"]
    composite: float | None


class RewardTerm(Record):
    """One term of the hierarchical reward for one completion.

    Attributes:
        value: the term's own score; ``None`` when it doesn't apply or its scorer failed.
        weight: what it is multiplied with.
        reason: why it has no value, ``None`` when it has one.
    """

    value: float | None
    weight: float
    reason: str | None = None


class RewardScore(Record):
    """The hierarchical reward of one completion, with all of its terms.

    Attributes:
        study_id: the study it was written for.
        total: the weighted sum of the terms that apply; ``None`` when a scorer failed: never 0.
        terms: language, domain, consistency, impression; none is left out.
    """

    study_id: str
    total: float | None
    terms: dict[str, RewardTerm]


class ExploredCandidate(Candidate):
    """A candidate for a training study, with all that Target Exploration scored of it.

    Attributes:
        bleu_2, bertscore, graph_f1: components of the composite; ``None`` when it has weight 0, or can't be
            scored. Which scorer each is, is in ``scorers``: where no encoder is installed, the slot of
            BERTScore holds another score under its own name.
        composite: weighted mean of the components, in [0, 1]; ``None`` when one of them can't be scored.
        scorers: component -> name of its scorer, those of weight 0 left out.
        reason: why it has no composite, ``None`` when it has one.
    """

    bleu_2: float | None
    bertscore: float | None
    graph_f1: float | None
    composite: float | None
    scorers: dict[str, str]
    reason: str | None = None


class Interval(Record):
    """A statistic over studies with its bootstrap interval.

    Attributes:
        value, low, high: point estimate and interval ends.
        studies: how many studies it rests on.
    """

    value: float
    low: float
    high: float
    studies: int


class Difference(Record):
    """How much one system's statistic differs from another's on the same studies, by paired bootstrap.

    Attributes:
        value, low, high: first minus second, and interval ends.
        p: two-sided p-value of no difference, above 0.
        studies: how many studies it rests on.
    """

    value: float
    low: float
    high: float
    p: float
    studies: int


class MetricRow(Record):
    """All metrics of one system's report for one study, on one part of it.

    Attributes:
        patient_id: studies of one patient are not independent, so intervals draw patients where known.
        system: who wrote the report.
        part: a row exists only where the reference has that part.
        reference: digest of the part's reference text: systems are compared on the same references only.
        is_critical: whether the reference is a critical case; ``None`` where nobody could decide.
        values: the metric of this study alone; ``None`` where it is undefined (0 / 0).
        statistics: what the metrics of a whole set are computed from, by name (`Metric.reads`): summed or
            averaged over studies, never from the values. ``None`` in it: not scored.
    """

    study_id: str
    patient_id: str | None = None
    system: str = "system"
    part: Part
    reference: str
    is_critical: bool | None = None
    values: dict[str, float | None]
    statistics: dict[str, tuple[float | None, ...]]
