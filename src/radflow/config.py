"""Every setting of every stage: its default, one sentence, its bounds. One YAML file holds a whole run.

Frozen and strict: an unknown key is an error. The sections lie by theme in `config_data`, `config_model`,
`config_training`, `config_judge`, `config_scoring` and `config_engine`; import them from here. Reading files,
overrides and messages live in `config_file`. None of these imports torch, so that `radflow config` answers at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any, Literal

from pydantic import Field, model_validator

from radflow.config_data import (
    CAROTID_IMAGES,
    DataConfig,
    MimicConfig,
    PhantomsConfig,
    SectionsConfig,
    SplitConfig,
    TableConfig,
)
from radflow.config_engine import IN_PROCESS, EngineConfig
from radflow.config_judge import AnnotateConfig, JudgeConfig, host_of, is_loopback
from radflow.config_model import (
    MADE_MODELS,
    EfficientNetSmolLM2Config,
    GenerationConfig,
    LoraConfig,
    ModelConfig,
    TinyConfig,
)
from radflow.config_scoring import CompositeConfig, EvaluateConfig, ExploreConfig, RewardConfig
from radflow.config_training import ControlConfig, RFTConfig, SFTConfig, TrackingConfig
from radflow.config_types import (
    ENV_PATTERN,
    DataPath,
    Fraction,
    FromCommandLine,
    ModelName,
    Positive,
    Section,
)

__all__ = [
    "ASKS_JUDGE",
    "CAROTID_IMAGES",
    "COUNT_IF_SET",
    "DECIDING_OF_JUDGE",
    "ENV_PATTERN",
    "IN_PROCESS",
    "MADE_MODELS",
    "PREVIOUS_KNOWN_TO",
    "READ_ONLY_WITH",
    "AnnotateConfig",
    "CompositeConfig",
    "ControlConfig",
    "DataConfig",
    "DataPath",
    "EfficientNetSmolLM2Config",
    "EngineConfig",
    "EvaluateConfig",
    "ExploreConfig",
    "Fraction",
    "FromCommandLine",
    "GenerationConfig",
    "JudgeConfig",
    "LoraConfig",
    "MimicConfig",
    "ModelConfig",
    "ModelName",
    "PhantomsConfig",
    "Positive",
    "RFTConfig",
    "ReportConfig",
    "RewardConfig",
    "RunConfig",
    "SFTConfig",
    "Section",
    "SectionsConfig",
    "SplitConfig",
    "StageName",
    "TableConfig",
    "TinyConfig",
    "TrackingConfig",
    "host_of",
    "is_loopback",
    "settings_of",
]  # fmt: skip

StageName = Literal["prepare", "sft", "explore", "annotate", "rft", "control", "evaluate", "report"]


class ReportConfig(Section):
    cases: int = Field(20, ge=0, description="Cases shown in the HTML report.")


class RunConfig(Section):
    """All settings of a run."""

    stages: tuple[StageName, ...] = Field(
        ("prepare", "sft", "explore", "annotate", "rft", "evaluate", "report"),
        description="Stages of the run, in their fixed order whatever the order here; control is the one "
        "that is left out by default.",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of every random choice of the run.")
    data: DataConfig = Field(DataConfig(), description="Where studies come from and how they are prepared.")
    model: ModelConfig = Field(ModelConfig(), description="The vision-language model and what of it learns.")
    sft: SFTConfig = Field(SFTConfig(), description="Supervised fine-tuning on the reference reports.")
    explore: ExploreConfig = Field(
        ExploreConfig(), description="Target Exploration: which training studies go into RFT."
    )
    judge: JudgeConfig = Field(
        JudgeConfig(), description="The language model that judges, for stages whose settings ask for one."
    )
    annotate: AnnotateConfig = Field(
        AnnotateConfig(), description="Which of the selected studies are critical, by their references."
    )
    reward: RewardConfig = Field(RewardConfig(), description="The hierarchical reward.")
    rft: RFTConfig = Field(
        RFTConfig(),
        description="Reinforcement fine-tuning of the SFT model with CAPO.",
    )
    control: ControlConfig = Field(
        ControlConfig(), description="Fine-tuning continued instead of RFT: what RFT has to beat."
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="Reports of the model against references.")
    report: ReportConfig = Field(ReportConfig(), description="The HTML report.")
    tracking: TrackingConfig = Field(
        TrackingConfig(), description="Who follows the trainings; never changes results."
    )
    engine: EngineConfig = Field(
        EngineConfig(), description="How per-row work is spread; never changes results."
    )

    @model_validator(mode="after")
    def _previous_is_known(self) -> RunConfig:
        if self.model.show_previous and self.data.source not in PREVIOUS_KNOWN_TO:
            raise ValueError(
                f"model.show_previous does nothing with data.source: {self.data.source}, which doesn't know "
                f"which study came before; {', '.join(PREVIOUS_KNOWN_TO)} does"
            )
        if self.model.show_previous and self.data.sections.fallback == "judge":
            raise ValueError(
                "model.show_previous would pass over reports that only the judge of data.sections.fallback "
                "can read, and show an older one; use another fallback"
            )
        return self

    @model_validator(mode="after")
    def _four_bits_need_lora_in_rft(self) -> RunConfig:
        if self.model.quantization == "4bit" and self.rft.language == "full":
            raise ValueError(
                "4-bit weights can't learn: with model.quantization: 4bit set rft.language: lora"
            )
        return self

    @model_validator(mode="after")
    def _one_modality(self) -> RunConfig:
        """Chest rules find nothing in carotid reports, and everything would be called normal."""
        if self.data.source != "phantoms" or self.data.phantoms.modality != "carotid":
            return self
        ontologies = {
            "explore": self.explore.ontology,
            "annotate": self.annotate.ontology,
            "reward": self.reward.ontology,
            "evaluate": self.evaluate.ontology,
        }
        wrong = [name for name, ontology in ontologies.items() if ontology == "chest-xray"]
        if wrong:
            raise ValueError(
                "data.phantoms.modality is carotid, and the chest's ontology knows none of its words; set "
                + ", ".join(f"{name}.ontology" for name in wrong)
                + ": carotid-ultrasound"
            )
        return self


PREVIOUS_KNOWN_TO = ("mimic_cxr",)
"""Sources that know which study of a patient came before."""

READ_ONLY_WITH = {
    "data.phantoms": ("data.source", ("phantoms",)),
    "data.mimic": ("data.source", ("mimic_cxr",)),
    "data.table": ("data.source", ("table",)),
    "model.show_previous": ("data.source", PREVIOUS_KNOWN_TO),
    "model.tiny": ("model.name", ("tiny",)),
    "model.efficientnet_smollm2": ("model.name", ("efficientnet-smollm2",)),
}
"""Settings that only some sources or models read -> the setting that decides it, and its values that do.

