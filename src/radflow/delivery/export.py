"""`radflow export`: a run's model -> a folder that plain transformers loads, with a card that tells of it"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import GenerationConfig

from radflow.delivery.finished_run import FinishedRun, open_finished
from radflow.delivery.model_card import Card, model_card
from radflow.delivery.writing import save_settings, settings_of_run
from radflow.errors import RunError
from radflow.jsonl import write_text_atomically
from radflow.models.vlm import Policy, pick_dtype
from radflow.owner_only import make_private, private_files

CARD = "README.md"


def export_model(root: Path, out: Path, *, wanted: str | None = None, dtype: str = "auto") -> FinishedRun:
    """Write a run's model to a new folder: one whole model (safetensors), processor, settings and card.

    The folder appears complete or not at all, and only its owner may read it. Adapters that were trained over
    4-bit weights are merged into those from which the 4-bit ones were made: merged into NF4 they would be
    rounded to its 16 levels, and plain transformers could not load what was written.

    Args:
        wanted: "sft" or "rft"; ``None`` takes rft if the run has it.
        dtype: precision of the written weights: float32, bfloat16, or auto, as the run's settings pick it.

    Raises:
        RunError: no finished model, or ``out`` is there and not empty.
        ModelError: the model can't be loaded.
    """
    finished = open_finished(root, wanted)
    out = out.resolve()  # "." has no name, and a relative path no place once its folder is gone
    _require_free(out)
    changes = {"device": "cpu", "quantization": "none"}
    if dtype == "auto":
        policy = whole(finished.load(**changes))
    else:  # merged in full precision, whatever is written
        policy = whole(finished.load(**changes, dtype="float32"))
        policy.model.to(pick_dtype(dtype, "cpu"))
    partial = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        make_private(partial)
        with private_files():
            _write(policy, finished, partial, name=out.name)
        _publish(partial, out)
    except OSError as error:
        what = f"the folder can't be written: {error.strerror or type(error).__name__}"
        raise RunError(what, where=str(out), next_step="Free space, or name another folder.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return finished


def whole(policy: Policy) -> Policy:
    """The model with its adapter merged into its weights."""
    if not isinstance(policy.model, PeftModel):
        return policy
    return Policy(policy.model.merge_and_unload(), policy.processor)


def _write(policy: Policy, finished: FinishedRun, folder: Path, *, name: str) -> None:
    settings = settings_of_run(finished)
    generation: GenerationConfig = policy.model.generation_config
    # Greedy and bounded, as radflow writes: the defaults of transformers stop after 20 tokens.
    generation.update(do_sample=False, max_new_tokens=settings.max_new_tokens)
    for unused in ("temperature", "top_p", "top_k"):
        setattr(generation, unused, None)  # else transformers refuses to save them beside greedy decoding
    policy.save(folder)
    save_settings(settings, folder)
    card = Card.of(finished, settings, name=name, imports=own_modules(policy.model))
    write_text_atomically(folder / CARD, model_card(card))


def _publish(partial: Path, out: Path) -> None:
    """Give a finished folder its name; an empty one that is there is filled: somebody may stand in it."""
    if not out.is_dir():
        partial.rename(out)
        return
    out.chmod(0o700)
    # Last what nothing can be loaded without: a folder that was only begun is no model.
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        path.rename(out / path.name)


def own_modules(model: Any) -> list[str]:
    """Modules of radflow whose ``register`` must be called before transformers knows the model's classes."""
    names = {type(module).__module__ for module in model.modules()}
    return sorted(name for name in names if name.split(".")[0] == "radflow")


def _require_free(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(
            "the folder is there already and not empty",
            where=f"-o {out}",
            next_step="Name another one, or delete it first.",
        )
