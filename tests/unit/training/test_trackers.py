"""Who follows a training: TensorBoard by default; nothing leaves this machine unless the settings say so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tests.integration.small import SMALL

from radflow.config import RunConfig, TrackingConfig, settings_of
from radflow.config_file import load_config
from radflow.errors import ConfigError
from radflow.stages import STAGES
from radflow.stages.pipeline import run_stages
from radflow.training.trackers import require_trackers, trackers, tracking_arguments


def test_tensorboard_is_the_default_and_writes_events(tmp_path: Path) -> None:
    (callback,) = trackers(TrackingConfig(), folder=tmp_path / "logs")
    callback.tb_writer.add_scalar("loss", 1.0, 1)  # type: ignore[attr-defined]
    callback.tb_writer.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "logs").glob("events.*"))
    assert trackers(TrackingConfig(report_to=()), folder=tmp_path) == []


def test_wandb_needs_leave() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.allow_remote"):
        load_config(None, overrides=["tracking.report_to=[wandb]"])
    assert load_config(None, overrides=["tracking.report_to=[wandb]", "tracking.allow_remote=true"])


def test_trackio_needs_leave_where_its_environment_sends_it_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    local = TrackingConfig(report_to=("trackio",))
    require_trackers(local)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    with pytest.raises(ConfigError, match="another machine"):
        require_trackers(local)
    require_trackers(TrackingConfig(report_to=("trackio",), allow_remote=True))


def test_the_trainer_makes_no_callbacks_of_its_own() -> None:
    assert tracking_arguments(TrackingConfig(), run_name="a") == {"report_to": [], "run_name": "a"}
    told = tracking_arguments(TrackingConfig(report_to=("trackio",)), run_name="a")
    assert (told["report_to"], told["trackio_space_id"], told["trackio_static_space_id"]) == ([], None, False)


def test_a_missing_package_is_told_before_the_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else there(name))
    config = load_config(None, overrides=[*SMALL, "tracking.report_to=[wandb]", "tracking.allow_remote=true"])
    with pytest.raises(ConfigError, match="wandb is not installed"):
        run_stages(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_who_follows_decides_no_result() -> None:
    one, other = RunConfig(), RunConfig(tracking=TrackingConfig(report_to=()))
    for stage in STAGES:
        assert settings_of(one, *stage.settings) == settings_of(other, *stage.settings)
