"""Failure signatures of reinforcement fine-tuning: a sign in the log, its likely cause, and what to do

The table is METHOD's, and one more. Each signature is a pure function of the history, so that the run, its
summary and the report say the same. Thresholds are ours; they stand at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

Row = Mapping[str, float]

ALMOST_ALL = 0.95
SHARP_RISE = 3.0
CLIP_HIGH = 0.05
MOVED_HIGH = 0.02
KL_HIGH = 0.25  # nats per token; it starts at 0 by definition, so that every useful run multiplies it
ENTROPY_LEFT = 0.25
GAIN = 0.005
FINDS_NOTHING = 0.05
F1_LOSS = 0.02
MIN_ROWS = 4


@dataclass(frozen=True)
class Signature:
    """A sign that a run goes wrong.

    Attributes:
        name: in kebab-case, for tables.
        sign: what is seen, with its numbers.
        cause: what it most likely comes from.
        remedy: what to change.
    """

    name: str
    sign: str
    cause: str
    remedy: str

    @property
    def message(self) -> str:
        return f"[bold yellow]{self.name}[/]: {self.sign}. Likely cause: {self.cause}. {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def signatures(history: Sequence[Row], *, capo: bool = True) -> list[Signature]:
    """All signatures that the history shows.

    Args:
        history: rows of rft_history.jsonl, in order.
        capo: whether the run uses CAPO; for its control, GRPO, a clip that never acts is no failure.
    """
    found = (check(history) for check in (*CHECKS, *((inert_clip,) if capo else ())))
    return [signature for signature in found if signature is not None]


def inconsistent_everywhere(history: Sequence[Row]) -> Signature | None:
    """R_con is -1 for (almost) all."""
    rewards = series(history, "all/reward_consistency")
    if not rewards or mean(rewards) > 1 - 2 * ALMOST_ALL:
        return None
    return Signature(
        "inconsistent-everywhere",
        f"the consistency reward is {mean(rewards):.2f} on average",
        "the judge's prompt or the parsing of its answer is misconfigured, or the policy writes no headers",
        "Look at some completions with radflow sections; check reward.consistency_backend and the judge; "
        "train SFT longer if headers are missing",
    )


def impression_skipped(history: Sequence[Row]) -> Signature | None:
    """R_imp does not apply to (almost) all."""
    applied = series(history, "all/applies_impression")
    if not applied or mean(applied) > 1 - ALMOST_ALL:
        return None
    return Signature(
        "impression-skipped",
        f"the Impression's reward applies to {mean(applied):.0%} of the completions",
        "the section parser finds no Impression in the references",
        "Look at studies.jsonl; set data.sections.fallback, or the column of the Impression",
    )


def equal_rewards(history: Sequence[Row]) -> Signature | None:
    """The completions of (almost) every group get one reward: nothing is learnt. Beyond METHOD."""
    equal = series(history, "frac_reward_zero_std")
    if not equal or mean(equal) < ALMOST_ALL:
        return None
    return Signature(
        "equal-rewards",
        f"in {mean(equal):.0%} of the groups all completions get the same reward, so that they teach nothing",
        "sampling hardly varies, or the reward does not tell the completions apart",
        "Raise rft.temperature or rft.group_size; look at the terms in rft_history.jsonl and the weights of "
        "reward",
    )


def easy_samples(history: Sequence[Row]) -> Signature | None:
    """The hard set's reward is not below the anchors', and validation gains nothing."""
    early = head(history)
    hard = series(early, "hardest/reward") or series(early, "stratified/reward")
    anchors = series(early, "anchor/reward")
    validations = series(history, "validation_reward")
    gained = len(validations) > 1 and max(validations[1:]) - validations[0] >= GAIN
    if not (hard and anchors) or mean(hard) < mean(anchors) or gained or len(validations) < 2:
        return None
    return Signature(
        "easy-samples",
        f"no gain over SFT, and the hard studies' reward ({mean(hard):.2f}) is not below the anchors' "
        f"({mean(anchors):.2f})",
        "Target Exploration selected easy samples",
        "Look at the composite in candidates.jsonl; check its backends and explore.selection",
    )


def no_gain(history: Sequence[Row]) -> Signature | None:
    """Validation never rises above the SFT model's."""
    validations = series(history, "validation_reward")
    if len(validations) < 2 or max(validations[1:]) - validations[0] >= GAIN:
        return None
    return Signature(
        "no-gain",
        f"the best validation reward is {max(validations[1:]):.3f}, the SFT model's {validations[0]:.3f}",
        "the step is too small or too noisy, or the SFT model is blind to what it gets wrong: RL moves "
        "decisions and doesn't teach seeing",
        "Raise rft.steps, rft.learning_rate or rft.prompts_per_step; add anchors; train SFT longer",
    )


