"""Four answers (data, modality, model, judge) -> what a config needs to know, or why they don't fit"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radflow.clinical.hub_files import is_hub_id
from radflow.config import MADE_MODELS, is_loopback
from radflow.errors import ConfigError
from radflow.starting.layout import PHANTOMS, Layout, find_layout

MODALITIES = {"chest": "chest-xray", "carotid": "carotid-ultrasound"}
"""Modality -> the ontology that its rules read by; your own .yaml file stands for any other."""
RULES = "rules"


@dataclass(frozen=True)
class Answers:
    """What a new config is written from.

    Attributes:
        ontology: name, or path of a .yaml file.
        model: tiny, efficientnet-smollm2, a folder or a hub id.
        judge_url: ``None``: rules decide everything.
    """

    layout: Layout
    modality: str
    ontology: str
    model: str
    judge_url: str | None

    @property
    def size(self) -> str:
        """Which settings fit the model: tiny, parts or large."""
        return {"tiny": "tiny", "efficientnet-smollm2": "parts"}.get(self.model, "large")


def answers_from(*, data: str, modality: str, model: str, judge: str) -> Answers:
    """Check the answers.

    Raises:
        ConfigError: an answer that is none of the known ones, or two that exclude each other.
        DataError: nothing that is known lies at `data`.
    """
    ontology = _ontology(modality)
    layout = find_layout(data)
    if data == PHANTOMS and modality not in MODALITIES:
        raise ConfigError(
            "phantoms are of the chest or of the carotid arteries",
            where="--modality",
            next_step=f"Take one of {', '.join(MODALITIES)}.",
        )
    if layout.source in ("iu_xray", "mimic_cxr") and modality == "carotid":
        raise ConfigError(f"{layout.source} holds chest X-rays", where="--modality", next_step="Take chest.")
    return Answers(layout, modality, ontology, _model(model), _judge(judge))


def _ontology(modality: str) -> str:
    if modality in MODALITIES:
        return MODALITIES[modality]
    path = Path(modality).expanduser().absolute()
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return str(path)
    raise ConfigError(
        f"unknown modality {modality!r}",
        where="--modality",
        next_step=f"Known: {', '.join(MODALITIES)}, or an ontology of your own as a .yaml file: "
        "docs/labeler.md says how to write one.",
    )


def _model(model: str) -> str:
    if model in MADE_MODELS or is_hub_id(model):
        return model
    path = Path(model).expanduser().absolute()
    if (path / "config.json").is_file():
        return str(path)
    raise ConfigError(
        f"unknown model {model!r}",
        where="--model",
        next_step=f"Known: {', '.join(MADE_MODELS)}, a model folder, or a hub id (OWNER/NAME).",
    )


def _judge(judge: str) -> str | None:
    if judge == RULES:
        return None
    try:
        stays_here = is_loopback(judge)
    except ValueError as error:
        raise ConfigError(
            f"the judge's URL {error}", where="--judge", next_step=f"Give such a URL, or {RULES}."
        ) from None
    if not stays_here:
        raise ConfigError(
            "this judge is on another machine, and report text is patient data",
            where="--judge",
            next_step="Take one on this machine (docs/judges.md). If reports may go there, write "
            "judge.base_url and judge.allow_remote: true into the config yourself.",
        )
    return judge
