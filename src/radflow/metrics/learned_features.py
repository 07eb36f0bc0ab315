"""How far a written report is from its reference, as numbers: 0 for the reference itself, never negative

What a learned reward is computed from. A number only ever counts against a report (the fit allows no negative
weight), so that no report can score more than its reference, whatever was fitted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.labeler import RuleLabeler, bodies
from radflow.clinical.ontology_file import load_ontology
from radflow.clinical.report_graph import ReportGraph
from radflow.clinical.spans import SpanReader
from radflow.clinical.tokens import sentences
from radflow.data.sections import parse_report, render_report
from radflow.metrics.lexical import BleuReference, rouge_l, words
from radflow.metrics.resampling import Matrix
from radflow.records import Mention, Report

REMEMBERED_TEXTS = 8192
MOST = 3.0
"""Counts end here: what is wrong three times is wrong enough."""

GROUPS: dict[str, tuple[str, ...]] = {
    "words": (
        "bleu-2",
        "rouge-l",
        "words left out",
        "words added",
        "words exchanged",
        "shorter",
        "longer",
        "sentences repeated",
        "findings missing",
        "impression missing",
    ),
    "graph": ("entities left out", "entities added", "relations left out", "relations added"),
    "statements": (
        "observations left out",
        "observations made up",
        "denied though present",
        "asserted though denied",
        "denials left out",
        "denials added",
        "doubt differs",
        "sides differ",
        "severities differ",
        "places differ",
        "courses differ",
        "impression: observations left out",
        "impression: observations made up",
        "impression: denied or asserted the other way",
    ),
    "consistency": ("contradicted", "unsupported", "critical omitted", "side or severity conflict"),
    "phrases": (
        "phrases of observations",
        "phrases of structures",
        "phrases of states",
        "phrases of places",
        "phrases of sides",
        "phrases of severities",
        "phrases of courses",
        "cues",
    ),
}
"""Features by group: words need nothing but the two texts, all others read with an ontology."""
FEATURES: tuple[str, ...] = tuple(name for group in GROUPS.values() for name in group)

Names = frozenset[str]
Details = Mapping[str, Names]
"""Observation -> what is said of it (sides, degrees, ...)."""


class Said(NamedTuple):
    """What a text says by the rules: observations by assertion, and details of those that it asserts."""

    present: Names
    absent: Names
    uncertain: Names
    details: tuple[Details, Details, Details, Details]


class Reading(NamedTuple):
    """All that is read of one text, once."""

    bag: Counter[str]
    repeated: int
    has_findings: bool
    has_impression: bool
    entities: frozenset[Hashable]
    relations: frozenset[Hashable]
    whole: Said
    impression: Said
    problems: Counter[str]
    phrases: Mapping[str, Counter[str]]


class LearnedFeatures:
    """Pairs of reports -> how far the second is from the first; what it says depends on the pair alone.

    Args:
        ontology: a shipped one by name, or the path of your own .yaml.
    """

    def __init__(self, ontology: str = "chest-xray") -> None:
        loaded = load_ontology(ontology)
        self._labeler = RuleLabeler(loaded)
        self._graph = LexiconGraph(loaded)
        self._consistency = LabelConsistency(loaded)
        self._spans = SpanReader(loaded)
        self._ontology = loaded
        self._read = lru_cache(maxsize=REMEMBERED_TEXTS)(self._reading)
        self._sentence = lru_cache(maxsize=REMEMBERED_TEXTS)(self._phrases_of)
        self._bleu = lru_cache(maxsize=REMEMBERED_TEXTS)(BleuReference)

    def __call__(self, *, reference: Sequence[str], prediction: Sequence[str]) -> Matrix:
        """(pairs, features) in the order of `FEATURES`, each >= 0; all 0 where the two texts are equal.

        Args:
            reference: canonical texts, see `canonical_text`.
            prediction: what was written, headers included.
        """
        rows = [self._compare(one, other) for one, other in zip(reference, prediction, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))

    def _compare(self, reference: str, prediction: str) -> tuple[float, ...]:
        if reference == prediction:
            return (0.0,) * len(FEATURES)
        one, other = self._read(reference), self._read(prediction)
        return (
            1 - self._bleu(reference).score(prediction),
            1 - rouge_l(reference=reference, prediction=prediction),
            *word_differences(one, other),
            *shares(one.entities, other.entities),
            *shares(one.relations, other.relations),
            *statement_differences(one.whole, other.whole),
            *impression_differences(one.impression, other.impression),
            *(
                min(MOST, max(0, other.problems[kind] - one.problems[kind]))
                for kind in ("contradicted", "unsupported", "critical_omitted", "side_or_severity_conflict")
            ),
            *(math.log1p(distance(one.phrases[layer], other.phrases[layer])) for layer in LAYERS),
        )

    def _reading(self, text: str) -> Reading:
        report = parse_report(text)
        mentions = self._labeler.label(text)
        graph, spoken = self._graph.read([text])[0], self._sentences(text)
        said = [sentence.lower().rstrip(".!? ") for sentence in spoken]
        return Reading(
            bag=Counter(words(text)),
            repeated=len(said) - len(set(said)),
            has_findings=report.findings is not None,
            has_impression=report.impression is not None and report.impression_found_by != "combined",
            entities=_entities(graph),
            relations=_relations(graph),
            whole=said_of(mentions),
            impression=said_of([one for one in mentions if one.section == "impression"]),
            problems=Counter(problem.kind for problem in self._consistency.check(report).problems),
            phrases=_added(self._sentence(sentence) for sentence in spoken),
        )

    def _sentences(self, text: str) -> list[str]:
        """The sentences that say what the image shows."""
        found = []
        for begin, end, _ in bodies(text, self._ontology.headers):
            body = text[begin:end]
            found += [body[first:last] for first, last in sentences(body)]
        return found

    def _phrases_of(self, sentence: str) -> dict[str, Counter[str]]:
        counts: dict[str, Counter[str]] = {layer: Counter() for layer in LAYERS}
        for spans in self._spans.read(sentence):
            for layer in LAYERS:
                counts[layer].update(span.name for span in getattr(spans, layer))
        return counts


LAYERS = ("observations", "structures", "states", "anatomy", "sides", "severities", "changes", "cues")
"""Of a sentence's spans, in the order of the features."""


