"""CAPO's clip ratio kappa: hallucination on critical cases against learning speed"""

from __future__ import annotations

from radflow.experiments.declaration import Arm, Design, Trend
from radflow.experiments.reward_ablation import COST

CRITICAL_MEASURES = (
    "critical/report/hallucination-rate",
    "critical/report/omission-rate",
    "critical/report/rules-label-f1",
    "report/rules-label-f1",
    "report/hallucination-rate",
)
STABILITY = (
    Trend("clip fraction, critical", "critical/clip_fraction"),
    Trend("clip fraction, normal", "normal/clip_fraction"),
    Trend("KL, critical, last tenth", "critical/kl", "end"),
    Trend("KL, normal, last tenth", "normal/kl", "end"),
    Trend("movement in a rollout, critical", "critical/moved"),
    Trend("reward's spread in a group", "reward_std"),
)
LEARNING = (
    Trend("validation reward: mean gain over training", "validation_reward", "learning"),
    Trend("validation reward: best gain", "validation_reward", "gain"),
)
STABILITY_CURVES = ("validation_reward", "critical/clip_fraction", "normal/clip_fraction", "critical/kl")

CLIP_RATIO = Design(
    name="clip-ratio",
    question="What does a tighter clip on critical cases gain, and what does it cost in learning speed?",
    arms=(
        Arm("kappa-1", "GRPO: critical cases are clipped as all others", {"rft.kappa": 1}),
        Arm("kappa-2", "half the clip range", {"rft.kappa": 2}),
        Arm("kappa-4", "a quarter, the paper's", {"rft.kappa": 4}),
        Arm("kappa-8", "an eighth", {"rft.kappa": 8}),
    ),
    baseline="kappa-1",
    measures=CRITICAL_MEASURES,
    settings={"rft.num_iterations": 4},
    fixed="data, SFT model, selected studies, criticality, reward, and optimiser steps; four passes over "
    "each generation batch, so that the policy leaves the clip range (in the first pass nothing can clip).",
    trends=(*STABILITY, *LEARNING, *COST),
    curves=STABILITY_CURVES,
    notes=(
        "Where the clip fraction of critical samples is 0, kappa did nothing, and differences are chance.",
        "Test studies are critical where annotate's judge says so of their references.",
    ),
)