def finds_nothing(history: Sequence[Row]) -> Signature | None:
    """Held-out reports assert next to nothing of what is there, from SFT to the end. Beyond METHOD's table.

    Most studies are normal, and wording alone raises their reward: a blind policy looks as if it learnt.
    """
    scores = series(history, "validation_label_f1")
    if not scores or max(scores) > FINDS_NOTHING:
        return None
    return Signature(
        "finds-nothing",
        f"the label F1 of held-out reports is {max(scores):.2f} at best: what the reward gains is wording",
        "the SFT model writes normal reports for all images, whatever they show, and RL doesn't teach seeing",
        "Compare image_gap in manifests/sft.json (0: the image is not used); start from pretrained parts, or "
        "train SFT longer or on more studies",
    )


def critical_instability(history: Sequence[Row]) -> Signature | None:
    """KL or clip fraction on critical samples rises sharply, or entropy collapses."""
    signs = list(_instabilities(history))
    if not signs:
        return None
    return Signature(
        "critical-instability",
        "; ".join(signs),
        "epsilon on critical samples is too large, or the learning rate too high",
        "Raise rft.kappa, lower rft.epsilon or rft.learning_rate, or set rft.beta above 0",
    )


def _instabilities(history: Sequence[Row]) -> Iterator[str]:
    for name, words, floor in (
        ("critical/clip_fraction", "the clip fraction of critical samples", CLIP_HIGH),
        ("critical/kl", "the KL of critical samples", KL_HIGH),
        ("critical/moved", "the movement in one rollout on critical samples", MOVED_HIGH),
    ):
        values = series(history, name)
        if len(values) >= MIN_ROWS:
            quarter = max(1, len(values) // 4)
            first, last = mean(values[:quarter]), mean(values[-quarter:])
            if last > floor and last > SHARP_RISE * first:
                yield f"{words} rose from {first:.4f} to {last:.4f}"
    entropy = series(history, "entropy")
    if len(entropy) >= MIN_ROWS:
        quarter = max(1, len(entropy) // 4)
        first, last = mean(entropy[:quarter]), mean(entropy[-quarter:])
        if last < ENTROPY_LEFT * first:
            yield f"entropy fell from {first:.3f} to {last:.3f}"


def inert_clip(history: Sequence[Row]) -> Signature | None:
    """The clip fraction of critical samples is 0 throughout: CAPO did nothing."""
    clips = series(history, "critical/clip_fraction")
    steps = [row for row in history if "all/reward" in row]
    if not steps or any(clips):
        return None
    if not clips:
        return Signature(
            "inert-clip",
            "CAPO did nothing: no critical study was drawn",
            "no critical study is among the selected ones",
            "Look at hard.jsonl and criticality.jsonl; set explore.selection to stratified, or annotate anew",
        )
    return Signature(
        "inert-clip",
        "CAPO did nothing: the clip fraction on critical samples is 0 throughout",
        "an on-policy configuration, or a policy that moves too little to leave the clip range",
        "Raise rft.num_iterations or rft.learning_rate, or lower rft.epsilon; or say rft.algorithm: grpo",
    )


def reward_hacking(history: Sequence[Row]) -> Signature | None:
    """The reward rises while the label F1 of held-out reports falls: the term that rose is named."""
    validations = [row for row in history if "validation_label_f1" in row]
    if len(validations) < 2:
        return None
    # A short run has few rollouts, all of other studies: then the validation reward says what rose.
    name = "all/reward" if len(series(history, "all/reward")) >= MIN_ROWS else "validation_reward"
    rise = _rise(series(history, name))
    fall = validations[0]["validation_label_f1"] - validations[-1]["validation_label_f1"]
    if rise < GAIN or fall < F1_LOSS:
        return None
    term, by = _risen_most(history, f"{name}_")
    return Signature(
        "reward-hacking",
        f"the reward rose by {rise:.3f} while the label F1 of held-out reports fell by {fall:.3f}; the "
        f"term that rose most is {term} ({by:+.3f})",
        f"reward hacking through {term}",
        f"Lower reward.{term}, raise the others or rft.beta, and read some completions",
    )


def _rise(values: Sequence[float]) -> float:
    """From the first quarter to the last."""
    quarter = max(1, len(values) // 4)
    return mean(values[-quarter:]) - mean(values[:quarter])


def _risen_most(history: Sequence[Row], prefix: str) -> tuple[str, float]:
    names = {key.removeprefix(prefix) for row in history for key in row if key.startswith(prefix)}
    rises = {name: _rise(series(history, prefix + name)) for name in names}
    return max(rises.items(), key=lambda item: item[1], default=("the total", 0.0))


def series(history: Sequence[Row], name: str) -> list[float]:
    """The values of a column, over the rows that have it."""
    return [row[name] for row in history if name in row]


def head(history: Sequence[Row]) -> Sequence[Row]:
    """The first tenth of the rows, at least one."""
    return history[: max(1, len(history) // 10)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


CHECKS: tuple[Callable[[Sequence[Row]], Signature | None], ...] = (
    inconsistent_everywhere,
    impression_skipped,
    equal_rewards,
    easy_samples,
    no_gain,
    finds_nothing,
    critical_instability,
    reward_hacking,
)
