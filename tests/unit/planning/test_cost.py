"""What a plan counts is what the model does; hours and money follow from it by plain arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.conftest import REPOSITORY
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from radflow.cli import app
from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.doctor.shapes import model_shape
from radflow.errors import ConfigError
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import Policy, load_policy, set_trainable
from radflow.planning.bill import Hardware, Prices, bill
from radflow.planning.plan import plan, studies_of
from radflow.planning.work import Counts, Work, forward, stage_work

COUNTS = Counts(train=100, validation=10, test=20, report_tokens=40)
SLOW = Hardware("slow", operations=1e9, bandwidth=1e8, reached=0.5, reached_writing=0.25)


def quickstart(*overrides: str) -> RunConfig:
    return load_config(REPOSITORY / "configs/quickstart.yaml", overrides=overrides)


def work_of(stage: str, *overrides: str, counts: Counts = COUNTS) -> Work:
    config = quickstart(*overrides)
    return next(work for work in stage_work(config, model_shape(config), counts) if work.stage == stage)


def tiny(folder: Path, config: RunConfig) -> Policy:
    make_tiny_model(folder, ["Heart size is normal. No effusion is seen."] * 3, config.model.tiny, seed=0)
    return load_policy(folder, config.model)


def counted(policy: Policy, tokens: int, *, learns: bool) -> tuple[float, float]:
    """Operations of torch's counter: language model (with its head), and vision."""
    text = policy.model.config.text_config
    ids = torch.randint(5, text.vocab_size - 5, (1, tokens))
    ids[ids == policy.model.config.image_token_id] = 4
    language = FlopCounterMode(display=False)
    with language:
        hidden = policy.model.model.language_model(input_ids=ids).last_hidden_state
        logits = policy.model.lm_head(hidden)
        if learns:
            logits.float().sum().backward()
    side = policy.model.config.vision_config.image_size
    vision = FlopCounterMode(display=False)
    with vision, torch.no_grad():
        policy.model.model.vision_tower(torch.zeros(1, 3, side, side))
    return float(language.get_total_flops()), float(vision.get_total_flops())


def test_passes_are_what_torch_counts_on_the_real_model(tmp_path: Path) -> None:
    config = quickstart()
    policy = tiny(tmp_path, config)
    shape = replace(model_shape(config), vocabulary=policy.model.config.text_config.vocab_size)
    tokens = 120
    read, seen = counted(policy, tokens, learns=False)
    assert forward(shape, tokens, tokens) == pytest.approx(read, rel=0.1)
    assert shape.seeing == pytest.approx(seen, rel=0.15)
    set_trainable(policy.model, config.model)
    learnt, _ = counted(policy, tokens, learns=True)
    # The first layer's input needs no gradient, so that a little less than twice the forward comes on top.
    assert 3 * forward(shape, tokens, tokens) == pytest.approx(learnt, rel=0.15)


def test_a_network_of_convolutions_is_counted_on_its_architecture() -> None:
    config = load_config(
        REPOSITORY / "configs/iu_xray_smol.yaml", overrides=["model.efficientnet_smollm2.image_size=224"]
    )
    # EfficientNet-Lite0 was published with 407 million multiplications at 224 pixels; the head,
    # which the tower leaves out, has 49 x 320 x 1280 of them and 1280 x 1000.
    assert model_shape(config).seeing == pytest.approx(2 * (407e6 - 21.4e6), rel=0.07)


def test_learning_of_an_adapter_is_two_thirds_and_checkpointing_one_more_pass() -> None:
    rft = ("rft.validate_every=0", "rft.beta=0", "rft.num_iterations=4")
    whole = work_of("rft", *rft).pass_operations
    adapter = work_of("rft", *rft, "rft.language=lora").pass_operations
    again = work_of("rft", *rft, "rft.gradient_checkpointing=true").pass_operations
    assert adapter < whole < again
    assert whole - adapter == pytest.approx(again - whole)


def test_work_grows_with_studies_epochs_and_steps_alone() -> None:
    twice = Counts(200, 0, 20, 40)
    once = Counts(100, 0, 20, 40)
    assert work_of("sft", counts=twice).pass_operations == 2 * work_of("sft", counts=once).pass_operations
    assert work_of("explore", counts=twice).sequences == 200
    assert work_of("rft", counts=twice) == work_of("rft", counts=once)
    assert work_of("evaluate").sequences == 2 * COUNTS.test


def test_a_judge_is_asked_once_a_study_or_once_a_report() -> None:
    rft = ("rft.steps=8", "rft.num_iterations=2", "rft.prompts_per_step=4", "rft.group_size=8")
    asks = (*rft, "reward.consistency_backend=judge", "rft.validate_every=0")
    assert work_of("rft", *rft).judge_calls == 0
    assert work_of("rft", *asks).judge_calls == 4 * 4
    assert work_of("rft", *asks, "reward.judge_calls=single").judge_calls == 4 * 4 * 8
    assert work_of("annotate").judge_calls == 0
    triage = work_of(
        "annotate", "annotate.judge=judge", "explore.fraction=0.1", "explore.anchor_fraction=0.2"
    )
    assert triage.judge_calls == 30


def test_the_bill_is_plain_arithmetic() -> None:
    passes = Work("sft", pass_operations=3600 * 0.5e9, core_seconds=7200)
    writes = Work("explore", written_operations=3600 * 0.25e9, written_bytes=2 * 3600 * 0.25e8)
    waits = Work("control", follows=("explore",))
    asks = Work("annotate", core_seconds=3600, judge_calls=1000)
    sft, explore, control, annotate = bill(
        [passes, writes, waits, asks], SLOW, devices=2, cores=2, prices=Prices(hour=10, call=0.01)
    )
    assert (sft.hours, sft.device_hours, sft.money) == pytest.approx((1.5, 3.0, 30.0))
    assert (explore.hours, explore.bound_by) == (pytest.approx(1.0), "writing: bandwidth")
    assert control.hours == explore.hours
    assert (annotate.hours, annotate.device_hours, annotate.money) == pytest.approx((0.5, 0.0, 10.0))
    with pytest.raises(ConfigError, match="at least one device"):
        bill([passes], SLOW, devices=0)


def test_larger_batches_write_in_less_time_until_arithmetic_binds() -> None:
    hours = [
        bill([work_of("explore", f"explore.generation.batch_size={size}")], SLOW)[0].hours
        for size in (1, 10, 100)
    ]
    assert hours[0] > hours[1] > hours[2]


def test_a_plan_tells_what_it_can_t_do() -> None:
    with pytest.raises(ConfigError, match="no hardware is called abacus") as caught:
        plan(quickstart(), COUNTS, hardware="abacus")
    assert "h100" in (caught.value.next_step or "")
    with pytest.raises(ConfigError, match="beside --train"):
        studies_of(quickstart(), None, 5, 0, 100)


def test_the_command_counts_the_data_and_sums_up() -> None:
    arguments = ["cost", str(REPOSITORY / "configs/quickstart.yaml"), "--json", "--hour-price", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["counts"]["train"] == quickstart().data.phantoms.train
    assert told["hours"] == pytest.approx(sum(post["hours"] for post in told["posts"]))
    assert told["money"] == pytest.approx(2 * told["device_hours"])
    assert [post["stage"] for post in told["posts"]] == [
        name for name in quickstart().stages if name != "report"
    ]
    table = CliRunner().invoke(app, [*arguments[:2], "--train", "1000", "--hardware", "a100"])
    assert table.exit_code == 0
    assert "1,000" in table.output
