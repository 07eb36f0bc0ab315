"""The settings of each objective reach TRL's arguments as they are, and CAPO accepts them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.conftest import REPOSITORY

from radflow.experiments.declaration import Arm, Request
from radflow.experiments.objective import OBJECTIVE
from radflow.training.capo_checks import refuse_incompatible
from radflow.training.rft import _arguments

SHIPPED = Request(config=REPOSITORY / "configs" / "experiments.yaml", out=Path("unused"))


@pytest.mark.parametrize("arm", OBJECTIVE.arms, ids=lambda arm: arm.name)
def test_an_arm_s_objective_is_what_trl_is_told(arm: Arm, tmp_path: Path) -> None:
    config = OBJECTIVE.config_of(arm, 21, SHIPPED)
    policy: Any = SimpleNamespace(model=SimpleNamespace(dtype=torch.float32))
    model = config.model.model_copy(update={"device": "cpu"})
    made = _arguments(config.rft, model, policy, validates=True, to=tmp_path, seed=21, tracking={})
    assert made.loss_type == arm.settings["rft.loss_type"]
    assert made.scale_rewards == arm.settings["rft.scale_rewards"]
    assert made.importance_sampling_level == arm.settings["rft.importance_sampling_level"]
    assert made.epsilon == arm.settings["rft.epsilon"]
    assert made.epsilon_high == arm.settings["rft.epsilon_high"]
    assert made.beta == config.rft.beta > 0
    refuse_incompatible(made, lambda **_: [], kappa=config.rft.kappa)
