"""Whether models, encoders, readers and metrics of a config are there; nothing is fetched to find out"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from radflow.clinical.hub_files import hub_folder, is_hub_id
from radflow.clinical.ontology_file import load_ontology
from radflow.clinical.readers import GRAPH_READERS, LABELERS, open_graph_reader, open_labeler
from radflow.config import ModelConfig, RunConfig
from radflow.doctor.check import Check, ok, problem, refused, warning
from radflow.errors import ModelError, RadflowError
from radflow.metrics.encoders import LEXICAL, convention, default_encoder, find_encoder
from radflow.metrics.scoring import make_plan
from radflow.models.packaged_weights import GGUF, LITE0, SMOLLM2, require
from radflow.models.quantization import PACKAGE as FOUR_BIT_PACKAGE
from radflow.rewards.scorers import RULES


def model_check(model: ModelConfig) -> Check:
    """The weights that fine-tuning starts from."""
    if model.name == "tiny":
        return ok("model", "tiny, which radflow makes on the spot")
    if model.name == "efficientnet-smollm2":
        try:
            require(LITE0, SMOLLM2, GGUF)
        except ModelError as error:
            return refused("model", error)
        return ok("model", "efficientnet-smollm2, whose parts are installed")
    if Path(model.name).is_absolute():
        return _folder_check(Path(model.name))
    if not is_hub_id(model.name):
        return problem(
            "model",
            f"{model.name} is neither a model of radflow nor a hub id",
            "Give tiny, efficientnet-smollm2, a folder (./ or / in front) or a hub id (owner/name).",
        )
    folder = hub_folder(model.name, ("config.json", "*.safetensors"), download=False)
    if folder is None or not any(folder.glob("*.safetensors")):
        return warning(
            "model",
            f"{model.name} is not in the local cache: the run would fetch it",
            f"Fetch it now, if you may: hf download {model.name}",
        )
    return ok("model", f"{model.name}, in the local cache")


def _folder_check(folder: Path) -> Check:
    missing = [
        name for name, found in (("config.json", (folder / "config.json").is_file()),
                                 ("*.safetensors", any(folder.glob("*.safetensors"))))
        if not found
    ]  # fmt: skip
    if missing:
        remedy = "model.name needs a transformers folder with safetensors weights and processor."
        return problem("model", f"{folder} holds no {' and no '.join(missing)}", remedy)
    return ok("model", f"{folder}")


def package_checks(config: RunConfig) -> Iterator[Check]:
    """Packages that only some settings need."""
    if config.model.quantization == "4bit" and importlib.util.find_spec(FOUR_BIT_PACKAGE) is None:
        yield problem("4 bit", f"{FOUR_BIT_PACKAGE} is not installed", f"pip install {FOUR_BIT_PACKAGE}")
    if "rft" in config.stages and config.rft.vllm != "none" and importlib.util.find_spec("vllm") is None:
        yield problem("vllm", "vllm is not installed", "pip install vllm, or set rft.vllm to none.")


def ontology_checks(config: RunConfig) -> Iterator[Check]:
    """Ontologies of the stages; each is read whole, so that a mistake in one's own is told now."""
    names = dict.fromkeys(
        getattr(config, section).ontology
        for section, stage in (("explore",) * 2, ("annotate",) * 2, ("reward", "rft"), ("evaluate",) * 2)
        if stage in config.stages
    )
    for name in names:
        try:
            load_ontology(name)
        except RadflowError as error:
            yield refused("ontology", error)
    if names:
        yield ok("ontology", ", ".join(names))


def encoder_check(config: RunConfig) -> Iterator[Check]:
    """BERTScore's encoder in Target Exploration's composite."""
    composite = config.explore.composite
    if "explore" not in config.stages or not composite.bertscore:
        return
    name = default_encoder() if composite.encoder == "auto" else composite.encoder
    if name != LEXICAL:
        find_encoder(convention(name, layer=composite.encoder_layer))
    yield ok("encoder", f"{name} in explore.composite" + (" (auto)" if composite.encoder == "auto" else ""))


def reader_checks(config: RunConfig) -> Iterator[Check]:
    """Graph readers and the labeler of the composite and the reward."""
    readers = {
        "explore.composite.graph_reader": ("explore", config.explore.composite.graph_reader),
        "reward.domain_reader": ("rft", config.reward.domain_reader),
    }
    for setting, (stage, name) in readers.items():
        if stage in config.stages:
            if name not in RULES or name not in GRAPH_READERS:
                open_graph_reader(name)
            yield ok("graph reader", f"{name} ({setting})")
    labeler = config.reward.impression_labeler
    if "rft" in config.stages:
        if labeler not in RULES or labeler not in LABELERS:
            open_labeler(labeler)
        yield ok("labeler", f"{labeler} (reward.impression_labeler)")


def metric_checks(config: RunConfig) -> Iterator[Check]:
    """The evaluation's metrics: a missing package, Java (METEOR) or weights; presets leave such ones out."""
    if "evaluate" not in config.stages:
        return
    plan = make_plan(config.evaluate.metrics, ("report",), ontology=config.evaluate.ontology)
    yield ok("metrics", f"{len(plan.metrics)} metrics of evaluate.metrics can be computed")
    if plan.not_run:
        reasons = "; ".join(sorted(set(plan.not_run.values())))
        names = ", ".join(sorted(plan.not_run))
        yield warning(
            "metrics", f"left out: {names}: {reasons}", "radflow metrics NAME says what each needs."
        )
