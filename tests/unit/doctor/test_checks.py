"""The doctor says what is wrong before a run finds out, with a remedy, and lets what is right pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import REPOSITORY
from tests.integration.small import SMALL

from radflow.config import ModelConfig, RunConfig
from radflow.config_file import load_config
from radflow.doctor.check import Check, attempt
from radflow.doctor.data import Counted, count_studies, data_checks
from radflow.doctor.examine import examine
from radflow.doctor.machine import Memory, disk_check, memory_of, within_limit, writable_check
from radflow.doctor.memory import memory_checks
from radflow.doctor.training import capo_checks
from radflow.doctor.versions import (
    installed_of,
    known_versions,
    python_check,
    required_packages,
    torchvision_check,
    version_checks,
)
from radflow.doctor.weights import encoder_check, metric_checks, model_check, ontology_checks, package_checks


def config_with(*overrides: str) -> RunConfig:
    return load_config(None, overrides=[*SMALL, *overrides])


def states(checks: list[Check]) -> dict[str, str]:
    """The worst state of each name."""
    order = ("ok", "warning", "problem")
    return {
        check.name: max((other.state for other in checks if other.name == check.name), key=order.index)
        for check in checks
    }


def test_a_config_that_runs_has_no_problem(tmp_path: Path) -> None:
    checks = list(examine(config_with(), tmp_path / "run"))
    assert "problem" not in states(checks).values(), checks
    assert all(check.remedy for check in checks if check.state != "ok")
    assert {"python", "packages", "device", "data", "model", "memory", "disk", "capo", "judge"} <= {
        check.name for check in checks
    }
    assert not (tmp_path / "run").exists()


def test_an_old_python_is_a_problem_and_a_new_one_a_warning() -> None:
    assert [python_check(version).state for version in ((3, 10), (3, 11), (3, 13), (3, 14))] == [
        "problem", "ok", "ok", "warning",
    ]  # fmt: skip


def test_known_versions_are_those_of_the_constraints_file() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert len(known_versions()) == len(pins)
    assert known_versions()["torch"] == pins["torch"]
    assert {"torch", "trl", "pydantic"} <= set(required_packages())


def test_versions_are_compared_without_what_a_build_adds() -> None:
    assert installed_of(["torch", "no-such-package"])["no-such-package"] is None
    assert "+" not in (installed_of(["torch"])["torch"] or "")
    tested = {"trl": "1.16.0", "pillow": "13.0.0"}
    assert version_checks({"trl": "1.16.0"}, tested)[0].state == "ok"
    other = version_checks({"trl": "1.17.0", "pillow": "13.0.0"}, tested)[0]
    assert other.state == "warning"
    assert "trl 1.17.0 (tested 1.16.0)" in other.message
    assert "pillow" not in other.message
    assert version_checks({"trl": None}, tested)[0].state == "problem"


def test_torchvision_is_named_beside_a_cpu_build_only() -> None:
    assert torchvision_check("2.13.0+cpu", "0.28.0")[0].state == "warning"
    assert torchvision_check("2.13.0+cu128", "0.28.0") == []
    assert torchvision_check("2.13.0", None) == []


def test_memory_inside_a_container_is_its_limit(tmp_path: Path) -> None:
    machine = Memory("RAM", 64, 50)
    assert within_limit(machine, tmp_path) == machine
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("6\n")
    assert within_limit(machine, tmp_path) == machine
    (tmp_path / "memory.max").write_text("16\n")
    assert within_limit(machine, tmp_path) == Memory("RAM", 16, 10)
    assert 0 < memory_of("cpu").free <= memory_of("cpu").total


def test_a_stage_that_does_not_fit_is_named_with_its_own_remedy() -> None:
    stages = {"sft": {"weights": 10.0}, "rft": {"weights": 10.0, "activations": 90.0, "cache": 80.0}}
    assert [check.state for check in memory_checks(stages, Memory("RAM", 200, 101))] == ["ok"]
    (short,) = memory_checks(stages, Memory("RAM", 200, 50))
    assert (short.state, "rft" in short.message) == ("warning", True)
    (never,) = memory_checks(stages, Memory("RAM", 60, 50))
    assert never.state == "problem"
    assert "rft.gradient_accumulation" in never.remedy


def test_a_full_disk_and_a_closed_folder_are_problems(tmp_path: Path) -> None:
    assert disk_check(100, 99).state == "problem"
    assert disk_check(100, 100).state == "ok"
    (tmp_path / "file").write_text("")
    assert writable_check(tmp_path / "file" / "run").state == "problem"
    assert writable_check(tmp_path / "new" / "run").state == "ok"


def test_data_are_counted_and_divided() -> None:
    config, counted = config_with(), Counted()
    count_studies(config.data, into=counted, seed=0)
    found = list(data_checks(config, counted))
    assert "48 train, 8 validation, 12 test" in found[0].message
    assert states(found)["images"] == "ok"


def table(tmp_path: Path, *, images: int, of: int = 150, picture: bytes | None = None) -> RunConfig:
    (tmp_path / "image.png").write_bytes(picture or b"")
    if picture is None:
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "image.png")
    rows = [
        {"id": f"s{number}", "image": "image.png" if number < images else "gone.png",
         "report": "FINDINGS: Clear.\nIMPRESSION: Normal."}
        for number in range(of)
    ]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return config_with("data.source=table", f"data.root={tmp_path / 't.jsonl'}")


def look_at(config: RunConfig) -> dict[str, str]:
    counted = Counted()

    def look() -> Any:
        count_studies(config.data, into=counted, seed=0)
        yield from data_checks(config, counted)

    return states(attempt("data", look))


def test_data_that_are_missing_broken_or_few_are_told(tmp_path: Path) -> None:
    assert look_at(table(tmp_path, images=150)) == {"data": "ok", "images": "ok"}
    assert look_at(table(tmp_path, images=100))["left out"] == "warning"
    assert look_at(table(tmp_path, images=0)) == {"data": "problem"}
    assert look_at(table(tmp_path, images=20, of=20))["data"] == "warning"
    assert look_at(table(tmp_path, images=150, picture=b"no image"))["images"] == "warning"
    assert look_at(config_with("data.source=table", "data.root=nowhere.csv")) == {"data": "problem"}
    assert look_at(config_with("data.source=tabel")) == {"data": "problem"}


def test_reports_without_an_impression_are_told(tmp_path: Path) -> None:
    config = table(tmp_path, images=150)
    text = (tmp_path / "t.jsonl").read_text().replace("\\nIMPRESSION: Normal.", "")
    (tmp_path / "t.jsonl").write_text(text)
    assert look_at(config)["sections"] == "warning"


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert model_check(ModelConfig()).state == "ok"
    assert model_check(ModelConfig(name=str(tmp_path))).state == "problem"
    assert model_check(ModelConfig(name="tinny")).state == "problem"
    assert model_check(ModelConfig(name="nobody/no-such-model")).state == "warning"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert model_check(ModelConfig(name=str(tmp_path))).state == "ok"


def test_packages_that_only_some_settings_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(package_checks(config_with())) == []
    assert states(list(package_checks(config_with("rft.vllm=colocate")))) == {"vllm": "problem"}


def test_an_ontology_or_encoder_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert states(list(ontology_checks(config_with()))) == {"ontology": "ok"}
    wrong = config_with("reward.ontology=chest-xry")
    assert states(list(ontology_checks(wrong)))["ontology"] == "problem"
    encoder = config_with(f"explore.composite.encoder={tmp_path}")
    assert states(attempt("encoder", lambda: encoder_check(encoder))) == {"encoder": "problem"}


def test_meteor_without_java_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radflow.metrics.meteor.which", lambda name: None)
    monkeypatch.setattr("radflow.metrics.meteor.find_spec", lambda name: object())
    asked = config_with("evaluate.metrics=[run,meteor]")
    (check,) = attempt("metrics", lambda: metric_checks(asked))
    assert check.state == "problem"
    assert "Java" in check.message
    preset = config_with("evaluate.metrics=[all]")
    assert states(attempt("metrics", lambda: metric_checks(preset)))["metrics"] == "warning"


def test_settings_under_which_capo_is_idle_are_told() -> None:
    assert states(list(capo_checks(config_with("rft.learning_rate=2e-4")))) == {"capo": "ok"}
    assert states(list(capo_checks(config_with("rft.learning_rate=1e-5")))) == {"capo": "warning"}
    assert states(list(capo_checks(config_with("rft.kappa=1")))) == {"capo": "warning"}
    inert = config_with()
    idle = inert.rft.model_copy(update={"num_iterations": 1})  # validation would refuse it
    checks = attempt("capo", lambda: capo_checks(inert.model_copy(update={"rft": idle})))
    assert [check.state for check in checks] == ["problem"]
    assert "rft.num_iterations" in checks[0].message
    grpo = config_with("rft.algorithm=grpo", "rft.num_iterations=1")
    assert states(list(capo_checks(grpo))) == {"capo": "ok"}


def doctor(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radflow", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_the_command_prints_json_and_its_exit_code_tells(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("data:\n  phantoms: {train: 120, validation: 4, test: 4, size: 32}\n")
    good = doctor("good.yaml", "--json", cwd=tmp_path)
    found = json.loads(good.stdout)
    assert (good.returncode, found["ok"]) == (0, True)
    assert {"name", "state", "message", "remedy"} == set(found["checks"][0])
    (tmp_path / "bad.yaml").write_text("sft:\n  epoch: 1\n")
    bad = doctor("bad.yaml", cwd=tmp_path)
    assert bad.returncode == 1
    assert "did you mean sft.epochs?" in bad.stdout
    assert bad.stdout.startswith("problem")
