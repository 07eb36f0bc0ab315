"""What a pair of reports says clinically: labels hit and missed, graph overlap, consistency, criticality.

Read by the embedded experts (rule labels, lexicon-graph, rule judges), which need no weights. Each is made
once per process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.label_table import RuleLabels
from radflow.metrics.graph_f1 import partial_f1
from radflow.records import Report

ASSERTED = (1, -1)
LabelCounts = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class ClinicalReaders:
    """The embedded expert models of one ontology.

    Attributes:
        ontology: a shipped one by name, or the path of your own .yaml.
    """

    ontology: str = "chest-xray"

    def label_counts(self, *, reference: str, prediction: str) -> LabelCounts:
        """(true positives, false positives, false negatives) by column; uncertain counts as present.

        Columns that neither text asserts are left out. An empty text asserts nothing, not even No Finding.
        """
        expected, written = _labels(self.ontology).label([reference, prediction])
        true = {name for name, value in expected.items() if value in ASSERTED}
        said = {name for name, value in written.items() if value in ASSERTED}
        return {
            name: (int(name in true & said), int(name in said - true), int(name in true - said))
            for name in expected
            if name in true | said
        }

    def graph_f1(self, *, reference: str, prediction: str) -> float | None:
        """lexicon-graph F1, level partial, in [0, 1]; ``None`` where the reference names no entity."""
        expected, written = _graphs(self.ontology).read([reference, prediction])
        return partial_f1(reference=expected, prediction=written) if expected.entities else None

    def is_consistent(self, *, reference: Report, prediction: Report) -> bool | None:
        """Whether the prediction's Findings and Impression agree; a section left out is no agreement, nor is
        one header for both, unless the reference has that too.

        ``None`` where the reference lacks one of them: then there is nothing to ask for.
        """
        if reference.findings is None or reference.impression is None:
            return None
        if prediction.findings_found_by == "combined" != reference.findings_found_by:
            return False
        return _consistency(self.ontology).check(prediction).verdict == "consistent"

    def is_critical(self, study_id: str, reference: Report) -> bool:
        """Whether the reference says something of which somebody must be told at once."""
        return _criticality(self.ontology).decide(study_id, reference).is_critical


@cache
def _labels(ontology: str) -> RuleLabels:
    return RuleLabels(ontology)


@cache
def _graphs(ontology: str) -> LexiconGraph:
    return LexiconGraph(ontology)


@cache
def _consistency(ontology: str) -> LabelConsistency:
    return LabelConsistency(ontology)


@cache
def _criticality(ontology: str) -> RuleCriticality:
    return RuleCriticality(ontology)
