"""How a model is asked to write as it was trained to: prompt, image size, limits; kept with its weights"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radflow.config import ModelConfig, RunConfig
from radflow.data.views import kept_views
from radflow.delivery.finished_run import FinishedRun, open_finished
from radflow.errors import ConfigError, ModelError
from radflow.jsonl import write_json
from radflow.models.vlm import Policy, load_policy
from radflow.run_dir import listing_hash

FILE = "radflow.json"
OWN_ONTOLOGY = "ontology.yaml"
PLAIN = RunConfig()


class WritingSettings(BaseModel):
    """What a model was trained with, and writes with.

    Attributes:
        prompt, show_indication, bf16_autocast: as in ``model`` of the settings.
        show_comparison, show_previous: likewise; what is written for comes with neither.
        views: which views its studies had: frontal only, or all, as where their source knows none.
        image_long_side, max_images: as in ``data``.
        max_new_tokens: length limit of a report.
        ontology: what checks its reports by.
        model: a short name of the model, for those who read its reports.
        weights: hash of the weights, as the run has recorded it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str = Field(PLAIN.model.prompt, min_length=1)
    show_indication: bool = PLAIN.model.show_indication
    show_comparison: bool = PLAIN.model.show_comparison
    show_previous: bool = PLAIN.model.show_previous
    bf16_autocast: bool = PLAIN.model.bf16_autocast
    views: Literal["frontal", "all"] = "all"
    image_long_side: int = Field(PLAIN.data.image_long_side, ge=16, le=8192)
    max_images: int = Field(PLAIN.data.max_images, ge=1)
    max_new_tokens: int = Field(PLAIN.evaluate.generation.max_new_tokens, ge=1)
    ontology: str = PLAIN.evaluate.ontology
    model: str = "model"
    weights: str = ""

    @property
    def never_given(self) -> tuple[str, ...]:
        """What it was trained to read beside the images, and `radflow generate` doesn't show it."""
        texts = (
            (self.show_comparison, "the comparison"),
            (self.show_previous, "the patient's previous report"),
        )
        return tuple(name for is_shown, name in texts if is_shown)

    def for_model(self, *, device: str, dtype: str = "auto", name: str = "folder") -> ModelConfig:
        """These settings as those of a model."""
        return ModelConfig.model_validate(
            {
                "name": name,
                "prompt": self.prompt,
                "show_indication": self.show_indication,
                "show_comparison": self.show_comparison,
                "show_previous": self.show_previous,
                "bf16_autocast": self.bf16_autocast,
                "device": device,
                "dtype": dtype,
            }
        )


@dataclass(frozen=True)
class Author:
    """A model that writes reports: weights, settings of the model, and how it is asked."""

    policy: Policy
    model: ModelConfig
    settings: WritingSettings


def settings_of_run(finished: FinishedRun) -> WritingSettings:
    config = finished.config
    return WritingSettings(
        prompt=config.model.prompt,
        show_indication=config.model.show_indication,
        show_comparison=config.model.show_comparison,
        show_previous=config.model.show_previous,
        views=kept_views(config.data),
        bf16_autocast=config.model.bf16_autocast,
        image_long_side=config.data.image_long_side,
        max_images=config.data.max_images,
        max_new_tokens=config.evaluate.generation.max_new_tokens,
        ontology=config.evaluate.ontology,
        model=f"{finished.run.root.resolve().name}/model-{finished.system}",
        weights=finished.weights_hash,
    )


def save_settings(settings: WritingSettings, folder: Path) -> None:
    """Write radflow.json; an ontology of the user's own goes with it, as its path means nothing elsewhere."""
    if settings.ontology.endswith((".yaml", ".yml")):
        shutil.copyfile(settings.ontology, folder / OWN_ONTOLOGY)
        settings = settings.model_copy(update={"ontology": OWN_ONTOLOGY})
    write_json(folder / FILE, settings.model_dump(mode="json"))


def read_settings(folder: Path) -> WritingSettings:
    """What `radflow export` has written beside a model, defaults for a model from elsewhere.

    Raises:
        ModelError: radflow.json is damaged, or names a file elsewhere.
    """
    path = folder / FILE
    if not path.is_file():
        return WritingSettings(model=folder.resolve().name, weights=listing_hash(folder))
    try:
        settings = WritingSettings.model_validate(json.loads(path.read_bytes()))
    except (ValueError, ValidationError):
        raise ModelError(
            "the file is damaged", where=str(path), next_step="Export the model again: radflow export RUN"
        ) from None
    if settings.ontology != OWN_ONTOLOGY and Path(settings.ontology).name != settings.ontology:
        raise ModelError("the ontology lies outside of the model's folder", where=str(path))
    if settings.ontology == OWN_ONTOLOGY:
        settings = settings.model_copy(update={"ontology": str(folder.resolve() / OWN_ONTOLOGY)})
    return settings


def open_author(run: Path | None, model: str | None, *, device: str) -> Author:
    """The model to write with: one of a run (``model``: sft, rft or ``None``), or a folder with a model.

    Raises:
        ConfigError: neither a run nor a model folder is given.
        ModelError, RunError: it can't be loaded.
    """
    if run is not None:
        finished = open_finished(run, model)
        settings = settings_of_run(finished)
        config = finished.config.model.model_copy(update={"device": device})
        return Author(finished.load(device=device), config, settings)
    if model is None:
        raise ConfigError(
            "no model to write with",
            next_step="Give --run RUN, or --model FOLDER for an exported model.",
        )
    folder = Path(model)
    if not folder.is_dir():
        raise ModelError(
            "no such model folder",
            where=f"--model {model}",
            next_step="Make one by radflow export RUN -o FOLDER, or give --run RUN.",
        )
    settings = read_settings(folder)
    config = settings.for_model(device=device, name=str(folder.resolve()))
    return Author(load_policy(folder, config), config, settings)
