"""What systems and metrics are called in a report, in which order they stand and how they look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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

PARTS = {
    "report": "whole report",
    "findings": "Findings",
    "impression": "Impression",
    "findings_truth": "true findings",
    "findings_truth_with_side": "true findings + side",
}
MEASURES = {
    **{f"bleu_{order}": f"BLEU-{order}" for order in range(1, 5)},
    "rouge_l": "ROUGE-L",
    "graph_f1": "graph F1",
    "label_f1": "label F1",
    "label_precision": "label precision",
    "label_recall": "label recall",
    "f1": "F1",
    "consistent": "consistent reports",
}
HEADLINES = (
    "consistent",
    "impression/label_f1",
    "report/label_f1",
    "report/graph_f1",
    "findings_truth/f1",
    "findings_truth_with_side/f1",
    "report/bleu_4",
    "report/rouge_l",
    "findings/bleu_4",
    "impression/bleu_4",
)
"""The metrics that are drawn, in order; all of them stand in tables."""


class MetricKey(NamedTuple):
    """A key of summary.json taken apart: ``critical/findings_truth/f1/edema``."""

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


def metric_name(key: str) -> str:
    """``impression/label_f1`` -> "label F1, Impression". The label of a single observation is left out."""
    parsed = metric_key(key)
    measure = MEASURES.get(parsed.measure, plain(parsed.measure))
    return f"{measure}, {PARTS.get(parsed.part, plain(parsed.part))}" if parsed.part else measure


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
