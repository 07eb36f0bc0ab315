"""Other objectives of the GRPO family in CAPO's place, each with the clip range of critical cases"""

from __future__ import annotations

from radflow.experiments.clip_ratio import LEARNING, STABILITY, STABILITY_CURVES
from radflow.experiments.declaration import Arm, Design
from radflow.experiments.reward_ablation import COST, MEASURES, WITHOUT_TRUTH

LOSS, SCALE, LEVEL = "rft.loss_type", "rft.scale_rewards", "rft.importance_sampling_level"
EPSILON, HIGH = "rft.epsilon", "rft.epsilon_high"
_TOKEN = {LEVEL: "token", EPSILON: 0.2, HIGH: None}

OBJECTIVE = Design(
    name="objective",
    question="Does another objective of the GRPO family gain more than the one that radflow ships?",
    arms=(
        Arm(
            "unscaled",
            "shipped: mean over a report's tokens, then reports; advantages not divided",
            {LOSS: "grpo", SCALE: "none", **_TOKEN},
        ),
        Arm(
            "grpo",
            "GRPO: advantages divided by the group's deviation",
            {LOSS: "grpo", SCALE: "group", **_TOKEN},
        ),
        Arm(
            "dr-grpo",
            "Dr. GRPO: sum over tokens by the length limit, advantages not divided",
            {LOSS: "dr_grpo", SCALE: "none", **_TOKEN},
        ),
        Arm(
            "dapo",
            "DAPO: mean over all tokens of a batch, divided advantages, clip range [0.8, 1.28]",
            {LOSS: "dapo", SCALE: "group", LEVEL: "token", EPSILON: 0.2, HIGH: 0.28},
        ),
        Arm(
            "gspo",
            "GSPO: one ratio a report, clip range 1 +- 0.01, divided advantages",
            {LOSS: "grpo", SCALE: "group", LEVEL: "sequence", EPSILON: 0.01, HIGH: None},
        ),
    ),
    baseline="unscaled",
    measures=MEASURES,
    instead=WITHOUT_TRUTH,
    fixed="data, SFT model, selected studies, criticality, reward, kappa, steps, learning rate and the "
    "weight of KL. In all arms the clip range of critical cases is divided by kappa: all of these losses "
    "clip.",
    trends=(*STABILITY, *LEARNING, *COST),
    curves=(*STABILITY_CURVES, "entropy"),
    notes=(
        "Of DAPO only loss and clip-higher: no dynamic sampling, no shaping of overlong reports.",
        "A ratio over a whole report moves far less than a token's, so GSPO has a narrow range of its own; "
        "0.01 was not tuned (GSPO's authors took 3e-4 for far larger models). See its clip fraction.",
        "Dividing advantages makes gradients larger beside the KL term: the same rft.beta weighs less.",
    ),
)
