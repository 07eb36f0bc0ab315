"""Taking over a finished stage: by the fingerprint that runs skip it by; no run alters another's files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.test_pipeline import WRITES

from radflow.config import RunConfig
from radflow.experiments import sharing
from radflow.experiments.runner import bring_up_to_date
from radflow.experiments.sharing import take_over
from radflow.run_dir import RunDir
from radflow.stages import STAGES, pipeline

ARMS = ("prepare", "sft", "explore", "annotate", "rft", "evaluate")


class StandIns:
    """Stages that write one line each, into whatever run folder, and note that they ran."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.wrong: dict[tuple[str, str], BaseException] = {}

    def import_module(self, module: str) -> Any:
        name = module.rpartition(".")[2]

        def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
            self.ran.append((run.root.name, name))
            for file in WRITES[name]:
                run.path(file).parent.mkdir(parents=True, exist_ok=True)
                content = "kappa" if name != "rft" else str(config.rft.kappa)
                run.path(file).write_text(content)
            if (run.root.name, name) in self.wrong:
                raise self.wrong[run.root.name, name]
            return {"steps": 1, "seconds": 1.0}

        return SimpleNamespace(run=run)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns()
    monkeypatch.setattr(pipeline, "import_module", made.import_module)
    return made


def config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({"stages": ARMS, **sections})


def test_an_arm_makes_only_what_its_settings_change(tmp_path: Path, stand_ins: StandIns) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bring_up_to_date(config(), first, [second])
    stand_ins.ran.clear()
    bring_up_to_date(config(rft={"kappa": 2}), second, [first])
    assert stand_ins.ran == [("second", "rft"), ("second", "evaluate")]
    assert (second / "model-rft" / "weights").read_text() == "2.0"
    assert (first / "model-rft" / "weights").read_text() == "4.0"
    stand_ins.ran.clear()
    for folder, settings in ((first, {}), (second, {"rft": {"kappa": 2}})):
        bring_up_to_date(config(**settings), folder, [])
    assert stand_ins.ran == [], "a taken-over stage is done like one of its own"


def test_what_differs_is_not_taken_over(tmp_path: Path, stand_ins: StandIns) -> None:
    first = tmp_path / "first"
    bring_up_to_date(config(), first, [])
    stand_ins.ran.clear()
    bring_up_to_date(config(seed=1), tmp_path / "seed", [first])
    assert [stage for _, stage in stand_ins.ran] == list(ARMS)
    stand_ins.ran.clear()
    bring_up_to_date(config(sft={"epochs": 3}), tmp_path / "sft", [first])
    assert [stage for _, stage in stand_ins.ran] == ["sft"], "it wrote the same, on which the others rest"


def test_a_donor_that_lost_a_file_gives_nothing(tmp_path: Path, stand_ins: StandIns) -> None:
    first = tmp_path / "first"
    bring_up_to_date(config(), first, [])
    (first / "hard.jsonl").unlink()
    stand_ins.ran.clear()
    bring_up_to_date(config(), tmp_path / "second", [first])
    assert "explore" in [stage for _, stage in stand_ins.ran]
    assert "sft" not in [stage for _, stage in stand_ins.ran]


def test_redoing_a_stage_leaves_the_other_runs_files_as_they_were(
    tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages open some of their files in place: the names in the donor must not lead to the same bytes."""
    first, second = tmp_path / "first", tmp_path / "second"
    bring_up_to_date(config(), first, [])
    bring_up_to_date(config(), second, [first])
    shared = first / "model-sft" / "weights"
    assert shared.stat().st_ino == (second / "model-sft" / "weights").stat().st_ino
    before = shared.read_text()
    (second / "model-base" / "weights").unlink()
    (second / "model-base").rmdir()  # finished, and something of it is gone: it runs again over what is there

    def overwrite(module: str) -> Any:
        def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
            run.path("model-base").mkdir()
            run.path("model-base/weights").write_text("new")
            with run.path("model-sft/weights").open("r+") as handle:
                handle.write("overwritten")
            return {}

        return SimpleNamespace(run=run)

    monkeypatch.setattr(pipeline, "import_module", overwrite)
    pipeline.run_stages(config(), second, names=("sft",))
    assert (second / "model-sft" / "weights").read_text() == "overwritten"
    assert shared.read_text() == before


def test_a_kill_while_linking_leaves_a_stage_to_be_taken_over_again(
    tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bring_up_to_date(config(), first, [])

    def killed(path: Path, value: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sharing, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            take_over(STAGES[0], config(), second, [first])
    assert (second / "studies.jsonl").exists()
    assert RunDir(second).manifest("prepare") is None
    assert take_over(STAGES[0], config(), second, [first]) == first
    assert json.loads((second / "manifests/prepare.json").read_text())["taken_from"] == str(first)


def test_a_begun_stage_goes_on_and_is_not_replaced(tmp_path: Path, stand_ins: StandIns) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bring_up_to_date(config(), first, [])
    stand_ins.wrong["second", "prepare"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(config(), second, [])
    assert take_over(STAGES[0], config(), second, [first]) is None
    assert (second / "prepared.partial.jsonl").exists()


def test_without_hard_links_files_are_copied(
    tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError("no links here")

    first, second = tmp_path / "first", tmp_path / "second"
    bring_up_to_date(config(), first, [])
    monkeypatch.setattr(os, "link", refused)
    stand_ins.ran.clear()
    bring_up_to_date(config(), second, [first])
    assert stand_ins.ran == []
    assert (second / "images" / "0.png").stat().st_nlink == 1


def test_the_control_takes_its_time_from_stages_that_were_never_cut(
    tmp_path: Path, stand_ins: StandIns
) -> None:
    """A cut stage's wall time is not that of all its work: such a stage is made again where time counts."""
    first, timed = tmp_path / "first", tmp_path / "timed"
    stand_ins.wrong["first", "explore"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(config(), first, [])
    stand_ins.wrong.clear()
    bring_up_to_date(config(), first, [])
    assert RunDir(first).manifest("explore")["was_cut"]  # type: ignore[index]
    stand_ins.ran.clear()
    with_control = config(stages=("prepare", "sft", "explore", "annotate", "rft", "control", "evaluate"))
    bring_up_to_date(with_control, timed, [first])
    assert ("timed", "explore") in stand_ins.ran
    assert ("timed", "rft") not in stand_ins.ran, "it wrote the same, and its donor's RFT was never cut"
    assert ("timed", "sft") not in stand_ins.ran

    stand_ins.wrong["own", "rft"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(with_control, tmp_path / "own", [])
    stand_ins.wrong.clear()
    stand_ins.ran.clear()
    bring_up_to_date(with_control, tmp_path / "own", [])
    assert [stage for _, stage in stand_ins.ran] == ["rft", "rft", "control", "evaluate"]
    assert not RunDir(tmp_path / "own").manifest("rft")["was_cut"]  # type: ignore[index]
