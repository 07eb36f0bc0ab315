"""Every declared design: its arms fit the shipped config, differ as declared, and measure what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

from radflow.config import RunConfig
from radflow.errors import ConfigError
from radflow.experiments import EXPERIMENTS
from radflow.experiments.declaration import Design, Request
from radflow.experiments.measures import measure
from radflow.metrics.declaration import CHEST
from radflow.registry import resolve

CONFIG = REPOSITORY / "configs" / "experiments.yaml"
ALL = {name: resolve("experiment", EXPERIMENTS, name) for name in EXPERIMENTS}
DESIGNS = {name: found for name, found in ALL.items() if isinstance(found, Design)}


def request(**options: Any) -> Request:
    return Request(**{"config": CONFIG, "out": Path("unused"), **options})


def flat(value: Any, head: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {head: value}
    found: dict[str, Any] = {}
    for name, each in value.items():
        found |= flat(each, f"{head}.{name}" if head else name)
    return found


def settings(config: RunConfig) -> dict[str, Any]:
    return flat(config.model_dump(mode="json"))


@pytest.mark.parametrize("name", ALL)
def test_the_name_is_the_one_it_is_run_by_and_the_question_is_one(name: str) -> None:
    assert ALL[name].name == name
    assert ALL[name].question.endswith("?")


@pytest.mark.parametrize("name", ALL)
def test_every_experiment_has_a_page_with_its_question_and_its_command(name: str) -> None:
    page = (REPOSITORY / "docs" / "experiments" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}: {ALL[name].question}\n")
    assert f"    radflow experiment {name} " in page
    for arm in getattr(ALL[name], "arms", ()):
        assert f"| {arm.name} | {arm.meaning} |" in page, "written anew when the arms change"
    index = (REPOSITORY / "docs" / "experiments" / "README.md").read_text(encoding="utf-8")
    assert f"]({name}.md)" in index


@pytest.mark.parametrize("name", DESIGNS)
def test_arms_differ_in_what_they_declare_and_in_nothing_else(name: str) -> None:
    design = DESIGNS[name]
    made = {arm.name: settings(design.config_of(arm, 21, request())) for arm in design.arms}
    assert len(made) == len(design.arms), "names are different"
    assert design.baseline in made
    declared = {setting for arm in design.arms for setting in arm.settings} | {"stages"}
    plain = settings(request().load(settings=design.settings, seed=21))
    for arm in design.arms:
        changed = {setting for setting, value in made[arm.name].items() if value != plain[setting]}
        assert changed <= declared
        assert made[arm.name]["seed"] == 21
        for setting, value in arm.settings.items():
            assert made[arm.name][setting] == value
    kinds = {
        (arm.system, tuple(sorted((key, str(value)) for key, value in made[arm.name].items())))
        for arm in design.arms
    }
    assert len(kinds) == len(design.arms), "no two arms are the same"


@pytest.mark.parametrize("name", DESIGNS)
def test_measures_exist(name: str) -> None:
    design = DESIGNS[name]
    for key in (*design.measures, *design.instead.values()):
        assert measure(key, CHEST) is not None
    assert set(design.instead) <= set(design.measures)


@pytest.mark.parametrize("name", ["clip-ratio", "criticality-noise"])
def test_designs_about_the_clip_leave_the_clip_range(name: str) -> None:
    """METHOD: in the first pass over a generation batch nothing can clip; with four, three quarters can."""
    design = DESIGNS[name]
    for arm in design.arms:
        config = design.config_of(arm, 21, request()).rft
        assert config.micro_batches_per_rollout // config.gradient_accumulation >= 4
        assert config.algorithm == "capo"


def test_only_the_control_arm_runs_the_control() -> None:
    design = DESIGNS["reward-ablation"]
    stages = {arm.name: design.config_of(arm, 0, request()).stages for arm in design.arms}
    assert [name for name, own in stages.items() if "control" in own] == ["none"]
    assert stages["none"] == (
        "prepare", "sft", "explore", "annotate", "rft", "control", "evaluate", "report",
    )  # fmt: skip


@pytest.mark.parametrize("override", ["rft.kappa=2", "rft={}", "seed=3", "stages=[prepare]"])
def test_setting_what_the_arms_vary_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="itself decides"):
        DESIGNS["clip-ratio"].config_of(DESIGNS["clip-ratio"].arms[0], 0, request(overrides=(override,)))


def test_what_all_arms_have_gives_way_to_the_command() -> None:
    design = DESIGNS["clip-ratio"]
    assert design.config_of(design.arms[0], 0, request()).rft.num_iterations == 4
    given = request(overrides=("rft.num_iterations=3", "rft.steps=6"))
    assert design.config_of(design.arms[0], 0, given).rft.num_iterations == 3


def test_an_unknown_arm_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean kappa-4"):
        DESIGNS["clip-ratio"].chosen(["kappa4"])
    chosen = DESIGNS["clip-ratio"].chosen(["kappa-8", "kappa-1"])
    assert [arm.name for arm in chosen] == ["kappa-1", "kappa-8"]


def test_the_command_repeats_the_request() -> None:
    given = request(seeds=(21, 22), arms=("kappa-1",), overrides=("rft.steps=6", "model.prompt=Write it."))
    assert re.search(
        r"experiment clip-ratio .*experiments.yaml --seeds 21,22 --arms kappa-1 --set rft.steps=6 "
        r"--set 'model.prompt=Write it.'$",
        given.command("clip-ratio"),
    )
