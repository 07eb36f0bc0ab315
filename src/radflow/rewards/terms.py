"""The four terms of the hierarchical reward, one pure function each

None means that the term doesn't apply. That depends on the reference alone, so that a term is there or
missing for all completions of one prompt alike. A term whose scorer failed isn't computed at all;
`hierarchical` keeps it as failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.report_graph import ReportGraph
from radflow.metrics.graph_f1 import complete_f1, partial_f1, simple_f1
from radflow.metrics.labels import Uncertain
from radflow.records import Assertion, Change, Report, Side

Statement = tuple[str, Assertion, Side | None, str | None, str | None, Change | None]
"""Observation, assertion, side, severity, location and change of a mention."""
GraphLevel = Literal["simple", "partial", "complete", "partial_complete"]
Labels = Mapping[str, LabelValue]
_GRAPH_F1 = {
    "simple": (simple_f1,),
    "partial": (partial_f1,),
    "complete": (complete_f1,),
    "partial_complete": (partial_f1, complete_f1),
}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_HEADER = re.compile(r"^[a-z ]{1,40}:\s*")


def language(*, reference: str, similarity: float | None) -> float | None:
    """Similarity of the words of two whole reports, in [0, 1], higher is better.

    None when the reference is empty. Values that leave the range (rescaled BERTScore can) are clipped to it.

    Args:
        reference: the canonical text of the reference, headers included: what the policy should have written.
        similarity: what the metric says of it and of all that was written.

    Source: RadFlow, R_syn (BLEU-2; Papineni et al. 2002, smoothing method 1 of Chen and Cherry 2014).
    """
    if similarity is None or not reference.strip():
        return None
    return min(1.0, max(0.0, similarity))


def domain(
    *, reference: ReportGraph, prediction: ReportGraph, level: GraphLevel = "partial_complete"
) -> float | None:
    """F1 of the entities and relations of two whole reports, in [0, 1], higher is better.

    None when the reference names no entity: F1 as published would be 0 for every report, the reference itself
    included, and tell nothing. The paper's level is "partial", which doesn't see two findings that exchange
    their sides; "partial_complete" is the mean of it and of "complete", which does. Both know the case of
    letters; a reader that gives lower case takes that away.

    Source: RadFlow, R_dom; RadGraph F1 (Delbrouck et al., EMNLP Findings 2022).
    """
    if not reference.entities:
        return None
    values = [f1(reference=reference, prediction=prediction) for f1 in _GRAPH_F1[level]]
    return sum(values) / len(values)


def statements(*, reference: frozenset[Statement], prediction: frozenset[Statement]) -> float | None:
    """F1 of what two whole reports state, in [0, 1], higher is better; a statement matches whole or not.

    None when the reference states nothing. Ours, beyond the paper: words that mean the same match, a wrong
    side, degree, place or course costs the statement, and what the ontology doesn't know isn't seen.
    """
    if not reference:
        return None
    return 2 * len(reference & prediction) / (len(reference) + len(prediction))


def observations(*, reference: frozenset[Statement], prediction: frozenset[Statement]) -> float:
    """F1 of the observations that two whole reports assert as present, in [0, 1]; 1 when both assert none.

    Ours, beyond the paper: a report of few findings loses much with one that it leaves out or makes up,
    however many words, entities and denials it has right beside it, and nothing with a phrase in other words.
    """
    present = [{said[0] for said in own if said[1] == "present"} for own in (reference, prediction)]
    if not any(present):
        return 1.0
    return 2 * len(present[0] & present[1]) / (len(present[0]) + len(present[1]))


def novelty(text: str) -> float:
    """Share of a report's sentences that it has not said before, in (0, 1]; 1 for an empty one.

    Case, white space, the final stop and a section's header are no difference.
    """
    said = [sentence.strip().rstrip(".!? ") for sentence in _SENTENCE_END.split(text.lower())]
    plain = [_HEADER.sub("", sentence) for sentence in said if sentence]
    return len(set(plain)) / len(plain) if plain else 1.0


def repetition_factor(*, reference: float, prediction: float) -> float:
    """What a report that repeats itself keeps of its language and domain terms, in (0, 1].

    1 when it repeats no more than the reference. F1 over sets pays what is said twice like what is said once,
    and Findings copied into the Impression are always consistent; this makes both unprofitable. Ours, beyond
    the paper. Consistency and the Impression's labels stay what they are.

    Args:
        reference, prediction: `novelty` of each.
    """
    return min(1.0, prediction / reference)


def consistency(*, reference: Report, prediction: Report, is_consistent: bool | None) -> float | None:
    """+1 when Findings and Impression of the *generated* report agree, -1 when not; nothing between.

    None when the reference lacks a section. -1 when only the generated report lacks one: leaving a section
    out must not dodge the check.

    Args:
        is_consistent: the verdict on the prediction; only read where both reports have both sections.

    Source: RadFlow, R_con.
    """
    if not has_both(reference):
        return None
    if lacks_section(reference=reference, prediction=prediction):
        return -1.0
    return 1.0 if is_consistent else -1.0


def impression(
    *,
    reference: Labels | None,
    prediction: Labels | None,
    uncertain: Uncertain = "absent",
    weights: Mapping[str, float] | None = None,
) -> float | None:
    """F1 of the observations that two Impressions assert, in [0, 1]; 1 when neither asserts any.

    None when the reference has no Impression; 0 when only the prediction has none.

    Args:
        reference, prediction: labels by observation (1, 0, -1 uncertain, ``None`` not mentioned), without a
            No Finding column, which only repeats that there are none; ``None`` for a missing Impression.
        uncertain: what -1 counts as, see `metrics.labels.Uncertain`.
        weights: what each observation counts; those that aren't named count 1. ``None`` weighs all alike.

    Source: RadFlow, R_imp; weights by severity after its second version (RadHiera).
    """
    if reference is None:
        return None
    if prediction is None:
        return 0.0
    asserted: tuple[LabelValue, ...] = (1,) if uncertain == "absent" else (1, -1)
    unknown = {name for name, value in reference.items() if value == -1 and uncertain == "dropped"}
    expected = {name for name, value in reference.items() if value in asserted} - unknown
    written = {name for name, value in prediction.items() if value in asserted} - unknown
    if not expected and not written:
        return 1.0
    weight = weights or {}
    common = sum(weight.get(name, 1.0) for name in expected & written)
    either = sum(weight.get(name, 1.0) for name in (*expected, *written))
    return 2 * common / either


def has_both(report: Report) -> bool:
    """Whether the report has Findings and Impression."""
    return report.findings is not None and report.impression is not None


def has_impression(*, reference: Report, prediction: Report) -> bool:
    """Whether the generated report has an Impression that counts.

    One header for both sections ("FINDINGS AND IMPRESSION:") makes an Impression that can't contradict its
    Findings; it counts only where the reference was written like that.
    """
    if prediction.impression is None:
        return False
    return prediction.impression_found_by != "combined" or reference.impression_found_by == "combined"


def lacks_section(*, reference: Report, prediction: Report) -> bool:
    """Whether the generated report lacks Findings or Impression."""
    return prediction.findings is None or not has_impression(reference=reference, prediction=prediction)
