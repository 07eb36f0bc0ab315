"""The label conventions that the literature reports, each under its own name.

Read from the code that publishes the numbers. Beware of two that share a word: mode "rrg" counts uncertain as
present in f1chexbert and RadEval, and as absent in LLaVA-Rad, whose "rrg+" is the other's "rrg".
"""

from __future__ import annotations

from functools import partial

from radflow.clinical.chexpert_classes import FIVE_CLASSES
from radflow.metrics.labels import LabelMetric

_r2gen = partial(LabelMetric, "absent", source="R2Gen, modules/metrics.py")
R2GEN_MICRO_14 = _r2gen("micro")
R2GEN_MACRO_14 = _r2gen("macro")

_radeval = partial(LabelMetric, "present", source="RadEval 2.2, f1chexbert")
RADEVAL_MICRO_5 = _radeval("micro", FIVE_CLASSES)
RADEVAL_MACRO_5 = _radeval("macro", FIVE_CLASSES)
RADEVAL_WEIGHTED_5 = _radeval("weighted", FIVE_CLASSES)
RADEVAL_MICRO_14 = _radeval("micro")
RADEVAL_MACRO_14 = _radeval("macro")
RADEVAL_WEIGHTED_14 = _radeval("weighted")
RADEVAL_SAMPLE_ACCURACY_5 = _radeval("example", FIVE_CLASSES, "accuracy")
RADEVAL_SAMPLE_ACCURACY_14 = _radeval("example", measure="accuracy")

_f1chexbert = partial(LabelMetric, "present", "example", source="f1chexbert 0.0.2")
F1CHEXBERT_EXACT_MATCH_5 = _f1chexbert(FIVE_CLASSES, "exact_match")
F1CHEXBERT_EXAMPLE_5 = _f1chexbert(FIVE_CLASSES)
F1CHEXBERT_EXAMPLE_14 = _f1chexbert()

RGRG_MICRO_5 = LabelMetric("present", "micro", FIVE_CLASSES, source="RGRG, after Miura et al. 2021")
RGRG_MICRO_14 = LabelMetric("present", "micro", source="RGRG, after Miura et al. 2021")
RGRG_EXAMPLE_14 = LabelMetric("absent", "example", source="RGRG, after Nicolson et al. 2022")

_rrg = partial(LabelMetric, "absent", source="LLaVA-Rad, mode rrg")
LLAVA_RAD_RRG_MICRO_5 = _rrg("micro", FIVE_CLASSES)
LLAVA_RAD_RRG_MACRO_5 = _rrg("macro", FIVE_CLASSES)
LLAVA_RAD_RRG_MICRO_14 = _rrg("micro")
LLAVA_RAD_RRG_MACRO_14 = _rrg("macro")
_rrg_plus = partial(LabelMetric, "present", source="LLaVA-Rad, mode rrg+")
LLAVA_RAD_RRG_PLUS_MICRO_5 = _rrg_plus("micro", FIVE_CLASSES)
LLAVA_RAD_RRG_PLUS_MACRO_5 = _rrg_plus("macro", FIVE_CLASSES)
LLAVA_RAD_RRG_PLUS_MICRO_14 = _rrg_plus("micro")
LLAVA_RAD_RRG_PLUS_MACRO_14 = _rrg_plus("macro")

# No published table is known to leave uncertain references out; the name says what they are.
DROPPED_MICRO_5 = LabelMetric("dropped", "micro", FIVE_CLASSES)
DROPPED_MACRO_5 = LabelMetric("dropped", "macro", FIVE_CLASSES)
DROPPED_MICRO_14 = LabelMetric("dropped", "micro")
DROPPED_MACRO_14 = LabelMetric("dropped", "macro")
DROPPED_EXAMPLE_14 = LabelMetric("dropped", "example")
