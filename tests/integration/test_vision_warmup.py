"""The warm-up teaches a new model to see, from words of training reports."""

from __future__ import annotations

from pathlib import Path

import torch

from radflow.config import RunConfig
from radflow.jsonl import read_jsonl
from radflow.models.generation import encode_prompts
from radflow.models.prompts import target_text
from radflow.models.tiny import make_tiny_model
from radflow.models.vlm import load_policy, part_of
from radflow.records import Study
from radflow.training.vision_warmup import warm_up_vision, word_targets


def test_targets_are_words_and_pairs_that_tell_reports_apart() -> None:
    texts = ["No effusion."] * 5 + ["Left effusion."] * 4 + ["Left pneumothorax."]
    targets = word_targets(texts)
    # no, no effusion, effusion (9 of 10: kept), left, left effusion, pneumothorax, left pneumothorax
    assert targets.shape == (10, 7)
    assert targets[0].sum() == 3
    assert torch.equal(targets[0], targets[4])
    assert not torch.equal(targets[5], targets[9])


def test_words_of_every_report_carry_nothing_and_are_left_out() -> None:
    targets = word_targets([f"Findings {word}" for word in ("clear", "effusion", "edema", "nodule")])
    assert (targets.sum(dim=0) == 1).all()


def test_encoder_learns_and_the_language_model_is_shown_standardised_features(
    small_config: RunConfig, small_run: Path, tmp_path: Path
) -> None:
    studies = list(read_jsonl(Study, small_run / "studies.jsonl"))[:32]
    make_tiny_model(tmp_path / "m", [target_text(s.report) for s in studies], small_config.model.tiny, seed=1)
    policy = load_policy(tmp_path / "m", small_config.model)
    before = {name: value.clone() for name, value in policy.model.named_parameters()}
    first, later = (
        warm_up_vision(policy, studies, epochs=epochs, image_root=small_run, augment=False, seed=0)
        for epochs in (1, 15)
    )
    assert later < first
    changed = {
        part_of(name)
        for name, value in policy.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert changed == {"vision", "connector"}
    policy.model.eval()
    inputs = encode_prompts(policy, studies, small_config.model, image_root=small_run)
    with torch.no_grad():
        features = policy.model.model.vision_tower(inputs["pixel_values"]).last_hidden_state
        shown = policy.model.model.multi_modal_projector(features).flatten(0, 1)
    assert shown.mean(dim=0).abs().max() < 0.5
    assert 0.5 < shown.std(dim=0).mean() < 1.5


def test_tiny_model_is_the_same_for_the_same_seed(small_config: RunConfig, tmp_path: Path) -> None:
    texts = ["The lungs are clear.", "Small left effusion."] * 10
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_tiny_model(tmp_path / name, texts, small_config.model.tiny, seed=seed)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]
