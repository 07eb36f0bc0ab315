"""What the fine-tuning loss sees, what of the model learns, and that a cut training goes on."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import ModelError
from radflow.models.prompts import target_text
from radflow.models.vlm import Policy, learns, load_policy, part_of, set_trainable
from radflow.records import Study
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training.augment import augment_image
from radflow.training.checkpoints import last_whole_checkpoint
from radflow.training.report_rows import LengthGroupedSampler, ReportRows, with_others_images
from radflow.training.sft import train_sft
from tests.integration.small import SMALL


@pytest.fixture
def batch(policy: Policy, studies: list[Study], small_config: RunConfig, small_run: Path) -> dict:
    rows = ReportRows(studies[:4], small_config.model, image_root=small_run, augment=False, seed=0)
    collate = DataCollatorForVisionLanguageModeling(policy.processor, completion_only_loss=True)
    dataset = rows.as_dataset()
    return collate([dataset[index] for index in range(4)])


def test_labels_are_the_report_and_nothing_else(policy: Policy, studies: list[Study], batch: dict) -> None:
    for labels, study in zip(batch["labels"], studies[:4], strict=True):
        seen = policy.processor.tokenizer.decode(labels[labels != -100])
        assert seen == target_text(study.report) + "</s>"


def test_loss_ignores_prompt_labels_and_counts_report_labels(policy: Policy, batch: dict) -> None:
    def loss_with(labels: torch.Tensor) -> float:
        """The loss by hand: mean negative log-likelihood of labels that are not -100."""
        with torch.no_grad():
            logits = policy.model(**{k: v for k, v in batch.items() if k != "labels"}).logits
        log_probs = logits[:, :-1].log_softmax(-1)
        wanted = labels[:, 1:]
        kept = wanted != -100
        picked = log_probs.gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return float(-picked[kept].mean())

    with torch.no_grad():
        model_loss = float(policy.model(**batch).loss)
    assert model_loss == pytest.approx(loss_with(batch["labels"]), abs=1e-5)
    prompt = (batch["labels"] == -100) & (batch["attention_mask"] == 1)
    with_prompt = torch.where(prompt, batch["input_ids"], batch["labels"])
    assert loss_with(with_prompt) != pytest.approx(model_loss, abs=1e-3)


def test_prompt_holds_one_image_token_per_patch(policy: Policy, batch: dict, small_config: RunConfig) -> None:
    tiny = small_config.model.tiny
    patches = (tiny.image_size // tiny.patch_size) ** 2
    per_row = (batch["input_ids"] == policy.model.config.image_token_id).sum(dim=1)
    assert per_row.tolist() == [patches] * 4


def test_training_beats_the_uniform_guess(small_run: Path, small_config: RunConfig) -> None:
    facts = RunDir(small_run).manifest("sft")["facts"]
    assert facts["best_validation_loss"] < math.log(small_config.model.tiny.vocabulary) - 0.5
    assert 0 < facts["trainable_parameters"] < facts["parameters"]  # the warmed-up eyes are frozen


def test_lora_learns_adapter_and_connector_only(small_run: Path, tmp_path: Path) -> None:
    """A model folder, as a user has one: LoRA on the language model, connector trained, vision untouched."""
    base = small_run / "model-base"
    config = load_config(None, overrides=[*SMALL, f"model.name={base}", "sft.learning_rate=1e-2"])
    assert learns(config.model) == {"language": "lora", "vision": "frozen", "connector": "full"}
    run_stages(config, tmp_path / "lora")
    tuned = tmp_path / "lora" / "model-sft"
    assert (tuned / "adapter_config.json").is_file()
    assert not (tuned / "model.safetensors").exists()
    before = load_policy(base, config.model).model
    after = load_policy(tuned, config.model, base=base).model.merge_and_unload()
    assert _changed_parts(before, after) == {"language", "connector"}
    with pytest.raises(ModelError, match="base model"):
        load_policy(tuned, config.model)


def test_a_tiny_model_keeps_the_eyes_of_its_warm_up(small_config: RunConfig, small_run: Path) -> None:
    before, after = (
        load_policy(small_run / name, small_config.model).model for name in ("model-base", "model-sft")
    )
    assert _changed_parts(before, after) == {"language"}


def test_a_tiny_model_without_warm_up_learns_whole() -> None:
    config = load_config(None, overrides=["model.tiny.warmup_epochs=0"])
    assert learns(config.model) == {"language": "full", "vision": "full", "connector": "full"}


def _changed_parts(before: nn.Module, after: nn.Module) -> set[str]:
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    return {part_of(name) for (name, old), (_, new) in pairs if not torch.equal(old, new)}


def test_others_images_come_from_another_study_with_as_many(studies: list[Study]) -> None:
    pair = [study.model_copy(update={"images": study.images * 2}) for study in studies[:2]]
    alone = studies[2].model_copy(update={"images": studies[2].images * 3})
    mixed = [studies[3], pair[0], alone, studies[4], pair[1], studies[5]]
    exchanged = with_others_images(mixed)
    assert [row.report for row in exchanged] == [row.report for row in mixed]
    for before, after in zip(mixed, exchanged, strict=True):
        assert len(after.images) == len(before.images)
        assert (after.images == before.images) == (before is alone)
    assert sorted(row.images for row in exchanged) == sorted(row.images for row in mixed)


def test_the_manifest_says_how_much_the_model_looks(
    policy: Policy, studies: list[Study], small_config: RunConfig, small_run: Path
) -> None:
    """The gap is the loss to others' images minus the loss to the right ones, computed here by hand."""
    facts = RunDir(small_run).manifest("sft")["facts"]
    held_out = [study for study in studies if study.split == "validation"]
    collate = DataCollatorForVisionLanguageModeling(policy.processor, completion_only_loss=True)
    losses = []
    for shown in (held_out, with_others_images(held_out)):
        rows = ReportRows(shown, small_config.model, image_root=small_run, augment=False, seed=0).as_dataset()
        with torch.no_grad():  # one batch holds them all
            losses.append(float(policy.model(**collate([rows[row] for row in range(len(shown))])).loss))
    assert facts["best_validation_loss"] == pytest.approx(losses[0], abs=1e-5)
    assert facts["image_gap"] == pytest.approx(losses[1] - losses[0], abs=1e-4)
    assert losses[0] != losses[1]


