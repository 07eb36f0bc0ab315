"""Load any transformers image-text-to-text model, decide what of it learns, save and reload it.

The parts of a vision-language model go by different names in every family; `part_of` tells them apart by the
names that transformers uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForImageTextToText

from radflow.config import MADE_MODELS, ModelConfig
from radflow.config import LoraConfig as LoraSettings
from radflow.errors import ModelError
from radflow.models import efficientnet_lite
from radflow.models.processors import load_processor
from radflow.models.quantization import four_bit
from radflow.processes import is_first

Part = Literal["vision", "connector", "language"]
CONNECTOR_NAMES = (
    "multi_modal_projector", "connector", "merger", "deepstack_merger_list", "mlp1", "embed_vision",
)  # fmt: skip
VISION_NAMES = ("vision_tower", "vision_model", "vision_encoder", "visual")
ADAPTER_FILE = "adapter_config.json"


@dataclass(frozen=True)
class Policy:
    """A model that writes reports, and the processor that turns messages and images into its inputs."""

    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """Write weights (safetensors; only the adapter for a LoRA model) and processor, once."""
        if not is_first():
            return
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def load_policy(source: str | Path, config: ModelConfig, *, base: str | Path | None = None) -> Policy:
    """Load a model, or an adapter on its base model, with its processor.

    Args:
        source: model folder, adapter folder or hub id.
        config: device and precision.
        base: base model of an adapter folder.

    Raises:
        ModelError: nothing loadable there, an adapter without its base, or 4 bit without bitsandbytes.
    """
    efficientnet_lite.register()
    is_adapter = (Path(source) / ADAPTER_FILE).is_file()
    if is_adapter and base is None:
        raise ModelError("an adapter needs its base model", where=str(source))
    device = pick_device(config.device)
    # A tiny model is trained whole, which bfloat16 weights are too coarse for.
    dtype = torch.float32 if config.name == "tiny" else pick_dtype(config.dtype, device)
    origin = str(base if is_adapter else source)
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": False}
    if config.quantization == "4bit":
        options |= four_bit(dtype=dtype, device=device, leave=(*VISION_NAMES, *CONNECTOR_NAMES))
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(origin, use_safetensors=True, **options)
        processor = load_processor(str(source) if is_adapter else origin)
    except ImportError as error:
        raise ModelError(
            f"the model needs a package that is not installed: {error}",
            where=origin,
            next_step="Install it with pip and run again.",
        ) from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"no image-text-to-text model can be loaded from there ({type(error).__name__})",
            where=origin,
            next_step="Give a folder that holds config.json, *.safetensors and the processor's files "
            "(start it with ./ or /), a hub id that is in the local cache or reachable, or one of the models "
            f"that radflow makes: {', '.join(MADE_MODELS)}.",
        ) from error
    if is_adapter:
        model = PeftModel.from_pretrained(model, str(source))
    _require_left_padding(processor)
    # 4-bit weights are on their device already, and can't be moved.
    return Policy(model if config.quantization == "4bit" else model.to(device), processor)


def pick_device(choice: str) -> str:
    """The device to run on; auto takes a GPU if there is one.

    Raises:
        ModelError: a device is asked for that this machine or this torch doesn't have.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device is available", where="model.device", next_step="Set it to auto.")
    if choice != "auto":
        return choice
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(choice: str, device: str) -> torch.dtype:
    if choice == "auto":
        choice = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if choice == "bfloat16" else torch.float32


def _require_left_padding(processor: Any) -> None:
    """Batched generation reads the last position of every row: with right padding that is a pad token."""
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def part_of(parameter_name: str) -> Part:
    """Which part of a vision-language model a parameter or module belongs to."""
    pieces = parameter_name.split(".")
    # The connector comes first: in some families (Qwen) it lives inside the vision module.
    if any(piece in CONNECTOR_NAMES for piece in pieces):
        return "connector"
    if any(piece in VISION_NAMES for piece in pieces):
        return "vision"
    return "language"


def learns(config: ModelConfig) -> dict[Part, str]:
    """How each part learns, with auto resolved: lora, full or frozen.

    A tiny model has its vision encoder and connector from the warm-up. Trained on beside a new language model
    they would forget what they see before it reads them (docs/results.md).
    """
    defaults: dict[Part, str] = {"language": "lora", "vision": "frozen", "connector": "full"}
    if config.name == "tiny":
        sees = "frozen" if config.tiny.warmup_epochs else "full"
        defaults = {"language": "full", "vision": sees, "connector": sees}
    chosen: dict[Part, str] = {
        "language": config.language, "vision": config.vision, "connector": config.connector
    }  # fmt: skip
    return {part: defaults[part] if mode == "auto" else mode for part, mode in chosen.items()}


def set_trainable(model: nn.Module, config: ModelConfig) -> LoraConfig | None:
    """Freeze and unfreeze parameters in place; return the adapter to add when the language model is LoRA.

    Raises:
        ModelError: nothing would learn, or a LoRA target matches no layer.
    """
    modes = learns(config)
    if modes["language"] != "lora":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(modes[part_of(name)] == "full")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ModelError("every part of the model is frozen", where="model.language, vision, connector")
        return None
    parts: tuple[Part, ...] = ("vision", "connector")
    fully_trained = [part for part in parts if modes[part] == "full"]
    roots = [name for part in fully_trained for name in _roots_of(model, part)]
    return lora_adapter(model, config.lora, dropout=config.lora.dropout, modules_to_save=roots or None)


def lora_adapter(
    model: nn.Module, config: LoraSettings, *, dropout: float, modules_to_save: list[str] | None = None
) -> LoraConfig:
    """The adapter to add to a model.

    Args:
        modules_to_save: modules that learn whole beside it and are kept with it.

    Raises:
        ModelError: the target matches no layer.
    """
    return LoraConfig(
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=dropout,
        use_dora=config.dora,
        use_rslora=config.rslora,
        target_modules=lora_targets(model, config.target),
        modules_to_save=modules_to_save,
        task_type="CAUSAL_LM",
    )


def lora_targets(model: nn.Module, target: str) -> list[str] | str:
    if target != "all-linear":
        return target
    head = model.get_output_embeddings()  # type: ignore[operator]
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and part_of(name) == "language" and module is not head
    ]
    if not names:
        raise ModelError(
            "no linear layer was found in the language model",
            where="model.lora.target",
            next_step="Name the modules by a regular expression in model.lora.target.",
        )
    return names


def _roots_of(model: nn.Module, part: Part) -> Iterator[str]:
    """Topmost modules of a part, by full name; of a list its members, since a list has no forward to wrap."""
    roots: list[str] = []
    for name, module in model.named_modules():
        if not name or isinstance(module, nn.ModuleList):
            continue
        if part_of(name) == part and not any(name.startswith(f"{root}.") for root in roots):
            roots.append(name)
    yield from roots


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Number of parameters, and of those that learn."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
