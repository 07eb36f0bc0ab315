"""A triage that errs: false alarms and missed critical cases apart, and the graded clip beside the binary"""

from __future__ import annotations

from radflow.experiments.clip_ratio import CRITICAL_MEASURES, LEARNING, STABILITY, STABILITY_CURVES
from radflow.experiments.declaration import Arm, Design
from radflow.experiments.reward_ablation import COST

RATES = (0.1, 0.3, 0.5)
FALSE_ALARMS, MISSES, GRADED = (
    "annotate.false_positive_rate",
    "annotate.false_negative_rate",
    "rft.criticality",
)

CRITICALITY_NOISE = Design(
    name="criticality-noise",
    question="What do errors of the triage do to CAPO, and does the graded clip bear them better?",
    arms=(
        Arm("clean", "the triage as it is, binary clip"),
        *(
            Arm(
                f"false-alarms-{rate:.0%}".replace("%", ""),
                f"{rate:.0%} of the normal cases called critical",
                {FALSE_ALARMS: rate},
            )
            for rate in RATES
        ),
        *(
            Arm(
                f"misses-{rate:.0%}".replace("%", ""),
                f"{rate:.0%} of the critical cases called normal",
                {MISSES: rate},
            )
            for rate in RATES
        ),
        Arm("graded", "the triage as it is, epsilon * kappa^-p", {GRADED: "graded"}),
        Arm(
            "graded-false-alarms-30",
            "graded, 30% of the normal cases called critical",
            {GRADED: "graded", FALSE_ALARMS: 0.3},
        ),
        Arm(
            "graded-misses-30",
            "graded, 30% of the critical cases called normal",
            {GRADED: "graded", MISSES: 0.3},
        ),
    ),
    baseline="clean",
    measures=CRITICAL_MEASURES,
    settings={"rft.num_iterations": 4},
    fixed="data, SFT model, selected studies, reward and RFT steps; four passes over each generation batch, "
    "so that the clip acts. Verdicts are turned round by a seeded draw among the selected studies: a higher "
    "rate errs where a lower one does, and more. Test studies are critical by the triage without errors.",
    trends=(*STABILITY, *LEARNING, *COST),
    curves=STABILITY_CURVES,
    notes=(
        "The strata of the training table are those that the erring triage names: with false alarms, its "
        "critical samples are partly normal ones.",
        "A verdict that is turned round keeps its confidence: the graded clip meets errors that are as sure "
        "of themselves as right verdicts are.",
    ),
)
