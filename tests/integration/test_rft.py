"""Reinforcement fine-tuning as a stage: it ends, goes on where it was cut, and changes what it may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import ConfigError, DataError
from radflow.jsonl import read_jsonl, write_jsonl
from radflow.models.generation import encode_prompts
from radflow.models.shared_vision import images_seen_once
from radflow.models.vlm import Policy, load_policy, part_of
from radflow.records import Criticality, SelectedStudy, Study
from radflow.run_dir import RunDir
from radflow.stages import rft
from radflow.training.rft_history import History, Row, read_history
from radflow.training.rft_validation import Validation
from radflow.training.rollout_rows import RolloutRows, training_studies
from tests.integration.small import SMALL

QUICK = (
    "rft.steps=6", "rft.prompts_per_step=3", "rft.group_size=4", "rft.validate_every=2",
    "rft.max_new_tokens=12", "rft.learning_rate=1e-2", "rft.validation_studies=4",
)  # fmt: skip


def config_with(*overrides: str) -> RunConfig:
    return load_config(None, overrides=[*SMALL, *QUICK, *overrides])


def selected_run(small_run: Path, folder: Path, *names: str) -> Path:
    """A run folder after annotate: every third training study is critical, every second one an anchor."""
    folder.mkdir()
    for name in ("studies.jsonl", "images", "model-base", "model-sft", *names):
        (folder / name).symlink_to(small_run / name)
    train = [row for row in read_jsonl(Study, folder / "studies.jsonl") if row.split == "train"]
    write_jsonl(
        folder / "hard.jsonl",
        [
            SelectedStudy(
                study_id=row.study_id, chosen_as="anchor" if n % 2 else "hardest", composite=n / 100
            )
            for n, row in enumerate(train)
        ],
    )
    write_jsonl(
        folder / "criticality.jsonl",
        [
            Criticality(study_id=row.study_id, is_critical=n % 3 == 0, confidence=0.75, reason="made up")
            for n, row in enumerate(train)
        ],
    )
    write_jsonl(folder / "annotate_failures.jsonl", [])
    return folder


def run_rft(folder: Path, config: RunConfig) -> dict[str, Any]:
    with RunDir.open(folder) as run:
        return rft.run(config, run)


@pytest.fixture(scope="module")
def whole(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = selected_run(small_run, tmp_path_factory.mktemp("rft") / "run")
    return folder, run_rft(folder, config_with())


def weights(folder: Path, config: RunConfig) -> dict[str, torch.Tensor]:
    return dict(load_policy(folder, config.model).model.named_parameters())


def changed_parts(before: Path, after: Path, config: RunConfig) -> set[str]:
    old, new = weights(before, config), weights(after, config)
    assert old.keys() == new.keys()
    return {part_of(name) for name in old if not torch.equal(old[name], new[name])}


def test_only_the_language_model_learns(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = whole
    assert changed_parts(folder / "model-sft", folder / "model-rft", config_with()) == {"language"}
    assert facts["steps"] == 6
    assert facts["critical_studies"] == 16
    assert 0 < facts["reward_seconds"] < facts["seconds"]


def test_the_summary_s_clip_fraction_is_that_of_all_passes() -> None:
    """Rewards are logged at a rollout's first pass, in which nothing clips: the others count too."""
    history: list[Row] = [
        {"step": 1, "loss": 0.0, "all/reward": 1.0, "critical/clip_fraction": 0.0},
        {"step": 2, "loss": 0.0, "critical/clip_fraction": 0.5, "normal/clip_fraction": 0.125},
    ]
    first, *_, last = rft.outcome(history, {"steps": 2, "reward_seconds": 1.5, "seconds": 60.0})
    assert last == "clip fraction: critical 0.2500, normal 0.1250"
    assert first.endswith("2.5% of the time was the reward's")