Elsewhere they change no result, so they mustn't refuse a finished run when they or their defaults change.
"""

COUNT_IF_SET = (
    "data.sections.headers",
    "annotate.false_positive_rate",
    "annotate.false_negative_rate",
    "rft.epsilon_high",
)
"""Settings younger than the first runs, which are empty by default: finished runs stay as they are."""

ASKS_JUDGE: dict[str, Callable[[RunConfig], bool]] = {
    "data": lambda config: config.data.sections.fallback == "judge",
    "annotate": lambda config: config.annotate.asks_model,
    "reward": lambda config: config.reward.consistency_backend != "labels",
    "evaluate": lambda config: any(name.startswith("judge-") for name in config.evaluate.metrics),
}
"""Sections that may have the judge decide something, and whether they do."""

DECIDING_OF_JUDGE = ("model", "seed")
"""What of the judge decides its answers; the rest is where it runs and how fast it may be asked."""


def settings_of(config: RunConfig, *sections: str) -> dict[str, Any]:
    """The named sections as plain JSON, for fingerprints: only what a result can rest on."""
    dumped = config.model_dump(mode="json")
    for name, (decider, values) in READ_ONLY_WITH.items():
        if _value(config, decider) not in values:
            _drop(dumped, name)
    for name in COUNT_IF_SET:
        if not _value(config, name):
            _drop(dumped, name)
    settings = {name: dumped[name] for name in sections}
    if any(name in sections and asks(config) for name, asks in ASKS_JUDGE.items()):
        settings["judge"] = {name: dumped["judge"][name] for name in DECIDING_OF_JUDGE}
        if config.judge.scrubs:  # a judge that reads other words may decide otherwise
            settings["judge"]["scrub_rules"] = dumped["judge"]["scrub_rules"]
    return settings


def _value(config: RunConfig, setting: str) -> Any:
    return reduce(getattr, setting.split("."), config)


def _drop(dumped: dict[str, Any], setting: str) -> None:
    *sections, name = setting.split(".")
    del reduce(getitem, sections, dumped)[name]
