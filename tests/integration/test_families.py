"""Every family goes through SFT, generation and RFT with LoRA, and sees what it should: no more, no less.

Tiny models of the real architectures with their real processors; studies of one and two images of many sizes.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from radflow.config import GenerationConfig, RunConfig
from radflow.jsonl import read_jsonl
from radflow.models.generation import encode_prompts, end_tokens, generate_batch
from radflow.models.prompts import target_text
from radflow.models.run_models import run_model
from radflow.models.shared_vision import frozen_encoder, images_seen_once
from radflow.models.vlm import ADAPTER_FILE, Policy, load_policy, part_of
from radflow.records import ExploredCandidate, Study
from radflow.run_dir import RunDir
from radflow.stages.pipeline import run_stages
from radflow.training import rft
from radflow.training.report_rows import ReportRows
from tests.families import FAMILIES, Family, make_family
from tests.integration.family_case import PROMPT, TEXTS, family_config, write_studies

pytestmark = pytest.mark.slow
STAGES = ("prepare", "sft", "explore", "annotate", "rft")
GREEDY = GenerationConfig(max_new_tokens=6, batch_size=4)


@dataclass
class Trained:
    """A family's run through the stages, and what RFT's forward passes saw on the way."""

    family: Family
    config: RunConfig
    run: Path
    passes: list[Pass] = field(default_factory=list)

    @property
    def studies(self) -> list[Study]:
        return list(read_jsonl(Study, self.run / "studies.jsonl"))

    def model(self, folder: str) -> Policy:
        with RunDir.open(self.run) as run:
            return run_model(self.config, run, folder)


@dataclass(frozen=True)
class Pass:
    """One row of a forward pass of RFT: its prompt, and log-probabilities by the trainer and by the model on
    that row alone."""

    prompt: list[int]
    prompt_alone: list[int]
    trainer: torch.Tensor
    alone: torch.Tensor


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    needed = FAMILIES[request.param].needs
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"transformers wants the package {needed} for this processor")
    folder = tmp_path_factory.mktemp(request.param)
    family = make_family(request.param, folder / "model", TEXTS)
    config = family_config(write_studies(folder / "data"), folder / "model")
    result = Trained(family, config, folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rft, "ReportRFTTrainer", watching(result))
        run_stages(config, result.run, names=STAGES)
    return result


def distinct_letters(completions: list[Any], **_: Any) -> list[float]:
    """A reward that differs even among the reports of random weights."""
    return [len(set(completion[0]["content"])) / 26 for completion in completions]


def watching(result: Trained) -> type[rft.ReportRFTTrainer]:
    """The trainer, which also computes each row's log-probabilities from the study alone, without padding."""

    class Watched(rft.ReportRFTTrainer):
        chunk_rows = 1  # rows of one image, where a row has its own pixels, go through one by one

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**{**arguments, "reward_funcs": distinct_letters})

        def _get_per_token_logps_and_entropies(
            self, model: Any, input_ids: torch.Tensor, mask: torch.Tensor, keep: int, **more: Any
        ) -> tuple[Any, ...]:
            passed = super()._get_per_token_logps_and_entropies(model, input_ids, mask, keep, **more)
            for row in range(len(input_ids) if passed[0] is not None else 0):
                length = int(mask[row, -keep:].sum())
                prompt, written = input_ids[row, :-keep], input_ids[row, -keep:][:length]
                prompt = prompt[mask[row, :-keep].bool()]
                prompt_alone, alone = self.alone(model, prompt, written)
                logps = passed[0][row, :length].detach()
                result.passes.append(Pass(prompt.tolist(), prompt_alone.tolist(), logps, alone))
            return passed

        @torch.no_grad()
        def alone(self, model: Any, prompt: torch.Tensor, written: torch.Tensor) -> Any:
            text = self.policy.processor.tokenizer.decode(prompt)
            named = "s" + re.search(r"Study (\d)", text)[1]
            (study,) = [study for study in result.studies if study.study_id == named]
            inputs = encode_prompts(self.policy, [study], result.config.model, image_root=result.run)
            prompt_alone = inputs["input_ids"][0]
            extended = {
                name: torch.cat([inputs[name], torch.zeros_like(written)[None]], dim=1)
                for name in ("token_type_ids", "mm_token_type_ids") if name in inputs
            }  # fmt: skip
            tokens = torch.cat([prompt_alone, written])[None]
            extended |= {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
            logits = model(**{**inputs, **extended}).logits[0, len(prompt_alone) - 1 : -1]
            return prompt_alone, logits.log_softmax(-1).gather(-1, written[:, None])[:, 0]

    return Watched


@pytest.fixture
def base(trained: Trained) -> Policy:
    return load_policy(trained.config.model.name, trained.config.model)


def test_the_loss_sees_the_report_alone(trained: Trained, base: Policy) -> None:
    """And what it is predicted from: every image's tokens, the prompt once, no padding between them."""
    studies, tokenizer = trained.studies[:4], base.processor.tokenizer
    rows = ReportRows(studies, trained.config.model, image_root=trained.run, augment=False, seed=0)
    collate = DataCollatorForVisionLanguageModeling(base.processor, completion_only_loss=True)
    dataset = rows.as_dataset()
    batch = collate([dataset[row] for row in range(len(studies))])
    image_id = tokenizer.convert_tokens_to_ids(trained.family.image_token)
    for study, tokens, mask, labels in zip(
        studies, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
    ):
        assert tokenizer.decode(labels[labels != -100]) == target_text(study.report) + trained.family.end
        shown = tokens[(labels == -100) & (mask == 1)]
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)
        read = tokenizer.decode(shown[shown != image_id])
        assert read.count(PROMPT) == 1
        assert read.count(f"Indication: {study.indication}") == 1
        assert target_text(study.report) not in read
        alone = encode_prompts(base, [study], trained.config.model, image_root=trained.run)["input_ids"][0]
        assert shown.tolist() == alone.tolist()
        assert int((alone == image_id).sum()) >= 2 * len(study.images)
    with torch.no_grad():  # refuses an image token too many or too few
        assert torch.isfinite(base.model(**batch).loss)


