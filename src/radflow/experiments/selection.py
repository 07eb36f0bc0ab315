"""Which training studies go into RFT: the hardest, random ones, the hardest of each group, anchors, all"""

from __future__ import annotations

from radflow.experiments.clip_ratio import LEARNING
from radflow.experiments.declaration import PRIOR_SHIFT, Arm, Design, Trend
from radflow.experiments.reward_ablation import COST, MEASURES, WITHOUT_TRUTH

CHOICE, SHARE, ANCHORS = "explore.selection", "explore.fraction", "explore.anchor_fraction"

SELECTION = Design(
    name="selection",
    question="Does RFT gain more from the hardest tenth than from as many random studies, or from all?",
    arms=(
        Arm("hardest", "the hardest tenth, the paper's", {CHOICE: "hardest", SHARE: 0.1, ANCHORS: 0}),
        Arm("random", "a random tenth", {CHOICE: "random", SHARE: 0.1, ANCHORS: 0}),
        Arm(
            "stratified",
            "the hardest tenth of each label group",
            {CHOICE: "stratified", SHARE: 0.1, ANCHORS: 0},
        ),
        Arm(
            "hardest-anchors",
            "the hardest tenth and twice as many random anchors",
            {CHOICE: "hardest", SHARE: 0.1, ANCHORS: 0.2},
        ),
        Arm("all", "all training studies", {CHOICE: "all", SHARE: 0.1, ANCHORS: 0}),
    ),
    baseline="hardest",
    measures=(*MEASURES, f"report/{PRIOR_SHIFT}"),
    instead=WITHOUT_TRUTH,
    fixed="data, SFT model, reward, RFT steps and prompts a step: arms with fewer studies see each of them "
    "more often.",
    trends=(
        *LEARNING,
        Trend("clip fraction, critical", "critical/clip_fraction"),
        Trend("studies", "studies", "fact"),
        Trend("of them critical", "critical_studies", "fact"),
        *COST,
    ),
    curves=("validation_reward", "validation_label_f1"),
    notes=(
        "Label prior shift: mean over labels of how far the share of reports that assert a label lies from "
        "the references' share.",
        "All arms pay for writing reports of all training studies; random and all would not have to.",
    ),
)
