"""Stages one after another: a refusal deletes nothing, other upstream settings are named, the lost is redone.

The stages are stand-ins that write one line each; `radflow prepare` itself runs on a few phantoms.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from radflow.config import RunConfig
from radflow.errors import ConfigError, DataError, ModelError, RadflowError, RunError
from radflow.run_dir import RunDir
from radflow.stages import STAGES, pipeline
from radflow.stages.pipeline import run_stages

WRITES = {
    "prepare": ("images/0.png", "prepared.partial.jsonl", "left_out.jsonl", "studies.jsonl"),
    "sft": ("model-base/weights", "checkpoints-sft/1/state", "logs/sft/log", "model-sft/weights"),
    "explore": ("generated.partial.jsonl", "candidates.jsonl", "hard.jsonl", "unscored.jsonl"),
    "annotate": ("annotated.partial.jsonl", "criticality.jsonl", "annotate_failures.jsonl"),
    "rft": ("checkpoints-rft/1/state", "logs/rft/log", "model-rft/weights", "rft_history.jsonl"),
    "control": ("checkpoints-control/1/state", "logs/control/log", "model-control/weights"),
    "evaluate": ("predictions.jsonl", "scores.jsonl", "summary.json"),
}
ALL = list(WRITES)
FINISHED = {
    "images/0.png", "left_out.jsonl", "studies.jsonl", "model-base/weights", "logs/sft/log",
    "model-sft/weights", "candidates.jsonl", "hard.jsonl", "unscored.jsonl", "criticality.jsonl",
    "annotate_failures.jsonl", "logs/rft/log", "model-rft/weights", "rft_history.jsonl",
    "logs/control/log", "model-control/weights", "predictions.jsonl", "scores.jsonl", "summary.json", ".lock",
    *(f"manifests/{name}.json" for name in ALL),
}  # fmt: skip
Action = Callable[[RunDir], None]


class Pipeline:
    """The real table of stages, with stand-ins for their modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []
        self.before: dict[str, Action] = {}
        self.after: dict[str, Action] = {}

    def import_module(self, module: str) -> Any:
        name = module.rpartition(".")[2]

        def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
            self.ran.append(name)
            self.before.pop(name, lambda _: None)(run)
            for file in WRITES[name]:
                if file.startswith("model-base") and not config.model.is_made:
                    continue
                run.path(file).parent.mkdir(parents=True, exist_ok=True)
                run.path(file).write_text(name)
            self.after.pop(name, lambda _: None)(run)
            return {}

        return SimpleNamespace(run=run)

    def __call__(self, *names: str, redo: str | None = None, **sections: Any) -> list[str]:
        """Stages that ran."""
        self.ran = []
        run_stages(
            RunConfig.model_validate({"stages": tuple(WRITES), **sections}),
            self.folder,
            names=names or None,
            redo=redo,
        )
        return self.ran

    def refusal(self, *names: str, kind: type[RadflowError] = RunError, **options: Any) -> str:
        with pytest.raises(RadflowError) as caught:
            self(*names, **options)
        assert caught.type is kind
        return str(caught.value)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    stand_in = Pipeline(tmp_path / "run")
    monkeypatch.setattr(pipeline, "import_module", stand_in.import_module)
    return stand_in


def fail(error: BaseException) -> Action:
    def action(run: RunDir) -> None:
        raise error

    return action


def test_finished_stages_are_skipped_and_temporary_files_gone(stages: Pipeline) -> None:
    assert stages() == ALL
    assert stages() == []
    assert stages.files() == FINISHED


@pytest.mark.parametrize(
    ("command", "redo"), [("evaluate", "prepare"), ("evaluate", "sft"), ("prepare", "sft")]
)
def test_redo_of_a_stage_that_does_not_run_is_refused_and_deletes_nothing(
    stages: Pipeline, command: str, redo: str
) -> None:
    stages()
    message = stages.refusal(command, redo=redo, kind=ConfigError)
    assert f"radflow run CONFIG -o {stages.folder} --redo {redo}" in message
    assert stages.files() == FINISHED


def test_redo_of_an_unknown_stage_deletes_nothing(stages: Pipeline) -> None:
    stages()
    assert "prepare, sft, explore, annotate, rft, control, evaluate" in stages.refusal(
        redo="training", kind=ConfigError
    )
    assert stages.files() == FINISHED


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"data": {"root": "/nowhere/data"}}, "data.root"),
        ({"data": {"images": "/nowhere/images"}}, "data.images"),
        ({"data": {"split": {"method": "ids", "file": "/nowhere/split.csv"}}}, "data.split.file"),
        ({"model": {"name": "/nowhere/model"}}, "model.name"),
    ],
)
def test_redo_without_its_inputs_deletes_nothing(stages: Pipeline, settings: Any, told: str) -> None:
    stages()
    assert told in stages.refusal(redo="prepare", kind=ConfigError, **settings)
    assert stages.files() == FINISHED


