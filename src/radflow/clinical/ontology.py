"""What a rule expert model knows, as data: observations, their phrases, anatomy, cues, how labels add up."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from radflow.records import Change, SectionName, Side


class Entry(BaseModel):
    """Frozen, and refuses unknown keys: a misspelt key in an ontology is an error, not a silent gap."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Phrase = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Phrases = tuple[Phrase, ...]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^\S(.*\S)?$")]


Level = Literal["none", "urgent", "critical"]
"""How soon somebody must hear of a finding: by the report, within hours, at once; see docs/criticality.md."""

ChangeSaid = Literal["unsaid", "new", "worse", "unchanged", "improved"]
ACUTE: tuple[ChangeSaid, ...] = ("unsaid", "new", "worse")


class Observation(Entry):
    """Something that a report can say is there or isn't.

    Attributes:
        phrases: what it is called; see `phrases.expand` for the notation.
        exceptions: longer phrases that hold one of these but mean something else ("mass effect").
        column: the column of the label table that it counts for; ``None`` keeps it out of the table.
        parents: columns that its presence implies, in aggregation only: no mention is added.
        suggests: columns that its presence leaves uncertain (heart failure: Cardiomegaly).
        is_device: a device, not a disease.
        suppresses_no_finding: whether its presence, or doubt about it, rules out the No Finding column.
        critical: how urgent its presence is where none of `critical_rules` says otherwise.
        needs_anatomy: names of anatomy of which one must stand in the sentence or its heading.
    """

    phrases: Phrases = ()
    exceptions: Phrases = ()
    column: Name | None = None
    parents: tuple[Name, ...] = ()
    suggests: tuple[Name, ...] = ()
    is_device: bool = False
    suppresses_no_finding: bool = True
    critical: Level = "none"
    needs_anatomy: tuple[Name, ...] = ()


class State(Entry):
    """What a structure is said to be, and the observation that this asserts or denies.

    Attributes:
        observation: e.g. Cardiomegaly for the heart.
        present: words that say it is there ("enlarged").
        absent: words that say it isn't, beyond the shared ones for normal.
        normal_is_absent: whether "normal", "unremarkable", "clear" ... deny it.
    """

    observation: Name
    present: Phrases = ()
    absent: Phrases = ()
    normal_is_absent: bool = True


class Structure(Entry):
    """A part of the body that reports describe by a state ("the heart is enlarged", "normal mediastinum")."""

    phrases: Phrases = Field(min_length=1)
    states: tuple[State, ...] = Field(min_length=1)


class Grade(Entry):
    """What a value means: below ``below``, up to and including ``up_to``, or, with neither, any other.

    ``unless_denied``: the observations whose denial on the same side says that this value is a normal one; a
    velocity of 90 cm/s grades a stenosis where there is one, and says nothing where the report says that
    there is none.
    """

    below: float | None = None
    up_to: float | None = None
    observation: Name
    assertion: Literal["present", "absent"] = "present"
    unless_denied: tuple[Name, ...] = ()

    def holds(self, value: float) -> bool:
        """Whether the value falls under this bound."""
        if self.below is not None:
            return value < self.below
        return self.up_to is None or value <= self.up_to


class Measure(Entry):
    """A number that grades an observation: percent of stenosis, a velocity, a ratio, a thickness.

    Attributes:
        phrases: what is measured; the number follows within ``reach`` words (a percentage may also precede).
        unit: percent ("50-69 %"), velocity (cm/s or m/s, compared in cm/s), length (mm or cm, in mm), ratio
            (a bare number).
        needs_anatomy: names of anatomy of which one must stand in the sentence or in its heading.
        grades: in rising order; the last one has no bound.
        rank: of the measures that grade the same side of a report only those of the lowest rank count; a
            grade in words counts as rank 0.
        reach: words between phrase and number.
    """

    phrases: Phrases = Field(min_length=1)
    unit: Literal["percent", "velocity", "length", "ratio"]
    needs_anatomy: tuple[Name, ...] = ()
    grades: tuple[Grade, ...] = Field(min_length=1)
    rank: int = Field(default=0, ge=0)
    reach: int = Field(default=6, ge=1, le=20)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(grade.below is not None and grade.up_to is not None for grade in self.grades):
            raise ValueError("a grade takes below or up_to, not both")
        bounds = [grade.up_to if grade.below is None else grade.below for grade in self.grades]
        if bounds[-1] is not None or None in bounds[:-1]:
            raise ValueError("every grade but the last needs below or up_to, and the last takes neither")
        known = [bound for bound in bounds if bound is not None]
        if known != sorted(set(known)):
            raise ValueError("the grades' bounds must rise")
        return self


