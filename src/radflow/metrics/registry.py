"""Clinical metrics by name: one registry for those on labels, one for those on graphs"""

from __future__ import annotations

_CONVENTIONS = "radflow.metrics.label_conventions:"

LABEL_METRICS = {
    "r2gen-micro-14": _CONVENTIONS + "R2GEN_MICRO_14",
    "r2gen-macro-14": _CONVENTIONS + "R2GEN_MACRO_14",
    "radeval-micro-5": _CONVENTIONS + "RADEVAL_MICRO_5",
    "radeval-macro-5": _CONVENTIONS + "RADEVAL_MACRO_5",
    "radeval-weighted-5": _CONVENTIONS + "RADEVAL_WEIGHTED_5",
    "radeval-micro-14": _CONVENTIONS + "RADEVAL_MICRO_14",
    "radeval-macro-14": _CONVENTIONS + "RADEVAL_MACRO_14",
    "radeval-weighted-14": _CONVENTIONS + "RADEVAL_WEIGHTED_14",
    "radeval-sample-accuracy-5": _CONVENTIONS + "RADEVAL_SAMPLE_ACCURACY_5",
    "radeval-sample-accuracy-14": _CONVENTIONS + "RADEVAL_SAMPLE_ACCURACY_14",
    "f1chexbert-exact-match-5": _CONVENTIONS + "F1CHEXBERT_EXACT_MATCH_5",
    "f1chexbert-example-5": _CONVENTIONS + "F1CHEXBERT_EXAMPLE_5",
    "f1chexbert-example-14": _CONVENTIONS + "F1CHEXBERT_EXAMPLE_14",
    "rgrg-micro-5": _CONVENTIONS + "RGRG_MICRO_5",
    "rgrg-micro-14": _CONVENTIONS + "RGRG_MICRO_14",
    "rgrg-example-14": _CONVENTIONS + "RGRG_EXAMPLE_14",
    "llava-rad-rrg-micro-5": _CONVENTIONS + "LLAVA_RAD_RRG_MICRO_5",
    "llava-rad-rrg-macro-5": _CONVENTIONS + "LLAVA_RAD_RRG_MACRO_5",
    "llava-rad-rrg-micro-14": _CONVENTIONS + "LLAVA_RAD_RRG_MICRO_14",
    "llava-rad-rrg-macro-14": _CONVENTIONS + "LLAVA_RAD_RRG_MACRO_14",
    "llava-rad-rrg-plus-micro-5": _CONVENTIONS + "LLAVA_RAD_RRG_PLUS_MICRO_5",
    "llava-rad-rrg-plus-macro-5": _CONVENTIONS + "LLAVA_RAD_RRG_PLUS_MACRO_5",
    "llava-rad-rrg-plus-micro-14": _CONVENTIONS + "LLAVA_RAD_RRG_PLUS_MICRO_14",
    "llava-rad-rrg-plus-macro-14": _CONVENTIONS + "LLAVA_RAD_RRG_PLUS_MACRO_14",
    "dropped-micro-5": _CONVENTIONS + "DROPPED_MICRO_5",
    "dropped-macro-5": _CONVENTIONS + "DROPPED_MACRO_5",
    "dropped-micro-14": _CONVENTIONS + "DROPPED_MICRO_14",
    "dropped-macro-14": _CONVENTIONS + "DROPPED_MACRO_14",
    "dropped-example-14": _CONVENTIONS + "DROPPED_EXAMPLE_14",
}
"""Each is a `LabelMetric`: called with the labels of all references and predictions."""

GRAPH_METRICS = {
    "radgraph-simple": "radflow.metrics.graph_f1:simple_f1",
    "radgraph-partial": "radflow.metrics.graph_f1:partial_f1",
    "radgraph-complete": "radflow.metrics.graph_f1:complete_f1",
}
"""Each is a function of a reference and a prediction, both `ReportGraph`; a test set's score is the mean."""
