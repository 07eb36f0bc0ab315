"""The stages of a run, in order. Each module has ``run(config, run) -> facts``, none imports another."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.config import RunConfig


@dataclass(frozen=True)
class Stage:
    """What the pipeline must know of a stage. Names of files and folders are relative to the run folder.

    Attributes:
        name: the verb that is also the command.
        module: where its ``run`` lies; imported only when it runs.
        settings: config sections that decide its result.
        inputs: settings that name files or folders outside of the run folder that decide its result.
        reads: output files of earlier stages that it reads.
        reads_if_run: the same, of stages that a run may leave out (setting ``stages``).
        outputs: what it writes; hashed, since later stages' fingerprints rest on it.
        keeps: what it also writes where needed, and later stages need: too large to hash, missed when gone.
        temporary: what only the unfinished stage needs; deleted when it is done.
        logs: what no result rests on; stays until the stage is redone.
    """

    name: str
    module: str
    settings: tuple[str, ...]
    reads: tuple[str, ...]
    outputs: tuple[str, ...]
    reads_if_run: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()

    def reads_in(self, config: RunConfig) -> tuple[str, ...]:
        """What it reads in a run with these stages."""
        made = {name for stage in STAGES if stage.name in config.stages for name in stage.outputs}
        return (*self.reads, *(name for name in self.reads_if_run if name in made))

    @property
    def files(self) -> tuple[str, ...]:
        """All that it may have written."""
        return (*self.outputs, *self.keeps, *self.temporary, *self.logs)


STAGES = (
    Stage(
        name="prepare",
        module="radflow.stages.prepare",
        settings=("data",),
        inputs=("data.root", "data.images", "data.split.file"),
        reads=(),
        outputs=("studies.jsonl", "left_out.jsonl"),
        keeps=("images",),
        temporary=("prepared.partial.jsonl",),
    ),
    Stage(
        name="sft",
        module="radflow.stages.sft",
        settings=("model", "sft"),
        inputs=("model.name",),
        reads=("studies.jsonl",),
        outputs=("model-sft",),
        keeps=("model-base",),
        temporary=("model-base.unfinished", "checkpoints-sft"),
        logs=("logs/sft", "sft_history.jsonl"),
    ),
    Stage(
        name="explore",
        module="radflow.stages.explore",
        settings=("model", "explore"),
        inputs=("model.name", "explore.composite.encoder", "explore.ontology"),
        reads=("studies.jsonl", "model-sft"),
        outputs=("candidates.jsonl", "hard.jsonl", "unscored.jsonl"),
        temporary=("generated.partial.jsonl",),
    ),
    Stage(
        name="annotate",
        module="radflow.stages.annotate",
        settings=("annotate",),
        inputs=("annotate.ontology",),
        reads=("studies.jsonl", "hard.jsonl"),
        outputs=("criticality.jsonl", "annotate_failures.jsonl"),
        keeps=("criticality_second.jsonl",),
        temporary=("annotated.partial.jsonl", "annotated_second.partial.jsonl"),
    ),
    Stage(
        name="rft",
        module="radflow.stages.rft",
        settings=("model", "reward", "rft"),
        inputs=("model.name", "reward.ontology", "reward.language_encoder"),
        reads=("studies.jsonl", "hard.jsonl", "criticality.jsonl", "annotate_failures.jsonl", "model-sft"),
        outputs=("model-rft", "rft_history.jsonl"),
        temporary=("checkpoints-rft",),
        logs=("logs/rft",),
    ),
    Stage(
        name="control",
        module="radflow.stages.control",
        settings=("model", "sft", "control"),
        inputs=("model.name",),
        reads=("studies.jsonl", "model-sft"),
        reads_if_run=("model-rft",),
        outputs=("model-control",),
        temporary=("checkpoints-control",),
        logs=("logs/control", "control_history.jsonl"),
    ),
    Stage(
        name="evaluate",
        module="radflow.stages.evaluate",
        settings=("model", "annotate", "evaluate"),
        inputs=("model.name", "annotate.ontology", "evaluate.ontology"),
        reads=("studies.jsonl", "model-sft"),
        reads_if_run=("model-rft", "model-control"),
        outputs=("predictions.jsonl", "scores.jsonl", "summary.json"),
        temporary=("predictions.partial",),
    ),
    Stage(
        name="report",
        module="radflow.stages.report",
        settings=("report",),
        inputs=("evaluate.ontology",),
        reads=("studies.jsonl", "predictions.jsonl", "scores.jsonl", "summary.json"),
        reads_if_run=("candidates.jsonl", "hard.jsonl", "criticality.jsonl", "rft_history.jsonl"),
        outputs=("report.html",),
    ),
)
