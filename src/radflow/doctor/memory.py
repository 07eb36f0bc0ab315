"""What each stage needs of memory, as a sum of named parts, estimated from the model's shape and the settings

Parts, in bytes; b is the size of a weight (4, or 2 in bfloat16), a token is one of image, prompt or report:

    runtime      0.7 GiB of Python, torch and transformers; on a GPU 2 GiB of CUDA, kernels and allocator
    weights      b a parameter; 0.53 a parameter in 4 bit; RFT with beta above 0 and no adapter: twice
    learning     16 a parameter that learns (float32: value, gradient, AdamW's two moments), less the b of its
                 weight if it stands among the weights and not in an adapter
    activations  rows x tokens x b x layers x (8 width + 4 inner); with gradient checkpointing
                 rows x tokens x b x (layers x width + 8 width + 4 inner)
    head         rows x report tokens x vocabulary x 12 (logits, their logarithms, their gradient in float32);
                 a vocabulary above 8,192 is computed in pieces by TRL: one row, 8
    cache        rows written at once x tokens x keys and values; not beside activations: the larger counts
    workers      0.15 GiB a process that decodes images or scores

The estimate leaves out fragmentation, the frozen encoder's passing activations and vLLM's share.
docs/doctor.md has it beside measured runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from radflow.config import GenerationConfig, RunConfig
from radflow.doctor.check import Check, gibibytes, ok, problem, warning
from radflow.doctor.machine import Memory
from radflow.doctor.shapes import Shape
from radflow.training.sft import SMALL_VOCABULARY

GIB = 2**30
RUNTIME = {"RAM": 0.7 * GIB, "GPU": 2.0 * GIB}
WORKER = 0.15 * GIB
PROMPT_TOKENS = 32
"""Of the question itself; an indication or an earlier report may add some hundred."""
REMEDIES = {
    "prepare": "Lower engine.workers.",
    "sft": "Lower sft.batch_size, raise sft.gradient_accumulation; sft.gradient_checkpointing: true.",
    "explore": "Lower explore.generation.batch_size.",
    "rft": "Raise rft.gradient_accumulation; rft.gradient_checkpointing: true.",
    "control": "Lower sft.batch_size, raise sft.gradient_accumulation.",
    "evaluate": "Lower evaluate.generation.batch_size.",
}

Parts = dict[str, float]


def stage_parts(config: RunConfig, shape: Shape | None, *, kind: str) -> dict[str, Parts]:
    """Stage -> the parts of its estimate; stages of the config only, and without a shape prepare alone."""
    stages: dict[str, Parts] = {"prepare": {"runtime": 0.1 * GIB, "workers": _workers(config)}}
    if shape is not None:
        stages |= {
            "sft": _sft(config, shape, kind),
            "explore": _writing(config.explore.generation, config, shape, kind),
            "rft": _rft(config, shape, kind),
            "control": _sft(config, shape, kind),
            "evaluate": _writing(config.evaluate.generation, config, shape, kind),
        }
    return {name: parts for name, parts in stages.items() if name in config.stages}


def total(parts: Mapping[str, float]) -> float:
    """Bytes at the peak: activations and the cache of keys and values are never there together."""
    beside = sum(size for name, size in parts.items() if name not in ("activations", "head", "cache"))
    return beside + max(parts.get("activations", 0) + parts.get("head", 0), parts.get("cache", 0))


def _workers(config: RunConfig) -> float:
    count = config.engine.workers or os.cpu_count() or 1
    return count * WORKER if count > 1 else 0.0


def _sft(config: RunConfig, shape: Shape, kind: str) -> Parts:
    report = config.explore.generation.max_new_tokens
    return {
        "runtime": RUNTIME[kind],
        "weights": shape.weight_bytes,
        "learning": _learning(shape, shape.learning_sft, shape.adapter_sft),
        **_pass(shape, config.sft.batch_size, report, checkpointing=config.sft.gradient_checkpointing),
    }


def _rft(config: RunConfig, shape: Shape, kind: str) -> Parts:
    rft = config.rft
    completions = rft.prompts_per_step * rft.group_size
    has_reference = rft.beta > 0 and not shape.adapter_rft
    return {
        "runtime": RUNTIME[kind],
        "weights": shape.weight_bytes * (2 if has_reference else 1),
        "learning": _learning(shape, shape.learning_rft, shape.adapter_rft),
        **_pass(
            shape,
            completions // rft.rollout_cuts,
            rft.max_new_tokens,
            checkpointing=rft.gradient_checkpointing,
        ),
        "cache": completions * _tokens(shape, rft.max_new_tokens) * shape.cache_per_token,
    }


def _writing(generation: GenerationConfig, config: RunConfig, shape: Shape, kind: str) -> Parts:
    scoring = _workers(config) if kind == "RAM" else 0.0
    a_row = _tokens(shape, generation.max_new_tokens) * shape.cache_per_token + 8 * shape.vocabulary
    return {
        "runtime": RUNTIME[kind],
        "weights": shape.weight_bytes,
        "cache": generation.batch_size * a_row,
        "workers": scoring,
    }


def _learning(shape: Shape, learning: int, beside: int) -> float:
    among = learning - beside
    return 16.0 * beside + (16 - shape.value_bytes) * among


def _pass(shape: Shape, rows: int, report: int, *, checkpointing: bool) -> Parts:
    tokens = rows * _tokens(shape, report)
    inside = 8 * shape.width + 4 * shape.inner
    a_token = shape.layers * shape.width + inside if checkpointing else shape.layers * inside
    is_small = shape.vocabulary <= SMALL_VOCABULARY
    head = 12 * rows * report if is_small else 8 * _tokens(shape, report)
    return {"activations": tokens * shape.value_bytes * a_token, "head": head * shape.vocabulary}


def _tokens(shape: Shape, report: int) -> int:
    return shape.image_tokens + PROMPT_TOKENS + report


def memory_checks(stages: Mapping[str, Parts], memory: Memory) -> list[Check]:
    """Whether the stages fit; one line when all do, else one for each that doesn't."""
    needs = {name: total(parts) for name, parts in stages.items()}
    short = [name for name, need in needs.items() if need > memory.free]
    if not short:
        largest = max(needs, key=lambda name: needs[name])
        most = sorted(stages[largest].items(), key=lambda part: -part[1])[:3]
        parts = ", ".join(f"{name} {gibibytes(size)}" for name, size in most)
        return [
            ok(
                "memory",
                f"{largest} needs most, about {gibibytes(needs[largest])} of {memory.kind} ({parts}); "
                f"{gibibytes(memory.free)} are free",
            )
        ]
    return [_short(name, needs[name], memory) for name in short]


def _short(name: str, need: float, memory: Memory) -> Check:
    message = f"{name} needs about {gibibytes(need)} of {memory.kind}"
    if need > memory.total:
        return problem("memory", f"{message}, there are {gibibytes(memory.total)}", REMEDIES[name])
    free = f"{message}, {gibibytes(memory.free)} of {gibibytes(memory.total)} are free"
    return warning("memory", free, f"Close other programs. {REMEDIES[name]}")
