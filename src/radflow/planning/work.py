"""What each stage has to do, counted from the config and the model's shape: operations, bytes, judge calls

Symbols: N parameters of the language model's linear layers, d its width, L its layers, V its vocabulary; a
sequence has t tokens (image, question, report), r of them written. A multiplication and its addition are
two operations.

    forward(t, r)  2 N t + 2 d V r + 2 L d t^2     the last term: each token attends to those before it
    learning       3 forward where the whole model learns, 2 with an adapter (no gradient of frozen weights);
                   1 more with gradient checkpointing
    seeing         2 x vision parameters x patches; 3 times that where the encoder learns
    writing        the question's forward, then r x forward(1, 1), in batches that last until their longest
                   report ends; each step reads all weights once and every sequence's keys and values
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from radflow.config import GenerationConfig, RFTConfig, RunConfig
from radflow.doctor.memory import PROMPT_TOKENS
from radflow.doctor.shapes import Shape
from radflow.models.vlm import learns

LONGEST = 2.4
"""The longest report of a batch against their mean: median of batches of 32 Indiana reports, in words."""
SECONDS_AN_IMAGE = 0.03
"""One core: a DICOM file of 1,024 pixels read (.008), halved (.013) and written (.010): images_speed.py."""
SECONDS_A_SCORE = 0.005
"""One core: the metrics of a run took .0046 to .0061 a pair of reports (score_speed.py --metrics run)."""


@dataclass(frozen=True)
class Counts:
    """Studies of each split, and the tokens of a mean report."""

    train: int
    validation: int
    test: int
    report_tokens: int


@dataclass(frozen=True)
class Work:
    """What one stage does.

    Attributes:
        sequences: reports that are read or written, passes over the same one counted apart.
        pass_operations: of forward and backward passes over whole sequences.
        written_operations, written_bytes: of writing token by token, and what it reads from memory meanwhile.
        core_seconds: of reading images and scoring, on one core.
        judge_calls: questions to the language model that judges; nothing kept from an earlier run.
        follows: it lasts as long as these stages together, whatever they take.
    """

    stage: str
    sequences: int = 0
    pass_operations: float = 0.0
    written_operations: float = 0.0
    written_bytes: float = 0.0
    core_seconds: float = 0.0
    judge_calls: int = 0
    follows: tuple[str, ...] = ()


def stage_work(config: RunConfig, shape: Shape, counts: Counts) -> list[Work]:
    """The work of the config's stages, in their order; stages that cost next to nothing are left out."""
    made = {
        "prepare": _prepare,
        "sft": _sft,
        "explore": _explore,
        "annotate": _annotate,
        "rft": _rft,
        "control": _control,
        "evaluate": _evaluate,
    }
    return [make(config, shape, counts) for name, make in made.items() if name in config.stages]


