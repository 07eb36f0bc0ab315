"""The stages of a run, in order. Each module has ``run(config, run) -> facts``, none imports another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What the pipeline must know of a stage.

    Attributes:
        name: the verb that is also the command.
        module: where its ``run`` lies; imported only when it runs.
        settings: config sections that decide its result.
        reads: output files of earlier stages that it reads.
        outputs: files and folders that it writes, relative to the run folder.
        scratch: further files that only an unfinished stage needs.
    """

    name: str
    module: str
    settings: tuple[str, ...]
    reads: tuple[str, ...]
    outputs: tuple[str, ...]
    scratch: tuple[str, ...] = ()


STAGES = (
    Stage(
        name="prepare",
        module="radflow.stages.prepare",
        settings=("data",),
        reads=(),
        outputs=("studies.jsonl", "left_out.jsonl"),
        scratch=("images", "prepared.partial.jsonl"),
    ),
    Stage(
        name="sft",
        module="radflow.stages.sft",
        settings=("model", "sft"),
        reads=("studies.jsonl",),
        outputs=("model-sft",),
        scratch=("model-base", "checkpoints-sft", "logs/sft"),
    ),
    Stage(
        name="evaluate",
        module="radflow.stages.evaluate",
        settings=("model", "evaluate"),
        reads=("studies.jsonl", "model-sft"),
        outputs=("predictions.jsonl", "scores.jsonl", "summary.json"),
    ),
)