def test_prompts_are_padded_on_the_left(trained: Trained, base: Policy) -> None:
    studies, config = trained.studies[:4], trained.config.model
    inputs = encode_prompts(base, studies, config, image_root=trained.run)
    assert inputs["attention_mask"][:, -1].tolist() == [1] * 4
    assert inputs["attention_mask"][:, 0].min() == 0
    alone = [generate_batch(base, [study], config, GREEDY, image_root=trained.run)[0] for study in studies]
    assert generate_batch(base, studies, config, GREEDY, image_root=trained.run) == alone


def test_every_image_reaches_the_model(trained: Trained, base: Policy) -> None:
    pair = next(study for study in trained.studies if len(study.images) == 2)

    def logits(images: tuple[str, ...]) -> torch.Tensor:
        shown = pair.model_copy(update={"images": images})
        inputs = encode_prompts(base, [shown], trained.config.model, image_root=trained.run)
        with torch.no_grad():
            return base.model(**inputs).logits[0, -1]

    first, second = pair.images
    right = logits((first, second))
    assert not torch.allclose(right, logits((first, first)), atol=1e-4)
    assert not torch.allclose(right, logits((second, second)), atol=1e-4)


def test_rft_rates_what_was_written_for_the_study(trained: Trained) -> None:
    """Through padding, splitting and the shared encoder, a row's log-probabilities are those of it alone."""
    assert len(trained.passes) >= 8
    for row in trained.passes:
        assert row.prompt == row.prompt_alone
        torch.testing.assert_close(row.trainer, row.alone, rtol=0, atol=1e-3)
    assert any(len(row.trainer) > 1 for row in trained.passes)


def test_lora_learns_in_the_language_model_and_the_connector(trained: Trained) -> None:
    whole = load_policy(trained.config.model.name, trained.config.model).model
    assert (trained.run / "model-sft" / ADAPTER_FILE).is_file()
    sft, tuned = trained.model("model-sft"), trained.model("model-rft")
    assert changed_parts(whole, sft.model) == {"language", "connector"}
    assert changed_parts(sft.model, tuned.model) == {"language"}


def test_a_tuned_model_still_ends_where_its_turn_ends(trained: Trained) -> None:
    tuned = trained.model("model-rft")
    end = tuned.processor.tokenizer.convert_tokens_to_ids(trained.family.end.strip())
    assert end in end_tokens(tuned)


def changed_parts(before: nn.Module, after: nn.Module) -> set[str]:
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    return {part_of(name) for (name, old), (_, new) in pairs if not torch.equal(old, new)}


def test_explore_wrote_a_report_for_every_training_study(trained: Trained) -> None:
    written = read_jsonl(ExploredCandidate, trained.run / "candidates.jsonl")
    assert sorted(row.study_id for row in written) == ["s0", "s1", "s2", "s3"]


def test_images_of_a_group_are_encoded_once(trained: Trained, base: Policy) -> None:
    """Whatever the encoder is called with: squares, tiles, masked parts, packed patches."""
    one, pair = trained.studies[:2]
    model = base.model.requires_grad_(False)
    encoder, sizes = frozen_encoder(model), []
    assert encoder is not None
    embed = next(module for module in encoder.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d)))
    handle = embed.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    group = encode_prompts(base, [one, pair, one, pair], trained.config.model, image_root=trained.run)
    with torch.no_grad():
        plain = model(**group).logits
        with images_seen_once(model):
            shared, again = model(**group).logits, model(**group).logits
    handle.remove()
    assert len(sizes) == 2
    assert 2 * sizes[1] <= sizes[0]
    seen = group["attention_mask"].bool()
    torch.testing.assert_close(shared[seen], plain[seen], rtol=0, atol=1e-4)
    torch.testing.assert_close(again[seen], plain[seen], rtol=0, atol=1e-4)