class CriticalRule(Entry):
    """What makes a finding more or less urgent than its observation alone; the first rule that fits decides.

    A rule fits a mention that isn't denied when all of its conditions hold; an empty one always does.

    Attributes:
        name: what the reason of a verdict calls it.
        level: how urgent the finding then is.
        confidence: that a reader would agree, for a finding that is asserted; ``None``: the level's own.
        observations: what the mention must name, any of these.
        severities, locations: what it must say, any of these.
        changes: what it may say of the course; "unsaid" is nothing. Chronic counts as unchanged.
        together: observations of which one must be asserted too, in the same report or sentence.
        denied: observations of which one must be denied.
        within: how far `together` and `denied` look.
    """

    name: Name
    level: Level
    confidence: float | None = Field(default=None, gt=0, le=1)
    observations: tuple[Name, ...] = Field(min_length=1)
    severities: tuple[Name, ...] = ()
    locations: tuple[Name, ...] = ()
    changes: tuple[ChangeSaid, ...] = Field(default=ACUTE, min_length=1)
    together: tuple[Name, ...] = ()
    denied: tuple[Name, ...] = ()
    within: Literal["report", "sentence"] = "report"


class Cues(Entry):
    """Words that decide an assertion, and how far they reach; shared by all ontologies (cues.yaml).

    Attributes:
        negation_before, negation_after: deny what follows, or what came before.
        uncertain_before, uncertain_after: leave it open.
        unlikely: of the uncertain ones, those that speak rather against ("unlikely"), as `criticality` needs.
        evidential: of the uncertain ones, those that a negation swallows ("no opacity to suggest pneumonia").
        open_list: uncertain, and every item of the following list is ("differential includes a, b, c").
        hypothetical_before, hypothetical_after: what they reach isn't said of this image at all.
        resolved_before, resolved_after: it was there and is gone.
        neutral: look like cues but decide nothing ("no change in").
        inverted: a negated negation ("not without"): present.
        breaks: end every scope ("but", "however").
        clause_starts: words that open a new clause after a comma or "and".
        verbs: finite verbs; a segment that has one is a clause of its own.
        seen: words after which a verb belongs to the list before it ("no a or b is seen").
        normal: states that deny a structure's observations.
    """

    negation_before: Phrases
    negation_after: Phrases
    uncertain_before: Phrases
    uncertain_after: Phrases
    unlikely: Phrases
    evidential: Phrases
    open_list: Phrases
    hypothetical_before: Phrases
    hypothetical_after: Phrases
    resolved_before: Phrases
    resolved_after: Phrases
    neutral: Phrases
    inverted: Phrases
    breaks: Phrases
    clause_starts: Phrases
    verbs: Phrases
    seen: Phrases
    normal: Phrases
    changes: dict[Change, Phrases]


Word = Annotated[str, StringConstraints(pattern=r"^[^\s|\[\]*A-Z]+$", max_length=40)]


class Grammar(Entry):
    """Small words of another language, single ones in lower case; the English ones are always known.

    Attributes:
        or_words, and_words: join the items of a list ("oder"; "und").
        articles: "ein", "der".
        filling: what may stand between a structure and its state ("das Herz ist grenzwertig groß").
        denials: words that deny what their part of a sentence holds ("kein").
        abbreviations: words, without their stop, that end no sentence ("ca", "v.a").
    """

    or_words: tuple[Word, ...] = ()
    and_words: tuple[Word, ...] = ()
    articles: tuple[Word, ...] = ()
    filling: tuple[Word, ...] = ()
    denials: tuple[Word, ...] = ()
    abbreviations: tuple[Word, ...] = ()


ENTITY_LISTS = ("anatomy", "places", "aspects", "observations", "modifiers", "ignored")
"""Lists of GraphWords that share no phrase: each says what kind of entity a phrase is."""


class GraphWords(Entry):
    """Words that are entities of a report graph; those shared by all ontologies stand in graph.yaml.

    Attributes:
        anatomy: parts of the body.
        places: sides and positions, which modify a part ("right", "lower").
        aspects: properties ("size"): anatomy behind a part, else modifiers ("moderate size hernia").
        observations: what is seen, states included ("effusion", "normal").
        modifiers: how much, since when, of what shape; they modify what is seen.
        ignored: what none of the lists, nor a word of the ontology's phrases, shall find.
        units: with a number before them they are a measurement.
        suggests: between what is seen and what that suggests ("consistent with").
        locators: between what is seen and where ("in", "overlying").
        negation_before, uncertain_before: deny or doubt a graph's entities, beyond the cues of these names.
    """

    anatomy: Phrases = ()
    places: Phrases = ()
    aspects: Phrases = ()
    observations: Phrases = ()
    modifiers: Phrases = ()
    ignored: Phrases = ()
    units: Phrases = ()
    suggests: Phrases = ()
    locators: Phrases = ()
    negation_before: Phrases = ()
    uncertain_before: Phrases = ()


