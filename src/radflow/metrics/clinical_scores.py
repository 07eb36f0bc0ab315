"""What a pair of reports says clinically: labels hit and missed, graph overlap, consistency, criticality.

Read by the embedded experts (rule labels, lexicon-graph, rule judges), which need no weights. Each is made
once per process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from radflow.clinical.chexpert_classes import CHEXPERT_CLASSES
from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.label_table import RuleLabels
from radflow.metrics.graph_f1 import partial_f1
from radflow.metrics.labels import FN, FP, TP, label_counts
from radflow.records import Report

LabelCounts = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class ClinicalReaders:
    """The embedded expert models of one ontology.

    Attributes:
        ontology: a shipped one by name; its columns must be CheXpert's 14 for label counts.
    """

    ontology: str = "chest-xray"

    def label_counts(self, *, reference: str, prediction: str) -> LabelCounts:
        """(true positives, false positives, false negatives) by CheXpert class; uncertain counts as present.

        Classes that neither text asserts are left out. An empty text asserts nothing, not even No Finding.
        """
        expected, written = _labels(self.ontology).label([reference, prediction])
        counts = label_counts(reference=expected, prediction=written, uncertain="present").astype(int)
        cells = counts[:, [TP, FP, FN]].tolist()
        return {
            name: (row[0], row[1], row[2])
            for name, row in zip(CHEXPERT_CLASSES, cells, strict=True)
            if any(row)
        }

    def graph_f1(self, *, reference: str, prediction: str) -> float | None:
        """lexicon-graph F1, level partial, in [0, 1]; ``None`` where the reference names no entity."""
        expected, written = _graphs(self.ontology).read([reference, prediction])
        return partial_f1(reference=expected, prediction=written) if expected.entities else None

    def is_consistent(self, *, reference: Report, prediction: Report) -> bool | None:
        """Whether the prediction's Findings and Impression agree; a section left out is no agreement.

        ``None`` where the reference lacks one of them: then there is nothing to ask for.
        """
        if reference.findings is None or reference.impression is None:
            return None
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
