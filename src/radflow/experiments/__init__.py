"""Designed comparisons over seeds: `radflow experiment NAME CONFIG`. Each is a small declaration."""

from __future__ import annotations

EXPERIMENTS: dict[str, str] = {
    "reward-ablation": "radflow.experiments.reward_ablation:REWARD_ABLATION",
    "clip-ratio": "radflow.experiments.clip_ratio:CLIP_RATIO",
    "section-stress": "radflow.experiments.section_stress:SECTION_STRESS",
    "criticality-noise": "radflow.experiments.criticality_noise:CRITICALITY_NOISE",
    "criticality-validation": "radflow.experiments.criticality_validation:CRITICALITY_VALIDATION",
    "selection": "radflow.experiments.selection:SELECTION",
    "objective": "radflow.experiments.objective:OBJECTIVE",
    "judge-agreement": "radflow.experiments.judge_agreement:JUDGE_AGREEMENT",
}
"""Name -> "module:attribute" of a `declaration.Experiment`."""