def canonical_text(report: Report) -> str:
    """What training on a reference aims at; the whole text of a report without sections."""
    if report.findings or report.impression:
        return render_report(findings=report.findings, impression=report.impression)
    return report.text


def word_differences(one: Reading, other: Reading) -> tuple[float, ...]:
    """(8,) from "words left out" to "impression missing"."""
    shared = (one.bag & other.bag).total()
    expected, written = one.bag.total(), other.bag.total()
    left_out, added = expected - shared, written - shared
    ratio = math.log((1 + written) / (1 + expected))
    return (
        left_out / expected if expected else 0.0,
        added / written if written else 0.0,
        math.log1p(min(left_out, added)),
        max(0.0, -ratio),
        max(0.0, ratio),
        min(MOST, max(0, other.repeated - one.repeated)),
        float(one.has_findings and not other.has_findings),
        float(one.has_impression and not other.has_impression),
    )


def shares(one: frozenset[Hashable], other: frozenset[Hashable]) -> tuple[float, float]:
    """(2,) the share of the reference's items that are left out, and of the written ones that are added."""
    left_out = len(one - other) / len(one) if one else 0.0
    added = len(other - one) / len(other) if other else 0.0
    return left_out, added


def statement_differences(one: Said, other: Said) -> tuple[float, ...]:
    """(11,) from "observations left out" to "courses differ", each a count of observations up to `MOST`."""
    mentioned = other.present | other.uncertain | other.absent
    known = one.present | one.uncertain | one.absent
    certain = (one.present | one.absent) & other.uncertain | one.uncertain & (other.present | other.absent)
    counts = [
        len(one.present - mentioned),
        len(other.present - known),
        len(one.present & other.absent - other.present),
        len(one.absent & other.present - one.present),
        len(one.absent - mentioned),
        len(other.absent - known),
        len(certain - (one.present & other.present) - (one.absent & other.absent)),
        *(_differing(mine, yours) for mine, yours in zip(one.details, other.details, strict=True)),
    ]
    return tuple(min(MOST, float(count)) for count in counts)


def impression_differences(one: Said, other: Said) -> tuple[float, ...]:
    """(3,) the same of the Impressions: left out, made up, the other way."""
    counts = (
        len(one.present - other.present - other.absent),
        len(other.present - one.present - one.absent),
        len(one.present & other.absent - other.present) + len(one.absent & other.present - one.present),
    )
    return tuple(min(MOST, float(count)) for count in counts)


def distance(one: Counter[str], other: Counter[str]) -> int:
    """How many items are left out or added."""
    return (one - other).total() + (other - one).total()


def said_of(mentions: Sequence[Mention]) -> Said:
    """Observations by assertion, and what is said of those that aren't denied."""
    asserted = [mention for mention in mentions if mention.assertion != "absent"]
    present, absent, uncertain = (
        frozenset(mention.observation for mention in mentions if mention.assertion == state)
        for state in ("present", "absent", "uncertain")
    )
    details = (
        _words((mention.observation, mention.side) for mention in asserted),
        _words((mention.observation, mention.severity) for mention in asserted),
        _words((mention.observation, mention.location) for mention in asserted),
        _words((mention.observation, mention.change) for mention in asserted),
    )
    return Said(present, absent, uncertain, details)


def _words(pairs: Iterable[tuple[str, str | None]]) -> Details:
    found: dict[str, Names] = {}
    for observation, word in pairs:
        found[observation] = found.get(observation, frozenset()) | ({word} if word is not None else set())
    return found


def _differing(one: Details, other: Details) -> int:
    """Observations that both assert, of which they say different things."""
    return sum(one[name] != other[name] for name in one.keys() & other.keys())


def _entities(graph: ReportGraph) -> frozenset[Hashable]:
    return frozenset((entity.text.lower(), entity.label) for entity in graph.entities)


def _relations(graph: ReportGraph) -> frozenset[Hashable]:
    names = [entity.text.lower() for entity in graph.entities]
    return frozenset(
        (relation.kind, names[relation.source], names[relation.target]) for relation in graph.relations
    )


def _added(parts: Iterable[Mapping[str, Counter[str]]]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {layer: Counter() for layer in LAYERS}
    for part in parts:
        for layer, found in part.items():
            counts[layer].update(found)
    return counts