class Agreement(Entry):
    """What may differ between the Findings and the Impression of one report without being a disagreement.

    All names are observations unless said otherwise. The words (``old`` ...) stand in agreement.yaml, shared.

    Attributes:
        same: groups of observations that speak of one thing: each supports, and acknowledges, the others.
        follows: an observation of the Impression: those of the Findings from which it may be concluded.
        denies: what an observation's denial denies beside itself ("lungs are clear": consolidation).
        denied_by: observations that are denials when they are present ("normal chest"): what they deny.
        denies_if_acute: as ``denies``, of what isn't said to be old ("no acute disease": pneumothorax).
        denies_if_new: as ``denies``, only of what is said to be new or acute, or to be moderate or more.
        must_report: what the Impression must not leave out unless it is said to be old, beside all that is
            critical; what is urgent must not be left out when it is said to be new.
        traces: an observation and words of the Findings that speak of it though they are none of its
            phrases: all of them in one sentence, in any order; ``a*`` is any word that begins so.
        wrong_position, right_position: words, as in ``traces``, of a sentence that names a device.
        unasked: never unsupported: what an Impression may bring in from elsewhere.
        coarse: observations whose side, level, severity and course aren't compared.
        grades: groups of observations that exclude each other on one side, in rising order.
        ranks: names of severities and their rank; another rank is another severity.
        levels: names of levels (upper, lower) and the anatomy that lies there; another level, another place.
        old, recent: words that say that a finding is old or harmless, or new.
        limits: words, as in ``traces``, that leave a denial open for what is small ("no large").
        links: words that make a claim one reading of another claim in its sentence ("a versus b").
        history: words that bring in the past or an operation: what stands beside them isn't compared.
    """

    same: tuple[tuple[Name, ...], ...] = ()
    follows: dict[Name, tuple[Name, ...]] = {}
    denies: dict[Name, tuple[Name, ...]] = {}
    denied_by: dict[Name, tuple[Name, ...]] = {}
    denies_if_acute: dict[Name, tuple[Name, ...]] = {}
    denies_if_new: dict[Name, tuple[Name, ...]] = {}
    must_report: tuple[Name, ...] = ()
    traces: dict[Name, Phrases] = {}
    wrong_position: Phrases = ()
    right_position: Phrases = ()
    unasked: tuple[Name, ...] = ()
    coarse: tuple[Name, ...] = ()
    grades: tuple[tuple[Name, ...], ...] = ()
    ranks: dict[Name, int] = {}
    levels: dict[Name, tuple[Name, ...]] = {}
    old: Phrases = ()
    recent: Phrases = ()
    limits: Phrases = ()
    links: Phrases = ()
    history: Phrases = ()


ENGLISH = "en"


class Ontology(Entry):
    """One modality's observations and how to read them.

    Attributes:
        name: what ``--ontology`` takes.
        title: one sentence.
        language: of its words; only English ontologies begin with the shared words (cues.yaml, ...), any
            other holds all its own.
        headers: section headers beyond the built-in English ones, with the section that each opens.
        grammar: small words of the language.
        columns: the label table's columns, in order.
        no_finding: the column that is 1 when nothing that counts as a finding is present or uncertain.
        observations: by name.
        structures, anatomy, sides, severities: by name, with their phrases.
        measures: numbers that grade an observation.
        critical_rules: combinations that make a finding critical, or less so; in order.
        side_from_headings: whether a heading such as "RIGHT CAROTID:" gives its side and vessel to the lines
            below it, and a line's only side holds for all that the line says.
        capitals_open_sentences: whether a known word with a capital, behind a word without one, opens a
            sentence whose stop is missing; false for languages that write nouns with capitals.
        cues: the shared ones (cues.yaml), to which an ontology's own ``cues:`` are added.
        graph: the shared words of graphs (graph.yaml), to which an ontology's own ``graph:`` are added.
        agreement: when Findings and Impression agree; its shared words (agreement.yaml) come with it.
    """

    name: Name
    title: str
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")] = ENGLISH
    headers: dict[Name, SectionName] = {}
    grammar: Grammar = Grammar()
    columns: tuple[Name, ...] = Field(min_length=1)
    no_finding: Name | None = None
    observations: dict[Name, Observation] = Field(min_length=1)
    structures: dict[Name, Structure] = {}
    anatomy: dict[Name, Phrases] = {}
    sides: dict[Side, Phrases] = {}
    severities: dict[Name, Phrases] = {}
    measures: tuple[Measure, ...] = ()
    critical_rules: tuple[CriticalRule, ...] = ()
    side_from_headings: bool = False
    capitals_open_sentences: bool = True
    cues: Cues
    graph: GraphWords = GraphWords()
    agreement: Agreement = Agreement()

    @cached_property
    def extras(self) -> tuple[str, ...]:
        """Observations without a column, in order."""
        return tuple(name for name, item in self.observations.items() if item.column is None)