def test_redo_with_other_settings_of_an_earlier_stage_deletes_nothing(stages: Pipeline) -> None:
    stages()
    for names in ((), ("sft",)):
        message = stages.refusal(*names, redo="sft", data={"image_long_side": 256})
        assert "data.image_long_side was 512, is 256" in message
        assert stages.files() == FINISHED


def test_redo_runs_the_stage_and_all_later_ones(stages: Pipeline) -> None:
    stages()
    assert stages(redo="sft", sft={"epochs": 7}) == ALL[1:]
    assert stages("sft", redo="sft", sft={"epochs": 7}) == ["sft"]
    assert "summary.json" not in stages.files()


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "to do"])
@pytest.mark.parametrize(
    ("settings", "told", "maker"),
    [
        ({"sft": {"epochs": 7}}, "sft.epochs was 10.0, is 7.0", "sft"),
        ({"data": {"image_long_side": 256}}, "data.image_long_side was 512, is 256", "prepare"),
        ({"seed": 4}, "seed was 0, is 4", "prepare"),
    ],
)
def test_single_stage_refuses_what_was_made_otherwise_upstream(
    stages: Pipeline, settings: Any, told: str, maker: str, is_done: bool
) -> None:
    stages(*(() if is_done else ("prepare", "sft")))
    message = stages.refusal("evaluate", **settings)
    assert told in message
    assert f"radflow run CONFIG -o {stages.folder} --redo {maker}" in message
    assert stages.ran == []


def test_single_stage_needs_its_upstream_whole(stages: Pipeline) -> None:
    assert "needs studies.jsonl, which stage prepare has not finished" in stages.refusal("evaluate")
    stages("prepare")
    assert "needs model-sft, which stage sft has not finished" in stages.refusal("evaluate")
    stages()
    shutil.rmtree(stages.folder / "images")
    message = stages.refusal("evaluate")
    assert "images, which is gone" in message
    assert f"radflow prepare CONFIG -o {stages.folder}" in message