def test_a_model_that_cannot_learn_is_refused(policy: Policy, small_config: RunConfig) -> None:
    frozen = load_config(
        None, overrides=["model.language=frozen", "model.vision=frozen", "model.connector=frozen"]
    )
    with pytest.raises(ModelError, match="frozen"):
        set_trainable(policy.model, frozen.model)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.vision_tower.encoder.layers.0.mlp.fc1.weight", "vision"),
        ("model.visual.merger.mlp.0.weight", "connector"),
        ("model.visual.blocks.0.attn.qkv.weight", "vision"),
        ("model.vision_model.encoder.layers.0.weight", "vision"),
        ("model.connector.modality_projection.proj.weight", "connector"),
        ("model.multi_modal_projector.linear_1.weight", "connector"),
        ("model.language_model.layers.0.self_attn.q_proj.weight", "language"),
        ("model.text_model.layers.0.mlp.up_proj.weight", "language"),
        ("lm_head.weight", "language"),
    ],
)
def test_parts_are_told_apart_by_the_names_of_every_family(name: str, part: str) -> None:
    assert part_of(name) == part


def test_sampler_repeats_its_order_for_an_epoch_and_changes_it_between_epochs() -> None:
    lengths = [random.Random(0).randint(10, 200) for _ in range(103)]
    sampler = LengthGroupedSampler(lengths, 8, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    assert sorted(first) == list(range(103))
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_sampler_pads_less_than_a_plain_shuffle() -> None:
    generator = random.Random(1)
    lengths = [generator.randint(10, 200) for _ in range(640)]
    shuffled = random.Random(2).sample(range(640), 640)

    def padding(order: list[int]) -> int:
        batches = [[lengths[row] for row in order[at : at + 32]] for at in range(0, 640, 32)]
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    assert padding(list(LengthGroupedSampler(lengths, 32, seed=0))) < 0.4 * padding(shuffled)


def test_augmentation_never_mirrors() -> None:
    """A bright left half stays the bright half: left and right are findings."""
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 32, 64))
    for seed in range(50):
        moved = augment_image(image, random.Random(seed)).convert("L")
        left = sum(moved.crop((0, 0, 32, 64)).get_flattened_data())
        right = sum(moved.crop((32, 0, 64, 64)).get_flattened_data())
        assert left > 3 * right


def test_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(
    small_run: Path, small_config: RunConfig, studies: list[Study], tmp_path: Path
) -> None:
    """Transformers' own loading leaves a LLaVA model at its first weights, without an error."""
    train = [study for study in studies if study.split == "train"]
    held_out = [study for study in studies if study.split == "validation"]

    def tune(checkpoints: Path) -> tuple[Policy, dict]:
        return train_sft(
            load_policy(small_run / "model-base", small_config.model),
            train=train,
            validation=held_out,
            config=small_config.sft,
            model_config=small_config.model,
            image_root=small_run,
            checkpoints=checkpoints,
            logs=tmp_path / "logs",
            seed=0,
        )

    whole, _ = tune(tmp_path / "whole")
    first = min((tmp_path / "whole").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    shutil.copytree(first, tmp_path / "cut" / first.name)
    resumed, facts = tune(tmp_path / "cut")
    assert facts["resumed_from_step"] == int(first.name.split("-")[1])
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((10, "{}"), (20, "{}"), (30, None), (40, '{"cut')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    assert not (tmp_path / "checkpoint-30").exists()
    shutil.rmtree(tmp_path / "checkpoint-10")
    shutil.rmtree(tmp_path / "checkpoint-20")
    assert last_whole_checkpoint(tmp_path) is None


def test_losses_are_kept_and_reported(small_run: Path) -> None:
    rows = [json.loads(line) for line in (small_run / "sft_history.jsonl").read_text().splitlines()]
    facts = json.loads((small_run / "manifests/sft.json").read_text())["facts"]
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert steps[-1] == facts["steps"]
    assert min(row["eval_loss"] for row in rows if "eval_loss" in row) == facts["best_validation_loss"]
    page = (small_run / "report.html").read_text()
    assert "Loss, nats per report token" in page
    assert page.count("<article") == 12  # all test studies: fewer than report.cases
