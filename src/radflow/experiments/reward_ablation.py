"""Reward ablation: which parts of the hierarchical reward gain what, beside no reward at all"""

from __future__ import annotations

from radflow.experiments.declaration import Arm, Design, Trend

MEASURES = (
    "report/consistency-rate",
    "impression/rules-label-f1",
    "report/truth-f1",
    "report/hallucination-rate",
    "report/omission-rate",
)
WITHOUT_TRUTH = {"report/truth-f1": "report/rules-label-f1"}
"""Real data have no truth table: what two whole reports assert takes its place."""
COST = (
    Trend("RFT, s", "seconds", "fact"),
    Trend("of it the reward, s", "reward_seconds", "fact"),
    Trend("best step", "best_step", "fact"),
)

REWARD_ABLATION = Design(
    name="reward-ablation",
    question="Which parts of the hierarchical reward gain consistency, right Impressions and right findings?",
    arms=(
        Arm("none", "SFT continued for the time that explore, annotate and RFT took", {}, "sft continued"),
        Arm(
            "language",
            "only the words' similarity (BLEU-2)",
            {"reward.domain": 0, "reward.consistency": 0, "reward.impression": 0},
        ),
        Arm("global", "language, domain and consistency: no Impression term", {"reward.impression": 0}),
        Arm(
            "local",
            "only the Impression's label F1",
            {"reward.language": 0, "reward.domain": 0, "reward.consistency": 0},
        ),
        Arm("hierarchical", "all four terms, with the config's weights"),
        Arm("no-consistency", "hierarchical without the consistency term", {"reward.consistency": 0}),
        Arm(
            "observations",
            "hierarchical, half of the domain term being F1 of asserted observations",
            {"reward.domain_observations": 0.5},
        ),
    ),
    baseline="hierarchical",
    measures=MEASURES,
    instead=WITHOUT_TRUTH,
    fixed="data, SFT model, selected studies, criticality, RFT steps and CAPO's settings. Weights that an "
    "arm doesn't set to 0 are the config's: fewer terms also mean smaller rewards, beside which the KL term "
    "(rft.beta) weighs more.",
    trends=(
        Trend("sampled reward, last tenth", "all/reward", "end"),
        Trend("reward's spread in a group", "reward_std"),
        Trend("clip fraction, critical", "critical/clip_fraction"),
        Trend("clip fraction, normal", "normal/clip_fraction"),
        Trend("KL, critical, last tenth", "critical/kl", "end"),
        *COST,
    ),
    curves=("validation_label_f1",),
    notes=(
        "Rewards of different arms are different quantities: compare measures, not rewards.",
        "The arm none is timed on this machine: under other load it takes another number of steps.",
    ),
)