def inputs(tmp_path: Path) -> dict[str, Any]:
    """Settings that name a data folder, an image folder, a split file and a model folder."""
    for name in ("data/deep/a.xml", "images/deep/0.png", "split.csv", "model/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    data = {"root": tmp_path / "data", "images": tmp_path / "images"}
    split = {"method": "ids", "file": tmp_path / "split.csv"}
    return {"data": {**data, "split": split}, "model": {"name": str(tmp_path / "model")}}


CHANGES = [
    ("data/deep/a.xml", "data.root"),
    ("images/deep/0.png", "data.images"),
    ("split.csv", "data.split.file"),
    ("model/config.json", "model.name"),
]


@pytest.mark.parametrize(("file", "told"), CHANGES)
def test_changed_input_is_seen_and_named(stages: Pipeline, tmp_path: Path, file: str, told: str) -> None:
    settings = inputs(tmp_path)
    stages(**settings)
    assert stages(**settings) == []
    (tmp_path / file).write_text("22")
    assert f"{told} has changed" in stages.refusal(**settings)


def test_split_file_of_the_same_size_is_seen(stages: Pipeline, tmp_path: Path) -> None:
    settings = inputs(tmp_path)
    stages(**settings)
    (tmp_path / "split.csv").write_text("2")
    assert "data.split.file has changed" in stages.refusal(**settings)


def test_vanished_inputs_of_finished_stages_are_no_change(stages: Pipeline, tmp_path: Path) -> None:
    settings = inputs(tmp_path)
    stages(**settings)
    for name in ("data", "images", "model"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "split.csv").unlink()
    assert stages(**settings) == []
    assert stages("evaluate", **settings) == []


def test_hub_id_is_no_input(stages: Pipeline) -> None:
    assert stages(model={"name": "some/model"}) == ALL
    assert stages(model={"name": "some/model"}) == []
    with RunDir.open(stages.folder) as run:
        assert run.recorded_inputs("sft").keys() == {"studies.jsonl"}


def starts_afresh(run: RunDir) -> None:
    assert not run.path("checkpoints-sft").exists()


@pytest.mark.parametrize("kind", [ConfigError, DataError, ModelError])
def test_corrected_command_runs_after_a_mistake(stages: Pipeline, kind: type[RadflowError]) -> None:
    stages.after["sft"] = fail(kind("no such model"))
    stages.refusal(kind=kind, model={"name": "some/model"})
    assert "checkpoints-sft/1/state" in stages.files(), "what tells the reason stays"
    assert not any(name.startswith("manifests/sft") for name in stages.files())
    stages.before["sft"] = starts_afresh
    assert stages() == ALL[1:]


def test_mistake_in_a_stage_that_goes_on_keeps_what_is_done(stages: Pipeline) -> None:
    stages.after["sft"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        stages()
    stages.before["sft"] = fail(DataError("an image folder is not mounted"))
    stages.refusal(kind=DataError)
    assert "checkpoints-sft/1/state" in stages.files()
    assert stages() == ALL[1:]


@pytest.mark.parametrize(
    ("lost", "stage"), [("images", "prepare"), ("model-base", "sft"), ("model-sft", "sft")]
)
def test_lost_folder_is_made_again_and_later_stages_stay(stages: Pipeline, lost: str, stage: str) -> None:
    stages()
    shutil.rmtree(stages.folder / lost)
    assert stages() == [stage]
    assert stages.files() == FINISHED


def test_kept_folder_that_never_was_is_not_missed(stages: Pipeline) -> None:
    stages(model={"name": "some/model"})
    assert "model-base/weights" not in stages.files()
    assert stages(model={"name": "some/model"}) == []


def test_temporary_files_left_by_a_kill_after_the_manifest_are_deleted(stages: Pipeline) -> None:
    stages()
    (stages.folder / "prepared.partial.jsonl").write_text("left")
    stages()
    assert stages.files() == FINISHED


def test_lost_images_of_a_real_run_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"phantoms": {"train": 2, "validation": 1, "test": 1, "size": 32}}
    config = RunConfig.model_validate({"data": settings, "engine": {"workers": 1}})
    folder = tmp_path / "run"

    def prepare() -> dict[str, bytes]:
        run_stages(config, folder, names=("prepare",))
        files = [path for path in folder.rglob("*") if path.suffix in (".png", ".jsonl")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    with monkeypatch.context() as patch:  # as if killed between manifest and deletion
        patch.setattr(RunDir, "delete", lambda *_: None)
        first = prepare()
    assert first.pop("prepared.partial.jsonl").count(b"\n") == 4
    assert sum(name.endswith(".png") for name in first) == 4
    shutil.rmtree(folder / "images")
    assert prepare() == first


FULL = "No space left on device"


@pytest.mark.parametrize("moment", ["start", "finish", "forget", "delete"])
def test_full_disk_outside_of_a_stage_is_explained(
    stages: Pipeline, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, FULL)

    with monkeypatch.context() as patch:
        patch.setattr(RunDir, moment, no_space)
        message = stages.refusal()
    assert FULL in message
    assert "Free space" in message
    assert stages() == ALL or moment == "delete"


class SafetensorError(Exception):
    """Named as the one of safetensors, which is no OSError either."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file"),
        RuntimeError("basic_ios::clear: iostream error: file write failed"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk_while_weights_are_saved_is_explained(stages: Pipeline, error: Exception) -> None:
    stages.after["sft"] = fail(error)
    assert "Free space" in stages.refusal()
    assert stages() == ALL[1:]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_lack_of_memory_is_explained(stages: Pipeline, error: Exception) -> None:
    stages.after["sft"] = fail(error)
    message = stages.refusal()
    assert "stage sft ran out of memory" in message
    assert "sft.batch_size" in message
    assert stages() == ALL[1:]


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("No space left"), KeyError("x")])
def test_other_errors_stay_what_they_are(stages: Pipeline, error: Exception) -> None:
    stages.after["sft"] = fail(error)
    with pytest.raises(type(error)):
        stages()


def test_missing_file_of_the_run_folder_is_not_a_full_disk(stages: Pipeline) -> None:
    stages.before["evaluate"] = lambda run: run.path("images/s1/0.png").read_bytes() and None
    message = stages.refusal()
    assert "misses a file of the run folder, which stage prepare writes" in message
    assert str(stages.folder / "images/s1/0.png") in message
    assert f"Delete {stages.folder / 'images'} and redo that stage: radflow prepare" in message
    assert "Free space" not in message


def test_missing_file_elsewhere_is_named(stages: Pipeline) -> None:
    stages.before["prepare"] = lambda run: Path("/nowhere/file").read_bytes() and None
    assert "/nowhere/file" in stages.refusal()


def test_files_of_stages_never_overlap() -> None:
    files = [name for stage in STAGES for name in stage.files]
    assert len(files) == len(set(files))


def test_a_run_has_the_stages_that_its_config_names(stages: Pipeline) -> None:
    assert stages(stages=["sft", "prepare"]) == ["prepare", "sft"]
    assert stages(stages=["prepare", "sft", "evaluate"]) == ["evaluate"]
