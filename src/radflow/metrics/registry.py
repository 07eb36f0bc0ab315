"""Metrics by name: those that `radflow score` takes, and the conventions and functions beneath them"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from radflow.errors import ConfigError
from radflow.metrics.declaration import Metric
from radflow.registry import names_in, nearest, resolve

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

_IN = "radflow.metrics."
_ORDERS = range(1, 5)
_ERRORS = ("hallucination-rate", "omission-rate")
_CONSISTENCY = (
    "consistency-rate",
    "contradicted-rate",
    "unsupported-rate",
    "critical-omitted-rate",
    "side-or-severity-conflict-rate",
)
_RATIOS = ("precision", "recall", "f1")
_TRUTH = ("truth", "truth-side")
_JUDGED = (
    "judge-error-score",
    "judge-matched-findings",
    "judge-significant-errors",
    "judge-insignificant-errors",
)
_READERS = ("lexicon-graph", "radgraph", "radgraph-xl", "modern-radgraph-xl")

METRICS: dict[str, str] = {
    **{f"bleu-{n}": _IN + "bleu:METRICS" for n in _ORDERS},
    **{f"sentence-bleu-{n}": _IN + "bleu:METRICS" for n in _ORDERS},
    **{f"coco-bleu-{n}": _IN + "bleu:METRICS" for n in _ORDERS},
    **{f"coco-sentence-bleu-{n}": _IN + "bleu:METRICS" for n in _ORDERS},
    **{f"radeval-bleu-{n}": _IN + "bleu:METRICS" for n in _ORDERS},
    **dict.fromkeys(("sacrebleu", "sacrebleu-sentence", "radcliq-bleu-2"), _IN + "bleu:METRICS"),
    **dict.fromkeys(("rouge-1", "rouge-2", "rouge-l", "coco-rouge-l"), _IN + "overlap:METRICS"),
    **{f"radeval-rouge-{kind}": _IN + "overlap:METRICS" for kind in ("1", "2", "l")},
    **dict.fromkeys(("chrf", "sentence-chrf"), _IN + "overlap:METRICS"),
    "cider": _IN + "cider:METRICS",
    "meteor": _IN + "meteor:METRICS",
    **dict.fromkeys(("bertscore-minilm", "bertscore-distilroberta"), _IN + "bertscore_scores:METRICS"),
    "sembscore": _IN + "chexbert_scores:METRICS",
    **{f"rules-{name}": _IN + "label_scores:METRICS" for name in LABEL_METRICS},
    **{f"chexbert-{name}": _IN + "label_scores:METRICS" for name in LABEL_METRICS},
    **dict.fromkeys(_ERRORS, _IN + "label_scores:METRICS"),
    **{f"chexbert-{name}": _IN + "label_scores:METRICS" for name in _ERRORS},
    **{f"rules-label-{name}": _IN + "label_scores:METRICS" for name in _RATIOS},
    **dict.fromkeys(("laterality-error-rate", "severity-error-rate"), _IN + "label_scores:METRICS"),
    **{
        f"{reader}-{level}": _IN + "graph_scores:METRICS"
        for reader in _READERS
        for level in ("simple", "partial", "complete", "mean")
    },
    **dict.fromkeys(_CONSISTENCY, _IN + "consistency_scores:METRICS"),
    **{f"{truth}-{name}": _IN + "truth_scores:METRICS" for truth in _TRUTH for name in _RATIOS},
    **dict.fromkeys(("radcliq-v0", "radcliq-v1", "inverse-radcliq-v1"), _IN + "radcliq:METRICS"),
    **dict.fromkeys(_JUDGED, _IN + "judge_scores:METRICS"),
}
"""Each is in a module's dict of `Metric` by name."""

_LEXICAL = ("bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-1", "rouge-2", "rouge-l", "chrf")
_RULES = (
    "rules-radeval-micro-14",
    "rules-radeval-macro-14",
    "rules-radeval-micro-5",
    "rules-radeval-macro-5",
    *_ERRORS,
    "laterality-error-rate",
    "severity-error-rate",
    "consistency-rate",
    "lexicon-graph-simple",
    "lexicon-graph-partial",
    "lexicon-graph-complete",
)
_MODELS = (
    *(f"chexbert{name.removeprefix('rules')}" for name in _RULES if name.startswith("rules-")),
    *(f"chexbert-{name}" for name in _ERRORS),
    "sembscore",
    "radgraph-simple",
    "radgraph-partial",
    "radgraph-complete",
    "radgraph-xl-partial",
    "radcliq-v0",
    "radcliq-v1",
    "inverse-radcliq-v1",
)
_RUN = (
    *(f"bleu-{n}" for n in _ORDERS),
    "rouge-l",
    "cider",
    *(name for name in _RULES if name != "consistency-rate"),
    *(f"rules-label-{name}" for name in _RATIOS),
    *_CONSISTENCY,
    *(f"{truth}-{name}" for truth in _TRUTH for name in _RATIOS),
)
PRESETS: dict[str, tuple[str, ...]] = {
    "fast": (*_LEXICAL, *_RULES),
    "clinical": (*_RULES, *_MODELS),
    "run": _RUN,
    "all": tuple(name for name in METRICS if not name.startswith((*_TRUTH, "judge-"))),
}
"""fast and run need no model; of the others, what this machine lacks is left out and listed with the reason.
run is what the evaluation of a run computes by default: what is cheap of each family, and the
truth of phantoms, which two files of reports don't hold. A judge is asked by name only: it costs, and reports
go to its server."""


FITTED = {
    "learned-reward": _IN + "learned_scores:learned_reward",
    **{
        f"fitted-label-{name}": f"{_IN}fitted_label_scores:label_{name}"
        for name in (*_RATIOS, "hallucination", "omission")
    },
}
"""Metrics of what was fitted here: `--metrics NAME:FOLDER`. Each is a function of the folder."""


def find_metric(name: str) -> Metric:
    """The metric of that name; ``NAME:FOLDER`` for one of a fitted model.

    Raises:
        ConfigError: unknown name; lists the nearest.
        ModelError: nothing that fits lies in the folder.
    """
    kind, colon, folder = name.partition(":")
    if colon and kind in FITTED:
        return cast(Metric, resolve("metric", FITTED, kind)(folder))
    if name in FITTED:
        raise ConfigError(
            f"{name} needs the folder of what was fitted",
            next_step=f"Write {name}:FOLDER, e.g. {name}:./fit.",
        )
    if name not in METRICS:
        raise ConfigError(
            f"unknown metric {name!r}",
            next_step=f"{nearest(name, [*METRICS, *PRESETS, *FITTED])}`radflow metrics` lists all "
            f"{len(METRICS)}; presets are {', '.join(PRESETS)}.",
        )
    metric: Metric = resolve("metric", METRICS, name)[name]
    return metric


def find_metrics(names: str | Sequence[str]) -> tuple[list[Metric], set[str]]:
    """The metrics of a list, or of a text with commas, of names and presets; each once.

    Returns:
        The metrics, and the names that a preset brought in: these may be left out where something is missing.
    """
    asked = names_in(names) if isinstance(names, str) else list(names)
    if not any(asked):
        raise ConfigError("no metric is named", next_step=f"Name some, or a preset: {', '.join(PRESETS)}.")
    wanted = [name for each in asked if each for name in PRESETS.get(each, (each,))]
    optional = {name for each in asked for name in PRESETS.get(each, ())} - set(asked)
    return [find_metric(name) for name in dict.fromkeys(wanted)], optional
