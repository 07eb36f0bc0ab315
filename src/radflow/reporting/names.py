"""What systems and metrics are called in a report, in which order they stand and how they look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from radflow.metrics.registry import METRICS, find_metric

SAMPLED = " (sampled)"
SYSTEMS: dict[str, tuple[str, int]] = {
    "rft": ("RadFlow (RFT)", 2),
    "sft continued": ("SFT continued", 3),
    "sft": ("SFT", 1),
    "model": ("SFT", 1),
    "nearest image": ("nearest image", 4),
    "most frequent": ("most frequent report", 5),
}
"""System -> its name and look (colour and mark), in order. Unknown ones stand behind, by their own name."""
BASELINES = ("nearest image", "most frequent")
TRAINED_FIRST = ("sft", "model")
"""Names of the supervised model, which reinforcement has to beat."""
TRAINED_LATER = ("rft", "sft continued")

PARTS = {"report": "whole report", "findings": "Findings", "impression": "Impression"}
MEASURES = {
    "lexicon-graph-partial": "graph F1",
    "rules-label-f1": "label F1",
    "truth-f1": "true findings F1",
    "truth-side-f1": "true findings + side F1",
    "consistency-rate": "consistent reports",
}
"""Shorter names than the metrics' own titles."""
HEADLINES = (
    "report/consistency-rate",
    "impression/rules-label-f1",
    "report/rules-label-f1",
    "report/lexicon-graph-partial",
    "report/truth-f1",
    "report/truth-side-f1",
    "report/bleu-4",
    "report/rouge-l",
    "findings/bleu-4",
    "impression/bleu-4",
)
"""The metrics that are drawn, in order; all of them stand in tables."""
LABEL_CHARTS = (
    "report/truth-f1",
    "report/truth-side-f1",
    "report/rules-label-f1",
    "report/hallucination-rate",
    "report/omission-rate",
)
"""The metrics that are drawn label by label; all of them stand in tables."""


class MetricKey(NamedTuple):
    """A metric of a summary taken apart: ``critical/report/bleu-4``, ``report/truth-f1/edema``."""

    is_critical: bool
    part: str
    measure: str
    label: str | None


def metric_key(key: str) -> MetricKey:
    """Any key; what stands alone is a measure, what follows the measure is a label."""
    pieces = key.split("/")
    is_critical = pieces[0] == "critical" and len(pieces) > 1
    if is_critical:
        pieces = pieces[1:]
    if len(pieces) == 1:
        return MetricKey(is_critical, "", pieces[0], None)
    return MetricKey(is_critical, pieces[0], pieces[1], "/".join(pieces[2:]) or None)


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a system or differences of a pair, as summary.json has them, by key: of all studies, single
    labels of all studies, of critical studies."""
    scores, per_label = table["scores"], table["per_label"]
    found = _by_key("", scores.get("all", {}))
    for part, metrics in per_label.items():
        for name, labels in metrics.items():
            found |= {f"{part}/{name}/{label}": value for label, value in labels.items()}
    return found | _by_key("critical/", scores.get("critical", {}))


def _by_key(prefix: str, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{prefix}{part}/{name}": value for part, metrics in parts.items() for name, value in metrics.items()
    }


def metric_name(key: str) -> str:
    """``impression/rules-label-f1`` -> "label F1, Impression". The label of a single observation is left
    out."""
    parsed = metric_key(key)
    measure = MEASURES.get(parsed.measure) or _title(parsed.measure)
    return f"{measure}, {PARTS.get(parsed.part, plain(parsed.part))}" if parsed.part else measure


def _title(name: str) -> str:
    """What the metric calls itself, the labeler in front where there are two; any other name as it is."""
    if name not in METRICS:
        return plain(name)
    title = find_metric(name).title
    return name.replace("-", " ", 1) if name.startswith(("rules-", "chexbert-")) else title


def plain(name: str) -> str:
    return name.replace("_", " ")


def system_name(system: str) -> str:
    base = system.removesuffix(SAMPLED)
    return SYSTEMS.get(base, (base, 6))[0] + system[len(base) :]


def system_look(system: str) -> int:
    return SYSTEMS.get(system.removesuffix(SAMPLED), ("", 6))[1]


def in_order(systems: Iterable[str]) -> list[str]:
    """Known systems in the order of `SYSTEMS`, sampled behind greedy; unknown ones last, as they came."""
    places = {name: place for place, name in enumerate(SYSTEMS)}
    return sorted(
        systems,
        key=lambda system: (places.get(system.removesuffix(SAMPLED), len(places)), system.endswith(SAMPLED)),
    )