def test_the_history_starts_with_the_sft_model_and_has_every_step(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = whole
    history = read_history(folder / "rft_history.jsonl")
    assert [row["step"] for row in history if "loss" in row] == [1, 2, 3, 4, 5, 6]
    validations = {row["step"]: row["validation_reward"] for row in history if "validation_reward" in row}
    assert list(validations) == [0, 2, 4, 6]
    assert facts["best_validation_reward"] == max(value for step, value in validations.items() if step)
    assert validations[facts["best_step"]] == facts["best_validation_reward"]
    for name in ("language", "domain", "consistency", "impression"):
        assert any(f"critical/reward_{name}" in row for row in history)
        assert any(f"normal/applies_{name}" in row for row in history)
    assert any("hardest/reward" in row for row in history)
    assert any("anchor/reward" in row for row in history)


def test_the_best_checkpoint_is_kept(whole: tuple[Path, dict[str, Any]]) -> None:
    """The saved model's validation is the best one, computed here anew."""
    folder, facts = whole
    config = config_with()
    held_out = [row for row in read_jsonl(Study, folder / "studies.jsonl") if row.split == "validation"]
    check = Validation(
        held_out[: config.rft.validation_studies],
        reward=rft.HierarchicalReward(config.reward),
        model=config.model,
        max_new_tokens=config.rft.max_new_tokens,
        image_root=folder,
    )
    again = check(load_policy(folder / "model-rft", config.model))
    assert again["reward"] == pytest.approx(facts["best_validation_reward"], abs=1e-9)


def test_a_cut_run_goes_on(whole: tuple[Path, dict[str, Any]], small_run: Path, tmp_path: Path) -> None:
    """From the second checkpoint on: the same steps, nothing twice, the same weights."""
    folder, _ = whole
    config = config_with()
    cut = selected_run(small_run, tmp_path / "cut")
    checkpoints = sorted((folder / "checkpoints-rft").glob("checkpoint-*"))
    first = min(checkpoints, key=lambda path: int(path.name.split("-")[1]))
    step = int(first.name.split("-")[1])
    assert step < 6
    shutil.copytree(first, cut / "checkpoints-rft" / first.name)
    best = Path(json.loads((first / "trainer_state.json").read_text())["best_model_checkpoint"])
    if not (first.parent / best.name).is_dir():  # was best by then, and went when a later one was better
        shutil.copytree(first, cut / "checkpoints-rft" / best.name)
    (cut / "checkpoints-rft" / "checkpoint-99").mkdir()  # half written
    shutil.copy(folder / "rft_history.jsonl", cut)
    resumed = run_rft(cut, config)
    assert resumed["resumed_from_step"] == step
    before, after = (read_history(path / "rft_history.jsonl") for path in (folder, cut))
    assert [row["step"] for row in after] == [row["step"] for row in before]
    known = [row for row in before if row["step"] <= step]
    assert after[: len(known)] == known
    losses = [[row["loss"] for row in rows if "loss" in row] for rows in (before, after)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_lora_sits_on_the_merged_model_and_comes_out_whole(small_run: Path, tmp_path: Path) -> None:
    config = config_with("rft.language=lora", "rft.beta=0.1")
    folder = selected_run(small_run, tmp_path / "lora")
    facts = run_rft(folder, config)
    assert 0 < facts["trainable_parameters"] < facts["parameters"] / 2
    assert not (folder / "model-rft" / "adapter_config.json").exists()
    assert changed_parts(folder / "model-sft", folder / "model-rft", config) == {"language"}
    history = [row for row in read_history(folder / "rft_history.jsonl") if "loss" in row]
    # The reference is the SFT model, the adapter switched off: no distance in the first pass, some later.
    assert history[0]["kl"] == pytest.approx(0, abs=1e-6)
    for stratum in ("critical/kl", "normal/kl"):
        assert history[0].get(stratum, 0) == pytest.approx(0, abs=1e-6)
        assert max(row.get(stratum, 0) for row in history) > 1e-6


def test_a_whole_model_with_kl_needs_a_whole_sft_model(small_run: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    folder = selected_run(small_run, tmp_path / "adapter")
    config = config_with("rft.language=full", "rft.beta=0.1")
    (folder / "model-sft").unlink()
    policy = load_policy(small_run / "model-base", config.model)
    tuned = get_peft_model(policy.model, LoraConfig(target_modules=["q_proj"]))
    Policy(tuned, policy.processor).save(folder / "model-sft")
    with pytest.raises(ConfigError, match=r"rft\.beta, rft\.language"):
        run_rft(folder, config)


def test_studies_that_do_not_fit_together_are_refused(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = whole
    studies = list(read_jsonl(Study, folder / "studies.jsonl"))
    selected = list(read_jsonl(SelectedStudy, folder / "hard.jsonl"))
    verdicts = {row.study_id: row for row in read_jsonl(Criticality, folder / "criticality.jsonl")}
    assert len(training_studies(studies, selected, verdicts)) == len(selected)
    with pytest.raises(DataError, match=r"criticality\.jsonl"):
        training_studies(studies, selected, {})
    stranger = selected[0].model_copy(update={"study_id": "nobody"})
    with pytest.raises(DataError, match=r"hard\.jsonl: nobody"):
        training_studies(studies, [stranger], verdicts)
    with pytest.raises(DataError, match="no studies"):
        training_studies(studies, [], verdicts)


def test_rows_carry_what_the_clip_and_the_reward_need(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = whole
    studies = [row for row in read_jsonl(Study, folder / "studies.jsonl") if row.split == "train"][:4]
    verdicts = {row.study_id: row for row in read_jsonl(Criticality, folder / "criticality.jsonl")}
    rows = RolloutRows(
        studies, config_with().model, image_root=folder, criticality=verdicts, chosen_as={}
    ).as_dataset()
    assert [row["study_id"] for row in rows] == [study.study_id for study in studies]
    assert [row["is_critical"] for row in rows] == [True, False, False, True]
    assert [row["criticality"] for row in rows] == [0.75, 0.25, 0.25, 0.75]


def test_images_of_a_group_are_encoded_once(small_run: Path, small_config: RunConfig) -> None:
    studies = list(read_jsonl(Study, small_run / "studies.jsonl"))[:4]
    policy = load_policy(small_run / "model-sft", small_config.model)
    model = policy.model.requires_grad_(False)
    group = [studies[0], studies[1], studies[0], studies[2], studies[0]]
    inputs = encode_prompts(policy, group, small_config.model, image_root=small_run)
    encoder, seen = model.model.vision_tower, []
    layer = encoder.get_submodule("encoder.layers.0") if hasattr(encoder, "encoder") else encoder
    handle = layer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(args[0] if args else kwargs["hidden_states"])),
        with_kwargs=True,
    )
    with torch.no_grad():
        plain = model(**inputs).logits
        with images_seen_once(model):
            shared, again = model(**inputs).logits, model(**inputs).logits
            some = [studies[2], studies[1]]
            other = model(**encode_prompts(policy, some, small_config.model, image_root=small_run))
            model(**encode_prompts(policy, studies[2:], small_config.model, image_root=small_run))
    handle.remove()
    assert seen == [5, 3, 2]  # the fourth study is new: its call is encoded whole
    torch.testing.assert_close(shared, plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(again, plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(other.logits[:, -30:], plain[[3, 1], -30:], rtol=0, atol=1e-5)
    assert "forward" not in vars(encoder)


def test_an_encoder_that_learns_is_left_alone(small_run: Path, small_config: RunConfig) -> None:
    model = load_policy(small_run / "model-sft", small_config.model).model.requires_grad_(True)
    with images_seen_once(model):
        assert "forward" not in vars(model.model.vision_tower)


def test_a_torn_line_of_a_killed_run_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rft_history.jsonl"
    path.write_text('{"step": 0}\n{"step": 2}\n{"step": 3}\n{"st', encoding="utf-8")
    history = History(path, resumed_step=2)
    history.append({"step": 3, "loss": 0.5})
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == history.rows == [{"step": 0}, {"step": 2}, {"step": 3, "loss": 0.5}]