def _prepare(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    studies = counts.train + counts.validation + counts.test
    images = studies * config.data.max_images
    return Work("prepare", sequences=studies, core_seconds=images * SECONDS_AN_IMAGE)


def _sft(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    seen = round(config.sft.epochs * counts.train)
    validated = config.sft.evaluations * counts.validation
    passed = seen * _study_learned(config, shape, counts) + validated * _study_read(shape, counts)
    return Work("sft", sequences=seen + validated, pass_operations=passed)


def _explore(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    generation = config.explore.generation
    return _writing("explore", shape, counts, generation, reports=counts.train)


def _annotate(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    share = 1.0 if config.explore.selection == "all" else config.explore.fraction
    selected = round(min(1.0, share + config.explore.anchor_fraction) * counts.train)
    return Work(
        "annotate",
        sequences=selected,
        core_seconds=selected * SECONDS_A_SCORE,
        judge_calls=selected * _triage_by_model(config),
    )


def _rft(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    rft = config.rft
    rollouts = ceil(rft.steps / rft.steps_per_rollout)
    completions = rft.prompts_per_step * rft.group_size
    read = forward(shape, _tokens(shape, counts), counts.report_tokens)
    # What the completions were written with, where an update comes between; and the model they are held to.
    readings = _needs_old(rft) + (rft.beta > 0)
    learnt = rft.num_iterations * _learning(read, not shape.adapter_rft, rft.gradient_checkpointing)
    seen = shape.seeing * rft.prompts_per_step
    at_once = GenerationConfig(batch_size=completions, max_new_tokens=rft.max_new_tokens)
    written = _writing("rft", shape, counts, at_once, reports=completions, pictures=False)
    validation = _validation(config, shape, counts)
    asks = config.reward.consistency > 0 and config.reward.consistency_backend != "labels"
    a_rollout = rft.prompts_per_step if config.reward.judge_calls == "group" else completions
    return Work(
        "rft",
        sequences=rollouts * completions * (1 + readings + rft.num_iterations) + validation.sequences,
        pass_operations=rollouts * (completions * (readings * read + learnt) + seen + written.pass_operations)
        + validation.pass_operations,
        written_operations=rollouts * written.written_operations + validation.written_operations,
        written_bytes=rollouts * written.written_bytes + validation.written_bytes,
        core_seconds=rollouts * written.core_seconds + validation.core_seconds,
        judge_calls=(rollouts * a_rollout + validation.sequences) * asks,
    )


def _validation(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    """Greedy reports at the beginning and every so many steps."""
    rft = config.rft
    studies = min(rft.validation_studies, counts.validation)
    if not (rft.validate_every and studies):
        return Work("rft")
    rounds = 1 + rft.steps // rft.validate_every
    one = _writing("rft", shape, counts, config.explore.generation, reports=studies)
    return Work(
        "rft",
        sequences=rounds * studies,
        pass_operations=rounds * one.pass_operations,
        written_operations=rounds * one.written_operations,
        written_bytes=rounds * one.written_bytes,
        core_seconds=rounds * one.core_seconds,
    )


def _control(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    if config.control.steps is None:
        return Work("control", follows=tuple(s for s in ("explore", "annotate", "rft") if s in config.stages))
    seen = config.control.steps * config.sft.batch_size * config.sft.gradient_accumulation
    return Work("control", sequences=seen, pass_operations=seen * _study_learned(config, shape, counts))


def _evaluate(config: RunConfig, shape: Shape, counts: Counts) -> Work:
    studies = {"train": counts.train, "validation": counts.validation, "test": counts.test}
    split = studies[config.evaluate.split]
    studies_read = min(split, config.evaluate.limit or split)
    models = [name for name in ("sft", "rft", "control") if name in config.stages]
    reports = studies_read * len(models) * (2 if config.evaluate.sampled else 1)
    return _writing("evaluate", shape, counts, config.evaluate.generation, reports=reports)


def _writing(
    stage: str,
    shape: Shape,
    counts: Counts,
    generation: GenerationConfig,
    *,
    reports: int,
    pictures: bool = True,
) -> Work:
    """Reports written in batches; without ``pictures`` their images are seen elsewhere."""
    question = shape.image_tokens + PROMPT_TOKENS
    prompt = forward(shape, question, 1) + pictures * shape.seeing
    written = counts.report_tokens
    # A token attends to the question and, in the mean, to half of the report.
    context = question + written / 2
    a_token = forward(shape, 1, 1) + 4 * shape.layers * shape.width * context
    at_once = max(1, min(generation.batch_size, reports))
    steps = min(LONGEST * written, generation.max_new_tokens) * ceil(reports / at_once)
    a_step = shape.weight_bytes + at_once * context * shape.cache_per_token
    return Work(
        stage,
        sequences=reports,
        pass_operations=reports * prompt,
        written_operations=steps * at_once * a_token,
        written_bytes=steps * a_step,
        core_seconds=reports * SECONDS_A_SCORE,
    )


def forward(shape: Shape, tokens: float, written: float) -> float:
    """Operations of one pass over a sequence; the head's for ``written`` of its tokens."""
    attention = 2 * shape.layers * shape.width * tokens**2
    return 2 * shape.linear * tokens + 2 * shape.width * shape.vocabulary * written + attention


def _learning(read: float, is_whole: bool, checkpointing: bool) -> float:
    return read * ((3 if is_whole else 2) + checkpointing)


def _tokens(shape: Shape, counts: Counts) -> int:
    return shape.image_tokens + PROMPT_TOKENS + counts.report_tokens


def _study_read(shape: Shape, counts: Counts) -> float:
    read = forward(shape, _tokens(shape, counts), counts.report_tokens)
    return read + shape.seeing


def _study_learned(config: RunConfig, shape: Shape, counts: Counts) -> float:
    read = forward(shape, _tokens(shape, counts), counts.report_tokens)
    modes = learns(config.model)
    seen = shape.seeing * (1 if modes["vision"] == "frozen" else 3)
    return _learning(read, modes["language"] == "full", config.sft.gradient_checkpointing) + seen


def _needs_old(rft: RFTConfig) -> bool:
    """Whether the log-probabilities of the writing are computed once more: TRL's rule."""
    return rft.gradient_accumulation % rft.micro_batches_per_rollout != 0


def _triage_by_model(config: RunConfig) -> int:
    return [config.annotate.judge, config.annotate.second_judge].count("judge")
