"""Run folders with tiny models made on the spot: whole ones, and adapters as LoRA runs have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.jsonl import write_json
from radflow.models.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from radflow.models.efficientnet_smollm2 import END, PAD, START, make_tokenizer, write_model
from radflow.models.tiny import make_processor, make_tiny_model
from radflow.models.vlm import Policy, load_policy
from radflow.models.vocabulary import cut_backend, kept_tokens
from radflow.run_dir import RunDir

SETTINGS = (
    "model.prompt=Write about it.", "model.tiny.image_size=32", "model.tiny.patch_size=8",
    "model.tiny.hidden_size=32", "model.tiny.vision_layers=1", "model.tiny.language_layers=1",
    "model.tiny.vocabulary=400", "model.tiny.max_positions=256", "data.max_images=2",
    "data.phantoms.lateral=true", "data.views=all", "data.image_long_side=64",
    "evaluate.generation.max_new_tokens=12", "seed=3",
)  # fmt: skip
TEXTS = ("FINDINGS: Clear lungs.\nIMPRESSION: No acute disease.", "Write about it.\nIndication: cough")
INTERVAL = {"value": 0.25, "low": 0.2, "high": 0.3, "studies": 40}
SUMMARY = {
    "split": "test",
    "studies": 40,
    "confidence": 0.95,
    "systems": {
        name: {"scores": {"all": {"report": {"bleu-4": INTERVAL, "consistency-rate": INTERVAL}}}}
        for name in ("sft", "rft")
    },
    "differences": {
        "rft - sft": {"scores": {"all": {"report": {"bleu-4": {**INTERVAL, "value": 0.125, "p": 0.5}}}}}
    },
}


def make_run(
    folder: Path,
    *,
    lora: bool = False,
    stages: tuple[str, ...] = ("sft", "rft"),
    overrides: tuple[str, ...] = (),
) -> RunConfig:
    """A run folder with finished models; with LoRA, model-rft is an adapter on the merged model-sft."""
    settings = [*SETTINGS, *(["model.language=lora"] if lora else []), *overrides]
    config = load_config(None, overrides=settings)
    folder.mkdir(mode=0o700)
    base = folder / "model-base"
    if config.model.name == "efficientnet-smollm2":
        make_small_efficientnet_smollm2(base, config)
    else:
        make_tiny_model(base, TEXTS, config.model.tiny, seed=1)
    # Adapters go into files in the same way over whole weights, and no GPU is needed to make them.
    policy = load_policy(base, config.model.model_copy(update={"quantization": "none"}))
    for number, stage in enumerate(stages):
        policy = _trained(policy, folder / f"model-{stage}", lora=lora, seed=number)
    with RunDir.open(folder) as run:
        facts: dict[str, dict[str, Any]] = {
            "sft": {"train_studies": 160, "steps": 20, "best_validation_loss": 1.5},
            "rft": {"studies": 83, "critical_studies": 15, "steps": 4, "best_step": 4, "signatures": []},
        }
        _finish(
            run, "prepare", config, {"studies": {"train": 160, "test": 40}, "left_out": {"no_image": 2}}, ()
        )
        for stage in stages:
            _finish(run, stage, config, facts[stage], (f"model-{stage}",))
        write_json(run.path("summary.json"), SUMMARY)
        _finish(run, "evaluate", config, {}, ("summary.json",))
    return config


def make_small_efficientnet_smollm2(folder: Path, config: RunConfig) -> None:
    """The same joining as of the pretrained parts, with small random ones."""
    tokenizer = make_processor(TEXTS, config.model.tiny).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [PAD, START, END]})
    torch.manual_seed(1)
    vision = EfficientNetLiteConfig(
        stem_channels=8, stages=[[1, 3, 1, 1, 8], [1, 3, 2, 2, 8]], taps=[0, 1], image_size=32
    )
    language = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    kept = kept_tokens(tokenizer, [*TEXTS, "user\n", "assistant\n"], specials=(PAD, START, END))
    write_model(
        folder, vision=EfficientNetLiteModel(vision), language=LlamaForCausalLM(language),
        tokenizer=make_tokenizer(cut_backend(tokenizer, kept)), kept=kept, layers=None, seed=0,
    )  # fmt: skip


def _trained(policy: Policy, folder: Path, *, lora: bool, seed: int) -> Policy:
    """A model whose weights differ from what they were; as later stages find it: whole."""
    torch.manual_seed(seed)
    model = policy.model
    if lora:
        targets = r".*language_model.*(q_proj|v_proj)"
        model = get_peft_model(model, LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    else:
        with torch.no_grad():
            model.get_input_embeddings().weight.add_(torch.randn_like(model.get_input_embeddings().weight))
    Policy(model, policy.processor).save(folder)
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    return Policy(whole, policy.processor)


def _finish(
    run: RunDir, stage: str, config: RunConfig, facts: dict[str, Any], outputs: tuple[str, ...]
) -> None:
    run.finish(
        stage,
        {"settings": {}},
        outputs=outputs,
        facts=facts,
        wall_time_s=1.0,
        config=config.model_dump(mode="json"),
    )
